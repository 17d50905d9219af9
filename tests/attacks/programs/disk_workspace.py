# One file until the workspace is full.
# output: refused
# skipped: larger than

import os

try:
    with open("full.bin", "wb", buffering=0) as file:
        for _ in range(4096):
            file.write(bytes(1 << 20))
    print("ESCAPED: 4 GiB")
except OSError as error:
    print("refused", error)
print(os.path.getsize("full.bin") <= 128 << 20 or "ESCAPED")
