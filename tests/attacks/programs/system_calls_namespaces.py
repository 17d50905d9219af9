# Ways into other namespaces and file systems.
# output: refused

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
calls = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}
for name, numbers in calls.items():
    got = libc.syscall(numbers[column], 0x10000000, 0, 0, 0, 0)
    print("ESCAPED" if got >= 0 else "refused", name, os.strerror(ctypes.get_errno()))
child = libc.syscall((56, 220)[column], 0x10000000 | 17, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
print("ESCAPED" if child > 0 else "refused", "clone")
