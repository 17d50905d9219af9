"""Runs attack programs in several sandboxes side by side, and looks at what they left behind.

Each program's first lines say what must hold: a sentence, then `# key: value`.

    timeout     seconds that it gets (5)
    status      how its call may end, one or several ("ok")
    state       whether the session's variables are "kept", "lost" or "any" of both ("kept")
    output      texts that are in its output, divided by ";", each as often as it is named
    value       text that is in the value of the last expression
    detail      text that is in the detail of the result
    artifacts   number of files that come out, or "any" (0)
    skipped     text that is in a reason for which a file stayed inside, or "any" (no file)
    after       "any" where the next call may find the session's Python dead
    ends        "sandbox" where the sandbox may end, if that is told
    writes_on   "yes" where a thread goes on with files, until the session is reset

Whatever they say, ESCAPED never stands in what comes out, and everything in `Arena.check` holds.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from agentkit_sandbox import DockerBackend, SandboxLost, SandboxPolicy
from agentkit_sandbox.daemon import open_engine

PROGRAMS = Path(__file__).with_name("programs")
SANDBOXES = 3
MOUNTS = ("/workspace", "/tmp")  # Docker makes the folders that it mounts over
CLEAN = "chmod 700 . ; find . /tmp /dev/shm /dev/mqueue -mindepth 1 -delete"


@dataclass(frozen=True)
class Attack:
    """A program and what must hold after it."""

    name: str
    code: str
    timeout: float = 5.0
    status: tuple = ("ok",)
    state: str = "kept"
    output: Counter = field(default_factory=Counter)
    value: str = ""
    detail: str = ""
    artifacts: str = "0"
    skipped: str = ""
    after: str = "works"
    ends: str = "nothing"
    writes_on: str = ""


def load(path):
    """Read a program and its expectations."""
    given = {}
    for line in path.read_text("utf-8").splitlines()[1:]:
        if not line.startswith("# "):
            break
        key, _, value = line[2:].partition(":")
        given[key] = value.strip()
    if "timeout" in given:
        given["timeout"] = float(given["timeout"])
    if "status" in given:
        given["status"] = tuple(given["status"].split())
    if "output" in given:
        given["output"] = Counter(part.strip() for part in given["output"].split(";"))
    return Attack(path.stem, path.read_text("utf-8"), **given)


class Listeners:
    """Sockets of the host that nobody may reach."""

    def __init__(self):
        self.sockets = []
        for address in ("127.0.0.1", _bridge()):
            if address is not None:
                self.sockets.append(socket.create_server((address, 0)))
                self.sockets[-1].setblocking(False)

    @property
    def addresses(self):
        return " ".join("{}:{}".format(*each.getsockname()) for each in self.sockets)

    def reached(self):
        """Say whether anybody has come."""
        for each in self.sockets:
            with contextlib.suppress(BlockingIOError):
                each.accept()[0].close()
                return True
        return False

    def close(self):
        for each in self.sockets:
            each.close()


def _bridge():
    """The address of Docker's bridge on this machine, where there is one."""
    engine = open_engine()
    try:
        [config] = engine.api.inspect_network("bridge")["IPAM"]["Config"][:1]
        address = config.get("Gateway") or config["Subnet"].rpartition(".")[0] + ".1"
        with socket.create_server((address, 0)):
            return address
    except (OSError, ValueError):
        return None  # a daemon elsewhere, or without a bridge
    finally:
        engine.close()


def host_facts():
    """What of the host no program may change."""
    facts = {"time": round((time.time() - time.monotonic()) / 30)}
    for path in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/kernel/pid_max",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/swaps",
        "/proc/modules",
    ):
        with contextlib.suppress(OSError):
            facts[path] = Path(path).read_text()
    return facts


def processes_of(uid):
    """Ids of the processes of a user that are not dead, as the host sees them."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if folder.stat().st_uid in (uid, 0) and _uid(folder) == uid:
                    found.append(int(folder.name))
    return found


def _uid(folder):
    """The user of a process, read where one that may not be looked into tells it as well."""
    status = (folder / "status").read_text("utf-8", "replace")
    if "State:\tZ" in status:
        return None
    return int(status.partition("Uid:\t")[2].split()[0])


def _peak(container, name):
    """A number in the host's books on a container; 0 where they are kept elsewhere (cgroup v2)."""
    paths = Path("/sys/fs/cgroup/memory").glob(f"**/{container}/{name}")
    return max((int(path.read_text()) for path in paths), default=0)


class Victim:
    """A sandbox that is attacked."""

    def __init__(self, session):
        self.session = session
        self.uid = session.facts["uid"]


class Arena:
    """The sandboxes, on an event loop of their own thread; a result for each attack."""

    def __init__(self, attacks, canary):
        self.results = {attack.name: Future() for attack in attacks}
        self._attacks = iter(attacks)
        self._canary = canary
        self._canary.write_text("untouched")
        self._backend = DockerBackend()
        self._neighbour = None
        self._facts = host_facts()
        self._listeners = Listeners()
        self.left = Future()
        self._books = []
        self._uids = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    def close(self):
        """Wait for the end."""
        for _ in self._attacks:
            pass  # nobody waits for them any more
        self._thread.join()
        self._listeners.close()

    async def _run(self):
        try:
            self._neighbour = await self._start()
            await self._neighbour.session.execute("secret = 'kept'; open('mine', 'w').write('x')")
            async with asyncio.TaskGroup() as group:
                for _ in range(SANDBOXES):
                    group.create_task(self._work())
            await self._neighbour.session.close()
            await self._backend.close()
            self._books += [f"a process of {uid}" for uid in self._uids if processes_of(uid)]
            self.left.set_result(self._books)
        except BaseException as error:
            for future in (*self.results.values(), self.left):
                if not future.done():
                    future.set_exception(error)
            raise

    async def _start(self):
        session = await self._backend.start(SandboxPolicy())
        victim = Victim(session)
        self._uids.append(victim.uid)
        return victim

    async def _work(self):
        victim = await self._start()
        for attack in self._attacks:
            failures = []
            try:
                await self._attack(attack, victim, failures)
            except SandboxLost as error:
                if attack.ends != "sandbox":
                    failures.append(f"the sandbox ended: {error}")
                if not victim.session.closed:
                    failures.append("the session is not closed although it is lost")
                victim = await self._start()
            await self._look_around(failures)
            self.results[attack.name].set_result(failures)
        await self._examine(victim)
        await victim.session.close()

    async def _attack(self, attack, victim, failures):
        session = victim.session
        await session.put("listeners.txt", self._listeners.addresses.encode())
        await session.execute("canary = 1")
        result = await session.execute(attack.code, attack.timeout)
        failures += judge(attack, result)
        answer = await session.execute("print('canary' in globals()); 6 * 7")
        kept = not result.state_lost and not answer.state_lost
        if attack.after == "any":
            if answer.status != "ok":
                await session.reset()
                answer = await session.execute("6 * 7")
        elif answer.stdout != f"{kept}\n":
            failures.append(f"state_lost is {not kept}, and the variable's presence {answer!r}")
        if answer.value != "42":
            failures.append(f"the next call was answered by {answer!r}")
        if not await session.ping():
            failures.append("the supervisor does not answer")
        if len(found := processes_of(victim.uid)) > 2:  # PID 1 and the kernel
            failures.append(f"{len(found)} processes are left on the host")
        cleaned = await session.shell(CLEAN)
        await session.reset()
        if attack.writes_on and cleaned.status != "ok":
            cleaned = await session.shell(CLEAN)
        if cleaned.status != "ok":
            failures.append(f"the workspace cannot be cleaned: {cleaned!r}")

    async def _look_around(self, failures):
        """The neighbour and the host."""
        neighbour = await self._neighbour.session.execute("secret + open('mine').read()")
        if neighbour.value != "'keptx'":
            failures.append(f"the neighbour says {neighbour!r}")
        if (facts := host_facts()) != self._facts:
            failures.append(
                f"the host has changed: {set(facts.items()) ^ set(self._facts.items())}"
            )
        if self._canary.read_text() != "untouched":
            failures.append("a file of the host was written")
        if self._listeners.reached():
            failures.append("a listener of the host was reached")

    async def _examine(self, victim):
        """What the host's own books say about a sandbox after all of its attacks."""
        engine = await asyncio.to_thread(open_engine)
        try:
            changed = await asyncio.to_thread(engine.api.diff, victim.session.name)
            info = await asyncio.to_thread(engine.api.inspect_container, victim.session.name)
        finally:
            await asyncio.to_thread(engine.close)
        written = [each for each in changed or [] if each["Path"] not in MOUNTS]
        if written:
            self._books.append(f"files of the container's own layer: {written}")
        if info["LogPath"]:
            self._books.append(f"output was logged at {info['LogPath']}")
        for name in ("memory.max_usage_in_bytes", "memory.kmem.tcp.max_usage_in_bytes"):
            peak = _peak(info["Id"], name)
            if peak > 513 * 2**20:
                self._books.append(f"{name} was {peak}")


def judge(attack, result):
    """Compare a result with what was expected of it."""
    said = "\n".join(
        filter(None, (result.stdout, result.stderr, result.value, result.error, result.detail))
    )
    said.encode()  # no half characters
    names = [file.name for file in result.artifacts]
    reasons = [reason for _, reason in result.skipped]
    kept_in = attack.skipped == "any" or (
        bool(reasons) == bool(attack.skipped) and all(attack.skipped in each for each in reasons)
    )
    lost = result.state_lost
    missing = [text for text, count in attack.output.items() if result.stdout.count(text) < count]
    odd = [each for each in names if "/" in each or each[0] == "." or not each.isprintable()]
    checks = {
        "nothing escapes": "ESCAPED" not in said,
        "the status": result.status in attack.status,
        "the state": attack.state == "any" or lost is (attack.state == "lost"),
        f"the output {missing}": not missing,
        f"the value {attack.value!r}": attack.value in (result.value or ""),
        f"the detail {attack.detail!r}": attack.detail in result.detail,
        f"the number of files {names}": attack.artifacts in ("any", str(len(names))),
        f"the names of files {odd}": not odd,
        f"the files that stay inside {reasons}": kept_in,
    }
    return [f"{what} in {result!r:.1500}" for what, holds in checks.items() if not holds]
