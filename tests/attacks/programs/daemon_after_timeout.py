# A timeout does not let a daemon live either.
# timeout: 0.6
# status: timeout

import os
import time

if os.fork() == 0:
    os.setsid()
    while True:
        time.sleep(1)
time.sleep(60)
