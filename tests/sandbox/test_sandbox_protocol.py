"""Frames, names, owners, limits and the filter: all that needs no daemon."""

import contextlib
import os
import re
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


HEADERS = {
    0: Path("/usr/include", f"{os.uname().machine}-linux-gnu", "asm/unistd_64.h"),
    1: Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("column", [0, 1], ids=["x86-64", "arm64"])
def test_system_call_numbers_are_those_of_the_kernel_headers(column):
    if not HEADERS[column].exists():
        pytest.skip(f"no kernel headers at {HEADERS[column]}")
    text = HEADERS[column].read_text()
    known = {name: int(number) for name, number in re.findall(r"__NR_(\w+)\s+(\d+)\b", text)}
    tables = seccomp._REFUSED | seccomp._ABSENT | seccomp._SELF_ONLY
    tables |= {"clone": seccomp._CLONE, "socket": seccomp._SOCKET[0]}
    tables |= {"socketpair": seccomp._SOCKET[1]}
    wrong = {
        name: (pair[column], known[name])
        for name, pair in tables.items()
        if name in known and pair[column] != known[name]
    }
    assert not wrong
    assert len(set(tables) & set(known)) > 55


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


def test_a_huge_value_is_clipped_before_it_is_built():
    assert len(trace.show_value("x" * 200_000_000, 1000)) < 1200
    assert "1000000 items" in trace.show_value(list(range(1_000_000)), 1000)
