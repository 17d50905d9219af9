# The way out takes for ever.
# timeout: 0.5
# status: timeout
# state: lost

import time

try:
    time.sleep(60)
finally:
    while True:
        time.sleep(1)
