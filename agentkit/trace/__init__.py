"""Traces: what can be read from the log of a run that has been, or is still going on."""

from agentkit.trace.report import render_page

__all__ = ["render_page"]
