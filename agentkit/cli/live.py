"""What a run looks like while it goes on: in colour on a terminal, in lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from agentkit.agent import Step
from agentkit.agent.plan import plan_after
from agentkit.events import (
    ApprovalAsked,
    ArgumentsDelta,
    Ephemeral,
    Event,
    Noted,
    Replied,
    ReplyRestarted,
    RunFailed,
    RunInterrupted,
    RunPaused,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agentkit.usage import Spent

_MARKS = {
    "ok": ("✓", "green"),
    "error": ("✗", "red"),
    "timeout": ("⏱", "red"),
    "denied": ("⊘", "yellow"),
}
_STEPS = {"pending": ("○", "dim"), "in_progress": ("◐", "cyan"), "done": ("●", "green")}
_TAIL = 160


class View:
    """Follows a run's events; on a terminal it redraws, elsewhere it prints a line per event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._plan: tuple[Step, ...] = ()
        self._running: dict[str, tuple[ToolStarted, float, str]] = {}
        self._spent = Spent()
        self._tail = ""
        self._doing = "waiting for the model"

    @contextmanager
    def shown(self) -> Generator[None]:
        """Show the view while the context is entered."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        ) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    @contextmanager
    def hidden(self) -> Generator[None]:
        """Leave the terminal to somebody else while the context is entered."""
        live = self._live
        if live is not None:
            live.stop()
        try:
            yield
        finally:
            if live is not None:
                live.start()

    def __call__(self, event: Event | Ephemeral) -> None:
        """Take the next event of the run."""
        match event:
            case Event(body=body):
                self._durable(body)
            case ThinkingDelta(text) | TextDelta(text):
                doing = "thinking" if isinstance(event, ThinkingDelta) else "answering"
                if doing != self._doing:
                    self._doing, self._tail = doing, ""
                self._tail = (self._tail + text)[-_TAIL:]
            case ArgumentsDelta(name=name):
                self._doing, self._tail = f"writing a call of {name}", ""
            case ReplyRestarted():
                self._doing, self._tail = "asking again", ""
            case ToolProgress(call_id, text) if call_id in self._running:
                started, at, _ = self._running[call_id]
                self._running[call_id] = (started, at, text)
            case _:
                pass

    def _durable(self, body: object) -> None:
        match body:
            case ToolStarted():
                self._running[body.call_id] = (body, time.monotonic(), "")
                self._step(body)
            case ToolFinished():
                started = self._running.pop(body.call_id, None)
                self._finished(body, started[0] if started else None)
                self._doing, self._tail = "waiting for the model", ""
            case Replied():
                self._replied(body)
            case Noted() if body.topic != "command":
                self._line(Text(f"! {body.text}", "yellow"))
            case ApprovalAsked():
                self._line(Text(f"? {body.name} waits for approval", "yellow"))
            case RunPaused():
                self._line(Text("‖ paused", "yellow"))
            case RunFailed() | RunInterrupted():
                reason = body.message if isinstance(body, RunFailed) else body.reason
                self._line(Text(f"✗ {body.kind.replace('_', ' ')}: {reason}", "red"))
            case _:
                pass

    def _step(self, body: ToolStarted) -> None:
        plan = plan_after(self._plan, body)
        if plan != self._plan:
            self._plan = plan
            if self._live is None:
                done = sum(step.status == "done" for step in plan)
                now = next((step.title for step in plan if step.status == "in_progress"), "")
                self._line(Text(f"plan {done}/{len(plan)} {now}".rstrip(), "cyan"))

    def _finished(self, body: ToolFinished, started: ToolStarted | None) -> None:
        if body.name == "update_plan" and body.status == "ok":
            return
        mark, colour = _MARKS.get(body.status, ("✗", "red"))
        line = Text.assemble(
            (f"{mark} ", colour),
            (body.name, "bold"),
            (f" {_brief(started)}" if started else "", "dim"),
            (f"  {body.seconds:.2f} s", "dim"),
        )
        if body.status != "ok":
            line.append(f"  {' '.join(body.content.split())[:120]}", "red")
        for artifact in body.artifacts:
            line.append(f"  → {artifact.name}", "magenta")
        self._line(line)

    def _replied(self, body: Replied) -> None:
        self._spent = self._spent.plus(body.usage, body.cost_usd)
        calls = len(body.message.tool_calls)
        what = f"{calls} tool call{'s' if calls > 1 else ''}" if calls else "the answer"
        self._line(Text(f"turn {self._spent.turns}: {what}  {body.seconds:.2f} s", "dim"))
        self._doing, self._tail = "waiting for the model", ""

    def _line(self, line: Text) -> None:
        if self._console.is_terminal:
            self._console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(line, soft_wrap=True)

    def _render(self) -> RenderableType:
        rows: list[RenderableType] = []
        for step in self._plan:
            mark, colour = _STEPS[step.status]
            rows.append(Text(f"{mark} {step.title}", colour, no_wrap=True, overflow="ellipsis"))
        running = Table.grid(padding=(0, 1))
        for started, at, progress in self._running.values():
            text = f"{started.name} {progress or _brief(started)}"
            seconds = f"{time.monotonic() - at:.1f} s"
            running.add_row(Spinner("dots"), Text(text, no_wrap=True, overflow="ellipsis"), seconds)
        if not self._running:
            tail = " ".join(self._tail.split())[-60:]
            running.add_row(Spinner("dots"), Text(f"{self._doing} {tail}".rstrip(), "dim"), "")
        rows.append(running)
        rows.append(Text(spending(self._spent), "dim"))
        return Group(*rows)


def stderr_view(*, quiet: bool = False) -> View:
    """Return a view on stderr, where everything but the answer goes."""
    return View(Console(stderr=True, quiet=quiet))


def spending(spent: Spent) -> str:
    """Return turns, tokens, cached share and dollars in one line."""
    usage = spent.usage
    cost = "price unknown" if spent.cost_usd is None else f"${spent.cost_usd:.4f}"
    thinking = f" ({usage.thinking:,} thinking)" if usage.thinking else ""
    return (
        f"{spent.turns} turns · {usage.input:,} tokens in ({usage.cached_share:.0%} cached) · "
        f"{usage.output:,} out{thinking} · {cost}"
    )


def _brief(started: ToolStarted) -> str:
    values = [" ".join(str(value).split()) for value in started.arguments.values()]
    text = ", ".join(values)
    return text if len(text) <= 56 else text[:55] + "…"
