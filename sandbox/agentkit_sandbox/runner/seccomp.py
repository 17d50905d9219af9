"""A seccomp filter for the kernel process, stacked on the container's own.

It closes what Docker 20.10's default profile leaves open to a process without capabilities:
io_uring, ptrace of siblings, SysV IPC, vsock and other socket families, limits of PID 1.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

# name: (x86-64, arm64); None where the architecture has no such call.
_REFUSED: Final[dict[str, tuple[int | None, int | None]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "shmget": (29, 194),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
# Refused with ENOSYS, so that libc falls back to clone, whose flags a filter can see.
_ABSENT: Final = {"clone3": (435, 435)}
# Allowed on the caller itself (argument 0 is 0), refused on any other process.
_SELF_ONLY: Final = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
}
_CLONE: Final = (56, 220)
_SOCKET: Final = ((41, 198), (53, 199))  # socket, socketpair
_FAMILIES: Final = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}

_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER_AT, _ARCH_AT, _ARGUMENT_0_AT = 0, 4, 16
_X32_BIT: Final = 0x40000000
_PR_SET_SECCOMP, _PR_SET_DUMPABLE, _MODE_FILTER = 22, 4, 2

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class SeccompFault(Exception):
    """The filter cannot be put in force here, so no user code may run."""


def build(machine: str) -> bytes:
    """Return the filter's instructions for one machine.

    Raises:
        SeccompFault: there is no table for this architecture.
    """
    if machine not in _MACHINES:
        raise SeccompFault(f"There is no system call table for {machine!r}.")
    column, arch = _MACHINES[machine]
    refuse = (_RETURN, 0, 0, _ERROR | _EPERM)
    allow = (_RETURN, 0, 0, _ALLOW)
    rules: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        rules += [(_AT_LEAST, 0, 1, _X32_BIT), refuse]
    for pair in _REFUSED.values():
        if (number := pair[column]) is not None:
            rules += [(_EQUAL, 0, 1, number), refuse]
    for pair in _ABSENT.values():
        rules += [(_EQUAL, 0, 1, pair[column]), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    first_argument = (_LOAD, 0, 0, _ARGUMENT_0_AT)
    for pair in _SELF_ONLY.values():
        rules += [(_EQUAL, 0, 4, pair[column]), first_argument, (_EQUAL, 1, 0, 0), refuse, allow]
    rules += [(_EQUAL, 0, 4, _CLONE[column]), first_argument]
    rules += [(_ANY_BIT, 0, 1, _NEW_NAMESPACES), refuse, allow]
    for pair in _SOCKET:
        families: list[_Instruction] = [
            (_EQUAL, len(_FAMILIES) - position, 0, family)
            for position, family in enumerate(_FAMILIES)
        ]
        rules += [(_EQUAL, 0, len(families) + 3, pair[column]), first_argument]
        rules += [*families, refuse, allow]
    rules.append(allow)
    return b"".join(struct.pack("=HBBI", *rule) for rule in rules)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _prctl(option: int, value: int, pointer: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(number) for number in (value, pointer, 0, 0)]
    if libc.prctl(ctypes.c_int(option), *arguments) != 0:
        number = ctypes.get_errno()
        raise SeccompFault(f"prctl({option}, {value}) failed: {os.strerror(number)}.")


def set_dumpable(*, dumpable: bool) -> None:
    """Let processes of the same user look into this one, or keep them out.

    Raises:
        SeccompFault: the system refused.
    """
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def install() -> None:
    """Put the filter in force for this process and all its children, for good.

    Raises:
        SeccompFault: unknown architecture, or the system refused.
    """
    code = build(os.uname().machine)
    memory = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(memory))
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))
