# The process stops itself.
# timeout: 0.5
# status: timeout
# state: lost

import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)
