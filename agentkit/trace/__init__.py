"""Runs that one can see: the run page, made from a stored log."""

from agentkit.trace.report import render_page

__all__ = ["render_page"]
