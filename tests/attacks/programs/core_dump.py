# A crash leaves no image of its memory, here or on the host.
# status: crashed
# state: lost
# detail: SIGABRT

import os
import resource

try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
    print("ESCAPED")
except (OSError, ValueError):
    pass
os.abort()
