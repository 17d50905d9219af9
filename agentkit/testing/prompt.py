"""Prompts as GLM's chat templates render them, and what a prefix cache would serve of them.

The rules are those of the published templates (zai-org/GLM-5 and its successors on Hugging Face);
the tests compare with PyPI's `renderers`, which mirrors the same files.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from agentkit.testing.script import Json, Say

UNIT = 64
"""Tokens per unit of the prefix cache; glm-5-turbo's cached counts are multiples of 64."""
BYTES_PER_TOKEN = 4

_HEAD = (
    "\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
)
_FOOT = (
    "</tools>\n\nFor each function call, output the function name and arguments "
    "within the following XML format:\n"
    "<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>"
    "<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>"
)


def render(request: Json) -> str:
    """Return the prompt that a decoded request becomes, up to where the model goes on.

    GLM-5 and 4.7 by default; a model id with 5.1 or 5.2, or with 5.3, gets that version's rules:
    where tools stand, what becomes of earlier thinking, the line about effort.
    """
    return _Template(request).render()


class _Template:
    def __init__(self, request: Json) -> None:
        self._request = request
        self._messages: list[Json] = request["messages"]
        found = re.search(r"5[.p]([123])", str(request.get("model", "")))
        self._minor = int(found[1]) if found else 0
        thinking: Json = request.get("thinking") or request.get("chat_template_kwargs") or {}
        self._enabled = thinking.get("type", "enabled") == "enabled" and bool(
            thinking.get("enable_thinking", True)
        )
        # Cleared by default until the template of 5.3 (revision of 27 Aug 2026).
        self._clears = bool(thinking.get("clear_thinking", self._minor < 3))
        users = [at for at, one in enumerate(self._messages) if one["role"] == "user"]
        self._last_user = users[-1] if users else -1

    def render(self) -> str:
        parts = ["[gMASK]<sop>"]
        if self._minor >= 2:
            effort = str(self._request.get("reasoning_effort", "max")).capitalize()
            parts.append(f"<|system|>Reasoning Effort: {effort}")
        if tools := self._request.get("tools"):
            parts += ["<|system|>", _HEAD, *(self._tool(tool) + "\n" for tool in tools), _FOOT]
        parts += (self._message(at, one) for at, one in enumerate(self._messages))
        thinks = self._enabled or self._minor >= 3
        return "".join([*parts, "<|assistant|>", "<think>" if thinks else "</think>"])

    def _tool(self, tool: Json) -> str:
        if self._minor:
            inner: Json = tool.get("function", tool)
            tool = {
                name: value
                for name, value in inner.items()
                if name not in {"strict", "defer_loading"}
            }
        return json.dumps(tool, ensure_ascii=False)

    def _message(self, at: int, message: Json) -> str:
        content = self._text(message.get("content"))
        match message["role"]:
            case "assistant":
                return "<|assistant|>" + self._assistant(at, message, content)
            case "tool":
                # Results of 5.3 are put into call order; agentkit sends them so already.
                begins = at == 0 or self._messages[at - 1]["role"] != "tool"
                mark = "<|observation|>" if begins else ""
                return f"{mark}<tool_response>{content}</tool_response>"
            case role:
                return f"<|{role}|>{content}"

    def _assistant(self, at: int, message: Json, content: str) -> str:
        said = message.get("reasoning_content") or message.get("reasoning") or ""
        current = at > self._last_user
        kept = said if current or not self._clears else ""
        if self._minor >= 3:
            head = f"<think>{kept}</think>"
        elif kept:
            head = f"<think>{kept.strip()}</think>"
        else:
            paired = self._minor and current and self._enabled
            head = "<think></think>" if paired else "</think>"
        calls: list[Json] = message.get("tool_calls") or []
        return "".join([head, content.strip(), *map(_call, calls)])

    def _text(self, content: Any) -> str:
        if content is None:
            return "" if self._minor >= 3 else "None"
        if isinstance(content, str):
            return content
        parts = cast("list[Json]", content)
        return "".join(part["text"] for part in parts if part.get("type") == "text")


def _call(call: Json) -> str:
    function: Json = call["function"]
    try:
        arguments: Any = json.loads(function["arguments"])
    except ValueError:
        arguments = {}
    return call_text(function["name"], cast("Json", arguments))


def call_text(name: str, arguments: Json) -> str:
    """Return a call as GLM writes it: strings raw, all else as JSON."""
    pairs = (
        f"<arg_key>{key}</arg_key><arg_value>"
        f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}</arg_value>"
        for key, value in arguments.items()
    )
    return f"<tool_call>{name}{''.join(pairs)}</tool_call>"


_REMEMBERED = 128  # prompts


class PrefixCache:
    """A truthful prefix cache: what an exact-prefix cache would have served of each prompt.

    Prompts are rendered as GLM's templates do: tools first, then the messages, the thinking of
    earlier user turns dropped unless `clear_thinking` is false.
    """

    def __init__(self) -> None:
        self._prompts: list[bytes] = []

    def usage(self, request: Json, answer: Say) -> Json:
        """Return the `usage` object for an answer, and remember the prompt.

        A token is taken for four bytes; cached tokens come in units of 64.
        """
        prompt = render(request).encode()
        common = 0
        for old in reversed(self._prompts):  # the newest share most; others must go further
            if len(prompt) > common < len(old) and prompt[common] == old[common]:
                common = max(common, _common(prompt, old))
        self._prompts = [
            *(old for old in self._prompts if not prompt.startswith(old)),
            prompt,
        ][-_REMEMBERED:]
        calls = sum(len(call.name) + len(call.text()) for call in answer.calls)
        thinking = len(answer.thinking.encode()) // BYTES_PER_TOKEN
        output = max(1, (len(answer.text.encode()) + calls) // BYTES_PER_TOKEN) + thinking
        tokens = max(1, len(prompt) // BYTES_PER_TOKEN)
        return {
            "prompt_tokens": tokens,
            "completion_tokens": output,
            "total_tokens": tokens + output,
            "prompt_tokens_details": {"cached_tokens": common // BYTES_PER_TOKEN // UNIT * UNIT},
            "completion_tokens_details": {"reasoning_tokens": thinking},
        }


def _common(one: bytes, two: bytes) -> int:
    if one.startswith(two):
        return len(two)
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == two[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
