"""The rehearsal model: the demo's decisions as a program, for when no key is set.

It reads only what a model would read, the messages and tool results of the request. Every number in
its chart and in its answer is taken from the search results it was given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from agentkit.testing.figures import (
    Figure,
    Line,
    Table,
    differences,
    hit_lines,
    prices,
    read_lines,
    scores,
    tables,
)
from agentkit.testing.script import Call, Json, Say

QUERIES = (
    "GLM-5 benchmark scores SWE-bench Verified GPT-5.2 Claude Opus",
    "GLM-5 price per million tokens input output GPT-5.2 Claude Opus",
    "GLM-5 基准测试 得分 GPT-5.2 Claude Opus",
    "GLM-5 precios entrada salida benchmark Claude Opus",
)
STEPS = (
    "Search the documents for scores and prices",
    "Read the passage that holds the main table",
    "Plot GLM-5 against its rivals",
    "Answer with the source of each figure",
)
MOST_SUBJECTS = 8
MOST_RIVALS = 4

_CHART = '''\
import matplotlib.pyplot as plt

scores = {scores}
prices = {prices}
panels = [panel for panel in (
    (scores, "Benchmark scores", "points, higher is better"),
    (prices, "Prices", "USD per million tokens, lower is better"),
) if panel[0]]
names = list(dict.fromkeys(name for panel in panels for row in panel[0].values() for name in row))
names.sort(key=lambda name: name != "GLM-5")
greys = ["#8b949e", "#d29922", "#2da44e", "#8250df", "#bf3989", "#57606a", "#0a7ea4"]
colors = {{name: "#1f6feb" if name == "GLM-5" else greys[at % 7] for at, name in enumerate(names)}}


def bars(axis, rows, title, unit):
    """Draw one group of bars for each row, one bar for each model that the row has."""
    width = 0.82 / max(len(row) for row in rows.values())
    for x, row in enumerate(rows.values()):
        for at, (name, value) in enumerate(row.items()):
            place = x + width * (at - (len(row) - 1) / 2)
            bar = axis.bar(place, value, width * 0.92, color=colors[name])
            axis.bar_label(bar, fmt="%g", fontsize=6.5, padding=1)
    axis.set_xticks(range(len(rows)), rows, rotation=22, ha="right", fontsize=8)
    axis.set_title(title, fontsize=11)
    axis.set_ylabel(unit, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)


figure, axes = plt.subplots(1, len(panels), figsize=(6.4 * len(panels), 4.8), squeeze=False,
                            width_ratios=[2, 1][: len(panels)], layout="constrained")
for axis, panel in zip(axes[0], panels):
    bars(axis, *panel)
figure.suptitle("GLM-5 and its rivals, as the documents give them")
figure.legend([plt.Rectangle((0, 0), 1, 1, color=colors[name]) for name in names], names,
              loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
figure.savefig("glm5_and_rivals.png", dpi=150)
plt.close(figure)
print("bars drawn:", sum(len(row) for panel in panels for row in panel[0].values()))
'''


@dataclass(frozen=True, slots=True)
class _Result:
    """One tool result with the call that it answers."""

    name: str
    arguments: Json
    content: str


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the tool results so far say."""

    main: Table | None
    scores: tuple[Figure, ...]
    prices: tuple[Figure, ...]
    all: tuple[Figure, ...]
    documents: tuple[str, ...]


def rehearse(request: Json) -> Say:
    """Return the rehearsal model's next answer to a request: the brain of the demo's server."""
    results = _results(request["messages"])
    offered = {tool["function"]["name"] for tool in request.get("tools") or ()}
    done = {result.name for result in results}
    if "search_documents" in offered and "search_documents" not in done:
        return _search()
    facts = _facts(results)
    if facts.main and "read_document" in offered and "read_document" not in done:
        return _read(facts.main)
    if facts.scores or facts.prices:
        if "execute_code" in offered and "execute_code" not in done:
            return _plot(facts)
        if "update_plan" in offered and _plan_is_open(results):
            return Say(thinking="The chart is settled; only the answer is left.", calls=[_plan(3)])
    drawn = [result for result in results if result.name == "execute_code"]
    return Say(_answer(facts, drawn[-1].content if drawn else None), "Now the answer.")


def _search() -> Say:
    return Say(
        "I look for scores and prices in several languages at once.",
        "The documents may be in several languages, so I search in more than one, in parallel.",
        [_plan(0), *(Call("search_documents", {"query": query}) for query in QUERIES)],
    )


def _read(table: Table) -> Say:
    place = {"id": table.document, "start": max(1, table.start - 4), "end": table.end + 4}
    return Say(
        thinking=f"{table.document} has the fullest table; I read it with the lines around it.",
        calls=[Call("read_document", place), _plan(1)],
    )


def _plot(facts: _Facts) -> Say:
    code = _CHART.format(
        scores=json.dumps(_rows(facts.scores), ensure_ascii=False, indent=4),
        prices=json.dumps(_rows(facts.prices), ensure_ascii=False, indent=4),
    )
    return Say(
        thinking="I have figures with their sources; now the chart.",
        calls=[Call("execute_code", {"code": code, "timeout": 60}), _plan(2)],
    )


def _plan(current: int) -> Call:
    steps = [
        {
            "title": title,
            "status": "done" if at < current else "in_progress" if at == current else "pending",
        }
        for at, title in enumerate(STEPS)
    ]
    return Call("update_plan", {"steps": steps})


def _plan_is_open(results: Sequence[_Result]) -> bool:
    plans = [result for result in results if result.name == "update_plan"]
    return not plans or plans[-1].arguments["steps"][2]["status"] != "done"


def _results(messages: Sequence[Json]) -> list[_Result]:
    calls: dict[str, Json] = {}
    results: list[_Result] = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            calls[call["id"]] = call["function"]
        if message["role"] == "tool":
            call = calls[message["tool_call_id"]]
            arguments = orjson.loads(call["arguments"] or "{}")
            results.append(_Result(call["name"], arguments, message["content"]))
    return results


def _facts(results: Sequence[_Result]) -> _Facts:
    lines: list[Line] = []
    for result in results:
        if result.name == "search_documents":
            lines += hit_lines(result.content)
        elif result.name == "read_document":
            lines += read_lines(str(result.arguments.get("id")), result.content)
    found = tables(lines)
    main = _fullest(found, scores)
    price = _fullest(found, prices)
    return _Facts(
        main or price,
        tuple(_trim(scores(main))) if main else (),
        tuple(_trim(prices(price))) if price else (),
        tuple(figure for table in found for figure in (*scores(table), *prices(table))),
        tuple(dict.fromkeys(line.document for line in lines)),
    )


def _fullest(found: Sequence[Table], read: Callable[[Table], list[Figure]]) -> Table | None:
    """Return the best ranked table that is nearly as full as the fullest one."""
    most = max((len(read(table)) for table in found), default=0)
    full = (table for table in found if most and len(read(table)) >= 0.6 * most)
    return next(full, None)


def _trim(figures: Sequence[Figure]) -> list[Figure]:
    """Keep what a chart can show: some subjects, GLM-5 and some rivals."""
    subjects = list(dict.fromkeys(figure.subject for figure in figures))[:MOST_SUBJECTS]
    models = list(dict.fromkeys(figure.model for figure in figures))
    rivals = [model for model in models if model.lower() != "glm-5"][:MOST_RIVALS]
    return [
        figure
        for figure in figures
        if figure.subject in subjects
        and (figure.model in rivals or figure.model.lower() == "glm-5")
    ]


def _rows(figures: Sequence[Figure]) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    for figure in figures:
        rows.setdefault(figure.subject, {})[figure.model] = figure.value
    return rows


def _answer(facts: _Facts, drawn: str | None) -> str:
    if not facts.scores and not facts.prices:
        where = ", ".join(facts.documents) or "none of the documents"
        return (
            "I found no table that compares GLM-5 with a rival. The searches led to: "
            f"{where}. I give no figures rather than unsourced ones."
        )
    parts = ["## GLM-5 against its rivals", _outcome(drawn)]
    if facts.scores:
        parts.append("### Benchmark scores (points)\n\n" + _table(facts.scores, "Benchmark", "g"))
    if facts.prices:
        parts.append(
            "### Prices (USD per million tokens)\n\n" + _table(facts.prices, "Price", ".2f")
        )
    if pairs := differences(facts.all):
        parts.append("### Where the sources differ\n\n" + "\n".join(map(_difference, pairs)))
    return "\n\n".join(parts)


def _outcome(drawn: str | None) -> str:
    count = re.search(r"bars drawn: (\d+)", drawn or "")
    if count:
        return f"The chart `glm5_and_rivals.png` shows the {count[1]} figures below."
    reason = " ".join((drawn or "no tool that runs code was offered").split())[:300]
    return f"There is no chart, because code could not be run here ({reason}). The tables follow."


def _table(figures: Sequence[Figure], head: str, form: str) -> str:
    rows = _rows(figures)
    models = list(dict.fromkeys(figure.model for figure in figures))
    lines = [f"| {head} | {' | '.join(models)} | Source |", "|---" * (len(models) + 2) + "|"]
    for subject, row in rows.items():
        cells = [f"{row[model]:{form}}" if model in row else "–" for model in models]
        places = [(item.document, item.line) for item in figures if item.subject == subject]
        lines.append(f"| {subject} | {' | '.join(cells)} | {_source(places)} |")
    return "\n".join(lines)


def _source(places: Sequence[tuple[str, int]]) -> str:
    document = places[0][0]
    numbers = sorted(line for name, line in places if name == document)
    first, last = numbers[0], numbers[-1]
    return f"{document}, line {first}" if first == last else f"{document}, lines {first}-{last}"


def _difference(pair: tuple[Figure, Figure]) -> str:
    one, two = pair
    again = "" if one.model == two.model else f"{two.model} "
    return (
        f"- {one.subject}, {one.model}: {one.value:g} ({one.document}, line {one.line}), but "
        f"{again}{two.value:g} ({two.document}, line {two.line})."
    )
