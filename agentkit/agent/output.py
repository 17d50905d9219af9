"""The output: how a run is asked for its result, and when it has one.

GLM has no json_schema mode. Data are asked for through a final tool, whose schema is the type's, or
through JSON mode with the schema in the instructions. What does not fit is told to the model: as
the tool's result, or as a reminder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, cast

from pydantic_core import from_json, to_json
from typing_extensions import TypedDict, TypeVar

from agentkit.agent.guardrails import Guardrails, refusal
from agentkit.errors import GuardrailTripped, OutputInvalid, ToolError
from agentkit.events import (
    ArgumentsDelta,
    Delta,
    PartialOutput,
    Reminder,
    ReplyRestarted,
    TextDelta,
)
from agentkit.model import Shape
from agentkit.tool import Tool, validator

if TYPE_CHECKING:
    from agentkit.agent.run import Run

T = TypeVar("T", default=str)

UNFINISHED = object()
"""Stands for "no output yet", since None may be one."""

ACCEPTED = "Your answer was accepted."


# Without slots: Python 3.11 cannot parametrise frozen ones, as in Output[int](...).
@dataclass(frozen=True)
class Output(Generic[T]):
    """How the final output is asked for, where the type alone does not say it.

    Subscribers get a `PartialOutput` as it grows; through a tool, Z.ai streams it only with
    `GLM(tool_stream=True)`.

    Attributes:
        type: a pydantic model, dataclass, TypedDict, list, union..., or `dict` for any object.
        mode: "tool" asks through a final tool, "json" through the endpoint's JSON mode.
        tool: name of the final tool.
        description: what the final tool's description adds; default the type's own docstring.
    """

    type: type[T]
    mode: Literal["tool", "json"] = "tool"
    tool: str = "final_output"
    description: str = ""


class Finish:
    """Decides whether a run has its output.

    Args:
        output: the type, or an Output.
        guardrails: whose output checks and bound hold here.

    Raises:
        ConfigError: a type that no JSON schema can describe.
    """

    def __init__(self, output: Any, guardrails: Guardrails) -> None:
        wanted = cast("Output[Any]", output) if isinstance(output, Output) else Output[Any](output)
        self._wanted = wanted
        self._guards = guardrails.output
        self._retries = guardrails.retries
        self._shape = None if wanted.type is str else Shape(wanted.type)
        self._tool = self._make_tool() if self._shape and wanted.mode == "tool" else None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The final tool, if the output is asked for through one."""
        return (self._tool,) if self._tool else ()

    @property
    def tool_name(self) -> str | None:
        """Name of the final tool, if there is one."""
        return self._tool.name if self._tool else None

    @property
    def is_json(self) -> bool:
        """Whether each reply without calls has to be a JSON object."""
        return self._shape is not None and self._tool is None

    @property
    def instruction(self) -> str:
        """What the instructions have to say of the output; may be empty."""
        if self._tool:
            return f"When you are done, give your answer by calling {self._tool.name}."
        return self._shape.instruction if self._shape else ""

    async def check(self, run: Run) -> Any:
        """Return the output if the last reply gave one, else UNFINISHED.

        A reply without calls that gives none is answered with a reminder of what is wanted.

        Raises:
            OutputInvalid: it has been wrong too often.
            GuardrailTripped: a guardrail has refused too often.
        """
        reply = run.standing.reply
        if reply is None:
            return UNFINISHED
        if reply.tool_calls:
            return await self._of_calls(run)
        if not self._shape:
            return await self._guarded(run, reply.content)
        try:
            value = self._shape.read(reply.content)
        except ValueError as fault:
            return await self._refuse(run, self._advice(str(fault)))
        return await self._guarded(run, value)

    def decode(self, logged: Any) -> Any:
        """Return an output from the JSON values that the log keeps.

        Raises:
            OutputInvalid: it does not fit the type, which must have changed since.
        """
        try:
            return self._shape.check(logged) if self._shape else logged
        except ValueError as fault:
            raise OutputInvalid(
                f"The log's output does not fit {self._wanted.type!r}: {fault}"
            ) from fault

    def partial(self, emit: Callable[..., None]) -> Callable[[Delta], None]:
        """Return `emit` that also tells the output as far as it is written."""
        return _Partial(emit, self.tool_name) if self._shape else emit

    async def _of_calls(self, run: Run) -> Any:
        standing = run.standing
        wrong = ""
        for call in standing.calls.values():
            result = standing.results.get(call.id)
            if self._tool is None or call.name != self._tool.name or result is None:
                continue
            if result.status == "ok":
                return self._tool.validate(standing.started[call.id].arguments)["output"]
            wrong = result.content
        if wrong and standing.refusals > self._retries:
            raise self._invalid(wrong)
        return UNFINISHED

    async def _guarded(self, run: Run, value: Any) -> Any:
        reason = await refusal(self._guards, value)
        if reason is None:
            return value
        if run.standing.refusals >= self._retries:
            raise GuardrailTripped(
                f"The output was refused {run.standing.refusals + 1} times, last because: {reason}",
                "output",
            )
        await run.append([Reminder(topic="guardrail", content=self._again(reason))])
        return UNFINISHED

    async def _refuse(self, run: Run, why: str) -> Any:
        if run.standing.refusals >= self._retries:
            raise self._invalid(why)
        await run.append([Reminder(topic="output", content=why)])
        return UNFINISHED

    def _advice(self, fault: str) -> str:
        if self._tool:
            return (
                f"That is not the answer yet: give it by calling {self._tool.name}, whose "
                "arguments are checked."
            )
        return f"{fault}\nAnswer again with the corrected JSON only."

    def _again(self, reason: str) -> str:
        return f"Your answer was refused: {reason}\nAnswer again with that mended."

    def _invalid(self, why: str) -> OutputInvalid:
        return OutputInvalid(
            f"The model gave no valid {self._wanted.type!r} in {self._retries + 1} tries. {why} "
            "Simplify the type, or allow more with Guardrails(retries=...)."
        )

    def _make_tool(self) -> Tool:
        wanted = self._wanted
        assert self._shape is not None
        kind: Any = wanted.type
        if self._shape.is_wrapped:
            kind = cast("Any", TypedDict)("Wrapped", {"value": wanted.type})
        schema, check = validator(kind, wanted.tool)
        wrapped = self._shape.is_wrapped

        def validate(given: Mapping[str, Any]) -> dict[str, Any]:
            value = check(given)
            return {"output": value["value"] if wrapped else value}

        async def accept(output: Any) -> str:
            if reason := await refusal(self._guards, output):
                raise ToolError(self._again(reason))
            return ACCEPTED

        said = wanted.description or _own_docstring(wanted.type)
        return Tool(
            name=wanted.tool,
            description=f"Give your final answer; the task ends with it. {said}".rstrip(),
            parameters=schema,
            function=accept,
            validate=validate,
            is_async=True,
        )


class _Partial:
    """Reads the output while it is written; looks again after each few percent of it."""

    def __init__(self, emit: Callable[..., None], tool: str | None) -> None:
        self._emit = emit
        self._tool = tool
        self._begin()

    def _begin(self) -> None:
        self._index: int | None = None
        self._text = ""
        self._look_at = 0
        self._last: Any = None

    def __call__(self, delta: Delta) -> None:
        self._emit(delta)
        if isinstance(delta, ReplyRestarted):
            self._begin()
        elif self._tool is None:
            if isinstance(delta, TextDelta):
                self._take(delta.text)
        elif isinstance(delta, ArgumentsDelta):
            if delta.name == self._tool and self._index is None:
                self._index = delta.index
            if delta.index == self._index:
                self._take(delta.text)

    def _take(self, text: str) -> None:
        self._text += text
        if len(self._text) < self._look_at and not self._text.endswith("}"):
            return
        self._look_at = len(self._text) + len(self._text) // 50
        try:
            value = from_json(self._text, allow_partial="trailing-strings")
        except ValueError:
            return
        if isinstance(value, dict) and value and value != self._last:
            self._last = cast("Any", value)
            self._emit(PartialOutput(self._last))


def _own_docstring(kind: Any) -> str:
    """Return a class's docstring, unless Python wrote it."""
    said = str(getattr(kind, "__doc__", None) or "")
    made = said.startswith((f"{getattr(kind, '__name__', '')}(", "dict(", "list("))
    return "" if made or not isinstance(kind, type) or kind in (dict, list) else said.strip()


def encoded(output: Any) -> Any:
    """Return an output as the log keeps it: JSON values."""
    return output if isinstance(output, str) else from_json(to_json(output))
