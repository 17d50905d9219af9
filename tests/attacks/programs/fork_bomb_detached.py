# A bomb in sessions of its own is still going when the program returns.
# detail: still ran and were killed

import os
import time

if os.fork() == 0:
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            pass
time.sleep(0.3)
print("returned")
