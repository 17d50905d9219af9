"""The GLM models: window, output limit, price, thinking and effort, with source and date.

Prices are Z.ai's list prices in USD per million tokens. Windows, output limits and what thinking
does: docs.z.ai chat-completion and thinking-mode, on the same dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from agentkit.errors import ConfigError
from agentkit.usage import Usage

AS_OF = "2026-10"
"""When the newest entries were read."""

Thinks = Literal["locked", "on", "hybrid", "never"]


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens of uncached input, cached input and output."""

    input: float
    cached: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return the dollars that `usage` costs."""
        return (
            usage.uncached * self.input + usage.cached * self.cached + usage.output * self.output
        ) / 1_000_000


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of one model.

    Attributes:
        name: Z.ai's id.
        window: tokens of prompt and answer together.
        max_output: tokens of one answer.
        price: USD per million tokens, or None where the price page gives no figure.
        vision: whether messages may hold images.
        thinks: "locked": always, it cannot be switched off; "on": always, unless switched off;
            "hybrid": it decides, unless switched off; "never": no thinking at all.
        efforts: the efforts that it takes, each with the word that its chat template has for it;
            "off" stands for thinking switched off. Empty when it takes none.
        tool_stream: whether Z.ai streams its tool arguments in pieces.
        source: where the price stands.
        as_of: when that was read, year and month.
    """

    name: str
    window: int
    max_output: int
    price: Price | None
    vision: bool = False
    thinks: Thinks = "on"
    efforts: Mapping[str, str] = field(default_factory=dict[str, str])
    tool_stream: bool = True
    source: str = ""
    as_of: str = AS_OF

    @property
    def always_thinks(self) -> bool:
        """Whether it thinks before every answer when thinking is not switched off."""
        return self.thinks in {"locked", "on"}

    @property
    def can_switch_off(self) -> bool:
        """Whether thinking can be switched off."""
        return self.thinks in {"on", "hybrid"}

    def refuse_images(self) -> None:
        """Refuse images for a model that reads text only.

        Raises:
            ConfigError: it names the models that take images.
        """
        if not self.vision:
            able = ", ".join(info.name for info in MODELS if info.vision)
            raise ConfigError(
                f"{self.name} reads text only, and a message holds an image. Use a model that "
                f"takes images: {able}."
            )


# The templates of 5.2 and 5.3 turn every effort that they do not know into the highest, so each is
# given a word that they know. 5.2: docs.z.ai maps none/minimal to no thinking, low/medium to high,
# xhigh to max. 5.3: the template knows low, high and max (PyPI renderers, configs.py).
_EFFORTS_52 = {
    "none": "off",
    "minimal": "off",
    "low": "high",
    "medium": "high",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
EFFORTS_53 = {
    "minimal": "low",
    "low": "low",
    "medium": "high",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
"""Template words of GLM-5.3, which serve for an unknown model on somebody's own server too."""

_1M, _200K, _128K, _96K, _64K, _32K, _16K = (
    1_048_576, 202_752, 131_072, 98_304, 65_536, 32_768, 16_384,
)  # fmt: skip
_FREE = Price(0.0, 0.0, 0.0)

_listed = partial(ModelInfo, source="docs.z.ai pricing", as_of="2026-03")
_later = partial(ModelInfo, source="litellm 1.109.1 and openrouter.ai, citing docs.z.ai pricing")
_unpriced = partial(ModelInfo, source="no figure found")

MODELS: tuple[ModelInfo, ...] = (
    _later("glm-5.3", _1M, _128K, Price(1.40, 0.26, 4.40), thinks="locked", efforts=EFFORTS_53),
    _later(
        "glm-5.3-flash",
        _1M,
        _128K,
        Price(0.15, 0.03, 0.50),  # others quote 0.075 / 0.25: a promotion, or a second source
        vision=True,
        thinks="locked",
        efforts=EFFORTS_53,
    ),
    _later("glm-5.2", _1M, _128K, Price(1.40, 0.26, 4.40), efforts=_EFFORTS_52),
    _later("glm-5.1", _200K, _128K, Price(1.40, 0.26, 4.40)),
    _listed("glm-5", _200K, _128K, Price(1.00, 0.20, 3.20)),
    _listed("glm-5-turbo", _200K, _128K, Price(1.20, 0.24, 4.00)),
    _listed("glm-5-code", _200K, _128K, Price(1.20, 0.30, 5.00)),
    _listed("glm-5v-turbo", _200K, _128K, Price(1.20, 0.24, 4.00), vision=True),
    _listed("glm-4.7", 204_800, _128K, Price(0.60, 0.11, 2.20)),
    _listed("glm-4.7-flashx", _200K, _128K, Price(0.07, 0.01, 0.40)),
    _listed("glm-4.7-flash", _200K, _128K, _FREE),
    _listed("glm-4.6", _200K, _128K, Price(0.60, 0.11, 2.20), thinks="hybrid"),
    ModelInfo(
        "glm-4.6v",
        _128K,
        _32K,
        Price(0.30, 0.05, 0.90),
        vision=True,
        thinks="hybrid",
        source="vercel.com ai-gateway, provider Z.ai",
    ),
    _unpriced("glm-4.6v-flashx", _128K, _32K, None, vision=True, thinks="hybrid"),
    _unpriced("glm-4.6v-flash", _128K, _32K, None, vision=True, thinks="hybrid"),
    _listed("glm-4.5", _128K, _96K, Price(0.60, 0.11, 2.20), thinks="hybrid", tool_stream=False),
    _listed("glm-4.5-x", _128K, _96K, Price(2.20, 0.45, 8.90), thinks="hybrid", tool_stream=False),
    _listed(
        "glm-4.5-air", _128K, _96K, Price(0.20, 0.03, 1.10), thinks="hybrid", tool_stream=False
    ),
    _listed(
        "glm-4.5-airx", _128K, _96K, Price(1.10, 0.22, 4.50), thinks="hybrid", tool_stream=False
    ),
    _listed("glm-4.5-flash", _128K, _96K, _FREE, thinks="hybrid", tool_stream=False),
    _unpriced("glm-4.5v", _64K, _16K, None, vision=True, tool_stream=False),
    _listed(
        "glm-4-32b-0414-128k",
        _128K,
        _16K,
        Price(0.10, 0.10, 0.10),  # no cached price: cached input costs as much
        thinks="never",
        tool_stream=False,
    ),
)

UNKNOWN = (
    "its window and price are unknown; pass GLM(price=...) for dollars. Known are "
    + ", ".join(info.name for info in MODELS if info.name.startswith("glm-5"))
    + " and older ones"
)
"""What the operator is told of a model that is not in the catalog."""

_BY_NAME = {info.name: info for info in MODELS} | {"glm-4-32b-0414": MODELS[-1]}
_ID = re.compile(r"glm-?\d.*")
_ENDING = re.compile(r"(-(fp8|fp4|nvfp4|mxfp4|bf16|int[48]|awq|gptq|gguf|latest|\d{8})|\[1m\])$")


def find(name: str) -> ModelInfo | None:
    """Return what is known of a model, or None.

    Spellings of other providers find their model: a vendor before the name (`z-ai/glm-5`,
    `zai-org/GLM-5`, `accounts/fireworks/models/glm-5p2`), a missing hyphen (`z-ai/glm5`), `p` for
    the dot, a precision, a date or a variant behind it (`GLM-5-FP8`, `glm-5-turbo-20260315`,
    `glm-5:cloud`, `glm-5.2[1m]`).
    """
    found = _ID.search(name.lower().rsplit("/", 1)[-1].split(":", 1)[0])
    if found is None:
        return None
    plain = re.sub(r"^glm-?", "glm-", found[0])
    plain = re.sub(r"^glm-(\d)[p_](\d)", r"glm-\1.\2", plain)
    while plain not in _BY_NAME and (shorter := _ENDING.sub("", plain)) != plain:
        plain = shorter
    return _BY_NAME.get(plain)
