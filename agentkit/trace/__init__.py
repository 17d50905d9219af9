"""Runs that one can see and pass on: trajectories in the field's formats, OpenTelemetry spans."""

from agentkit.trace.atif import atif
from agentkit.trace.export import jsonl, openai, sharegpt
from agentkit.trace.recorded import Recorded, read_run

__all__ = ["Recorded", "atif", "jsonl", "openai", "read_run", "sharegpt"]
