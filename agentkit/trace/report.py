"""The run page: one HTML file that shows a run and executes nothing of what it shows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError, LogUnreadable, RunNotFound, StoreError
from agentkit.events import ArtifactRef, RunStarted, UserMessage
from agentkit.messages import Image
from agentkit.store import Store
from agentkit.trace.chart import chart
from agentkit.trace.content import Clip, embedded
from agentkit.trace.drawing import LANE, draw
from agentkit.trace.glance import glance
from agentkit.trace.pictures import data_uri, from_data_uri, recognize
from agentkit.trace.timeline import read
from agentkit.trace.turns import Moment, RunTrace
from agentkit.trace.view import Material, view

MOST_BYTES = 13_000_000
"""What the runs may weigh in a page; texts are clipped until they do."""

_FOLDER = Path(__file__).parent
_CLIPS = (20_000, 6_000, 2_000, 700, 250, 80)
_HEAD = Clip(20_000)
_MOST_PICTURE = 2_000_000  # bytes of one picture
_MOST_PICTURES = 6_000_000  # bytes of all
_MOST_TEXT = 1_000_000  # bytes of an artifact that is read to be shown as text
_MOST_RUNS = 100
_MOST_EVENTS = 50_000
_MOST_DEPTH = 8
_MOST_REVISIONS = 24


async def render_page(store: Store, run_id: str) -> bytes:
    """Return the page of a run: HTML in UTF-8 that needs no network and no other file.

    The same log gives the same bytes. Sub-agents' runs are read from the same store and shown
    inside the calls that they served.

    Args:
        store: where the run is kept; it is only read.
        run_id: id of the run, or the beginning of one.

    Raises:
        RunNotFound: no run begins with `run_id`, or more than one does.
        LogUnreadable: an event is damaged or from a newer version.
        ConfigError: Jinja2 is not installed.
    """
    template = _template()
    runs = await _family(store, run_id)
    blobs = await _blobs(store, runs)
    pictures = _pictures(blobs, runs)
    numbers = {trace.run_id: number for number, trace in enumerate(runs)}
    material = Material(runs, numbers, blobs, frozenset(pictures))
    data = b""
    for limit in _clips(runs):
        shown = {"runs": view(material, Clip(limit)), "pictures": pictures}
        data = embedded(shown)
        if len(data) <= MOST_BYTES:
            break
    return template.render(_context(runs, pictures, data.decode())).encode()


def _clips(runs: Sequence[RunTrace]) -> Iterable[int]:
    """Return lengths to clip texts to, beginning with one that should do."""
    lengths = [
        len(text)
        for trace in runs
        for turn in trace.turns
        for text in (
            turn.reply.message.content,
            turn.reply.message.thinking,
            *(call.written for call in turn.calls),
            *(call.finished.content for call in turn.calls if call.finished),
        )
    ]
    fitting = (
        index
        for index, limit in enumerate(_CLIPS)
        if sum(min(length, limit) for length in lengths) < MOST_BYTES
    )
    return _CLIPS[next(fitting, len(_CLIPS) - 1) :]


@cache
def _template() -> Any:
    try:
        import jinja2  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "The run page needs Jinja2. Install it with `pip install 'agentkit-glm[trace]'`."
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _context(runs: Sequence[RunTrace], pictures: Mapping[str, str], data: str) -> dict[str, Any]:
    root = runs[0]
    style = (_FOLDER / "page.css").read_text("utf-8")
    script = (_FOLDER / "page.js").read_text("utf-8")
    head = glance(root, _HEAD)
    return {
        "run_id": root.run_id,
        "head": head,
        "gallery": [ref for ref in head.artifacts if ref.sha256 in pictures],
        "drawing": draw(root, {run.run_id: (n, run) for n, run in enumerate(runs) if n}),
        "lane": LANE,
        "chart": chart(root),
        "plan": _plan(root),
        "data": data,
        "style": style,
        "script": script,
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
    }


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(frozen=True, slots=True)
class _Plan:
    """The plan as a table: a row for each step, a column for each revision."""

    columns: tuple[tuple[int, int], ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]
    left_out: int
    done: int


def _plan(trace: RunTrace) -> _Plan | None:
    """Return the plan as it changed; steps that were dropped come last."""
    if not trace.plan:
        return None
    shown = trace.plan[-_MOST_REVISIONS:]
    titles = dict.fromkeys(title for title, _ in shown[-1].steps)
    titles |= dict.fromkeys(title for revision in shown for title, _ in revision.steps)
    states = [dict(revision.steps) for revision in shown]
    rows = tuple(
        (title, states[-1].get(title, "dropped"), tuple(state.get(title, "") for state in states))
        for title in titles
    )
    return _Plan(
        tuple((revision.seq, revision.turn) for revision in shown),
        rows,
        len(trace.plan) - len(shown),
        sum(state == "done" for _, state, _ in rows),
    )


async def _family(store: Store, run_id: str) -> list[RunTrace]:
    """Load a run and the runs of its sub-agents, the nearest first, as far as they can be had."""
    root = read(await store.load(run_id))
    runs, seen, events = [root], {root.run_id}, root.last.event.seq
    level: list[RunTrace] = [root]
    for _ in range(_MOST_DEPTH):
        wanted = [child for trace in level for child in trace.sub_run_ids]
        level = list[RunTrace]()
        for child in wanted:
            if child in seen or len(runs) >= _MOST_RUNS or events > _MOST_EVENTS:
                continue
            seen.add(child)
            try:
                trace = read(await store.load(child))
            except (RunNotFound, LogUnreadable):  # the page shows the call without its inside
                continue
            if trace.run_id == child:  # and not another one that its id is the beginning of
                level.append(trace)
                events += trace.last.event.seq
        runs += level
    return runs


async def _blobs(store: Store, runs: Sequence[RunTrace]) -> dict[str, bytes]:
    """Load artifacts, instructions and tool lists; what is missing is left out."""
    blobs: dict[str, bytes] = {}
    for handle in dict.fromkeys(_handles(runs)):
        try:
            blobs[handle] = await store.get_blob(handle)
        except StoreError:
            continue
    return blobs


def _handles(runs: Iterable[RunTrace]) -> Iterable[str]:
    for trace in runs:
        for item in trace.items:
            if isinstance(item, Moment) and isinstance(item.body, RunStarted):
                yield item.body.instructions
                yield item.body.tools
        for ref in _artifacts(trace):
            most = _MOST_PICTURE if ref.media_type.startswith("image/") else _MOST_TEXT
            if ref.size <= most:
                yield ref.sha256


def _artifacts(trace: RunTrace) -> Iterable[ArtifactRef]:
    for call in trace.calls:
        if call.finished:
            yield from call.finished.artifacts


def _pictures(blobs: Mapping[str, bytes], runs: Sequence[RunTrace]) -> dict[str, str]:
    """Return the pictures that the page holds, as addresses by sha256."""
    pictures: dict[str, str] = {}
    left = _MOST_PICTURES
    for handle, data in [*_given(runs), *((ref, blobs.get(ref)) for ref in _drawn(runs))]:
        if data is None or handle in pictures or len(data) > min(left, _MOST_PICTURE):
            continue
        if picture := recognize(data):
            pictures[handle] = data_uri(picture, data)
            left -= len(data)
    return pictures


def _drawn(runs: Sequence[RunTrace]) -> list[str]:
    return [ref.sha256 for trace in runs for ref in _artifacts(trace)]


def _given(runs: Sequence[RunTrace]) -> Iterable[tuple[str, bytes]]:
    """Pictures that users sent as data addresses."""
    for trace in runs:
        for item in trace.items:
            if not (isinstance(item, Moment) and isinstance(item.body, UserMessage)):
                continue
            content = item.body.content
            for part in () if isinstance(content, str) else content:
                if isinstance(part, Image) and (data := from_data_uri(part.url)):
                    yield hashlib.sha256(data).hexdigest(), data
