# The system has some thousand terminals for all containers together.
# output: refused

import os

try:
    os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    print("ESCAPED")
except OSError as error:
    print("refused", error)
try:
    os.openpty()
    print("ESCAPED")
except OSError as error:
    print("refused", error)
