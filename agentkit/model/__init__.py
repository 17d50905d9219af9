"""The model: GLM's wire protocol, from bytes to one reply."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.model.base import Asks, CallSink, Emit, Model, Reply, Request
    from agentkit.model.catalog import ModelInfo, Price
    from agentkit.model.glm import GLM
    from agentkit.model.parameters import Parameters
    from agentkit.model.providers import Dialect, Provider
    from agentkit.model.repetition import RepetitionPolicy
    from agentkit.model.retry import RetryPolicy
    from agentkit.model.shape import Shape
    from agentkit.model.text import Answer, TextStream
else:
    from agentkit.late import late

    __getattr__, __dir__ = late(
        __name__,
        {
            "agentkit.model.base": "Asks CallSink Emit Model Reply Request",
            "agentkit.model.catalog": "ModelInfo Price",
            "agentkit.model.glm": "GLM",
            "agentkit.model.parameters": "Parameters",
            "agentkit.model.providers": "Dialect Provider",
            "agentkit.model.repetition": "RepetitionPolicy",
            "agentkit.model.retry": "RetryPolicy",
            "agentkit.model.shape": "Shape",
            "agentkit.model.text": "Answer TextStream",
        },
    )

__all__ = [
    "GLM",
    "Answer",
    "Asks",
    "CallSink",
    "Dialect",
    "Emit",
    "Model",
    "ModelInfo",
    "Parameters",
    "Price",
    "Provider",
    "RepetitionPolicy",
    "Reply",
    "Request",
    "RetryPolicy",
    "Shape",
    "TextStream",
]
