"""Tools that come with agentkit: document search and code in the sandbox."""

from agentkit_tools.code import CodeInterpreter
from agentkit_tools.search import Documents

__all__ = ["CodeInterpreter", "Documents"]
