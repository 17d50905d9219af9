"""Generators as tools: what they yield tells how far they are, and what their result is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from typing import Any


class _Yielded:
    """What a generator has yielded so far.

    Attributes:
        result: the last value that is no text, else the last text.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.result: Any = None
        self._tell = tell
        self._only_text = True

    def take(self, value: Any) -> None:
        """Take the next value, and tell it when it is text."""
        if isinstance(value, str):
            self._tell(value)
            if self._only_text:
                self.result = value
        elif value is not None:
            self.result = value
            self._only_text = False


async def last_yielded_async(
    generator: AsyncGenerator[Any, Any], tell: Callable[[str], None]
) -> Any:
    """Run an async generator to its end and return its result; it is closed in any case."""
    yielded = _Yielded(tell)
    async with aclosing(generator):
        async for value in generator:
            yielded.take(value)
    return yielded.result


def last_yielded(
    generator: Generator[Any, Any, Any], tell: Callable[[str], None], is_over: Callable[[], bool]
) -> Any:
    """Run a generator to its end and return its result.

    Args:
        generator: what it returns comes before what it yields.
        tell: takes each text it yields.
        is_over: asked after each value; when nobody waits any more, the generator is closed.
    """
    yielded = _Yielded(tell)
    try:
        while not is_over():
            yielded.take(next(generator))
    except StopIteration as stop:
        return yielded.result if stop.value is None else stop.value
    finally:
        generator.close()
    return yielded.result
