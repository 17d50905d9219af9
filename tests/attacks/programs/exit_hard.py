# The process ends itself, in three ways.
# status: crashed
# state: lost
# detail: ended itself with code 3

import os

print("before", flush=True)
os._exit(3)
