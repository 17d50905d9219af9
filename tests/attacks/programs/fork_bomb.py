# Processes double until the limit, and every one of them goes on.
# timeout: 1
# status: timeout
# state: any

import os

while True:
    try:
        os.fork()
    except OSError:
        pass
