"""What the page's script shows of the runs: rows, turns and calls as plain JSON values.

All figures are words already, and all texts are clipped and clean; the script only places them.
Keys that would be empty are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agentkit.events import ArtifactRef, Replied, SubRun, ToolFinished, ToolStarted, UserMessage
from agentkit.messages import Content, Image, Text, plain_text
from agentkit.trace.content import Clip, Shown, gist, line, pretty
from agentkit.trace.marks import Row, row_of
from agentkit.trace.pictures import from_data_uri
from agentkit.trace.timeline import as_json, steps_of
from agentkit.trace.turns import Call, Item, Moment, RunTrace, Step, Turn
from agentkit.trace.words import clock, count, duration, joined, money, percent, plural, short, size

_STEP_MARKS = {"done": "●", "in_progress": "◐", "pending": "○"}
_TEXT_TYPES = ("text/", "application/json", "application/xml", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class Material:
    """What a view is made from.

    Attributes:
        runs: the run and its sub-agents' runs; the first is the one that the page is about.
        numbers: place in `runs` by run id.
        blobs: bytes of artifacts and of instructions and tool lists, by sha256.
        shown: sha256 of artifacts that the page holds as pictures.
    """

    runs: Sequence[RunTrace]
    numbers: Mapping[str, int]
    blobs: Mapping[str, bytes]
    shown: frozenset[str]


def view(material: Material, clip: Clip) -> list[dict[str, Any]]:
    """Return the runs for the script."""
    return [_View(material, clip).run(trace) for trace in material.runs]


@dataclass(frozen=True, slots=True)
class _View:
    material: Material
    clip: Clip

    def run(self, trace: RunTrace) -> dict[str, Any]:
        return {
            "agent": line(trace.started.agent if trace.started else "", 60),
            "state": trace.state,
            "rows": [self.item(item) for item in trace.items],
        }

    def item(self, item: Item) -> dict[str, Any]:
        if isinstance(item, Turn):
            return self.turn(item)
        if isinstance(item, Step):
            return self.step(item)
        if isinstance(item.body, UserMessage):
            return self.user(item, item.body.content)
        return self.note(item)

    def user(self, moment: Moment, content: Content) -> dict[str, Any]:
        images = [] if isinstance(content, str) else [p for p in content if not isinstance(p, Text)]
        return _full(
            k="user",
            e=moment.event.seq,
            t=_since(moment),
            gist=gist(plain_text(content)),
            text=self.clip(plain_text(content)),
            artifacts=[self.image(image) for image in images],
        )

    def image(self, image: Image) -> dict[str, Any]:
        data = from_data_uri(image.url)
        handle = hashlib.sha256(data).hexdigest() if data else ""
        shown = handle in self.material.shown
        about = size(len(data)) if data else line(image.url, 200)
        return _full(name="Image", about=about, sha=handle if shown else "")

    def note(self, moment: Moment) -> dict[str, Any]:
        row: Row = row_of(moment.body)
        handles = {name: self._blob_text(handle) for name, handle in row.handles.items()}
        fields = [*row.fields, *((name, text) for name, text in handles.items() if text)]
        return _full(
            k="note",
            e=moment.event.seq,
            t=_since(moment),
            tone=row.tone,
            title=line(row.title, 120),
            gist=line(row.text, 300),
            text=self.clip(row.text) if len(row.text) > 200 or "\n" in row.text else "",
            fields=[[line(name, 60), self.clip(text)] for name, text in fields],
            artifacts=[self.artifact(ref) for ref in row.artifacts],
        )

    def turn(self, turn: Turn) -> dict[str, Any]:
        reply = turn.reply
        message = reply.message
        return _full(
            k="turn",
            e=turn.moment.event.seq,
            n=turn.number,
            t=_since(turn.moment),
            gist=gist(message.content or ("" if message.tool_calls else message.thinking)),
            tools=_tools(turn.calls),
            time=duration(turn.seconds),
            context=short(reply.usage.input),
            cached=percent(reply.usage.cached_share),
            cost=money(reply.cost_usd),
            flags=_flags(turn.calls, turn.reply),
            facts=_facts(turn),
            faults=[self.clip(fault) for fault in reply.faults],
            thinking=self.clip(message.thinking),
            text=self.clip(message.content),
            calls=[self.call(call) for call in turn.calls],
            notes=[self.note(note) for note in turn.notes],
        )

    def step(self, step: Step) -> dict[str, Any]:
        call, own = step.call, step.moment.event.seq
        shown = self.call(call)
        if shown.get("e") == own:  # the row is that event's place
            del shown["e"]
        shown["notes"] = [note for note in shown.get("notes", ()) if note["e"] != own]
        shown["results"] = [
            [None if seq == own else seq, text] for seq, text in shown.get("results", ())
        ]
        return _full(
            k="step",
            e=own,
            t=clock(step.moment.time),
            gist=line(call.call_id),
            tools=_tools([call]),
            time=duration(sum(span.seconds for span in call.attempts)),
            flags=_flags([call]),
            calls=[shown],
        )

    def call(self, call: Call) -> dict[str, Any]:
        started, finished = call.started, call.finished
        ran = sum(span.seconds for span in call.attempts)
        own = [m for m in call.moments if not isinstance(m.body, ToolFinished)]
        results = [m for m in call.moments if isinstance(m.body, ToolFinished)]
        first = next((m.event.seq for m in own if m.body is started), None)
        written = started is None or bool(started.repairs)
        return _full(
            e=first,
            name=line(call.name, 80),
            status="held" if call.held else call.status,
            time=duration(ran) if call.attempts else "",
            tries=len(call.attempts) if len(call.attempts) > 1 else 0,
            args=self.arguments(started) if started else [],
            written=self.clip(call.written) if written else "",
            repairs=[self.clip(repair) for repair in started.repairs] if started else [],
            notes=[self.note(m) for m in own if m.event.seq != first],
            results=[[m.event.seq, self.result(m.body)] for m in results],
            artifacts=[self.artifact(ref) for ref in finished.artifacts] if finished else [],
            sub=self.sub_run(call.sub_run) if call.sub_run else None,
            same=line(finished.same_as, 60) if finished else "",
        )

    def result(self, body: Any) -> Shown:
        assert isinstance(body, ToolFinished)
        return self.clip(body.content)

    def arguments(self, started: ToolStarted) -> list[list[Any]]:
        """Arguments as rows: a text as it is, a plan as its steps, anything else as JSON."""
        if steps := steps_of(started):
            lines = (f"{_STEP_MARKS[state]} {title}" for title, state in steps)
            return [["steps", self.clip("\n".join(lines))]]
        try:
            plain: Mapping[str, Any] = as_json(started.arguments)
        except (TypeError, ValueError):  # a live object of a store in memory
            plain = {name: repr(value) for name, value in started.arguments.items()}
        return [
            [line(str(name), 60), self.clip(value if isinstance(value, str) else _brief(value))]
            for name, value in plain.items()
        ]

    def artifact(self, ref: ArtifactRef) -> dict[str, Any]:
        data = self.material.blobs.get(ref.sha256)
        kind = ref.media_type.lower()
        text: Shown = ""
        if data is None:
            why = "its bytes are not in the store"
        elif ref.sha256 in self.material.shown:
            why = ""
        elif kind.startswith(_TEXT_TYPES):
            text, why = self.clip(data.decode(errors="replace")), ""
        else:
            why = "not shown here"
        return _full(
            name=line(ref.name, 120),
            about=joined((line(ref.media_type, 60), size(ref.size), why)),
            sha=ref.sha256 if ref.sha256 in self.material.shown else "",
            text=text,
        )

    def sub_run(self, sub: SubRun) -> dict[str, Any]:
        about = joined(
            (
                plural(sub.turns, "turn"),
                f"{short(sub.usage.input)} tokens, {percent(sub.usage.cached_share)} cached",
                money(sub.cost_usd),
            )
        )
        number = self.material.numbers.get(sub.run_id)
        return _full(run=number, about=about, id=line(sub.run_id, 40))

    def _blob_text(self, handle: str) -> str:
        data = self.material.blobs.get(handle, b"")
        if data.startswith((b"[", b"{")):
            try:
                return pretty(orjson.loads(data))
            except ValueError:
                pass
        return data.decode(errors="replace")


def _full(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value or (value == 0 and name == "e")}


def _since(moment: Moment) -> str:
    return clock(moment.time)


def _brief(value: Any) -> str:
    text = pretty(value)
    return " ".join(text.split()) if len(text) < 80 else text


def _tools(calls: Sequence[Call]) -> list[list[Any]]:
    """Names of the tools with how often each was called and whether a call failed."""
    tools: dict[str, list[Any]] = {}
    for call in calls:
        entry = tools.setdefault(call.name, [line(call.name, 60), 0, False])
        entry[1] += 1
        entry[2] = entry[2] or call.failed
    return list(tools.values())


def _flags(calls: Sequence[Call], reply: Replied | None = None) -> list[list[str]]:
    """What is worth a look in a turn: tone and words."""
    flags: list[list[str]] = []
    if failed := sum(call.failed for call in calls):
        flags.append(["bad", f"{failed} failed"])
    if still := sum(call.status == "open" and not call.held for call in calls):
        flags.append(["warn", f"{still} without result"])
    mended = sum(bool(call.started and call.started.repairs) for call in calls)
    if mended := mended + (len(reply.faults) if reply else 0):
        flags.append(["warn", f"{mended} repaired"])
    if reply and reply.attempts > 1:
        flags.append(["warn", f"{reply.attempts} attempts"])
    if any(call.held for call in calls):
        flags.append(["hold", "waits for approval"])
    elif any(call.waits for call in calls):
        flags.append(["hold", "approval"])
    if any(call.sub_run for call in calls):
        flags.append(["quiet", "sub-agent"])
    return flags


def _facts(turn: Turn) -> list[list[str]]:
    reply, usage = turn.reply, turn.reply.usage
    first = reply.first_delta_seconds
    thinking = f", {count(usage.thinking)} of them thinking" if usage.thinking else ""
    facts = [
        ("Model", joined((line(reply.model, 60), f"ended with {line(reply.finish_reason, 40)}"))),
        (
            "Time",
            joined(
                (
                    duration(turn.span.seconds),
                    f"first word after {duration(first)}" if first is not None else "",
                    f"{reply.attempts} attempts" if reply.attempts > 1 else "",
                )
            ),
        ),
        ("Prompt", f"{count(usage.input)} tokens, {count(usage.cached)} from the cache"),
        ("Reply", f"{count(usage.output)} tokens{thinking}"),
    ]
    return [list(fact) for fact in facts]
