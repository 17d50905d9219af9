"""Hard signatures and the schemas they become: `python -m benchmarks.signatures` prints a table.

Every annotation here is a string (`from __future__ import annotations`), and some name a type that
stands further down.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, Union
from uuid import UUID

from pydantic import Base64Bytes, BaseModel, Field
from typing_extensions import TypedDict, Unpack

from agentkit.tool import Tool, ToolContext, as_tool, tool


def nothing(): ...


def untyped(x, y=1): ...


def google(query: str, top_k: int = 5):
    """Search.

    Args:
        query: what to look for.
        top_k (int): how many.
    """


def numpy(query: str, top_k: int = 5):
    """Search.

    Parameters
    ----------
    query : str
        what to look for.
    top_k : int, optional
        how many.
    """


def rest(query: str, top_k: int = 5):
    """Search.

    :param query: what to look for.
    :param int top_k: how many.
    """


def epytext(query: str, top_k: int = 5):
    """Search.

    @param query: what to look for.
    @param top_k: how many.
    """


def field_before_docstring(x: Annotated[int, Field(ge=1, le=9, description="from the field")]):
    """Do.

    Args:
        x: from the docstring.
    """


def bounds(
    a: Annotated[float, Field(gt=0, lt=1)],
    b: Annotated[str, Field(min_length=2, pattern="^[a-z]+$")],
    c: Annotated[list[int], Field(max_length=3)],
): ...


def forward(x: Later | None = None): ...


class Later(BaseModel):
    """Defined after its use."""

    name: str


class Node(BaseModel):
    title: str
    children: list[Node] = []


def recursive(tree: Node): ...


@dataclass
class Left:
    right: Right | None = None


@dataclass
class Right:
    left: Left | None = None


def mutual(x: Left): ...


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


def choices(
    a: Colour,
    b: Level = Level.LOW,
    c: Literal["x", 1] | None = None,
    d: Union[int, str] = 0,  # noqa: UP007 - both ways of writing it
    e: Optional[Colour] = None,  # noqa: UP045 - both ways of writing it
): ...


@dataclass
class Step:
    title: str
    done: bool = False


class Movie(TypedDict):
    name: str
    year: NotRequired[int]


class Point(NamedTuple):
    x: float
    y: float = 0.0


def records(step: Step, movie: Movie, point: Point, steps: list[Step]): ...


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


def tagged(pet: Annotated[Cat | Dog, Field(discriminator="kind")]): ...


def scalars(  # noqa: PLR0913, PLR0917 - one of each
    when: datetime,
    day: date,
    lasting: timedelta,
    path: Path,
    price: Decimal,
    key: UUID,
    data: bytes,
    raw: Base64Bytes,
): ...


def containers(  # noqa: PLR0913, PLR0917 - one of each
    a: set[int],
    b: tuple[int, str],
    c: tuple[float, ...],
    d: dict[str, list[int]],
    e: dict[int, str],
    f: dict[Colour, int],
    g: Sequence[str],
    h: Mapping[str, Any],
): ...


def deep(x: list[dict[str, tuple[Step, Literal["a", "b"]]]] | None = None): ...


def keywords(first: int, **rest: float): ...


class Options(TypedDict, total=False):
    depth: int
    strict: bool


def unpacked(query: str, **options: Unpack[Options]): ...


def reserved(from_: Annotated[str, Field(alias="from")], to: str):
    """Move.

    Args:
        from_: where it is.
        to: where it goes.
    """


def field_default(x: int = Field(5, ge=0, description="a number")): ...


def hidden(query: str, context: ToolContext): ...


async def coroutine(x: int): ...


async def stream(x: int) -> AsyncIterator[str]:
    yield f"{x} left"


def steps(x: int) -> Iterator[str]:
    yield f"{x} left"


class Notebook:
    """A notebook."""

    def write(self, line: str) -> int:
        """Write a line."""
        return len(line)

    @classmethod
    def kind(cls, x: int) -> str:
        """Name its kind."""
        return f"{cls.__name__}{x}"

    @staticmethod
    def twice(x: int) -> int:
        """Double."""
        return 2 * x

    def __call__(self, page: int) -> str:
        """Read a page."""
        return str(page)


def ask(connection: object, question: str, key: str):
    """Ask.

    Args:
        connection: hidden.
        question: what to ask.
        key: hidden.
    """


def local() -> Tool:
    """Return a tool whose type is known in this function only."""

    class Inner(BaseModel):
        size: int

    @tool(name="local_type")
    def made(x: Inner): ...

    return made


_NOTEBOOK = Notebook()
_FUNCTIONS: tuple[object, ...] = (
    *(nothing, untyped, google, numpy, rest, epytext, field_before_docstring, bounds, forward),
    *(recursive, mutual, choices, records, tagged, scalars, containers, deep, keywords, unpacked),
    *(reserved, field_default, hidden, coroutine, stream, steps),
    *(_NOTEBOOK.write, Notebook.kind, Notebook.twice, _NOTEBOOK),
    functools.partial(functools.partial(ask, object()), key="secret"),
    local(),
)


def tools() -> list[Tool]:
    """Return the tools, in the order of the table."""
    return [as_tool(one) for one in _FUNCTIONS]


def schemas() -> dict[str, Any]:
    """Return each tool's name and JSON Schema."""
    return {one.name: one.parameters for one in tools()}


def main() -> None:
    for one in tools():
        print(f"{one.name}{inspect.signature(one.function)}")
        print(f"    {json.dumps(one.parameters, ensure_ascii=False)}\n")


if __name__ == "__main__":
    main()
