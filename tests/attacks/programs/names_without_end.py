# Names that do not exist are remembered by the kernel, at the sandbox's cost.
# timeout: 2
# status: timeout ok crashed
# state: any

import os

for number in range(10**9):
    os.path.exists(f"/usr/lib/{number:0200}")
