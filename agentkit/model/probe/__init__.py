"""Asking an endpoint what documents leave open, with a dozen cheap calls."""

from agentkit.model.probe.calls import Call, most_usd, plan
from agentkit.model.probe.judge import Finding, Verdict, judge, parsers
from agentkit.model.probe.observe import Observed, Prober

__all__ = [
    "Call",
    "Finding",
    "Observed",
    "Prober",
    "Verdict",
    "judge",
    "most_usd",
    "parsers",
    "plan",
]
