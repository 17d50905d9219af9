"""Tools that come with agentkit: document search and code in the sandbox.

Each is loaded when it is first asked for, so that one does not pay for the other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit_tools.code import CodeInterpreter
    from agentkit_tools.search import Documents

__all__ = ["CodeInterpreter", "Documents"]

_HOMES = {"CodeInterpreter": "agentkit_tools.code", "Documents": "agentkit_tools.search"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
