"""Usage that the provider did not report, estimated so that dollar limits still hold."""

from __future__ import annotations

from agentkit.messages import Assistant
from agentkit.usage import Usage

BYTES_PER_TOKEN = 3.6
"""For a prompt that no provider has weighed yet; the context learns a better value from usage."""


def estimated_usage(body: bytes, message: Assistant) -> Usage:
    """Return what an answer must have cost about, with nothing counted as cached.

    Args:
        body: the request as it was sent.
        message: what came back, whole or cut.
    """
    thinking = _tokens(message.thinking)
    calls = sum(_tokens(call.name + call.arguments) for call in message.tool_calls)
    output = thinking + _tokens(message.content) + calls
    return Usage(input=round(len(body) / BYTES_PER_TOKEN), output=output, thinking=thinking)


def _tokens(text: str) -> int:
    return round(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)
