"""Testing agents without a key: scripted models and a GLM server on loopback."""

from agentkit.testing.capacity import Capacity, Exchange, Pace
from agentkit.testing.cassette import Cassette, CassetteMismatch
from agentkit.testing.failures import FAILURES, Failure
from agentkit.testing.model import ScriptedModel
from agentkit.testing.prompt import PrefixCache
from agentkit.testing.rehearsal import rehearse
from agentkit.testing.script import Call, Raw, Refuse, Say, ScriptExhausted
from agentkit.testing.server import GLMServer

__all__ = [
    "FAILURES",
    "Call",
    "Capacity",
    "Cassette",
    "CassetteMismatch",
    "Exchange",
    "Failure",
    "GLMServer",
    "Pace",
    "PrefixCache",
    "Raw",
    "Refuse",
    "Say",
    "ScriptExhausted",
    "ScriptedModel",
    "rehearse",
]
