# Four children share the limit; whoever goes above it dies, and that is told.
# status: ok crashed
# state: any
# detail: out of memory
# timeout: 10

import os
import time

children = []
for _ in range(4):
    if (pid := os.fork()) == 0:
        block = bytearray(200 << 20)
        block[::4096] = b"1" * len(block[::4096])
        time.sleep(0.5)
        os._exit(0)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
print("ESCAPED: 800 MiB" if not any(codes) else "killed")
