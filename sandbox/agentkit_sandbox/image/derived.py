"""Images on top of the sandbox image, with packages from an allow-list; built once.

As for the image itself, the packages are downloaded on the host and copied in: the build has no
network, and no package's own code runs on the host, because only wheels are taken.
"""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentkit_sandbox.base import SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.daemon import CANNOT, present, translated
from agentkit_sandbox.image import builder
from agentkit_sandbox.image.base import Report
from agentkit_sandbox.support import MACHINES

if TYPE_CHECKING:
    from docker import DockerClient

LIB: Final = "/opt/agentkit/packages"
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:==([A-Za-z0-9.!+]+))?")


@functools.cache
def allowed() -> frozenset[str]:
    """Return the names of the packages that may be asked for (packages.txt)."""
    text = resources.files("agentkit_sandbox.image").joinpath("packages.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def normal(packages: Iterable[str]) -> tuple[str, ...]:
    """Return requirements in one form: sorted, lower case, each "name" or "name==version".

    Args:
        packages: as a person writes them.

    Raises:
        SandboxUnavailable: one is not of that form, or not allowed.
    """
    found: set[str] = set()
    for package in packages:
        match = _REQUIREMENT.fullmatch(package.strip())
        name = re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""
        if match is None or name not in allowed():
            why = "is not on the allow-list" if match else "is not a name, or name==version"
            raise SandboxUnavailable(
                f"The package {package!r} {why}. Allowed are: {', '.join(sorted(allowed()))}. "
                "For others build an image of your own and name it in SandboxPolicy(image=...)."
            )
        found.add(f"{name}=={match[2]}" if match[2] else name)
    return tuple(sorted(found))


def image_name(packages: Iterable[str]) -> str:
    """Return the name of the image with these packages; its tag is a hash of base and packages.

    Raises:
        SandboxUnavailable: a package is not allowed.
    """
    wanted = normal(packages)
    if not wanted:
        return builder.image_name()
    digest = hashlib.sha256("\n".join([builder.image_name(), *wanted]).encode()).hexdigest()
    return f"{builder.DERIVED}:{digest[:12]}"


def ready(client: DockerClient, policy: SandboxPolicy, architecture: str) -> str:
    """Return the name of the policy's image, after it was looked at; build it for packages.

    Raises:
        SandboxUnavailable: it is missing, or made for another architecture.
    """
    from docker.errors import ImageNotFound  # noqa: PLC0415 (heavy)

    name = policy.image or image_name(policy.packages)
    with translated("The daemon could not be asked for its images"):
        try:
            if policy.packages and not present(client, name):
                build(client, policy.packages, lambda _: None)
            image: Any = client.images.get(name)
        except ImageNotFound:
            way = f"`docker pull {name}`" if policy.image else "`agentkit sandbox build`"
            wanted = policy.image or "the sandbox image"
            raise SandboxUnavailable(f"{CANNOT}: {wanted} is missing. Run {way}.") from None
    found = str(image.attrs.get("Architecture") or "")
    if MACHINES.get(found, found) != architecture:
        raise SandboxUnavailable(
            f"{CANNOT}: the image {name} is made for {found or 'no architecture'!r}, and the "
            f"daemon's machine is {architecture!r}. Build or pull it for {architecture}."
        )
    return name


def build(client: DockerClient, packages: Iterable[str], report: Report) -> str:
    """Build the image with these packages where it is missing; return its name.

    Args:
        client: the daemon.
        packages: such as "polars" or "polars==1.9.0".
        report: told what is done, before it is done.

    Raises:
        SandboxUnavailable: a package is not allowed, or cannot be had.
    """
    wanted, base = normal(packages), builder.image_name()
    name = image_name(wanted)
    if present(client, name):
        report(f"The sandbox image {name} is already built.")
        return name
    if not present(client, base):
        raise SandboxUnavailable(
            f"{CANNOT}: the sandbox image is missing. Run `agentkit sandbox build`."
        )
    with tempfile.TemporaryDirectory(prefix="agentkit-image-") as folder:
        context = Path(folder)
        report(f"Downloading {', '.join(wanted)}.")
        # With what the image has: numpy above all, which others are built against.
        (context / "constraints.txt").write_text(builder.requirements(), "utf-8")
        constraints = context / "constraints.txt"
        builder.download(client, base, context / "packages", wanted, constraints)
        # Behind the image's own libraries in the path: what it has stays as it was tested.
        dockerfile = f"FROM {base}\nCOPY packages/ {LIB}/\nCOPY setup.py /opt/agentkit/more.py\n"
        dockerfile += f'RUN ["python3", "-I", "/opt/agentkit/more.py", "{LIB}"]\n'
        (context / "Dockerfile").write_text(dockerfile, "utf-8")
        (context / "setup.py").write_text(_SETUP, "utf-8")
        report(f"Building {name} without a network.")
        with translated("The sandbox image was not built"):
            client.images.build(
                path=folder,
                tag=name,
                network_mode="none",
                rm=True,
                forcerm=True,
                labels={
                    "agentkit.image": "derived",
                    "agentkit.base": base,
                    "agentkit.packages": " ".join(wanted),
                },
            )
    report(f"Built {name}.")
    return name


_SETUP: Final = """\
import compileall, pathlib, site, sys
folder = pathlib.Path(site.getsitepackages()[0])
(folder / "agentkit-more.pth").write_text(sys.argv[1] + "\\n")
compileall.compile_dir(sys.argv[1], quiet=2)
"""
