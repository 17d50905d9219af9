# POSIX queues, by the call and by the file system.
# output: refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
print("ESCAPED" if libc.mq_open(b"/q", 0o102, 0o600, None) >= 0 else "refused")
made = 0
try:
    while made < 100_000:
        os.close(os.open(f"/dev/mqueue/{made}", os.O_CREAT | os.O_RDWR))
        made += 1
    print("ESCAPED: 100000 queues")
except OSError as error:
    print("refused", error)
for number in range(made):
    os.unlink(f"/dev/mqueue/{number}")
