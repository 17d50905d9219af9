# The workspace is closed to its own user; the next call finds it open again.
# artifacts: 1

import os

open("here.txt", "w").write("x")
os.chmod("/workspace", 0)
