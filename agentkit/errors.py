"""Every error that agentkit raises, and who has to act on it.

    AgentkitError
    ├── ConfigError              the caller: wrong argument, setting or definition
    │   └── ToolDefinitionError    a function cannot become a tool
    ├── ToolError                the model: raised by a tool, told to the model as its result
    ├── ModelError               the provider or its operator
    │   ├── AuthenticationFailed   wrong, missing or expired key
    │   ├── BalanceExhausted       no balance or no package; not cured by waiting
    │   ├── QuotaExhausted         plan quota used up until a reset time
    │   ├── RequestRejected        the request itself is wrong; a retry sends the same
    │   ├── PromptTooLong          the context layer has to shorten the prompt
    │   ├── ContentRefused         policy of the provider
    │   ├── RateLimited            too many requests in flight; waiting helps
    │   ├── Overloaded             the platform is busy; waiting for minutes helps
    │   ├── ServerFault            the provider failed; a retry may help
    │   ├── ConnectionFailed       nothing answered at that address
    │   ├── StreamBroken           the answer stopped in the middle
    │   ├── EmptyReply             a complete answer with nothing in it
    │   ├── ToolCallLost           the server speaks of tool calls but sent none
    │   ├── UnexpectedResponse     not the protocol: an HTML page, a proxy
    │   └── PartFailed             a part of a long text could not be worked on
    ├── RunError                 one run
    │   ├── LimitExceeded          turns, dollars or seconds
    │   ├── OutputInvalid          no output of the wanted type
    │   ├── PrefixMoved            the prompt's prefix changed without a logged edit
    │   ├── GuardrailTripped       a guardrail refused an input, a reply or an output
    │   ├── LoopDetected           the model repeats a call that gives the same result
    │   ├── RunChanged             tools, instructions or model differ from the log's
    │   ├── StepInterrupted        a workflow's step was cut and must not be done twice
    │   └── ReplayDiverged         a replay asks for what the log does not have
    └── StoreError               the log
        ├── SequenceConflict       another writer appended first
        ├── RunTaken               another worker holds the run, or took it over
        ├── RunNotFound            no such run, or an ambiguous prefix of an id
        └── LogUnreadable          damaged, or written by a newer version

No message ever contains a key: the model layer never puts headers into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


class AgentkitError(Exception):
    """Root of all errors that agentkit raises on purpose."""


class ConfigError(AgentkitError):
    """The caller gave a wrong argument or setting; the message names the right one."""


class ToolDefinitionError(ConfigError):
    """A function cannot become a tool; the message names the parameter."""


class ToolError(AgentkitError):
    """Raise it in a tool to tell the model what went wrong and what to do instead."""


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """What the provider said about a failed request.

    Attributes:
        status: HTTP status, or None when there was no HTTP answer.
        code: business code as text (Z.ai: "1113"), or None.
        message: the provider's own words, clipped.
        request_id: the provider's id of the request, for support.
        retry_after: seconds that the provider asks to wait (Retry-After), or None.
    """

    status: int | None = None
    code: str | None = None
    message: str = ""
    request_id: str | None = None
    retry_after: float | None = None


class ModelError(AgentkitError):
    """The model could not be asked, or did not answer as its protocol says.

    Attributes:
        fault: what the provider said, as data.
        retryable: whether sending the same request again can succeed.
    """

    retryable = False

    def __init__(self, message: str, fault: ProviderFault | None = None) -> None:
        super().__init__(message)
        self.fault = fault or ProviderFault()


class AuthenticationFailed(ModelError):
    """The key is wrong, missing or expired (HTTP 401, codes 1000-1005)."""


class BalanceExhausted(ModelError):
    """No balance or package (code 1113, an HTTP 429 that waiting does not cure)."""


class QuotaExhausted(ModelError):
    """A plan's quota is used up (codes 1304, 1308, 1310, 1313, 1316-1321).

    Attributes:
        resets_at: when it is filled again, in UTC, if the provider's message says so.
    """

    resets_at: datetime | None = None


class RequestRejected(ModelError):
    """The request is wrong (codes 1210-1215, 1220-1222); the same request fails again."""


class PromptTooLong(ModelError):
    """The prompt does not fit (code 1261, or 1210 with a text about tokens)."""


class ContentRefused(ModelError):
    """The provider's content policy refused (codes 1300, 1301, finish reason `sensitive`)."""


class RateLimited(ModelError):
    """Too many requests in flight (code 1302, 1303)."""

    retryable = True


class Overloaded(ModelError):
    """The platform is busy (code 1305, 1312, HTTP 529 or 503)."""

    retryable = True


class ServerFault(ModelError):
    """The provider failed inside (HTTP 5xx, codes 1200, 1230, 1234)."""

    retryable = True


class ConnectionFailed(ModelError):
    """No connection, or it broke before the first byte of an answer."""

    retryable = True


class StreamBroken(ModelError):
    """The stream ended in the middle of an answer."""

    retryable = True


class EmptyReply(ModelError):
    """A complete answer without text, thinking or tool call."""

    retryable = True


class ToolCallLost(ModelError):
    """The server says that the model called tools, and sent no call (vllm#44326)."""

    retryable = True


class UnexpectedResponse(ModelError):
    """The answer is not the protocol, such as an HTML page of a proxy."""


class PartFailed(ModelError):
    """A part of a long text got no answer, after all retries; the cause says why.

    Attributes:
        position: the part, from 1.
        answers: what other parts were answered, by position: it has been paid for.
    """

    def __init__(
        self, message: str, position: int, answers: Mapping[int, str], fault: ProviderFault
    ) -> None:
        super().__init__(message, fault)
        self.position = position
        self.answers = answers


class RunError(AgentkitError):
    """A run could not reach its end."""


class LimitExceeded(RunError):
    """A limit of the run was reached.

    Attributes:
        limit: "turns", "cost_usd" or "seconds".
    """

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class OutputInvalid(RunError):
    """The model gave no output of the type that the caller asked for."""


class PrefixMoved(RunError):
    """The next prompt does not begin with the last one, and no logged edit says why."""


class GuardrailTripped(RunError):
    """A guardrail refused, and telling the model why did not help or could not.

    Attributes:
        stage: "input", "reply" or "output".
    """

    def __init__(self, message: str, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class LoopDetected(RunError):
    """The model made the same call with the same result again and again, although told."""


class RunChanged(RunError):
    """A run cannot go on as it was: its tools, instructions or model differ from the log's.

    Attributes:
        changed: "model", "instructions" and "tools", as far as they differ.
    """

    def __init__(self, message: str, changed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.changed = changed


class StepInterrupted(RunError):
    """A step of a workflow that was marked `once` was cut in the middle."""


class ReplayDiverged(RunError):
    """A replay asks the model something else than the recorded run did."""


class StoreError(AgentkitError):
    """The log could not be read or written."""


class SequenceConflict(StoreError):
    """Another writer appended to the run first; load it again before going on."""


class RunTaken(StoreError):
    """Another worker holds the run; what this one still does to it must stop."""


class RunNotFound(StoreError):
    """No run has this id, or several runs share this prefix of an id."""


class LogUnreadable(StoreError):
    """The log is damaged, or a newer version of agentkit wrote it."""
