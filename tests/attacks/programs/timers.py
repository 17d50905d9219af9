# Timers whose signals queue up are counted by user.
# output: refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
count, timer = 0, ctypes.c_void_p()
number = {"x86_64": 222, "aarch64": 107}[os.uname().machine]
while count < 300_000 and libc.syscall(number, 1, None, ctypes.byref(timer)) == 0:
    count += 1
print("ESCAPED" if count == 300_000 else "refused", os.strerror(ctypes.get_errno()))
