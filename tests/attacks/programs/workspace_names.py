# More entries than a listing looks at, all in one folder.
# artifacts: any
# skipped: any

import os

try:
    for number in range(10_000):
        os.symlink("x", f"{number}" * 40)
except OSError:
    pass
