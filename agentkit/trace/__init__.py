"""Runs that one can see and pass on: the run page, trajectories in the field's formats, spans."""

from agentkit.trace.atif import atif
from agentkit.trace.export import jsonl, openai, sharegpt
from agentkit.trace.recorded import Recorded, read_run
from agentkit.trace.report import render_page

__all__ = ["Recorded", "atif", "jsonl", "openai", "read_run", "render_page", "sharegpt"]
