# The largest pipes that can be had, full.
# status: ok crashed
# state: any

import fcntl
import os

total, ends = 0, []
try:
    while True:
        reading, writing = os.pipe()
        ends += [reading, writing]
        os.set_blocking(writing, False)
        fcntl.fcntl(writing, 1031, 1 << 20)
        total += os.write(writing, bytes(1 << 20))
except OSError as error:
    print("bounded" if total < 512 << 20 else f"ESCAPED: {total >> 20} MiB", error)
for descriptor in ends:
    os.close(descriptor)
