# Open files until the limit, then more by a child that inherits none.
# output: refused

import os

held = []
try:
    while len(held) < 5000:
        held.append(os.open("/dev/null", os.O_RDONLY))
    print("ESCAPED: 5000 descriptors")
except OSError as error:
    print("refused", error)
for descriptor in held:
    os.close(descriptor)
