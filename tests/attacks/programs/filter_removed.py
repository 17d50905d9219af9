# The filter, the ban on new rights and the limits are there for good.
# output: refused

import ctypes
import os
import resource

libc = ctypes.CDLL(None, use_errno=True)
zero = ctypes.c_ulong(0)
print("ESCAPED" if libc.prctl(22, zero, zero, zero, zero) == 0 else "refused", "filter")
print("ESCAPED" if libc.prctl(38, zero, zero, zero, zero) == 0 else "refused", "new rights")
for name in ("NOFILE", "FSIZE", "CORE"):
    number = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(number)[1]
    try:
        resource.setrlimit(number, (hard + 1, hard + 1))
        print("ESCAPED", name)
    except (OSError, ValueError) as error:
        print("refused", name, error)
