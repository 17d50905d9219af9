"""Builds the sandbox image; quick and offline when it is there already.

Libraries are downloaded on the host, for the Python of the base, and copied in: no step of the
build needs a network, and it gets none.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from agentkit_sandbox.base import SandboxUnavailable
from agentkit_sandbox.daemon import connect, present, translated
from agentkit_sandbox.image import base
from agentkit_sandbox.image.base import Report, Way
from agentkit_sandbox.support import MACHINES, support

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY: Final = "agentkit-sandbox"
DERIVED: Final = "agentkit-sandbox-with"  # with packages on top, see derived.py
FILES: Final = ("Dockerfile", "requirements.txt", "setup.py")
BUILD_SECONDS: Final = 1800.0
FONT_PACKAGE, FONT = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"
FAMILY: Final = "DejaVu Sans, Noto Sans SC"  # the second serves the letters the first lacks
_PLATFORMS: Final = {
    "amd64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "arm64": ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64"),
}


@functools.cache
def image_name() -> str:
    """Return the image's name; its tag is a hash of all that goes into the build."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(name.encode() + b"\0" + _text(name).encode() + b"\0")
    digest.update(FAMILY.encode())
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def is_built(client: DockerClient | None = None) -> bool:
    """Say whether the image is on the daemon.

    Raises:
        SandboxUnavailable: there is no daemon.
    """
    return present(client or connect(), image_name())


def build(
    report: Report, *, way: Way | None = None, mirror: str | None = None, force: bool = False
) -> str:
    """Build the image where it is missing; return its name.

    Args:
        report: told what is done, before it is done.
        way: where the base comes from; None chooses and says why.
        mirror: package mirror for the bootstrap; None takes the tool's default.
        force: build even when the image is there.

    Raises:
        SandboxUnavailable: it cannot be built here; the text says why and what to do.
    """
    client, name = connect(BUILD_SECONDS), image_name()
    if not force and is_built(client):
        report(f"The sandbox image {name} is already built.")
        return name
    origin = base.obtain(client, report, way, mirror)
    with tempfile.TemporaryDirectory(prefix="agentkit-image-") as folder:
        _fill(client, Path(folder), origin, report)
        report(f"Building {name} without a network.")
        with translated("The sandbox image was not built"):
            client.images.build(
                path=folder,
                tag=name,
                buildargs={"BASE": origin},
                network_mode="none",
                rm=True,
                forcerm=True,
                labels={"agentkit.image": "sandbox", "agentkit.base": origin},
            )
    with translated("The replaced image could not be removed"):
        # Only what a rebuild has left without a name.
        cast("Any", client.images).prune(filters={"dangling": True, "label": "agentkit.image"})
    report(f"Built {name}.")
    return name


def remove_outdated(client: DockerClient) -> list[str]:
    """Remove the sandbox images of other versions of this package; return their names."""
    removed: list[str] = []
    with translated("Outdated sandbox images could not be removed"):
        # Those on top come first: an image that another is made of cannot go.
        for repository in (DERIVED, REPOSITORY):
            for image in client.images.list(name=repository):
                current = image.labels.get("agentkit.base") == image_name()
                for name in image.tags:
                    if name.startswith(f"{repository}:") and name != image_name() and not current:
                        client.images.remove(name)
                        removed.append(name)
    return removed


def check() -> tuple[bool, str]:
    """Say for `agentkit doctor` whether code can be run here, and what was found."""
    try:
        client = connect()
        if not is_built(client):
            return False, "The sandbox image is missing. Run `agentkit sandbox build`."
        with translated("The Docker daemon did not say what it can"):
            info = cast("Any", client).info()
    except SandboxUnavailable as error:
        return False, str(error)
    found = support(info)
    if found.refusal is not None:
        return False, f"No sandbox can run on this Docker daemon: {found.refusal}."
    version = info.get("ServerVersion")
    return True, f"Docker {version} ({found.kind}), image {image_name()}"


def _text(name: str) -> str:
    return resources.files("agentkit_sandbox.image").joinpath(name).read_text("utf-8")


def _python_of(client: DockerClient, origin: str) -> str:
    """Return the version of the base's Python, such as "3.12"."""
    command = ["python3", "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    containers = cast("Any", client.containers)  # the stubs lack log_config
    with translated(f"The base {origin} has no Python that runs"):
        output = containers.run(
            origin,
            command,
            entrypoint="",
            network_mode="none",
            remove=True,
            log_config={"Type": "json-file", "Config": {}},  # the answer is read from the log
        )
    return bytes(output).decode().strip()


def _fill(client: DockerClient, context: Path, origin: str, report: Report) -> None:
    for name in FILES:
        (context / name).write_text(_text(name), "utf-8")
    report("Downloading numpy, pandas, matplotlib and a font for the base's Python (about 80 MB).")
    download(client, origin, context / "lib", requirements().split())
    _trim(context, context / "lib")


def requirements() -> str:
    """Return the libraries of the image, one requirement a line."""
    lines = (line.partition("#")[0].strip() for line in _text("requirements.txt").splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def download(
    client: DockerClient,
    image: str,
    target: Path,
    packages: Sequence[str],
    constraints: Path | None = None,
) -> None:
    """Put wheels for the Python of an image, and what they need, into a folder, unpacked.

    Args:
        client: the daemon that has the image.
        image: what the packages are for.
        target: the folder.
        packages: requirements; none can be an option of pip, see `derived.normal`.
        constraints: file of versions that what they need has to have.

    Raises:
        SandboxUnavailable: one cannot be had for that Python and machine.
    """
    version = _python_of(client, image)
    machine = str(cast("Any", client.version()).get("Arch"))
    architecture = MACHINES.get(machine, machine)
    if architecture not in _PLATFORMS:
        raise SandboxUnavailable(
            f"The sandbox has no libraries for {machine!r}; use an x86-64 or arm64 daemon."
        )
    command = [*_pip(), "install", "--quiet", "--target", str(target), "--no-compile"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
    for platform in _PLATFORMS[architecture]:
        command += ["--platform", platform]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", "--no-input"]
    if constraints is not None:
        command += ["--constraint", str(constraints)]
    done = subprocess.run(  # noqa: S603 (our own interpreter's pip, no shell)
        [*command, "--", *packages],
        check=False,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    if done.returncode != 0:
        last = " ".join(done.stderr.strip().splitlines()[-3:])[:400]
        raise SandboxUnavailable(f"The sandbox's libraries could not be downloaded: {last}")


def _pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if (found := shutil.which(name)) is not None:
            return [found]
    raise SandboxUnavailable(
        "The sandbox's libraries cannot be downloaded: pip is missing. "
        "Install it with `python -m ensurepip`."
    )


def _trim(context: Path, lib: Path) -> None:
    """Keep what a sandbox needs: one font, no tests; and draw Chinese letters by default."""
    fonts = context / "fonts"
    fonts.mkdir()
    shutil.move(lib / FONT_PACKAGE / FONT, fonts / FONT)
    shutil.rmtree(lib / FONT_PACKAGE)
    shutil.rmtree(lib / "bin", ignore_errors=True)
    for package in ("matplotlib", "mpl_toolkits", "numpy", "pandas"):
        for folder in sorted((lib / package).rglob("tests")):
            shutil.rmtree(folder, ignore_errors=True)
    # matplotlib reads its defaults from this file, so they survive `plt.style.use("default")`.
    settings = lib / "matplotlib" / "mpl-data" / "matplotlibrc"
    lines = settings.read_text("utf-8").splitlines()
    changed = [f"font.family: {FAMILY}" if "font.family:" in line else line for line in lines]
    if changed == lines:
        raise SandboxUnavailable("This matplotlib has no font.family default; change builder.py.")
    settings.write_text("\n".join(changed) + "\n", "utf-8")
