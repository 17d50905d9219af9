# Watches and instances are counted by user; each sandbox is a user of its own.
# output: refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
held = []
while (descriptor := libc.inotify_init1(0)) >= 0 and len(held) < 5000:
    held.append(descriptor)
print("ESCAPED" if len(held) >= 5000 else "refused", os.strerror(ctypes.get_errno()))
for descriptor in held:
    os.close(descriptor)
