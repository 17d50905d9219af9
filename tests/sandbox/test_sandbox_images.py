"""Images: with packages, without Python, missing, of another machine."""

import asyncio
import hashlib
import io
import json
import tarfile

import pytest

from agentkit_sandbox import (
    DockerBackend,
    FileRefused,
    Runner,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
    daemon,
)
from agentkit_sandbox.image import builder, derived

SHELL = {"preload": (), "runner": Runner()}


@pytest.mark.parametrize(
    ("packages", "found"),
    [
        (["polars"], ("polars",)),
        (["Scikit_Learn", "polars==1.9.0", "polars==1.9.0"], ("polars==1.9.0", "scikit-learn")),
        ([" scipy "], ("scipy",)),
    ],
)
def test_packages_have_one_form(packages, found):
    assert derived.normal(packages) == found


@pytest.mark.parametrize(
    "package",
    [
        "evil",
        "polars; import os",
        "polars @ https://x.example/p.whl",
        "-r/etc/passwd",
        "--index-url=x",
        "polars>=1",
        "../polars",
        "polars[all]",
        "",
    ],
)
def test_what_is_not_on_the_list_or_no_plain_name_is_refused(package):
    with pytest.raises(SandboxUnavailable, match="Allowed are"):
        derived.image_name([package])


def test_the_name_of_an_image_tells_its_packages():
    plain, one = builder.image_name(), derived.image_name(["polars"])
    assert derived.image_name([]) == plain
    assert len({plain, one, derived.image_name(["polars==1.9.0"])}) == 3
    assert derived.image_name(["Polars"]) == one
    assert derived.image_name(["scipy", "polars"]) == derived.image_name(["polars", "scipy"])


@pytest.mark.docker
def test_packages_are_built_into_an_image_once():
    policy = SandboxPolicy(preload=(), packages=("tabulate",))
    name = derived.image_name(policy.packages)

    async def run():
        told, backend = [], DockerBackend()
        session = await backend.start(policy, told.append)
        result = await session.execute("import numpy, tabulate\ntabulate.tabulate([[1]], ['a'])")
        await session.close()
        other = DockerBackend()  # as another process would
        await (await other.start(policy, told.append)).close()
        for each in (backend, other):
            await each.close()
        return told, result

    client = daemon.connect()
    try:
        client.images.remove(name, force=True) if daemon.present(client, name) else None
        told, result = asyncio.run(run())
        history = client.images.get(name).history()
        assert daemon.present(client, name)
    finally:
        client.close()
    assert "a" in result.value
    assert told[0] == "building an image with tabulate"
    assert history


@pytest.fixture(scope="module")
def without_python(docker_ready):
    """The base of our image, its Python taken out."""
    client = daemon.connect()
    name = "agentkit-test-no-python:1"
    text = f"FROM {docker_ready}\nRUN rm -f /usr/bin/python3* /usr/local/bin/python3*\n"
    context = io.BytesIO(packed({"Dockerfile": text.encode()}))
    client.images.build(
        fileobj=context, custom_context=True, tag=name, network_mode="none", rm=True, forcerm=True
    )
    yield name
    client.images.remove(name, force=True)
    client.close()


def session_of(policy, use):
    async def run():
        backend = DockerBackend()
        try:
            session = await backend.start(policy)
            try:
                return await use(session)
            finally:
                await session.close()
        finally:
            await backend.close()

    return asyncio.run(run())


@pytest.mark.docker
def test_an_image_without_python_says_what_it_needs(without_python):
    with pytest.raises(SandboxUnavailable, match=r"no python3.*runner"):
        session_of(SandboxPolicy(image=without_python), None)


@pytest.mark.docker
def test_a_shell_image_runs_programs_and_keeps_files(without_python):
    async def use(session):
        first = await session.execute("echo out; echo err >&2; echo one > a.txt; mkdir d; exit 3")
        second = await session.execute("cat a.txt; echo two > a.txt; echo x > d/b; ln -s / e")
        third = await session.shell("cat a.txt")
        return first, second, third, await session.list(), await session.get("d/b")

    first, second, third, listing, deep = session_of(
        SandboxPolicy(image=without_python, **SHELL), use
    )
    assert (first.status, first.exit_code, first.stdout, first.stderr) == (
        "error", 3, "out\n", "err\n"
    )  # fmt: skip
    assert [file.data for file in first.artifacts] == [b"one\n"]
    assert (second.status, second.stdout) == ("ok", "one\n")
    assert [(f.name, f.data) for f in second.artifacts] == [("a.txt", b"two\n")], "changed, not new"
    assert third.stdout == "two\n"
    assert [(f.name, f.size) for f in listing.files] == [("a.txt", 4), ("d/b", 2)]
    assert deep.data == b"x\n"


@pytest.mark.docker
def test_a_shell_image_holds_against_what_its_programs_do(without_python):
    """Each is followed by a call that is answered, and leaves no process behind."""
    bad = {
        "late": "echo before; sleep 60",
        "ignores": "trap '' INT TERM HUP; while :; do sleep 1; done",
        "daemon": "(setsid sleep 60 >/dev/null 2>&1 &) ; echo gone",
        "flood": "yes | head -c 20000000",
        "bomb": "b() { b | b & }; b; sleep 0.2",
        "kills": "kill -9 -1; kill -9 1; kill -TERM 1; echo alive",
        "memory": "head -c 2000000000 /dev/zero | tail",
        "disk": "head -c 300000000 /dev/zero > big",
        "fifo": "rm -f big; mkfifo f; ln -s /etc/passwd p; ls",
        "zero": "printf '\\000\\377\\376'",
    }

    async def use(session):
        results = {}
        for name, program in bad.items():
            results[name] = await session.execute(program, 1.0)
            after = await session.shell("ls /proc | grep -c '^[0-9]'; echo here", 10)
            assert "here" in after.stdout, name
            assert int(after.stdout.split()[0]) <= 6, f"{name} left processes"
        return results

    results = session_of(SandboxPolicy(image=without_python, memory_mb=256, **SHELL), use)
    assert (results["late"].status, results["late"].stdout) == ("timeout", "before\n")
    assert results["ignores"].status == "timeout"
    assert results["daemon"].stdout == "gone\n"
    assert len(results["flood"].stdout) < 300_000
    assert "left out" in results["flood"].stdout
    assert results["disk"].status == "error"
    assert results["zero"].stdout == "\0\ufffd\ufffd"
    assert results["fifo"].artifacts == ()


@pytest.mark.docker
def test_files_go_in_and_out_of_a_shell_image_within_bounds(without_python):
    policy = SandboxPolicy(image=without_python, artifact_mb=1, workspace_mb=8, **SHELL)

    async def use(session):
        data = bytes(range(256)) * 4096
        await session.put("sub/x.bin", data)
        assert (await session.get("sub/x.bin")).data == data
        await session.shell("head -c 1048577 /dev/zero > large; ln -s x l; mkdir folder")
        for name in ("large", "l", "folder", "none"):
            with pytest.raises(FileRefused):
                await session.get(name)
        with pytest.raises(FileRefused):
            await session.put("huge", bytes(9 * 2**20))
        for name in ("../x", "/etc/x", "a//b", "."):
            with pytest.raises(ValueError, match="relative path"):
                await session.put(name, b"")
        large = await session.execute("cp large again")
        assert large.artifacts == ()
        assert large.skipped[0][0] == "again"
        with pytest.raises(ValueError, match="zero byte"):
            await session.execute("a\0b")

    session_of(policy, use)


@pytest.mark.docker
def test_a_shell_session_that_is_closed_says_so(without_python):
    async def use(session):
        await session.close()
        for call in (session.execute("1"), session.put("x", b""), session.list()):
            with pytest.raises(SandboxLost):
                await call
        assert not await session.ping()

    session_of(SandboxPolicy(image=without_python, **SHELL), use)


def image_of(architecture, name):
    """What `docker save` writes of an empty image."""
    layer = io.BytesIO()
    tarfile.open(fileobj=layer, mode="w").close()
    digest = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {"architecture": architecture, "os": "linux", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [digest]}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer.getvalue()}
    return packed(files | {"manifest.json": json.dumps(manifest).encode()})


def packed(files):
    """A tar archive of files by name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as target:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            target.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


@pytest.mark.docker
def test_an_image_of_another_machine_is_refused(docker_ready):
    client = daemon.connect()
    here = client.images.get(docker_ready).attrs["Architecture"]
    there = "arm64" if here == "amd64" else "amd64"
    name = "agentkit-test-other-machine:1"
    client.images.load(image_of(there, name))
    try:
        with pytest.raises(SandboxUnavailable, match=f"made for '{there}'"):
            asyncio.run(DockerBackend().start(SandboxPolicy(image=name)))
    finally:
        client.images.remove(name, force=True)
        client.close()


@pytest.mark.docker
def test_a_missing_image_names_the_way_to_get_it():
    with pytest.raises(SandboxUnavailable, match="docker pull"):
        asyncio.run(DockerBackend().start(SandboxPolicy(image="agentkit-no-such-image:1")))
