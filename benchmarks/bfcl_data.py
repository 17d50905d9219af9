"""The Berkeley Function Calling Leaderboard as it is packaged: entries, objects and checkers.

`agentkit setup --with bfcl` installs it, without what it requires, into a folder of its own.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import inspect
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

from agentkit.cli.setup_bfcl import bfcl_folder

FOLDER = bfcl_folder(os.environ)
MISSING = (
    f"BFCL IS NOT RUN HERE: {FOLDER} does not exist. `agentkit setup --with bfcl` installs it "
    "where PyPI can be reached."
)
FILES = {
    "simple": "BFCL_v4_simple_python.json",
    "multiple": "BFCL_v4_multiple.json",
    "parallel": "BFCL_v4_parallel.json",
    "multi_turn_base": "BFCL_v4_multi_turn_base.json",
}
STATEFUL = "multi_turn_base"
DELAY = 0.005
"""Seconds: every call of a tool takes a random time up to this before it has effects."""

_MODEL = "agentkit"
_CONFIG = "bfcl_eval.constants.executable_backend_config"
_EVAL = "bfcl_eval.eval_checker"
_RUNS = itertools.count()
_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)


@dataclass(frozen=True, slots=True)
class Act:
    """One call: a function's name, as BFCL has it, and its arguments."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """Return the call as Python, which is what BFCL's checker executes."""
        given = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.name}({given})"


@dataclass(frozen=True, slots=True)
class Entry:
    """One task.

    Attributes:
        id: such as "multi_turn_base_0".
        category: a key of FILES.
        users: what the user says, a message a turn.
        turns: the ground truth, the calls of each turn.
        question: the entry as BFCL has it.
        answer: the ground truth as BFCL has it.
    """

    id: str
    category: str
    users: tuple[str, ...]
    turns: tuple[tuple[Act, ...], ...]
    question: dict[str, Any]
    answer: list[Any]


def entries(category: str) -> list[Entry]:
    """Return all entries of a category, in BFCL's order."""
    data = FOLDER / "bfcl_eval" / "data"
    questions = _lines(data / FILES[category])
    answers = {one["id"]: one for one in _lines(data / "possible_answer" / FILES[category])}
    methods = _parameters() if category == STATEFUL else {}
    return [
        _entry(category, question, answers[question["id"]]["ground_truth"], methods)
        for question in questions
    ]


def _lines(path: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _entry(category: str, question: dict, answer: list, methods: dict[str, list[str]]) -> Entry:
    users = tuple(
        "\n".join(message["content"] for message in turn if message["role"] == "user")
        for turn in question["question"]
    )
    if category == STATEFUL:
        turns = tuple(tuple(_parsed(call, methods) for call in turn) for turn in answer)
    else:
        turns = (tuple(_first_answer(call) for call in answer),)
    return Entry(question["id"], category, users, turns, question, answer)


def _parsed(text: str, methods: dict[str, list[str]]) -> Act:
    """Return a call that is written as Python; what it gives by position gets its name."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    given = [*zip(methods[call.func.id], call.args, strict=False)]
    given += [(str(keyword.arg), keyword.value) for keyword in call.keywords]
    return Act(call.func.id, {name: ast.literal_eval(value) for name, value in given})


def _parameters() -> dict[str, list[str]]:
    """Return the names of the parameters of every method that a ground truth may call."""
    return {
        name: [*inspect.signature(method).parameters][1:]
        for kind in _classes().values()
        for name, method in _methods(kind)
    }


def _first_answer(call: dict[str, dict[str, list[Any]]]) -> Act:
    """Return the first of the answers that BFCL accepts."""
    ((name, accepted),) = call.items()
    return Act(name, _chosen(accepted))


def _chosen(accepted: dict[str, list[Any]]) -> dict[str, Any]:
    # "" and null stand for a parameter that is left out.
    given = {key: [one for one in some if one not in ("", None)] for key, some in accepted.items()}
    # A dictionary lists what is accepted for each of its keys, too.
    return {key: _inner(some[0]) for key, some in given.items() if some}


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return _chosen(value)
    if isinstance(value, list):
        return [_inner(one) for one in value]
    return value


def fault(entry: Entry) -> str:
    """Return what of the ground truth does not fit BFCL's own schemas; "" for nothing."""
    from jsonschema import Draft202012Validator

    schemas = _documented() if entry.category == STATEFUL else _schemas(entry.question["function"])
    return "; ".join(
        f"{act}: {error.json_path[2:]}: {error.message}"
        for turn in entry.turns
        for act in turn
        for error in Draft202012Validator(schemas[act.name]).iter_errors(act.arguments)
    )


def _schemas(functions: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["name"]: json_schema(one["parameters"]) for one in functions}


@functools.cache
def _documented() -> dict[str, Any]:
    """Return the schemas of all methods, as BFCL shows them to models."""
    files = _module(
        "bfcl_eval.constants.executable_backend_config"
    ).MULTI_TURN_FUNC_DOC_FILE_MAPPING
    folder = FOLDER / "bfcl_eval" / "data" / "multi_turn_func_doc"
    return _schemas([one for name in _classes() for one in _lines(folder / files[name])])


_TYPES = {"dict": "object", "float": "number", "tuple": "array"}


def json_schema(schema: Any) -> Any:
    """Return a schema of BFCL, which has Python's names of types, as JSON Schema."""
    if isinstance(schema, list):
        return [json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: json_schema(value) for key, value in schema.items() if key != "type"}
    kind = schema.get("type")
    if isinstance(kind, str):
        if kind != "any":
            made["type"] = _TYPES.get(kind, kind)
    elif kind is not None:
        made["type"] = json_schema(kind)  # a parameter that is called so
    return made


def objects(entry: Entry) -> dict[str, Any]:
    """Return the entry's objects in their first state, by the names of their classes."""
    return _built(entry, lambda kind: kind)


def slow_objects(entry: Entry, seed: int, called: Callable[[Act], None]) -> dict[str, Any]:
    """Return the same objects; their methods take a random time and tell what is called.

    Args:
        entry: whose objects.
        seed: of the times.
        called: gets each call from outside at the moment at which it takes effect.
    """
    draw = random.Random(f"{seed} {entry.id}")
    return _built(entry, lambda kind: _slow(kind, draw, called))


def _built(entry: Entry, change: Callable[[type], type]) -> dict[str, Any]:
    made = {}
    for name in entry.question["involved_classes"]:
        made[name] = one = change(_classes()[name])()
        if load := getattr(one, "_load_scenario", None):
            load(copy.deepcopy(entry.question["initial_config"].get(name, {})))
    return made


def _slow(kind: type, draw: random.Random, called: Callable[[Act], None]) -> type:
    def slow(method: Any) -> Any:
        @functools.wraps(method)
        def wait_and_do(self: Any, *given: Any, **arguments: Any) -> Any:
            if _INSIDE.get():  # one method calls another
                return method(self, *given, **arguments)
            time.sleep(draw.uniform(0, DELAY))
            called(Act(method.__name__, copy.deepcopy(arguments)))  # objects keep some of them
            token = _INSIDE.set(True)
            try:
                return method(self, **arguments)
            finally:
                _INSIDE.reset(token)

        return wait_and_do

    return type(kind.__name__, (kind,), {name: slow(method) for name, method in _methods(kind)})


def methods_of(entry: Entry, made: dict[str, Any]) -> Iterator[Any]:
    """Yield the bound methods that the entry offers."""
    hidden = entry.question.get("excluded_function", ())
    for one in made.values():
        for name, _ in _methods(type(one)):
            if name not in hidden:
                yield getattr(one, name)


def _methods(kind: type) -> list[tuple[str, Any]]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return [(name, method) for name, method in found if not name.startswith("_")]


@functools.cache
def _classes() -> dict[str, type]:
    paths = _module(_CONFIG).CLASS_FILE_PATH_MAPPING
    names = {name for line in _lines(_stateful()) for name in line["involved_classes"]}
    return {name: getattr(_module(paths[name]), name) for name in sorted(names)}


def _stateful() -> Any:
    return FOLDER / "bfcl_eval" / "data" / FILES[STATEFUL]


def executed(entry: Entry) -> tuple[dict[str, Any], list[list[Any]]]:
    """Return objects on which the ground truth was executed in order, and what it returned."""
    made = objects(entry)
    offered = {name: getattr(one, name) for one in made.values() for name, _ in _methods(type(one))}
    return made, [[_result(offered[act.name], act) for act in turn] for turn in entry.turns]


def _result(method: Callable[..., Any], act: Act) -> Any:
    try:
        # Copies, as of now: what goes in and what comes out may be a part of the state.
        return copy.deepcopy(method(**copy.deepcopy(act.arguments)))
    except Exception as error:  # noqa: BLE001 - the ground truth is what it is
        return error


_UNSEEN = ("_last_modified",)  # wall clock


def state(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """Return all that an object holds, private attributes and random generators included."""
    if isinstance(value, random.Random):
        return value.getstate()
    if id(value) in seen:
        return f"<the object {len(seen) - seen.index(id(value))} above>"
    inside = (*seen, id(value))
    if isinstance(value, dict):
        return {key: state(one, inside) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [state(one, inside) for one in value]
    if hasattr(value, "__dict__"):
        held = {key: one for key, one in vars(value).items() if key not in _UNSEEN}
        return [type(value).__name__, state(held, inside)]
    return value


def verdict(entry: Entry, called: Sequence[Sequence[Act]]) -> str:
    """Return what BFCL's own checker says against the calls of each turn; "" for nothing."""
    if entry.category != STATEFUL:
        enums = _module("bfcl_eval.constants.enums")
        sent = entry.turns[0]
        # In the order of the message: it takes the first answer that fits a call, and some fit two.
        acts = sorted(called[0], key=lambda act: sent.index(act) if act in sent else len(sent))
        said = _checker("ast_eval.ast_checker").ast_checker(
            entry.question["function"],
            [{act.name.replace(".", "_"): act.arguments} for act in acts],
            entry.answer,
            enums.Language.PYTHON,
            entry.category,
            _MODEL,
        )
        return "" if said["valid"] else f"{said['error_type']}: {said['error']}"
    said = _checker("multi_turn_eval.multi_turn_checker").multi_turn_checker(
        [[[str(act) for act in turn]] for turn in called],
        entry.answer,
        entry.question,
        entry.category,
        f"run{next(_RUNS)}",  # it keeps objects by this name
    )
    return "" if said["valid"] else f"{said['error_type']}: {said.get('details', '')}"


def _checker(name: str) -> ModuleType:
    # The real module imports the clients of all providers, to say one thing of each model.
    stated = ModuleType("bfcl_eval.constants.model_config")
    models = {_MODEL: SimpleNamespace(underscore_to_dot=True)}
    stated.__dict__["MODEL_CONFIG_MAPPING"] = models
    sys.modules.setdefault(stated.__name__, stated)
    return _module(f"{_EVAL}.{name}")


def _module(name: str) -> ModuleType:
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))  # last, so that it hides nothing of ours
    return importlib.import_module(name)
