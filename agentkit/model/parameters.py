"""Request parameters and their ranges: what is wrong is refused before anything is sent."""

from __future__ import annotations

from typing import Literal, TypedDict, cast

from agentkit.errors import ConfigError
from agentkit.log import warn
from agentkit.model.catalog import ModelInfo
from agentkit.model.dialect import EFFORTS
from agentkit.model.providers import Provider

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Parameters(TypedDict, total=False):
    """Request parameters of GLM-5; one that is absent is not sent, so the provider's default holds.

    Ranges and defaults: docs.z.ai chat-completion reference.
    """

    max_tokens: int
    """Tokens of the answer, 1 to the model's limit (131,072 for GLM-5)."""
    temperature: float
    """0.0 to 1.0, default 1.0. Tune this or top_p, not both."""
    top_p: float
    """0.01 to 1.0, default 0.95."""
    do_sample: bool
    """False is greedy decoding; temperature and top_p are then ignored. Default True."""
    thinking: bool | Literal["auto"]
    """Whether the model thinks before it answers. "auto", the default, leaves it to the provider
    and the model: GLM-5 thinks. GLM-5.3 cannot be switched off."""
    effort: Effort
    """How much it thinks, for models that take it (GLM-5.2, 5.3, 5.3-Flash). Default "max"."""
    clear_thinking: bool
    """Whether the server drops the thinking of earlier user turns. We send False unless told
    otherwise, because True breaks the cached prefix at every user message."""
    tool_stream: bool
    """Stream tool arguments in pieces; needs streaming. Default False."""
    tool_choice: Literal["auto", "none", "required"]
    """Z.ai takes "auto" only, vLLM and SGLang all three; sent only together with tools."""
    stop: list[str]
    """Strings that end the answer; Z.ai's international endpoint takes one, bigmodel.cn four."""
    response_format: Literal["text", "json_object"]
    """"json_object" asks for JSON; say so in the prompt too."""
    request_id: str
    """6 to 64 characters, unique for each request: for single requests, not for agents."""
    user_id: str
    """6 to 128 characters."""


_SWITCHES = ("do_sample", "clear_thinking", "tool_stream")
_LENGTHS = {"request_id": (6, 64), "user_id": (6, 128)}
_HOLDS_ANYWAY = {"do_sample": True, "tool_choice": "auto", "tool_stream": False}
_ADVICE = frozenset({"tool_stream", "request_id", "user_id"})
"""Parameters that change no answer: left out, with a warning, where they are not taken."""


def check(parameters: Parameters, provider: Provider, info: ModelInfo | None = None) -> Parameters:
    """Return the parameters that the model takes here; refuse what it would refuse.

    Args:
        parameters: as the caller gave them.
        provider: who will get them.
        info: what is known of the model, or None.

    Raises:
        ConfigError: an unknown name, a value out of its range, or a parameter that this provider
            does not take and that would change the answer. The message names what is allowed.
    """
    unknown = sorted(set(parameters) - set(Parameters.__annotations__))
    if unknown:
        known = ", ".join(Parameters.__annotations__)
        raise ConfigError(f"Unknown model parameter {unknown[0]!r}. Expected one of: {known}.")
    _check_numbers(parameters, provider, info)
    _check_words(parameters, provider)
    _check_stop(parameters, provider)
    return _taken(parameters, provider, info)


def most_tokens(provider: Provider, info: ModelInfo | None) -> int | None:
    """Return the most tokens of one answer, or None when no limit is known."""
    limits = (info.max_output if info else None, provider.dialect.max_tokens)
    return min((limit for limit in limits if limit is not None), default=None)


def _check_numbers(parameters: Parameters, provider: Provider, info: ModelInfo | None) -> None:
    most = most_tokens(provider, info)
    bounds: dict[str, tuple[float, float]] = {
        "max_tokens": (1, float("inf") if most is None else most),
        "temperature": (0.0, provider.dialect.max_temperature),
        "top_p": (0.01, 1.0),
    }
    for name, (low, high) in bounds.items():
        value: object = parameters.get(name)
        if name in parameters and not (
            isinstance(value, int if name == "max_tokens" else int | float)
            and not isinstance(value, bool)
            and low <= value <= high
        ):
            kind = "a whole number" if name == "max_tokens" else "a number"
            who = f"{info.name} at {provider.name}" if info else provider.name
            raise ConfigError(
                f"{name}={value!r} is out of range for {who}. Expected {kind} from {low} to {high}."
            )


def _check_words(parameters: Parameters, provider: Provider) -> None:
    for name, (low, high) in _LENGTHS.items():
        text: object = parameters.get(name)
        if name in parameters and not (isinstance(text, str) and low <= len(text) <= high):
            raise ConfigError(f"{name}={text!r}: expected a string of {low} to {high} characters.")
    choices: dict[str, tuple[object, ...]] = {
        **dict.fromkeys(_SWITCHES, (True, False)),
        "thinking": (True, False, "auto"),
        "effort": EFFORTS,
        "response_format": ("text", "json_object"),
        "tool_choice": provider.dialect.tool_choice,
    }
    for name, allowed in choices.items():
        value: object = parameters.get(name)
        same = (type(value) is type(one) and value == one for one in allowed)  # 1 is not True
        if name in parameters and not any(same):
            said = ", ".join(repr(one) for one in allowed)
            raise ConfigError(f"{name}={value!r} at {provider.name}: expected one of {said}.")


def _check_stop(parameters: Parameters, provider: Provider) -> None:
    stop: object = parameters.get("stop", [])
    if not isinstance(stop, list) or not all(
        isinstance(one, str) and one for one in cast("list[object]", stop)
    ):
        raise ConfigError(f"stop={stop!r}: expected a list of strings that are not empty.")
    most = provider.dialect.max_stops
    count = len(cast("list[str]", stop))
    if most is not None and count > most:
        raise ConfigError(
            f"stop has {count} strings, and {provider.name} takes at most {most}. Cut the answer "
            "at the others yourself."
        )


def _taken(parameters: Parameters, provider: Provider, info: ModelInfo | None) -> Parameters:
    """Return the parameters without those that are not taken here and change no answer."""
    kept = dict(parameters)
    fields = provider.dialect.fields | {"thinking", "effort", "clear_thinking"}
    if info is not None and not info.tool_stream:
        fields -= {"tool_stream"}
    for name in sorted(set(kept) - fields):
        if parameters.get(name) == _HOLDS_ANYWAY.get(name, kept):
            del kept[name]
            continue
        if name not in _ADVICE:
            known = ", ".join(sorted(fields & set(Parameters.__annotations__)))
            raise ConfigError(
                f"{name} is not taken by {provider.name}. Expected some of: {known}."
                + (" Use temperature=0 instead." if name == "do_sample" else "")
            )
        warn("model", "model.parameter_left_out", parameter=name, provider=provider.name)
        del kept[name]
    return cast("Parameters", kept)
