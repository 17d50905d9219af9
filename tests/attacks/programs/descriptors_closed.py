# Every descriptor is closed, the channel too.
# status: crashed
# state: lost

import os

os.closerange(0, 256)
