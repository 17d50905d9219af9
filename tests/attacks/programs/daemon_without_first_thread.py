# It looks dead in /proc while its other thread runs on.
# detail: still ran and was killed

import os
import subprocess
import sys
import time

lines = [
    "import ctypes, threading, time",
    "threading.Thread(target=time.sleep, args=(600,)).start()",
    "ctypes.CDLL(None).pthread_exit(None)",
]
child = subprocess.Popen([sys.executable, "-c", "\n".join(lines)])
while open(f"/proc/{child.pid}/stat").read().split()[2] != "Z":
    time.sleep(0.01)
