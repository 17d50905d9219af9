# The interrupt is ignored.
# timeout: 0.5
# status: timeout
# state: lost
# output: before
# detail: ignored the interrupt

import signal
import time

signal.signal(signal.SIGINT, signal.SIG_IGN)
print("before")
time.sleep(60)
