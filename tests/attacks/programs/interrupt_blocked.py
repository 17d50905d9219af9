# All signals are blocked.
# timeout: 0.5
# status: timeout
# state: lost

import signal
import time

signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
time.sleep(60)
