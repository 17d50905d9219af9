# Bytes that are no text, on both streams, from a child as well.
# output: left out

import os

for _ in range(40):
    os.write(1, bytes(range(256)) * 256)
    os.write(2, b"\xff\xfe\x80" * 20_000)
os.system("head -c 3000000 /dev/urandom; head -c 3000000 /dev/urandom >&2")
