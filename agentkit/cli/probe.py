"""`agentkit doctor --probe`: some cheap calls, and a provider record that later runs use."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

import click

from agentkit.config import Settings
from agentkit.model import probe, providers, providers_file
from agentkit.model.endpoint import Endpoint, resolve


def probed(
    model: str | None, base_url: str | None, provider: str | None, *, yes: bool, pause: float
) -> list[probe.Finding]:
    """Probe an endpoint after its cost was confirmed, and write down what was found.

    Raises:
        ConfigError: no key, or a wrong argument.
        ModelError: the endpoint answers no call at all.
        click.UsageError: nobody is there to confirm the cost.
    """
    settings = Settings.load()
    endpoint = _endpoint(settings, model or settings.model, base_url, provider)
    calls = probe.plan(endpoint.model, endpoint.provider.dialect, os.urandom(4).hex(), pause)
    _confirm(endpoint, calls, yes=yes)
    seen = asyncio.run(_send(endpoint, calls))
    verdict = probe.judge(endpoint, seen, f"{datetime.now(UTC):%Y-%m-%d}")
    if any(not finding.ok for finding in verdict.findings):
        click.echo("Nothing was written down: mend the server, then probe again.", err=True)
    else:
        providers_file.save(settings.providers_file, verdict.provider)
        click.echo(
            f"Written to {settings.providers_file} as {verdict.provider.name!r}; later runs at "
            f"{endpoint.base_url} use it. Delete the record to undo that.",
            err=True,
        )
    return list(verdict.findings)


def _endpoint(
    settings: Settings, model: str, base_url: str | None, provider: str | None
) -> Endpoint:
    """Return the endpoint in the dialect that is known of it without an earlier probe."""
    url = (base_url or settings.base_url).rstrip("/")
    parts = urlsplit(url)
    own = [
        known
        for known in providers_file.load(settings.providers_file)
        if known.name != f"{parts.netloc}{parts.path}"
    ]
    chosen = providers.choose(url, provider, own)
    endpoint = resolve(model, base_url=base_url, provider=chosen)
    endpoint.require_key()
    return endpoint


def _confirm(endpoint: Endpoint, calls: list[probe.Call], *, yes: bool) -> None:
    most = probe.most_usd(calls, endpoint.price)
    cost = "at a price that is not known" if most is None else f"for at most ${most:.3f}"
    click.echo(
        f"{len(calls)} calls to {endpoint.base_url} as {endpoint.model} "
        f"(dialect {endpoint.provider.name}), {cost}.",
        err=True,
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("--probe asks before it spends, and nobody can answer. Pass --yes.")
    click.confirm("Send them?", abort=True, err=True)


async def _send(endpoint: Endpoint, calls: list[probe.Call]) -> dict[str, probe.Observed]:
    seen: dict[str, probe.Observed] = {}
    async for one in probe.Prober(endpoint).run(calls):
        seen[one.call.name] = one
        click.echo(f"  {len(seen):>2}/{len(calls)} {one.call.name}: {one.call.asks}", err=True)
    return seen
