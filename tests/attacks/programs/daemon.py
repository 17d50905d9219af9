# A daemon by the book: two forks, a session, no signals, no descriptors.
# detail: still ran and was killed

import os
import signal
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.closerange(0, 256)
        while True:
            time.sleep(1)
    os._exit(0)
time.sleep(0.2)
