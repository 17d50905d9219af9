"""`agentkit doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import click

from agentkit import plugins
from agentkit.config import Settings
from agentkit.errors import AgentkitError, ConfigError
from agentkit.model import providers


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        ok: whether it is as it should be.
        name: what was looked at.
        text: what was found, and how to mend it if it is not ok.
    """

    ok: bool
    name: str
    text: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each finding.")
@click.option("--probe", is_flag=True, help="Ask the endpoint what it takes; costs a little.")
@click.option("--yes", is_flag=True, help="With --probe: do not ask before it spends.")
@click.option("--model", metavar="NAME", help="With --probe: default AGENTKIT_MODEL or glm-5.")
@click.option("--base-url", metavar="URL", help="With --probe: default ZAI_BASE_URL or Z.ai.")
@click.option("--provider", help="With --probe: dialect to begin with; default by the host.")
@click.option(
    "--pause",
    type=click.FloatRange(0),
    default=5.0,
    metavar="SECONDS",
    help="With --probe: after which the cache is looked at again; default 5.",
)
def doctor(
    *,
    as_json: bool,
    probe: bool,
    yes: bool,
    model: str | None,
    base_url: str | None,
    provider: str | None,
    pause: float,
) -> None:
    """Say what is here and what is missing.

    Looks at Python, the key, the log, the tools and the sandbox; exit code 1 when one is missing.
    Nothing is sent to the model's endpoint and no key is printed. With --probe some cheap calls
    are sent instead, which settle what the endpoint takes; later runs use what was found.
    """
    if probe:
        from agentkit.cli.probe import probed

        found = probed(model, base_url, provider, yes=yes, pause=pause)
        findings = [Finding(one.ok, one.name, one.text) for one in found]
    else:
        findings = list(_findings())
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        if as_json:
            import orjson

            click.echo(orjson.dumps(finding._asdict()).decode())
        else:
            mark = click.style("ok", "green") if finding.ok else click.style("--", "red")
            click.echo(f"{mark}  {finding.name:<{width}} {finding.text}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def _findings() -> Iterator[Finding]:
    settings = Settings.load()
    yield Finding(
        True, "agentkit", f"{version('agentkit-glm')} on Python {platform.python_version()}"
    )
    yield _key(settings)
    yield _store() if settings.store else _log(settings.home)
    tools = ", ".join(plugins.names(plugins.TOOLS))
    yield Finding(bool(tools), "tools", tools or "none: reinstall agentkit-glm")
    yield _docker()


def _key(settings: Settings) -> Finding:
    try:
        provider = providers.choose(settings.base_url)
    except ConfigError as error:
        return Finding(False, "model", str(error))
    where = f"{settings.model} at {settings.base_url} ({provider.name})"
    if provider.key in settings.keys or "ZAI_API_KEY" in settings.keys:
        return Finding(True, "model", f"{where}, a key is set")
    return Finding(
        False, "model", f"{where}, but no key: set {provider.key}. `agentkit demo` needs none."
    )


def _docker() -> Finding:
    from agentkit.cli.setup_docker import what_is_missing

    missing = what_is_missing()
    if missing:
        return Finding(False, "docker", missing)
    check: Callable[[], tuple[bool, str]] = plugins.load(plugins.CHECKS, "sandbox")
    ok, text = check()
    return Finding(ok, "docker", text)


def _store() -> Finding:
    """Look at the store that AGENTKIT_STORE names; a database may need a while to say no."""
    from agentkit.cli.stored import with_store

    try:
        text = "has runs" if with_store(lambda store: store.runs(1)) else "is empty"
    except AgentkitError as error:
        return Finding(False, "log", f"AGENTKIT_STORE: {error}")
    return Finding(True, "log", f"AGENTKIT_STORE answers and {text}")


def _log(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding(
            False, "log", f"{home} cannot be written ({error}): set AGENTKIT_HOME to a folder."
        )
    return Finding(True, "log", f"{home} (SQLite {sqlite3.sqlite_version})")
