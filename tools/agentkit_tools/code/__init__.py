"""Run code that the model wrote, in a sandbox."""

from agentkit_tools.code.interpreter import CodeInterpreter

__all__ = ["CodeInterpreter"]
