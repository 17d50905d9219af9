"""The context: what the model is sent, as a fold over the log."""

from agentkit.context.cache import PrefixBreak
from agentkit.context.context import Context
from agentkit.context.transcript import Transcript, fold

__all__ = ["Context", "PrefixBreak", "Transcript", "fold"]
