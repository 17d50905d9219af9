# Memory that belongs to no process: files that exist in memory only.
# status: crashed ok
# state: any

import os

held = []
try:
    for number in range(40):
        held.append(os.memfd_create(f"f{number}"))
        for _ in range(50):
            os.write(held[-1], bytes(1 << 20))
    print("ESCAPED: 2 GiB")
except OSError as error:
    print("refused", error)
