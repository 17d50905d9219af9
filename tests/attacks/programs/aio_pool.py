# The system's pool of aio requests is one for all: a process must not take it.
# output: refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
context = ctypes.c_ulong(0)
number = {"x86_64": 206, "aarch64": 0}[os.uname().machine]
got = libc.syscall(number, 60_000, ctypes.byref(context)) == 0
print("ESCAPED" if got else "refused", os.strerror(ctypes.get_errno()))
