"""A seccomp filter for the processes that run foreign code, stacked on the container's own.

It closes what Docker 20.10's default profile leaves open to a process without capabilities:
io_uring, ptrace of siblings, SysV IPC, vsock and other socket families, limits of PID 1. And it
closes what no cgroup counts, where one sandbox could take from the host and from all others: the
system's pool of aio requests, memory of compiled socket filters, flushes of the host's disks.
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
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
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
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "memfd_secret": (447, 447),
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
    "process_mrelease": (448, 448),
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
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "settimeofday": (164, 170),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
# Refused as if the system had no such call, so that libraries take another way: libc falls back
# to clone, whose flags a filter can see.
_ABSENT: Final = {"clone3": (435, 435), "io_setup": (206, 0)}
# Answered with success and left undone: nothing here outlives the sandbox, and a loop of them
# keeps the host's disks busy.
_PRETENDED: Final = {
    "fdatasync": (75, 83),
    "fsync": (74, 82),
    "sync": (162, 81),
    "syncfs": (306, 267),
}
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_IPPROTO_TCP, _IPPROTO_UDP = 6, 17
# name: numbers, and for some of its arguments the values that are allowed.
_ONLY: Final[dict[str, tuple[tuple[int, int], dict[int, tuple[int, ...]]]]] = {
    # On the caller itself alone.
    "prlimit64": ((302, 261), {0: (0,)}),
    "sched_setaffinity": ((203, 122), {0: (0,)}),
    "sched_setattr": ((314, 274), {0: (0,)}),
    "sched_setparam": ((142, 118), {0: (0,)}),
    "sched_setscheduler": ((144, 119), {0: (0,)}),
    # Another family or protocol would make the host's kernel load a module.
    "socket": (
        (41, 198),
        {0: (_AF_UNIX, _AF_INET, _AF_INET6), 2: (0, _IPPROTO_TCP, _IPPROTO_UDP)},
    ),
    "socketpair": ((53, 199), {0: (_AF_UNIX,)}),
}
_SETSOCKOPT: Final = (54, 208)
_SOL_SOCKET: Final = 1
_SO_ATTACH_FILTER, _SO_ATTACH_BPF = 26, 50
_SO_ATTACH_REUSEPORT_CBPF, _SO_ATTACH_REUSEPORT_EBPF = 51, 52
_TCP_ULP: Final = 31
# Level and name of each option that is refused: programs inside the kernel, modules of it.
_OPTIONS: Final[dict[int, tuple[int, ...]]] = {
    _SOL_SOCKET: (
        _SO_ATTACH_FILTER,
        _SO_ATTACH_BPF,
        _SO_ATTACH_REUSEPORT_CBPF,
        _SO_ATTACH_REUSEPORT_EBPF,
    ),
    _IPPROTO_TCP: (_TCP_ULP,),
}
_CLONE: Final = (56, 220)
_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}

_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT: Final = 0x40000000
_PR_SET_SECCOMP, _PR_SET_DUMPABLE, _MODE_FILTER = 22, 4, 2

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand
_allow: Final[_Instruction] = (_RETURN, 0, 0, _ALLOW)
_refuse: Final[_Instruction] = (_RETURN, 0, 0, _ERROR | _EPERM)


class SeccompFault(Exception):
    """The filter cannot be put in force here, so no user code may run."""


def build(machine: str, *, internet: bool = True) -> bytes:
    """Return the filter's instructions for one machine.

    Args:
        machine: as `uname -m` names it.
        internet: allow sockets of the internet's families.

    Raises:
        SeccompFault: there is no table for this architecture.
    """
    if machine not in _MACHINES:
        raise SeccompFault(f"There is no system call table for {machine!r}.")
    column, arch = _MACHINES[machine]
    rules: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        rules += [(_AT_LEAST, 0, 1, _X32_BIT), _refuse]
    for table, answer in (
        (_REFUSED, _refuse),
        (_ABSENT, (_RETURN, 0, 0, _ERROR | _ENOSYS)),
        (_PRETENDED, (_RETURN, 0, 0, _ERROR)),  # error number 0 is success
    ):
        for pair in table.values():
            if (number := pair[column]) is not None:
                rules += _on(number, [answer])
    for name, (pair, arguments) in _ONLY.items():
        local = arguments | {0: (_AF_UNIX,)} if name == "socket" and not internet else arguments
        rules += _on(pair[column], _only(local))
    clone = [_load(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse, _allow]
    rules += _on(_CLONE[column], clone)
    rules += _on(_SETSOCKOPT[column], _never(_OPTIONS))
    rules.append(_allow)
    return b"".join(struct.pack("=HBBI", *rule) for rule in rules)


def _on(number: int, body: list[_Instruction]) -> list[_Instruction]:
    """Do `body`, which ends by a return, for one system call."""
    return [(_EQUAL, 0, len(body), number), *body]


def _load(argument: int) -> _Instruction:
    """Load the lower half of an argument, which is all of an int."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)


def _only(arguments: dict[int, tuple[int, ...]]) -> list[_Instruction]:
    """Allow a call whose arguments have one of their values each."""
    body: list[_Instruction] = []
    for argument, values in arguments.items():
        # A jump from the n-th of them leads past the rest and past the refusal.
        known = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
        body += [_load(argument), *known, _refuse]
    return [*body, _allow]


def _never(options: dict[int, tuple[int, ...]]) -> list[_Instruction]:
    """Refuse a call whose second and third argument are one of the pairs."""
    body: list[_Instruction] = []
    for level, names in options.items():
        known = [(_EQUAL, len(names) - at, 0, name) for at, name in enumerate(names)]
        inner = [_load(2), *known, _allow, _refuse]
        body += [_load(1), (_EQUAL, 0, len(inner), level), *inner]
    return [*body, _allow]


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


def install(*, internet: bool) -> None:
    """Put the filter in force for this process and all its children, for good.

    Args:
        internet: allow sockets of the internet's families.

    Raises:
        SeccompFault: unknown architecture, or the system refused.
    """
    code = build(os.uname().machine, internet=internet)
    memory = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(memory))
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))
