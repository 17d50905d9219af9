# Rights of root, by every door.
# output: refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
for name, attempt in (
    ("setuid", lambda: os.setuid(0)),
    ("setgid", lambda: os.setgid(0)),
    ("setgroups", lambda: os.setgroups([0])),
    ("setresuid", lambda: os.setresuid(0, 0, 0)),
    ("chown", lambda: os.chown("/workspace", 0, 0)),
    ("mknod", lambda: os.mknod("/tmp/d", 0o020666, 0x0103)),
    ("chroot", lambda: os.chroot("/tmp")),
):
    try:
        attempt()
        print("ESCAPED", name)
    except OSError as error:
        print("refused", name, error)
zero = ctypes.c_ulong(0)
print("ESCAPED" if libc.prctl(47, 2, ctypes.c_ulong(21), zero, zero) == 0 else "refused", "ambient")
status = open("/proc/self/status").read()
print("refused" if "CapEff:\t0000000000000000" in status else "ESCAPED", "capabilities")
