"""Approval: which calls may run, which may not, and which have to be asked about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from agentkit.tool.base import Tool

Decision = Literal["allow", "ask", "deny"]
Hint = Literal["read_only", "destructive", "open_world"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an approval policy; it speaks for a call when everything it names fits.

    Attributes:
        decision: "allow", "ask" or "deny".
        tool: name of the tool, with the wildcards of file names. Default: every tool.
        hint: what the tool says of itself; None for any.
        when: tells from the arguments whether the rule speaks; None for any. If it raises, it
            speaks unless its decision is "allow".
        reason: told to whoever is asked, or to the model when the call is denied.
    """

    decision: Decision
    tool: str = "*"
    hint: Hint | None = None
    when: Callable[[Mapping[str, Any]], bool] | None = None
    reason: str = ""

    def speaks(self, tool: Tool, arguments: Mapping[str, Any]) -> bool:
        """Return whether this rule speaks for a call."""
        if not fnmatchcase(tool.name, self.tool):
            return False
        if self.hint is not None and not getattr(tool, self.hint):
            return False
        if self.when is None:
            return True
        try:
            return bool(self.when(arguments))
        except Exception:  # noqa: BLE001 - a predicate of the user's; fail closed
            return self.decision != "allow"


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """Rules, the first that speaks decides; where none does, `default` holds.

    Example: `ApprovalPolicy((Rule("allow", hint="read_only"), Rule("deny", "shell_*")), "ask")`.

    Attributes:
        rules: in order.
        default: the decision on a call of which no rule speaks.
        unknown: what happens, when a run is resumed, with a call that was running when its program
            ended and must not silently run twice: "tell" the model that its outcome is unknown,
            or "ask" whether to run it again.
    """

    rules: tuple[Rule, ...] = ()
    default: Decision = "allow"
    unknown: Literal["tell", "ask"] = "tell"

    def decide(self, tool: Tool, arguments: Mapping[str, Any]) -> tuple[Decision, str]:
        """Return the decision on a call, and the reason that its rule gives."""
        for rule in self.rules:
            if rule.speaks(tool, arguments):
                return rule.decision, rule.reason
        return self.default, ""


@dataclass(frozen=True, slots=True)
class Question:
    """A call that somebody has to allow.

    Attributes:
        run_id: id of the run; of a sub-agent's run where that one asks.
        call_id: id of the call.
        tool: name of the tool.
        arguments: as the tool would get them, as JSON values.
        reason: why it is asked about, from the rule.
    """

    run_id: str
    call_id: str
    tool: str
    arguments: Mapping[str, Any]
    reason: str = ""

    @property
    def address(self) -> str:
        """What names the call beyond doubt: `run id/call id`."""
        return f"{self.run_id}/{self.call_id}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody said to a question.

    Attributes:
        approved: whether the call may run.
        reason: for the model, when it may not.
        remember: whether later calls of this tool in this run need not ask.
    """

    approved: bool
    reason: str = ""
    remember: bool = False


Approver = Callable[[Question], "Answer | bool | Awaitable[Answer | bool | None] | None"]
"""Answers a question, at once or later; None leaves it open, which pauses the run."""
