"""The rehearsal model: the demo's decisions as a program, for when no key is set.

It reads only what a model would read, the messages and tool results of the request. Every number in
its chart and in its answer is taken from the search results it was given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from agentkit.testing.figures import (
    Figure,
    Line,
    Table,
    disagreements,
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


def bars(axis, rows, title, unit):
    """Draw one group of bars for each row, one bar for each model."""
    models = list(dict.fromkeys(model for row in rows.values() for model in row))
    width = 0.8 / len(models)
    for at, model in enumerate(models):
        have = [(x, row[model]) for x, row in enumerate(rows.values()) if model in row]
        places = [x - 0.4 + width * (at + 0.5) for x, _ in have]
        values = [value for _, value in have]
        grey = ["#8b949e", "#d29922", "#57606a", "#bf8700"][at % 4]
        color = "#1f6feb" if model == "GLM-5" else grey
        drawn = axis.bar(places, values, width * 0.92, label=model, color=color)
        axis.bar_label(drawn, fmt="%g", fontsize=7, padding=1)
    axis.set_xticks(range(len(rows)), rows, rotation=25, ha="right", fontsize=8)
    axis.set_title(title, fontsize=11)
    axis.set_ylabel(unit)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.28))


panels = [p for p in ((scores, "Benchmark scores", "points, higher is better"),
                      (prices, "Prices", "USD per million tokens")) if p[0]]
figure, axes = plt.subplots(1, len(panels), figsize=(6.2 * len(panels), 5), squeeze=False,
                            width_ratios=[2, 1][: len(panels)])
for axis, panel in zip(axes[0], panels):
    bars(axis, *panel)
figure.suptitle("GLM-5 and its rivals, from the documents")
figure.tight_layout()
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
    scored = sorted(found, key=lambda table: -len(scores(table)))
    priced = sorted(found, key=lambda table: -len(prices(table)))
    main = scored[0] if scored and scores(scored[0]) else None
    price = priced[0] if priced and prices(priced[0]) else None
    return _Facts(
        main or price,
        tuple(_trim(scores(main))) if main else (),
        tuple(_trim(prices(price))) if price else (),
        tuple(figure for table in found for figure in (*scores(table), *prices(table))),
        tuple(dict.fromkeys(line.document for line in lines)),
    )


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
        parts.append("### Benchmark scores (points)\n\n" + _table(facts.scores, "Benchmark"))
    if facts.prices:
        parts.append("### Prices (USD per million tokens)\n\n" + _table(facts.prices, "Price"))
    if pairs := disagreements(facts.all):
        parts.append("### Where the sources disagree\n\n" + "\n".join(map(_disagreement, pairs)))
    return "\n\n".join(parts)


def _outcome(drawn: str | None) -> str:
    count = re.search(r"bars drawn: (\d+)", drawn or "")
    if count:
        return f"The chart `glm5_and_rivals.png` shows the {count[1]} figures below."
    reason = " ".join((drawn or "no tool that runs code was offered").split())[:300]
    return f"There is no chart, because code could not be run here ({reason}). The tables follow."


def _table(figures: Sequence[Figure], head: str) -> str:
    rows = _rows(figures)
    models = list(dict.fromkeys(figure.model for figure in figures))
    lines = [f"| {head} | {' | '.join(models)} | Source |", "|---" * (len(models) + 2) + "|"]
    for subject, row in rows.items():
        cells = [f"{row[model]:g}" if model in row else "–" for model in models]
        places = [(item.document, item.line) for item in figures if item.subject == subject]
        lines.append(f"| {subject} | {' | '.join(cells)} | {_source(places)} |")
    return "\n".join(lines)


def _source(places: Sequence[tuple[str, int]]) -> str:
    document = places[0][0]
    numbers = sorted(line for name, line in places if name == document)
    first, last = numbers[0], numbers[-1]
    return f"{document}, line {first}" if first == last else f"{document}, lines {first}-{last}"


def _disagreement(pair: tuple[Figure, Figure]) -> str:
    one, two = pair
    return (
        f"- {one.subject}, {one.model}: {one.value:g} ({one.document}, line {one.line}) but "
        f"{two.value:g} ({two.document}, line {two.line})."
    )
