"""Testing agents without a key: scripted models and a GLM server on loopback."""

from agentkit.testing.model import ScriptedModel
from agentkit.testing.rehearsal import rehearse
from agentkit.testing.script import Call, PrefixCache, Raw, Refuse, Say, ScriptExhausted
from agentkit.testing.server import GLMServer

__all__ = [
    "Call",
    "GLMServer",
    "PrefixCache",
    "Raw",
    "Refuse",
    "Say",
    "ScriptExhausted",
    "ScriptedModel",
    "rehearse",
]
