# A better place in line than others.
# output: refused; refused; refused; refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for name, attempt in (
    ("nice", lambda: os.nice(-5)),
    ("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))),
    ("PID 1", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19)),
    ("processors of PID 1", lambda: os.sched_setaffinity(1, {0})),
):
    try:
        attempt()
        print("ESCAPED", name)
    except OSError as error:
        print("refused", name, error)
