"""The GLM models: window, output limit and price, as of `AS_OF`.

Sources: docs.z.ai pricing (copy of March 2026) for glm-4.5 to glm-5-code; for 5.1 to 5.3 the
litellm 1.109.1 price map and openrouter.ai, both citing the same page. USD per million tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentkit.usage import Usage

AS_OF = "2026-10"


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
        price: USD per million tokens.
        vision: whether messages may hold images.
    """

    name: str
    window: int
    max_output: int
    price: Price
    vision: bool = False


_1M, _200K, _128K, _96K, _16K = 1_048_576, 202_752, 131_072, 98_304, 16_384
_FREE = Price(0.0, 0.0, 0.0)

MODELS: tuple[ModelInfo, ...] = (
    ModelInfo("glm-5.3", _1M, _128K, Price(1.40, 0.26, 4.40)),
    ModelInfo("glm-5.3-flash", _1M, _128K, Price(0.15, 0.03, 0.50), vision=True),
    ModelInfo("glm-5.2", _1M, _128K, Price(1.40, 0.26, 4.40)),
    ModelInfo("glm-5.1", _200K, _128K, Price(1.40, 0.26, 4.40)),
    ModelInfo("glm-5", _200K, _128K, Price(1.00, 0.20, 3.20)),
    ModelInfo("glm-5-turbo", _200K, _128K, Price(1.20, 0.24, 4.00)),
    ModelInfo("glm-5-code", _200K, _128K, Price(1.20, 0.30, 5.00)),
    ModelInfo("glm-5v-turbo", _200K, _128K, Price(1.20, 0.24, 4.00), vision=True),
    ModelInfo("glm-4.7", 204_800, _128K, Price(0.60, 0.11, 2.20)),
    ModelInfo("glm-4.7-flashx", _200K, _128K, Price(0.07, 0.01, 0.40)),
    ModelInfo("glm-4.7-flash", _200K, _128K, _FREE),
    ModelInfo("glm-4.6", _200K, _128K, Price(0.60, 0.11, 2.20)),
    ModelInfo("glm-4.5", _128K, _96K, Price(0.60, 0.11, 2.20)),
    ModelInfo("glm-4.5-x", _128K, _96K, Price(2.20, 0.45, 8.90)),
    ModelInfo("glm-4.5-air", _128K, _96K, Price(0.20, 0.03, 1.10)),
    ModelInfo("glm-4.5-airx", _128K, _96K, Price(1.10, 0.22, 4.50)),
    ModelInfo("glm-4.5-flash", _128K, _96K, _FREE),
    ModelInfo("glm-4-32b-0414-128k", _128K, _16K, Price(0.10, 0.10, 0.10)),
)

_BY_NAME = {info.name: info for info in MODELS}


def find(name: str) -> ModelInfo | None:
    """Return what is known of a model, or None.

    A vendor's prefix ("z-ai/", "zai-org/") and the case of the letters do not matter, so that
    OpenRouter's and Hugging Face's ids find their model.
    """
    return _BY_NAME.get(name.rsplit("/", 1)[-1].lower())
