"""`agentkit demo`: the main job, on a real endpoint or with the rehearsal model."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import click

from agentkit.cli.command import Command, model_options
from agentkit.cli.execute import Job, Outcome, execute, summarize
from agentkit.cli.files import artifacts_option
from agentkit.cli.live import stderr_view
from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.model import GLM

TASK = (
    "Find GLM-5's benchmark scores and prices in the documents, plot GLM-5 against its rivals, "
    "and say what each figure's source is."
)
INSTRUCTIONS = """\
You answer questions from a folder of documents, with sources.

- Plan first with update_plan and keep the plan current.
- Documents may be in several languages: search with several queries in one turn, then read the
  passages that matter before you rely on them.
- Draw charts with execute_code and matplotlib, from the figures that you found, saved as PNG.
- When code cannot be run, say why in one sentence and give a table instead.
- Answer in Markdown. Give each figure's source as document and line range. Where documents
  disagree, say so and name both.
"""
DOCUMENTS = Path("examples", "documents")


@click.command()
@click.option(
    "--documents",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to search; default: the example documents.",
)
@model_options
@artifacts_option("Folder for the chart.")
@click.option("--json", "as_json", is_flag=True, help="Print durable events as JSON lines.")
def demo(
    *,
    documents: Path | None,
    model: str | None,
    base_url: str | None,
    provider: str | None,
    artifacts: Path,
    as_json: bool,
) -> None:
    """Search documents, plot what they say, answer with sources.

    The plot is drawn in the sandbox. With ZAI_API_KEY set, or --base-url or --model given, a real
    endpoint answers. Otherwise the built-in rehearsal model does: its decisions are a program,
    everything else is real.
    """
    folder = documents or _examples()
    if not folder.is_dir():
        raise ConfigError(f"--documents {folder}: no such folder. Give a folder of documents.")
    real = bool(base_url or model or Settings.load().keys)
    command = Command(
        tools=(f"documents:{folder}", "code"),
        model=model or Settings.load().model,
        base_url=base_url,
        provider=provider,
        instructions=INSTRUCTIONS,
        turns=30,
        seconds=1800,
    )
    outcome = asyncio.run(_demo(command, artifacts, real=real, as_json=as_json))
    summarize(outcome)
    if missing := _missing(outcome):
        click.echo(f"No chart was drawn: {missing}", err=True)


async def _demo(command: Command, artifacts: Path, *, real: bool, as_json: bool) -> Outcome:
    agent = replace(command.agent(), name="demo")
    async with AsyncExitStack() as stack:
        if not real:
            from agentkit.testing import GLMServer, rehearse

            click.echo(
                "No key is set (ZAI_API_KEY): the built-in rehearsal model answers, over HTTP on "
                "this machine.",
                err=True,
            )
            server = await stack.enter_async_context(GLMServer(rehearse, chunk_seconds=0.004))
            model = GLM("glm-5", base_url=server.base_url, api_key="rehearsal")
            agent = replace(agent, model=model)
        job = Job(agent, TASK, note=command.note())
        view = stderr_view(quiet=as_json)
        return await execute(job, view, as_json=as_json, artifacts=artifacts)


def _examples() -> Path:
    """Return the example documents of this checkout."""
    for root in (Path.cwd(), Path(__file__).parents[2]):
        if (root / DOCUMENTS).is_dir():
            return root / DOCUMENTS
    raise ConfigError(
        "The example documents are not here: they come with a checkout, not with the package. "
        "Give a folder with --documents DIR."
    )


def _missing(outcome: Outcome) -> str:
    """Return why no picture came, in the words of the last failed tool call; "" if one did."""
    from agentkit.cli.setup_docker import what_is_missing
    from agentkit.messages import Assistant, ToolOutput

    if outcome.paths:
        return ""
    messages = outcome.result.messages
    coded = {
        call.id
        for message in messages
        if isinstance(message, Assistant)
        for call in message.tool_calls
        if call.name == "execute_code"
    }
    said = [m.content for m in messages if isinstance(m, ToolOutput) and m.call_id in coded]
    if not said:
        return "the model ran no code."
    # What this machine lacks is known better here than in the tool's words to the model.
    return what_is_missing() or " ".join(said[-1].split())
