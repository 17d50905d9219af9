"""What a server reports beside the words of an answer: its errors and its usage."""

from __future__ import annotations

import re
from typing import Any, cast

from agentkit.errors import ModelError
from agentkit.model import faults
from agentkit.usage import Usage

_Json = dict[str, Any]


def error_in(data: _Json) -> ModelError:
    """Return the error that a server reports where the HTTP status is 200.

    A code that is no business code of Z.ai's stands for an HTTP status (OpenRouter), and without
    any, the server failed: it had taken the request.
    """
    inner = data.get("error")
    code = cast("_Json", inner).get("code") if isinstance(inner, dict) else data.get("code")
    if str(code) in faults.CODES:
        return faults.from_data(200, data)
    status = int(str(code)) if re.fullmatch("[45][0-9][0-9]", str(code)) else 500
    return faults.from_data(status, data)


def parse_usage(data: Any) -> Usage:
    """Return the usage that a provider reports; absent figures count as 0."""
    return Usage(
        input=_count(data, "prompt_tokens"),
        cached=_count(data, "prompt_tokens_details", "cached_tokens"),
        output=_count(data, "completion_tokens"),
        thinking=_count(data, "completion_tokens_details", "reasoning_tokens"),
    )


def _count(data: Any, *path: str) -> int:
    for name in path:
        data = cast("_Json", data).get(name) if isinstance(data, dict) else None
    return max(int(data), 0) if isinstance(data, int | float) else 0
