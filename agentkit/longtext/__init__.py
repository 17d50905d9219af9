"""Documents longer than a model should read at once: split, worked on in parallel, merged.

`estimate(model, document, instruction)` says what it will cost, `process(...)` does it.
"""

from agentkit.longtext.estimate import Estimate, Policy, estimate
from agentkit.longtext.split import Part, split
from agentkit.longtext.work import LongAnswer, PartAnswer, Progress, process

__all__ = [
    "Estimate",
    "LongAnswer",
    "Part",
    "PartAnswer",
    "Policy",
    "Progress",
    "estimate",
    "process",
    "split",
]
