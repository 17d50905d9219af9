"""The model: GLM's wire protocol, from bytes to one reply."""

from agentkit.model.base import Emit, Model, Reply, Request
from agentkit.model.catalog import ModelInfo, Price
from agentkit.model.glm import GLM
from agentkit.model.retry import RetryPolicy
from agentkit.model.wire import Parameters

__all__ = [
    "GLM",
    "Emit",
    "Model",
    "ModelInfo",
    "Parameters",
    "Price",
    "Reply",
    "Request",
    "RetryPolicy",
]
