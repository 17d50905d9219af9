# Every signal there is to PID 1, and to all at once.

import os
import signal

for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
    try:
        signal.pidfd_send_signal(os.pidfd_open(1), number)
    except OSError:
        pass
try:
    os.kill(-1, signal.SIGKILL)
except ProcessLookupError:
    pass  # all but itself and PID 1
