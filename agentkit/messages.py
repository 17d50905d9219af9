"""Messages: what the model is sent and what it answers, free of any provider's spelling."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A text part of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image part of a message: an http(s) or data URL."""

    url: str


Content = str | tuple[Text | Image, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asked for.

    Attributes:
        id: opaque id given by the provider, unique in its run.
        name: name of the tool as the model wrote it.
        arguments: JSON text as the model wrote it; it may be broken.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class System:
    """The instructions; the first message of every prompt."""

    content: str


@dataclass(frozen=True, slots=True)
class User:
    """What the user said."""

    content: Content


@dataclass(frozen=True, slots=True)
class Assistant:
    """What the model answered: text, thinking (kept verbatim) and tool calls.

    Attributes:
        content: the text; may be empty beside tool calls.
        thinking: what the model thought before it answered, verbatim.
        tool_calls: the calls that it asked for, in its order.
        thinking_blocks: the provider's own form of the thinking as JSON text, where it has one
            that must go back unmodified (OpenRouter's `reasoning_details`); else "".
    """

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking_blocks: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The result of one tool call, as the model reads it."""

    call_id: str
    content: str


Message = System | User | Assistant | ToolOutput


def plain_text(content: Content) -> str:
    """Return the text of a content, with images named by a placeholder."""
    if isinstance(content, str):
        return content
    return "".join(part.text if isinstance(part, Text) else "[image]" for part in content)
