# A hard link to a file of the image, and many to one of its own.
# artifacts: 20
# skipped: more than 20 files
# output: refused

import os

try:
    os.link("/etc/passwd", "passwd.txt")
    print("ESCAPED")
except OSError as error:
    print("refused", error)
open("one.txt", "w").write("x" * 1000)
for number in range(30):
    os.link("one.txt", f"copy{number:02}.txt")
