"""What a run looks like while it goes on: in colour on a terminal, in lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from agentkit.agent import Step
from agentkit.agent.standing import Standing
from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArgumentsDelta,
    Body,
    Ephemeral,
    Event,
    Nested,
    Noted,
    Reminder,
    Replied,
    ReplyRestarted,
    RunInterrupted,
    RunPaused,
    RunResumed,
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
    "unknown": ("?", "yellow"),
}
_STEPS = {"pending": ("○", "dim"), "in_progress": ("◐", "cyan"), "done": ("●", "green")}
_TAIL = 2000
_MOST_LINES = 6
_LONGEST_PLAN = 12


@dataclass(slots=True)
class _Running:
    """A call that runs: what it was given, since when, and what it does now."""

    started: ToolStarted
    since: float
    doing: str = ""
    spent: Spent = field(default_factory=Spent)


class View:
    """Follows a run's events; on a terminal it redraws, elsewhere it prints a line per event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._is_shown = False
        self._questions = 0
        self._held: list[Text] = []
        self._standing = Standing()
        self._running: dict[str, _Running] = {}
        self._tail = ""
        self._doing = "waiting for the model"

    def catch_up(self, events: Iterable[Event]) -> None:
        """Take the log so far of the run that is followed from here on; nothing is shown of it."""
        self._standing = Standing()
        for event in events:
            self._standing.apply(event.body)

    @contextmanager
    def shown(self) -> Generator[None]:
        """Show the view while the context is entered."""
        self._wait()
        self._running.clear()
        self._is_shown = self._console.is_terminal
        self._draw()
        try:
            yield
        finally:
            self._is_shown = False
            self._erase()
        if self._console.is_terminal and (plan := self._standing.plan):
            self._console.print(_folded(plan), no_wrap=True, overflow="ellipsis")

    @contextmanager
    def hidden(self) -> Generator[None]:
        """Leave the terminal to somebody else while the context is entered; lines wait."""
        self._erase()
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                held, self._held = self._held, []
                for line in held:
                    self._line(line)
                self._draw()  # unless the run ended meanwhile

    def _draw(self) -> None:
        """Show the live part, by a new Live: one that starts again erases what stands above it."""
        if not self._is_shown:
            return
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start()

    def _erase(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

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
                if name:  # comes with a call's first piece
                    self._doing, self._tail = f"writing a call of {name}", ""
            case ReplyRestarted():
                self._doing, self._tail = "asking again", ""
            case ToolProgress(call_id, text) if call_id in self._running:
                self._running[call_id].doing = text
            case Nested(call_id, _, inner) if call_id in self._running:
                _nested(self._running[call_id], inner)
            case _:
                pass

    def _durable(self, body: Body) -> None:
        plan = self._standing.plan
        self._standing.apply(body)
        if self._standing.plan != plan and not self._is_shown:
            self._line(_folded(self._standing.plan))
        match body:
            case ToolStarted():
                self._running[body.call_id] = _Running(body, time.monotonic())
            case ToolFinished():
                running = self._running.pop(body.call_id, None)
                self._finished(body, running.started if running else None)
                self._wait()
            case Replied():
                self._replied(body)
            case _:
                if line := _said(body):
                    self._line(line)

    def _finished(self, body: ToolFinished, started: ToolStarted | None) -> None:
        if body.name == "update_plan" and body.status == "ok":
            return
        mark, colour = _MARKS.get(body.status, ("✗", "red"))
        brief = _brief(started) if started else ""
        line = Text.assemble(
            (f"{mark} ", colour),
            (body.name, "bold"),
            (f" {brief}" if brief else "", "dim"),
            (f"  {body.seconds:.2f} s", "dim"),
        )
        if sub := body.sub_run:
            cost = "" if sub.cost_usd is None else f", ${sub.cost_usd:.4f}"
            line.append(f"  {_count(sub.turns, 'turn')} of its own{cost}", "dim")
        if body.status != "ok":
            line.append(f"  {' '.join(body.content.split())[:120]}", "red")
        for artifact in body.artifacts:
            line.append(f"  → {artifact.name}", "magenta")
        self._line(line)

    def _replied(self, body: Replied) -> None:
        calls = len(body.message.tool_calls)
        what = _count(calls, "tool call") if calls else "the answer"
        self._line(Text(f"turn {self._standing.spent.turns}: {what}  {body.seconds:.2f} s", "dim"))
        if calls and (words := " ".join(body.message.content.split())):
            self._line(Text(f"  {words}", "italic"))
        self._wait()

    def _wait(self) -> None:
        self._doing, self._tail = "waiting for the model", ""

    def _line(self, line: Text) -> None:
        if self._questions:
            self._held.append(line)
        elif self._console.is_terminal:
            self._console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(line, soft_wrap=True)

    def _render(self) -> RenderableType:
        rows: list[RenderableType] = [*_steps(self._standing.plan)]
        running = Table.grid(padding=(0, 1))
        running.add_column(no_wrap=True)
        running.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        running.add_column(no_wrap=True, justify="right")
        spent = self._standing.spent
        for call in self._running.values():
            spent = spent.plus(call.spent.usage, call.spent.cost_usd, turns=0)
            words = Text.assemble(
                (call.started.name, "bold"), f" {call.doing or _brief(call.started)}"
            )
            running.add_row(Spinner("dots"), words, f"{time.monotonic() - call.since:.1f} s")
        if not self._running:
            running.add_row(Spinner("dots"), Text(self._doing, "dim"), "")
        rows.append(running)
        if self._tail.strip() and not self._running:
            rows.append(self._streamed())
        rows.append(Text(spending(spent), "dim", no_wrap=True, overflow="ellipsis"))
        return Group(*rows)

    def _streamed(self) -> Text:
        """Return the end of what the model writes: a few lines that fit, never more."""
        width = max(20, self._console.width - 3)
        style = "" if self._doing == "answering" else "dim"
        rows = Text(self._tail.strip(), style).wrap(self._console, width)
        most = _MOST_LINES if self._doing == "answering" else 2
        return Text("\n").join([Text("  ") + row for row in rows[-most:]])


def stderr_view(*, quiet: bool = False) -> View:
    """Return a view on stderr, where everything but the answer goes."""
    return View(Console(stderr=True, quiet=quiet))


def spending(spent: Spent) -> str:
    """Return turns, tokens, cached share and dollars in one line."""
    usage = spent.usage
    cost = "price unknown" if spent.cost_usd is None else f"${spent.cost_usd:.4f}"
    thinking = f" ({usage.thinking:,} thinking)" if usage.thinking else ""
    return (
        f"{_count(spent.turns, 'turn')} · {usage.input:,} tokens in "
        f"({usage.cached_share:.0%} cached) · {usage.output:,} out{thinking} · {cost}"
    )


def _said(body: Body) -> Text | None:  # noqa: PLR0911 - one line for each kind
    """Return the line for an event that is neither a reply nor a call, if it is worth one."""
    match body:
        case Noted(topic="command"):
            return None
        case Noted():
            return Text(f"! {body.text}", "yellow")
        case Reminder():
            return Text(f"! reminded of the {body.topic}", "dim")
        case ApprovalAsked():
            return Text(f"? {body.name} waits for approval", "yellow")
        case ApprovalAnswered():
            return Text(f"  {'allowed' if body.approved else 'not allowed'}", "dim")
        case RunPaused():
            return Text("‖ paused", "yellow")
        case RunResumed(changed=changed) if changed:
            return Text(f"! goes on with another {', '.join(changed)}", "yellow")
        case RunInterrupted():
            return Text(f"✗ interrupted: {body.reason}", "red")
        case _:
            return None


def _nested(call: _Running, event: Event | Ephemeral) -> None:
    """Show what a sub-agent does on the line of the call that it serves."""
    match event:
        case Nested(event=inner):
            _nested(call, inner)
        case Event(body=ToolStarted() as body):
            call.doing = f"▸ {body.name} {_brief(body)}"
        case Event(body=ApprovalAsked() as body):
            call.doing = f"▸ {body.name} waits for approval"
        case Event(body=Replied() as body):
            call.spent = call.spent.plus(body.usage, body.cost_usd)
        case ThinkingDelta():
            call.doing = "▸ thinking"
        case TextDelta():
            call.doing = "▸ answering"
        case _:
            pass


def _steps(plan: tuple[Step, ...]) -> list[Text]:
    """Return a plan's lines; of a long one those around the step that is being done."""
    at = next((index for index, step in enumerate(plan) if step.status != "done"), len(plan))
    first = min(max(0, at - _LONGEST_PLAN // 2), max(0, len(plan) - _LONGEST_PLAN))
    lines: list[Text] = []
    for step in plan[first : first + _LONGEST_PLAN]:
        mark, colour = _STEPS[step.status]
        lines.append(Text(f"{mark} {step.title}", colour, no_wrap=True, overflow="ellipsis"))
    if hidden := len(plan) - len(lines):
        lines.append(Text(f"  and {_count(hidden, 'other step')}", "dim"))
    return lines


def _folded(plan: tuple[Step, ...]) -> Text:
    done = sum(step.status == "done" for step in plan)
    now = next((step.title for step in plan if step.status == "in_progress"), "")
    return Text(f"plan {done}/{len(plan)} {now}".rstrip(), "cyan")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _brief(started: ToolStarted) -> str:
    values = [" ".join(str(value).split()) for value in started.arguments.values()]
    text = ", ".join(values)
    return text if len(text) <= 56 else text[:55] + "…"
