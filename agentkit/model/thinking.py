"""Thinking and effort as each dialect spells them.

Earlier thinking stays in the prompt unless `clear_thinking=True` says otherwise, so that the
rendered prompt only grows. The proof is tests/model/test_prefix_oracle.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentkit.errors import ConfigError
from agentkit.model import catalog
from agentkit.model.catalog import ModelInfo
from agentkit.model.dialect import Dialect
from agentkit.model.parameters import Parameters
from agentkit.model.providers import Provider

_Json = dict[str, Any]


def fields(parameters: Parameters, provider: Provider, info: ModelInfo | None) -> _Json:
    """Return the request fields that say whether and how much the model thinks.

    Args:
        parameters: checked ones; `thinking`, `effort` and `clear_thinking` are read.
        provider: in whose dialect.
        info: what is known of the model, or None.

    Raises:
        ConfigError: a wish that this model or this provider cannot honour, or two that conflict.
    """
    enabled, effort = _wish(parameters, provider, info)
    dialect = provider.dialect
    clear = parameters.get("clear_thinking", False)
    if clear and not dialect.can_clear:
        raise ConfigError(
            f"clear_thinking=True cannot be said to {provider.name}, where earlier thinking is "
            "kept by sending it back. Leave it out."
        )
    if info is not None and info.thinks == "never":
        return {}
    said = _switch(dialect, enabled, clear=clear)
    if effort is not None:
        match dialect.effort:
            case "field":
                said["reasoning_effort"] = effort
            case "reasoning":
                said["reasoning"] = {"effort": effort}
            case "template":
                said.setdefault("chat_template_kwargs", {})["reasoning_effort"] = effort
            case "none":
                pass
    return said


def _switch(dialect: Dialect, enabled: bool | None, *, clear: bool) -> _Json:  # noqa: FBT001
    match dialect.thinking:
        case "zai":
            # "enabled" is the documented default; it is written out because no example omits it.
            kind = "disabled" if enabled is False else "enabled"
            return {"thinking": {"type": kind, "clear_thinking": clear}}
        case "openrouter":
            return {} if enabled is None else {"reasoning": {"enabled": enabled}}
        case "template":
            kept: _Json = {"clear_thinking": clear}
            kwargs = kept if enabled is None else {**kept, "enable_thinking": enabled}
            return {"chat_template_kwargs": kwargs}
        case "effort":
            off = {"reasoning_effort": "none"} if enabled is False else {}
            return {"reasoning_history": "interleaved" if clear else "preserved", **off}
        case "enable":
            return {} if enabled is None else {"enable_thinking": enabled}
        case "none":
            return {}


def _wish(
    parameters: Parameters, provider: Provider, info: ModelInfo | None
) -> tuple[bool | None, str | None]:
    """Return whether to think (None: as it pleases) and the effort (None: as it pleases)."""
    thinking = parameters.get("thinking", "auto")
    effort = parameters.get("effort")
    if effort is not None:
        _check_effort(effort, thinking, provider, info)
    off = thinking is False or effort == "none"
    if off and info is not None and info.thinks == "locked":
        raise ConfigError(
            f"{info.name} always thinks: thinking cannot be switched off. Use effort='low', or a "
            f"model that can be switched off, such as {_first(lambda one: one.can_switch_off)}."
        )
    if thinking is True and info is not None and info.thinks == "never":
        raise ConfigError(
            f"{info.name} does not think. Use a model that does, such as "
            f"{_first(lambda one: one.always_thinks)}."
        )
    if off and provider.dialect.thinking == "none":
        raise ConfigError(
            f"{provider.name} has no known switch for thinking. Leave thinking out, or name the "
            "provider whose dialect it speaks: provider='zai' for one that passes Z.ai's fields "
            "on, 'vllm' or 'sglang' for your own server."
        )
    if effort is not None and not off:
        effort = _word(effort, provider.dialect, info)
    if off or effort == "off":
        return False, None
    if thinking == "auto" or (info is not None and info.thinks == "locked"):
        return None, effort  # a locked model's template has no switch
    return thinking, effort


def _word(effort: str, dialect: Dialect, info: ModelInfo | None) -> str:
    """Return the word that says this effort here; "off" for thinking switched off."""
    if effort in dialect.efforts:
        return effort
    return (info.efforts if info is not None else catalog.EFFORTS_53)[effort]


def _check_effort(
    effort: str, thinking: object, provider: Provider, info: ModelInfo | None
) -> None:
    if (thinking is False) != (effort == "none") and thinking != "auto":
        raise ConfigError(
            f"thinking={thinking!r} and effort={effort!r} contradict each other. Leave one out."
        )
    if info is not None and not info.efforts:
        able = ", ".join(one.name for one in catalog.MODELS if one.efforts)
        more = " For no thinking, say thinking=False." if effort == "none" else ""
        raise ConfigError(f"{info.name} takes no effort. Models that do: {able}.{more}")
    if provider.dialect.effort == "none":
        raise ConfigError(
            f"{provider.name} has no known field for the effort. Leave effort out, or name the "
            "provider whose dialect it speaks."
        )


def _first(wanted: Callable[[ModelInfo], bool]) -> str:
    return next(info.name for info in catalog.MODELS if wanted(info))
