"""Presets: the documented sampling advice for a kind of work.

| preset | temperature | top_p | max_tokens | more | source |
|---|---|---|---|---|---|
| coding | 0.7 | 0.95 | 16,384 | effort max | SWE-bench run on the zai-org/GLM-5 card; effort: \
docs.z.ai 5.2 and 5.3 |
| agent | 1.0 | 0.95 | 65,536 | thinking | Terminal-Bench 2 with Claude Code, same card |
| math | 1.0 | 0.95 | 131,072 | thinking | reasoning sets and HLE, same card |
| extraction | 0.2 | | | | ours: the documents give no figure |
| writing | 0.8 | | | | ours: the documents give no figure |
| creative | 1.0 | | | | the documented default and highest value (docs.z.ai migration guide) |

The guide advises to tune one of temperature and top_p; the card's runs set both, and so do the
presets that follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from agentkit.errors import ConfigError
from agentkit.model.catalog import ModelInfo
from agentkit.model.parameters import Parameters, most_tokens
from agentkit.model.providers import Provider

PRESETS: Mapping[str, Parameters] = {
    "coding": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 16_384, "effort": "max"},
    "agent": {"temperature": 1.0, "top_p": 0.95, "max_tokens": 65_536, "thinking": True},
    "extraction": {"temperature": 0.2},
    "writing": {"temperature": 0.8},
    "creative": {"temperature": 1.0},
    "math": {"temperature": 1.0, "top_p": 0.95, "max_tokens": 131_072, "thinking": True},
}


def apply(
    preset: str | None, parameters: Parameters, provider: Provider, info: ModelInfo | None
) -> Parameters:
    """Return the parameters with the preset's advice for those that the caller left open.

    Advice that the model or the provider cannot follow is cut to its limit or left out.

    Raises:
        ConfigError: an unknown preset; the message lists the names.
    """
    if preset is None:
        return parameters
    if preset not in PRESETS:
        raise ConfigError(f"preset={preset!r} is unknown. Expected one of: {', '.join(PRESETS)}.")
    advice = cast("Parameters", dict(PRESETS[preset]))
    most = most_tokens(provider, info)
    if "max_tokens" in advice and most is not None:
        advice["max_tokens"] = min(advice["max_tokens"], most)
    takes_effort = info is not None and bool(info.efforts) and provider.dialect.effort != "none"
    if not takes_effort or parameters.get("thinking") is False:
        advice.pop("effort", None)
    if (info is not None and info.thinks == "never") or parameters.get("effort") == "none":
        advice.pop("thinking", None)
    return {**advice, **parameters}
