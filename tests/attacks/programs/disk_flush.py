# Flushes of the host's disks in a loop are answered and left undone.
# output: done

import os

found = os.open("/usr/bin/env", os.O_RDONLY)
for _ in range(2000):
    os.sync()
    os.fsync(found)
    os.fdatasync(found)
print("done")
