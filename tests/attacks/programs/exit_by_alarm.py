# An alarm ends the process between two calls.
# after: any
# state: any

import signal

signal.setitimer(signal.ITIMER_REAL, 0.02)
