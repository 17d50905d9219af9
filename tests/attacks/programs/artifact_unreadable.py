# A file that its owner may not read.
# skipped: permission denied

import os

open("secret.txt", "w").write("x")
os.chmod("secret.txt", 0)
