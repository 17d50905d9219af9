# A child stops the kernel when the program is over.
# status: ok
# state: any
# after: any

import os
import signal
import time

parent = os.getpid()
if os.fork() == 0:
    os.setsid()
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    for _ in range(200):
        os.kill(parent, signal.SIGSTOP)
        os.kill(parent, signal.SIGCONT)
    os.kill(parent, signal.SIGSTOP)
    time.sleep(0.2)
    os.kill(parent, signal.SIGCONT)
    os._exit(0)
time.sleep(0.1)
