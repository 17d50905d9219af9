"""Back ends beside Docker, and several of them as one."""

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agentkit_sandbox import (
    BubblewrapBackend,
    Capacity,
    LocalBackend,
    Placement,
    PolicyNotInForce,
    Runner,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_sandbox import bubblewrap as bubblewrap_module

PLAIN = SandboxPolicy(preload=())


@pytest.fixture
def bwrap():
    """The program, or a loud skip; in CI (CI=true) a failure."""
    if shutil.which("bwrap") is None:
        words = "BUBBLEWRAP IS NOT TESTED HERE. Install the package bubblewrap."
        if os.environ.get("CI") == "true":
            pytest.fail(words, pytrace=False)
        pytest.skip(words)


def run(backend, *programs, timeout=5.0, policy=PLAIN):
    """Run programs in one session; a string that begins with "$ " is a shell command."""

    async def go():
        session = await backend.start(policy)
        try:
            results = []
            for each in programs:
                if each.startswith("$ "):
                    results.append(await session.shell(each[2:], timeout))
                else:
                    results.append(await session.execute(textwrap.dedent(each), timeout))
            return results
        finally:
            await session.close()
            await backend.close()

    return asyncio.run(go())


def test_bubblewrap_keeps_state_files_and_partial_output(bwrap):
    first, second, late, ignored, after, shell = run(
        BubblewrapBackend(),
        "x = 20\nopen('a.txt', 'w').write('one')",
        "x + 1",
        "print('before')\nimport time\ntime.sleep(60)",
        "import signal, time\nsignal.signal(2, signal.SIG_IGN)\ntime.sleep(60)",
        "'x' in globals(), open('a.txt').read()",
        "$ cat a.txt; id -u; exit 3",
        timeout=0.5,
    )
    assert [file.data for file in first.artifacts] == [b"one"]
    assert second.value == "21"
    assert (late.status, late.stdout, late.state_lost) == ("timeout", "before\n", False)
    assert (ignored.status, ignored.state_lost) == ("timeout", True)
    assert after.value == "(False, 'one')"
    assert (shell.exit_code, shell.stdout) == (3, "one65534\n")


def test_bubblewrap_shows_nothing_of_the_host(bwrap, tmp_path):
    tmp_path.joinpath("secret").write_text("x")
    [result] = run(
        BubblewrapBackend(),
        f"""
        import os, socket
        def t(function, *arguments):
            try:
                return str(function(*arguments))
            except OSError as error:
                return type(error).__name__
        [
            sorted(set(os.listdir("/")) - {{"lib", "lib64", "lib32", "libx32", "bin", "sbin"}}),
            t(open, {str(tmp_path / "secret")!r}), t(open, "/etc/shadow"), t(open, "/x", "w"),
            t(open, "/usr/x", "w"), t(open, "/proc/1/environ"), sorted(os.environ),
            [n for n in os.listdir("/proc") if n.isdigit()],
            open("/proc/net/route").read().count("\\n"), os.path.exists("/dev/pts"),
            t(os.mknod, "/tmp/n", 0o20600, 0x101), t(os.chroot, "/tmp"), t(os.setuid, 0),
        ]
        """,
    )
    assert result.status == "ok", result
    root, secret, shadow, write, usr, environ, names, pids, routes, terminals, *calls = eval(
        result.value
    )
    shown = {"dev", "proc", "tmp", "usr", "workspace"}
    assert shown <= set(root) <= shown | {Path(sys.base_prefix).parts[1]}
    assert (secret, shadow) == ("FileNotFoundError", "FileNotFoundError")
    assert {write, usr} == {"OSError"}, "read-only"
    assert environ == "PermissionError"
    ours = {"HOME", "LANG", "LC_CTYPE", "MPLBACKEND", "MPLCONFIGDIR", "PATH", "PWD"}
    assert set(names) <= ours
    assert len(pids) == 2, "the supervisor and the kernel"
    assert routes <= 1
    assert terminals is False
    assert set(calls) <= {"PermissionError", "OSError"}, "OSError: no user 0 to become"


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("len(bytes(10**9))", "MemoryError"),
        ("open('big', 'wb').write(bytes(200 * 2**20))", "File too large"),
        ("[open('/dev/null') for _ in range(500)]", "Too many open files"),
        ("import os\nfor n in range(200):\n    if not os.fork():\n        os.pause()", None),
    ],
    ids=["memory", "file", "descriptors", "processes"],
)
def test_bubblewrap_has_limits_and_goes_on_after_them(bwrap, program, found):
    policy = SandboxPolicy(preload=(), workspace_mb=512)
    result, after = run(BubblewrapBackend(), program, "6 * 7", policy=policy)
    assert result.status != "ok"
    assert found is None or found in result.error
    assert after.value == "42"


def test_bubblewrap_refuses_what_is_not_in_force(bwrap, monkeypatch):
    real = bubblewrap_module._command

    def careless(*arguments):
        command = real(*arguments)
        at = command.index("--seccomp")
        return command[:at] + command[at + 2 :]

    monkeypatch.setattr(bubblewrap_module, "_command", careless)
    with pytest.raises(PolicyNotInForce, match="seccomp"):
        run(BubblewrapBackend(), "1")


@pytest.mark.parametrize(
    "policy",
    [
        SandboxPolicy(allowlist=("a.invalid",)),
        SandboxPolicy(packages=("polars",)),
        SandboxPolicy(image="mine"),
        SandboxPolicy(image="mine", runner=Runner()),
        SandboxPolicy(runtime="runsc"),
    ],
)
@pytest.mark.parametrize("kind", [BubblewrapBackend, lambda: LocalBackend(unsafe_local=True)])
def test_what_only_containers_have_is_refused(kind, policy):
    with pytest.raises(SandboxUnavailable, match="Use Docker"):
        asyncio.run(kind().start(policy))


def test_without_bubblewrap_the_way_out_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxUnavailable, match="package `bubblewrap`"):
        asyncio.run(BubblewrapBackend().start(PLAIN))


@pytest.mark.parametrize("kind", ["BubblewrapBackend()", "LocalBackend(unsafe_local=True)"])
def test_processes_end_with_the_host_process(kind, tmp_path):
    """Also those that a program has left behind, whose names are told by a file of ours."""
    if "Bubblewrap" in kind and shutil.which("bwrap") is None:
        pytest.skip("BUBBLEWRAP IS NOT TESTED HERE.")
    mark = f"{97_000 + os.getpid() % 1000}.25"
    program = textwrap.dedent(
        f"""
        import asyncio
        from agentkit_sandbox import *

        async def main():
            session = await {kind}.start(SandboxPolicy(preload=()))
            async def busy():
                code = "import subprocess, time\\nsubprocess.Popen(['sleep', '{mark}'])"
                await session.execute(code + "\\nprint('up')\\ntime.sleep(60)", 99, on_output=tell)
            def tell(text):
                print(text, flush=True)
            await busy()

        asyncio.run(main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as host:
        assert host.stdout.readline() == "up\n"
        assert sleeping(mark)
        host.kill()
    for _ in range(100):
        if not sleeping(mark) and not list(tmp_path.glob("agentkit-*")):
            return
        asyncio.run(asyncio.sleep(0.05))
    pytest.fail("A process outlived its owner.")


def sleeping(mark):
    """The processes whose command line ends with a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", mark.encode()]:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("value", [False, 1, "yes", None])
def test_a_plain_process_is_only_had_by_its_name(value):
    with pytest.raises(SandboxUnavailable, match="unsafe_local=True"):
        LocalBackend(unsafe_local=value)


def test_a_plain_process_keeps_state_and_kills_what_a_program_leaves():
    stray = f"{96_000 + os.getpid() % 1000}.5"
    first, second, late, ignored, shell = run(
        LocalBackend(unsafe_local=True),
        f"import subprocess\nx = 20\nsubprocess.Popen(['sleep', '{stray}']).pid and None",
        "open('a.txt', 'w').write('one')\nx + 1",
        "print('before')\nimport time\ntime.sleep(60)",
        "import signal, time\nsignal.signal(2, signal.SIG_IGN)\ntime.sleep(60)",
        "$ cat a.txt; exit 3",
        timeout=0.5,
    )
    assert first.status == "ok"
    assert not sleeping(stray)
    assert second.value == "21"
    assert [file.data for file in second.artifacts] == [b"one"]
    assert (late.status, late.stdout, late.state_lost) == ("timeout", "before\n", False)
    assert (ignored.status, ignored.state_lost) == ("timeout", True)
    assert (shell.exit_code, shell.stdout) == (3, "one")


class Place:
    """A back end with so much memory; counts what it starts."""

    def __init__(self, memory_mb, *, down=False, full=False):
        self.memory_mb, self.down, self.full, self.started = memory_mb, down, full, 0

    async def capacity(self):
        if self.down:
            raise SandboxUnavailable("No daemon.")
        return Capacity(self.memory_mb - 100 * self.started, 2)

    async def start(self, policy, on_wait=None):
        if self.full:
            raise SandboxUnavailable("No disk.")
        await asyncio.sleep(0)
        self.started += 1
        return self

    async def reap(self):
        if self.down:
            raise SandboxUnavailable("No daemon.")
        return 1

    async def close(self):
        pass


def test_a_sandbox_is_placed_where_most_memory_is_free():
    async def go():
        small, large = Place(350), Place(500)
        placement = Placement([small, large])
        policy = SandboxPolicy(memory_mb=100)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(placement.start(policy))
        return small.started, large.started, await placement.capacity(), await placement.reap()

    small, large, left, reaped = asyncio.run(go())
    assert (small, large) == (2, 3), "also while they are still starting"
    assert left == Capacity(350, 4)
    assert reaped == 2


def test_what_is_down_or_full_is_passed_over():
    async def go():
        good = Place(200)
        placement = Placement([Place(900, down=True), Place(800, full=True), good])
        await placement.start(SandboxPolicy(memory_mb=100))
        assert good.started == 1
        assert (await placement.reap(), await placement.capacity()) == (2, Capacity(900, 4))
        await placement.close()

    asyncio.run(go())


def test_when_no_place_is_left_every_reason_is_told():
    async def go():
        places = [Place(900, down=True), Place(800, full=True), Place(50)]
        await Placement(places).start(SandboxPolicy(memory_mb=100))

    with pytest.raises(SandboxUnavailable, match=r"No disk.*50 MiB left|No daemon.*No disk"):
        asyncio.run(go())
    with pytest.raises(ValueError, match="at least one"):
        Placement([])
