"""The calls of a probe, as data: known before anything is sent, so that their cost is too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentkit.model.catalog import Price
from agentkit.model.dialect import Dialect, Switch

Json = dict[str, Any]

CHAT = "/chat/completions"
BOGUS = "agentkit-probe"
BYTES_PER_TOKEN = 3.0  # rather too few, so that the cost comes out too high

SWITCHES: dict[Switch, Json] = {
    "zai": {"thinking": {"type": "disabled"}},
    "openrouter": {"reasoning": {"enabled": False}},
    "template": {"chat_template_kwargs": {"enable_thinking": False}},
    "effort": {"reasoning_effort": "none"},
    "enable": {"enable_thinking": False},
}
"""How each dialect says that the model shall not think."""

_COLOURS = "Reply with one word, the colour of a clear sky."
_LOOK_UP: Json = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look one key up.",
        "parameters": {
            "type": "object",
            "properties": {"key": {"type": "string"}},
            "required": ["key"],
        },
    },
}
_SAVE: Json = {
    "type": "function",
    "function": {
        "name": "save_text",
        "description": "Save a text.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a probe.

    Attributes:
        name: by which `judge` finds what came of it.
        asks: what it settles, in words.
        body: the request; None for a GET.
        path: added to the base URL.
        pause: seconds to wait before it.
    """

    name: str
    asks: str
    body: Json | None
    path: str = CHAT
    pause: float = field(default=0.0)


def plan(model: str, dialect: Dialect, nonce: str, pause: float = 5.0) -> list[Call]:
    """Return the calls that settle what is open for a model at an endpoint.

    Args:
        model: its id there.
        dialect: as it is known so far.
        nonce: something new, so that nothing of the long prompt is cached before.
        pause: seconds after which the cache is looked at again.
    """
    chat = _Chat(model, dialect)
    return [
        Call("models", "is there a list of models", None, "/models"),
        Call("tokenizer", "is there a tokenizer", chat.body(_COLOURS), "/tokenizer"),
        Call("answer", "how thinking and usage come back", chat.body(_COLOURS, 300, quiet=False)),
        *(
            Call(f"off:{switch}", "can thinking be switched off", chat.off(switch))
            for switch in ([dialect.thinking] if dialect.can_switch else ["zai", "template"])
            if switch in SWITCHES
        ),
        Call("unknown", "are unknown fields refused", {**chat.body("Say a."), BOGUS: 1}),
        *_tools(chat),
        *_messages(chat),
        Call("effort:low", "is an effort taken", chat.effort("low")),
        Call("effort:bogus", "is a wrong effort refused", chat.effort(BOGUS)),
        *_kept(chat, nonce, pause),
    ]


def most_usd(calls: Sequence[Call], price: Price | None) -> float | None:
    """Return the dollars that the calls cost at most, or None when no price is known."""
    if price is None:
        return None
    paid = [call.body for call in calls if call.body and call.path == CHAT]
    given = sum(len(json.dumps(body, ensure_ascii=False)) for body in paid) / BYTES_PER_TOKEN
    written = sum(body["max_tokens"] for body in paid)
    return (given * price.input + written * price.output) / 1_000_000


class _Chat:
    """Makes request bodies for one model; quiet ones do not think, where that is known."""

    def __init__(self, model: str, dialect: Dialect) -> None:
        self._model = model
        self.dialect = dialect
        self._quiet = SWITCHES.get(dialect.thinking, {})

    def body(
        self, prompt: str | list[Json], most: int = 16, *, quiet: bool = True, **fields: Any
    ) -> Json:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        own = self._quiet if quiet else {}
        return {
            "model": self._model,
            "messages": messages,
            "max_tokens": most,
            "stream": False,
            **own,
            **fields,
        }

    def off(self, switch: Switch) -> Json:
        return self.body(_COLOURS, 300, quiet=False, **SWITCHES[switch])

    def effort(self, word: str) -> Json:
        match self.dialect.effort:
            case "reasoning":
                fields: Json = {"reasoning": {"effort": word}}
            case "template":
                fields = {"chat_template_kwargs": {"reasoning_effort": word}}
            case _:
                fields = {"reasoning_effort": word}
        return self.body("Say a.", quiet=False, **fields)

    def kept(self, messages: list[Json], *, clear: bool | None) -> Json:
        """Return a request that says what becomes of earlier thinking; None says nothing."""
        fields: Json = {}
        if self.dialect.thinking == "zai":
            fields = {"thinking": {"type": "enabled"}}
            if clear is not None:
                fields["thinking"]["clear_thinking"] = clear
        elif self.dialect.thinking == "template" and clear is not None:
            fields = {"chat_template_kwargs": {"clear_thinking": clear}}
        return self.body(messages, quiet=False, **fields)


def _tools(chat: _Chat) -> list[Call]:
    twice = "Call look_up for the key alpha and for the key beta, both at once, in one turn."
    poem = "Call save_text with a poem of about forty words."
    return [
        Call(
            "tools",
            "do calls come back as calls, also two at once; does usage come without being asked",
            chat.body(twice, 400, stream=True, tools=[_LOOK_UP]),
        ),
        Call(
            "tool_stream",
            "do arguments come in pieces",
            chat.body(poem, 400, stream=True, tools=[_SAVE], tool_stream=True),
        ),
        Call(
            "stream_options",
            "is stream_options taken",
            chat.body("Say a.", stream=True, stream_options={"include_usage": True}),
        ),
        Call(
            "tool_choice",
            'is tool_choice "required" taken',
            chat.body("Say a.", 100, tools=[_LOOK_UP], tool_choice="required"),
        ),
    ]


def _messages(chat: _Chat) -> list[Call]:
    call: Json = {"name": "look_up", "arguments": '{"key": "alpha"}'}
    turn: list[Json] = [
        {"role": "user", "content": "Look alpha up."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_probe", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_probe", "content": "alpha is 1"},
    ]
    later: list[Json] = [
        {"role": "user", "content": "Say the word blue."},
        {"role": "assistant", "content": "blue"},
        {"role": "system", "content": "From now on answer with the one word: green."},
    ]
    return [
        Call("null", "is content null taken beside calls", chat.body(turn, tools=[_LOOK_UP])),
        Call("system", "is a system message taken in mid-run", chat.body(later)),
    ]


def _kept(chat: _Chat, nonce: str, pause: float) -> list[Call]:
    """Four calls on one long prompt, which earlier thinking stands in the middle of."""
    prices = " ".join(f"Item {number} costs {number * 7 % 97} coins." for number in range(100))
    thinking = "The user wants item 3. It costs 21 coins, the list says so. " * 8
    told: Json = {"role": "assistant", "content": "21 coins."}
    told |= dict.fromkeys(chat.dialect.replay, thinking)
    messages: list[Json] = [
        {"role": "system", "content": f"Price list {nonce}. {prices}"},
        {"role": "user", "content": "What does item 3 cost?"},
        told,
        {"role": "user", "content": "And item 4?"},
    ]
    more = [*messages, {"role": "assistant", "content": "28 coins."}]
    more.append({"role": "user", "content": "And item 5?"})
    asks = "does earlier thinking stay in the prompt, and in the cache"
    return [
        Call("kept:default", asks, chat.kept(messages, clear=None)),
        Call("kept:true", asks, chat.kept(messages, clear=False)),
        Call("kept:false", asks, chat.kept(messages, clear=True)),
        Call("later", "does the cache live for seconds", chat.kept(more, clear=False), pause=pause),
    ]
