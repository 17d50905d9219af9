"""What a failed request means, by the provider's business code rather than its HTTP status.

Source of the table: Z.ai's error code page and the reports named in its comments. HTTP 429 alone
covers four different actions, so the status decides only when no code is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast

import orjson

from agentkit import errors
from agentkit.errors import ModelError, ProviderFault

_Kind = type[ModelError]

_SHORTEST_KEY = 8
"""Anything shorter, such as `x`, is given to servers that take any key, and is no secret."""

PROVIDER_ZONE = timezone(timedelta(hours=8))
_TIME = re.compile(r"(20\d\d-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)")

CODES: Mapping[str, _Kind] = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004", "1005"), errors.AuthenticationFailed),
    **dict.fromkeys(("1110", "1111", "1112", "1120", "1121"), errors.AuthenticationFailed),
    "1113": errors.BalanceExhausted,
    **dict.fromkeys(("1200", "1230", "1234"), errors.ServerFault),
    **dict.fromkeys(("1210", "1211", "1212", "1213", "1214", "1215"), errors.RequestRejected),
    **dict.fromkeys(("1220", "1221", "1222"), errors.RequestRejected),
    "1231": errors.RateLimited,
    "1261": errors.PromptTooLong,
    **dict.fromkeys(("1300", "1301"), errors.ContentRefused),
    **dict.fromkeys(("1302", "1303"), errors.RateLimited),
    "1304": errors.QuotaExhausted,
    **dict.fromkeys(("1305", "1312"), errors.Overloaded),
    **dict.fromkeys(("1308", "1310"), errors.QuotaExhausted),
    **dict.fromkeys(("1309", "1314", "1315"), errors.BalanceExhausted),
    "1311": errors.RequestRejected,
    "1313": errors.QuotaExhausted,
    **dict.fromkeys(("1316", "1317", "1318", "1319", "1320", "1321"), errors.QuotaExhausted),
}

STATUSES: Mapping[int, _Kind] = {
    401: errors.AuthenticationFailed,
    402: errors.BalanceExhausted,
    403: errors.AuthenticationFailed,
    408: errors.ServerFault,
    409: errors.RateLimited,
    429: errors.RateLimited,
    503: errors.Overloaded,
    529: errors.Overloaded,
}

FINISH_REASONS: Mapping[str, _Kind] = {
    "sensitive": errors.ContentRefused,
    "network_error": errors.ServerFault,
    "model_context_window_exceeded": errors.PromptTooLong,
}

ADVICE: Mapping[_Kind, str] = {
    errors.AuthenticationFailed: "Check ZAI_API_KEY and that it belongs to this endpoint.",
    errors.BalanceExhausted: "Add balance or a package, or use the endpoint that your plan "
    "belongs to (coding plan keys work on .../api/coding/paas/v4 only).",
    errors.QuotaExhausted: "Wait for the reset that the message names, or use another key.",
    errors.RequestRejected: "Mend the parameter that the message names; a retry cannot help.",
    errors.PromptTooLong: "Shorten the prompt or use a model with a larger window.",
    errors.ContentRefused: "The provider's content policy refused; change the content.",
    errors.RateLimited: "Run fewer requests at once with this key.",
    errors.Overloaded: "The platform is busy; try again in some minutes.",
    errors.ServerFault: "The provider failed; try again.",
    errors.UnexpectedResponse: "Check that the base URL points at an OpenAI-compatible API; "
    "/chat/completions is added to it.",
}


def from_response(
    status: int, body: bytes, content_type: str = "", retry_after: str = ""
) -> ModelError:
    """Return the error that a failed HTTP answer means.

    Args:
        status: of the HTTP answer.
        body: of the HTTP answer.
        content_type: its header.
        retry_after: its header, in seconds or as an HTTP date; "" when it was not sent.
    """
    seconds = _seconds(retry_after)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _not_json(status, body, content_type, seconds)
    return from_data(status, data, seconds)


def from_data(status: int, data: Any, retry_after: float | None = None) -> ModelError:
    """Return the error that decoded JSON means: `{"error": {...}}`, or the documented flat form."""
    fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    inner = fields.get("error", fields)
    if isinstance(inner, dict):
        told = cast("dict[str, Any]", inner)
        code = str(told.get("code") or "") or None
        message = str(told.get("message") or told.get("msg") or "")
    else:
        code, message = None, str(inner)
    request_id = str(fields.get("request_id") or "") or None
    fault = ProviderFault(status, code, message[:1000], request_id, retry_after)
    kind = _kind(fault)
    said = f"the provider said {message[:500]!r}" if message else "the provider gave no reason"
    label = f"HTTP {status}" + (f", code {code}" if code else "")
    error = kind(f"{_headline(kind)} ({label}): {said}. {ADVICE.get(kind, '')}".rstrip(), fault)
    if isinstance(error, errors.QuotaExhausted):
        error.resets_at = reset_time(message)
    return error


def reset_time(message: str) -> datetime | None:
    """Return the reset time that a quota message names, in UTC, or None.

    The messages write "2026-11-22 10:00:00" without a zone; the provider's own zone is taken
    (UTC+8, an inference: no document says it).
    """
    found = _TIME.search(message)
    if not found:
        return None
    try:
        local = datetime.fromisoformat(f"{found[1]}T{found[2]}")
    except ValueError:
        return None
    return local.replace(tzinfo=PROVIDER_ZONE).astimezone(UTC)


def _seconds(retry_after: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None."""
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


def from_finish_reason(reason: str) -> ModelError | None:
    """Return the error that a finish reason stands for, or None for an ordinary end."""
    kind = FINISH_REASONS.get(reason)
    if kind is None:
        return None
    fault = ProviderFault(200, None, f"finish_reason {reason}")
    return kind(f"{_headline(kind)} (finish_reason {reason!r}). {ADVICE[kind]}", fault)


def can_fall_back(error: ModelError) -> bool:
    """Return whether another model may answer what this one could not.

    Not after a wrong key, refused content or a prompt that is too long: those are told.
    """
    if isinstance(error, errors.RequestRejected):
        return error.fault.code in {"1211", "1311"}  # no such model, or not in this plan
    return error.retryable or isinstance(error, errors.BalanceExhausted | errors.QuotaExhausted)


def _kind(fault: ProviderFault) -> _Kind:
    status = fault.status or 0
    kind = CODES.get(fault.code or "")
    # 1210 is a catch-all that also means "tokens in request more than max tokens allowed".
    if kind is errors.RequestRejected and "token" in fault.message and "max" in fault.message:
        return errors.PromptTooLong
    if kind is not None:
        return kind
    if status in STATUSES:
        return STATUSES[status]
    return errors.ServerFault if status >= 500 else errors.RequestRejected


def _not_json(status: int, body: bytes, content_type: str, retry_after: float | None) -> ModelError:
    kind = STATUSES.get(status) or (
        errors.ServerFault if status >= 500 else errors.UnexpectedResponse
    )
    what = content_type.partition(";")[0] or "no content type"
    text = " ".join(body[:300].decode("utf-8", "replace").split())[:120]
    fault = ProviderFault(status, None, text, retry_after=retry_after)
    return kind(
        f"{_headline(kind)} (HTTP {status}): expected JSON, got {what} beginning {text!r}. "
        f"{ADVICE.get(kind, '')}".rstrip(),
        fault,
    )


_HEADLINES: Mapping[_Kind, str] = {
    errors.AuthenticationFailed: "The key was refused",
    errors.BalanceExhausted: "The account has no balance or package for this request",
    errors.QuotaExhausted: "The plan's quota is used up",
    errors.RequestRejected: "The request was rejected",
    errors.PromptTooLong: "The prompt is too long for the model",
    errors.ContentRefused: "The content was refused",
    errors.RateLimited: "Too many requests",
    errors.Overloaded: "The platform is overloaded",
    errors.ServerFault: "The provider failed",
    errors.UnexpectedResponse: "The answer is not the protocol",
}


def _headline(kind: _Kind) -> str:
    return _HEADLINES[kind]


def without_key(error: ModelError, key: str | None) -> ModelError:
    """Return the error without the key, which some servers repeat in their messages."""
    message = error.fault.message
    if not key or len(key) < _SHORTEST_KEY or key not in f"{error}{message}":
        return error
    fault = replace(error.fault, message=message.replace(key, "[key]"))
    clean = type(error)(str(error).replace(key, "[key]"), fault)
    if isinstance(clean, errors.QuotaExhausted) and isinstance(error, errors.QuotaExhausted):
        clean.resets_at = error.resets_at
    return clean
