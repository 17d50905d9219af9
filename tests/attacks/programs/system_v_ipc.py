# Shared memory, semaphores and queues of System V outlive processes.
# output: refused; refused; refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for name, arguments in (("shmget", (0, 1 << 20)), ("semget", (0, 1)), ("msgget", (0,))):
    got = getattr(libc, name)(*arguments, 0o1600)
    print("ESCAPED" if got >= 0 else "refused", name, os.strerror(ctypes.get_errno()))
