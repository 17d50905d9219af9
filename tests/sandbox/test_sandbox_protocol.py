"""Frames, names, owners, limits and the filter: all that needs no daemon."""

import contextlib
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit_sandbox import PolicyNotInForce, SandboxPolicy
from agentkit_sandbox.limits import check_facts, host_config
from agentkit_sandbox.names import media_type, safe_name, unique
from agentkit_sandbox.protocol import LENGTHS, MAX_BODY, FrameBuffer, ProtocolFault, encode
from agentkit_sandbox.reaper import MARK, is_orphan, owner_labels
from agentkit_sandbox.runner import seccomp, trace
from agentkit_sandbox.runner.bundle import MAX_ARGUMENT, program

GOOD_FACTS = {
    "pid": 1,
    "uid": 4711,
    "gid": 4711,
    "groups": [],
    "capabilities": 0,
    "no_new_privileges": True,
    "seccomp": True,
    "read_only": True,
    "interfaces": ["lo"],
    "files": 256,
    "file_bytes": 128 * 2**20,
    "core_bytes": 0,
    "memory": 512 * 2**20,
    "socket_memory": 32 * 2**20,
    "terminals": False,
    "pids": 64,
    "workspace_bytes": 128 * 2**20,
    "tmp_bytes": 64 * 2**20,
}


def test_frames_survive_any_cut():
    """The same frames come out wherever the bytes were cut."""
    frames = [({"op": "a", "text": "中 \ud800"}, b"\0" * 300), ({}, b""), ({"n": 1}, b"xy")]
    data = b"".join(encode(*frame) for frame in frames)
    for cut in range(len(data) + 1):
        buffer = FrameBuffer()
        found = [*buffer.feed(data[:cut]), *buffer.feed(data[cut:])]
        assert [tuple(frame) for frame in found] == frames


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_fault(data):
    with contextlib.suppress(ProtocolFault):
        list(FrameBuffer().feed(data))


@pytest.mark.parametrize(
    "data",
    [
        LENGTHS.pack(2**32 - 1, 0),
        LENGTHS.pack(0, MAX_BODY + 1),
        LENGTHS.pack(2, 0) + b"[]",
        LENGTHS.pack(2, 0) + b"{]",
        LENGTHS.pack(200_000, 0) + b"[" * 200_000,
    ],
    ids=["huge header", "huge body", "a list", "no JSON", "deep"],
)
def test_a_broken_frame_ends_the_conversation(data):
    with pytest.raises(ProtocolFault):
        list(FrameBuffer().feed(data))


def test_a_frame_above_the_cap_is_never_sent():
    with pytest.raises(ProtocolFault):
        encode({}, b"\0" * (MAX_BODY + 1))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("chart.png", "chart.png"),
        ("../../etc/passwd", "passwd"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a\x00b\n\x1b[31m.csv", "a_b__[31m.csv".replace("[", "_")),
        ("C:\\x\\图表 1.png", "图表 1.png"),
        ("x" * 300 + ".png", "x" * 96 + ".png"),
        ("\u202egnp.exe", "_gnp.exe"),
    ],
)
def test_names_are_made_safe(name, safe):
    assert safe_name(name) == safe


@given(st.text(max_size=400))
def test_every_safe_name_is_one_plain_component(name):
    safe = safe_name(name)
    assert 0 < len(safe) <= 100
    assert "/" not in safe
    assert safe not in (".", "..")
    assert not safe.startswith(".")


def test_equal_names_are_numbered():
    assert unique("a.png", {"a.png", "a-2.png"}) == "a-3.png"


def test_the_media_type_comes_from_the_content():
    assert media_type("x.png", b"\x89PNG\r\n\x1a\n...") == "image/png"
    assert media_type("x.png", b"<script>") == "application/octet-stream"
    assert media_type("x.html", b"<script>") == "application/octet-stream"
    assert media_type("x.csv", b"a,b") == "text/csv"


def test_the_owner_is_known_while_it_lives():
    assert not is_orphan(owner_labels())


def test_a_sandbox_of_an_ended_process_is_an_orphan():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    labels = owner_labels(child.pid)
    assert not is_orphan(labels)
    child.communicate()
    assert is_orphan(labels)


@pytest.mark.parametrize(
    ("change", "orphan"),
    [
        ({f"{MARK}.started": "1"}, True),
        ({f"{MARK}.boot": "another"}, True),
        ({f"{MARK}.boot": "another", f"{MARK}.host": "another"}, False),
        ({f"{MARK}.namespace": "pid:[1]"}, False),
        ({f"{MARK}.namespace": "pid:[1]", f"{MARK}.uptime": "1", f"{MARK}.lifetime": "1"}, True),
        ({f"{MARK}.created": "1"}, False),
        ({f"{MARK}.uptime": "1", f"{MARK}.lifetime": "1"}, True),
        ({f"{MARK}.boot": "x", f"{MARK}.host": "x", f"{MARK}.created": "1"}, True),
        ({MARK: "no"}, False),
    ],
    ids=[
        "id used again",
        "rebooted",
        "other host",
        "other namespace",
        "over there",
        "clock jump",
        "over here",
        "far and old",
        "not ours",
    ],
)
def test_orphans_are_told_from_strangers(change, orphan):
    """A sandbox whose owner cannot be seen from here is only an orphan when it is very old."""
    assert is_orphan(owner_labels() | change) is orphan


def test_good_facts_pass():
    check_facts(SandboxPolicy(), 4711, GOOD_FACTS)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("memory", None),
        ("memory", 2**62),
        ("socket_memory", 2**62),
        ("terminals", True),
        ("pids", None),
        ("interfaces", ["eth0", "lo"]),
        ("read_only", False),
        ("seccomp", False),
        ("no_new_privileges", False),
        ("capabilities", 1),
        ("uid", 0),
        ("groups", [0]),
        ("pid", 7),
        ("workspace_bytes", 2**40),
        ("core_bytes", -1),
    ],
)
def test_a_limit_that_is_not_in_force_refuses_the_sandbox(fact, value):
    with pytest.raises(PolicyNotInForce, match=fact):
        check_facts(SandboxPolicy(), 4711, GOOD_FACTS | {fact: value})


def test_a_missing_fact_refuses_the_sandbox():
    with pytest.raises(PolicyNotInForce, match="seccomp"):
        check_facts(SandboxPolicy(), 4711, {k: v for k, v in GOOD_FACTS.items() if k != "seccomp"})


def test_nothing_of_the_host_is_mounted():
    settings = host_config(replace(SandboxPolicy(), memory_mb=64), 4711)
    assert not {"binds", "mounts", "volumes_from", "devices", "cap_add"} & set(settings)
    assert settings["memswap_limit"] == settings["mem_limit"] == 64 * 2**20


def test_the_runner_fits_into_one_argument():
    assert len(program().encode()) < MAX_ARGUMENT
    compile(program(), "<program>", "exec")


NUMBERS = [
    line.split("\t")
    for line in Path(__file__).with_name("system_calls.tsv").read_text("ascii").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("column", [0, 1], ids=["x86-64", "arm64"])
def test_system_call_numbers_are_those_of_the_kernel_headers(column):
    known = {name: numbers[column] for name, *numbers in NUMBERS}
    tables = seccomp._REFUSED | seccomp._ABSENT | seccomp._PRETENDED
    tables |= {name: pair for name, (pair, _) in seccomp._ONLY.items()}
    tables |= {"clone": seccomp._CLONE, "setsockopt": seccomp._SETSOCKOPT}
    wrong = {
        name: (pair[column], known.get(name))
        for name, pair in tables.items()
        if known.get(name) != ("-" if pair[column] is None else str(pair[column]))
    }
    assert not wrong


def verdict(code, arch, number, *arguments):
    """What a filter answers, by the rules of the kernel's classic BPF."""
    data = struct.pack("<iIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    rules = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    at = loaded = 0
    while True:
        operation, yes, no, operand = rules[at]
        at += 1
        if operation == 0x20:
            [loaded] = struct.unpack_from("<I", data, operand)
        elif operation == 0x06:
            return operand
        else:
            holds = {
                0x15: loaded == operand,
                0x35: loaded >= operand,
                0x45: bool(loaded & operand),
            }
            at += yes if holds[operation] else no


ALLOWED, REFUSED, ABSENT, DONE, KILLED = 0x7FFF0000, 0x50001, 0x50026, 0x50000, 0x80000000


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_the_filter_refuses_what_is_in_its_tables_and_nothing_else(machine, column):
    """Every call of the kernel, on both machines, without running one."""
    code, arch = seccomp.build(machine), seccomp._MACHINES[machine][1]
    expected = {}
    for table, answer in (
        (seccomp._REFUSED, REFUSED),
        (seccomp._ABSENT, ABSENT),
        (seccomp._PRETENDED, DONE),
    ):
        expected |= dict.fromkeys(table, answer)
    special = {*seccomp._ONLY, "clone", "setsockopt"}
    for name, *numbers in NUMBERS:
        if numbers[column] != "-" and name not in special:
            found = verdict(code, arch, int(numbers[column]), 1, 1, 1)
            assert found == expected.get(name, ALLOWED), name
    assert verdict(code, arch ^ 1, 0) == KILLED
    assert len(code) // 8 < 4096


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("socket", (1, 1, 0), True),
        ("socket", (2, 1 | 0x80000, 0), True),
        ("socket", (2, 1, 6), True),
        ("socket", (10, 2, 17), True),
        ("socket", (2, 1, 262), False),
        ("socket", (2, 2, 136), False),
        ("socket", (2, 2, 1), False),
        ("socket", (16, 3, 0), False),
        ("socket", (38, 5, 0), False),
        ("socket", (40, 1, 0), False),
        ("socketpair", (1, 1, 0), True),
        ("socketpair", (2, 1, 0), False),
        ("setsockopt", (5, 1, 8), True),
        ("setsockopt", (5, 6, 1), True),
        ("setsockopt", (5, 41, 26), True),
        ("setsockopt", (5, 1, 26), False),
        ("setsockopt", (5, 1, 52), False),
        ("setsockopt", (5, 6, 31), False),
        ("prlimit64", (0, 7), True),
        ("prlimit64", (1, 7), False),
        ("sched_setaffinity", (1,), False),
        ("clone", (17,), True),
        ("clone", (0x003D0F00,), True),
        ("clone", (0x10000000 | 17,), False),
        ("clone", (0x00020000 | 17,), False),
    ],
)
def test_the_filter_looks_at_arguments(machine, column, name, arguments, allowed):
    numbers = {each: pair for each, *pair in NUMBERS}
    code, arch = seccomp.build(machine), seccomp._MACHINES[machine][1]
    found = verdict(code, arch, int(numbers[name][column]), *arguments)
    assert found == (ALLOWED if allowed else REFUSED)


def test_an_unknown_architecture_has_no_filter():
    with pytest.raises(seccomp.SeccompFault, match="riscv64"):
        seccomp.build("riscv64")


def test_a_traceback_shows_the_users_lines_only():
    files = {
        "<call 3>": "import json\n\ndef load(text):\n    return json.loads(text)\n\nload('{')\n"
    }
    try:
        exec(compile(files["<call 3>"], "<call 3>", "exec"), {})
    except ValueError as error:
        text = trace.describe(error, files)
    lines = text.splitlines()
    assert "  call 3, line 6, in <module>" in lines
    assert "    return json.loads(text)" in lines
    assert lines[-1].startswith("json.decoder.JSONDecodeError")
    assert len(lines) < 10


def test_the_errors_of_a_group_are_named_with_their_lines():
    files = {"<call 1>": "def f():\n    raise ValueError('why')\nf()\n"}
    try:
        exec(compile(files["<call 1>"], "<call 1>", "exec"), {})
    except ValueError as error:
        text = trace.describe(ExceptionGroup("two", [error, *[KeyError("k")] * 11]), files)
    lines = text.splitlines()
    assert lines[1] == "ExceptionGroup: two (12 sub-exceptions)"
    assert lines[2] == "  - ValueError: why (call 1, line 2)"
    assert lines[-1] == "  - … 2 more"


def test_nested_values_are_clipped_before_they_are_built():
    """Each list is short, and the text would have 200 MB."""
    nested = [[["y" * 1000] * 100] * 50] * 40
    assert len(trace.show_value(nested, 1000)) < 1200
    assert trace.show_value([[1, (2, {3: "four"})]], 1000) == "[[1, (2, {3: 'four'})]]"
    endless = [1]
    endless.append(endless)
    assert trace.show_value(endless, 1000) == "[1, [...]]"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "items" in trace.show_value(deep, 1000)


def test_a_huge_value_is_clipped_before_it_is_built():
    assert len(trace.show_value("x" * 200_000_000, 1000)) < 1200
    assert "1000000 items" in trace.show_value(list(range(1_000_000)), 1000)
