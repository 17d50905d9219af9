# Interrupts from itself and from a child, thick as rain.
# status: error ok timeout
# timeout: 2

import os
import signal
import time

parent = os.getpid()
if os.fork() == 0:
    while True:
        os.kill(parent, signal.SIGINT)
time.sleep(0.3)
