"""How an endpoint differs on the wire, as data: one frozen record for each dialect.

Sources stand beside each record. "Protocol page" means the project's own collection of measured
facts; recorded traffic lies in tests/recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

OPENAI_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "top_p",
        "tools",
        "tool_choice",
        "stop",
        "response_format",
    }
)
"""Fields that every OpenAI-compatible server takes."""

ZAI_FIELDS = (OPENAI_FIELDS - {"stream_options"}) | {
    "do_sample",
    "thinking",
    "reasoning_effort",
    "tool_stream",
    "request_id",
    "user_id",
}
"""Z.ai's request fields; the documented set is closed (docs.z.ai chat-completion)."""

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Words for how much a model thinks (docs.z.ai chat-completion)."""

Switch = Literal["zai", "openrouter", "template", "effort", "enable", "none"]
EffortPlace = Literal["field", "reasoning", "template", "none"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an endpoint differs on the wire.

    Attributes:
        fields: request fields that it takes; a request never holds another. `tool_stream`,
            `stream_options` and `usage` in it say that it takes these.
        thinking: where thinking is switched, and earlier thinking kept:
            "zai": `thinking: {type, clear_thinking}`;
            "openrouter": `reasoning: {enabled}`, kept by replaying it;
            "template": `chat_template_kwargs: {enable_thinking, clear_thinking}`;
            "effort": `reasoning_effort: "none"`, kept by `reasoning_history` where it is a field;
            "enable": `enable_thinking`, no word for keeping;
            "none": nowhere.
        replay: assistant fields that carry earlier thinking back, all of them with the same text.
        blocks: whether `reasoning_details` go back unmodified instead, when the reply had them.
        effort: where the effort goes: the field `reasoning_effort`, into `reasoning`, into the
            template's arguments, or nowhere.
        efforts: efforts that it takes by these names; the others are said in the words of the
            model's chat template, which knows fewer.
        keeps_thinking: whether the thinking of earlier user turns stays in the prompt unless told
            otherwise. False means that `clear_thinking: false` has to be said.
        tool_choice: values of `tool_choice` that it takes.
        max_stops: most stop strings; None for no known limit.
        max_tokens: most tokens of one answer, whatever the model; None for no known limit.
        max_temperature: highest temperature.
        quirks: what else to know, in words, each with its source.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    fields: frozenset[str] = OPENAI_FIELDS
    thinking: Switch = "none"
    replay: tuple[str, ...] = ("reasoning_content",)
    blocks: bool = False
    effort: EffortPlace = "none"
    efforts: tuple[str, ...] = ()
    keeps_thinking: bool = False
    tool_choice: tuple[str, ...] = ("auto",)
    max_stops: int | None = 4
    max_tokens: int | None = None
    max_temperature: float = 1.0
    quirks: tuple[str, ...] = ()

    @property
    def can_switch(self) -> bool:
        """Whether a request can switch thinking on and off."""
        return self.thinking != "none"

    @property
    def can_clear(self) -> bool:
        """Whether a request can say what becomes of earlier thinking."""
        return self.thinking in {"zai", "template"} or "reasoning_history" in self.fields


ZAI = Dialect(
    ZAI_FIELDS,
    "zai",
    effort="field",
    efforts=EFFORTS,
    max_stops=1,
    max_tokens=131_072,
    quirks=(
        "usage rides on the finish chunk, without stream_options (recorded)",
        (
            "tool_choice other than auto: 400 since Sep 2026 (vectorize-io/hindsight#4246); any "
            "tool_choice without tools: 1210 (code-yeongyu/oh-my-openagent#6753)"
        ),
        "a request without a user message: 1214 (anomalyco/opencode#2557)",
        (
            "reasoning_effort: all seven words accepted, another gives 1210; models before 5.2 "
            "ignore it (stefandevo/glm-acp-agent#74)"
        ),
        "one stop string on the international endpoint (docs.z.ai chat-completion)",
        (
            "earlier user turns lose their thinking unless clear_thinking is false (docs.z.ai "
            "thinking-mode)"
        ),
    ),
)

ZAI_CODING = replace(
    ZAI,
    keeps_thinking=True,
    quirks=(
        *ZAI.quirks[:-1],
        "earlier thinking is kept by default (docs.z.ai thinking-mode)",
        "stream_options is accepted and has no effect (recorded); we do not send it",
    ),
)

BIGMODEL = replace(
    ZAI,
    max_stops=4,
    quirks=(*ZAI.quirks[:4], "up to four stop strings (docs.bigmodel.cn schema)", ZAI.quirks[5]),
)

BIGMODEL_CODING = replace(ZAI_CODING, max_stops=4, quirks=BIGMODEL.quirks[:5])

OPENROUTER = Dialect(
    OPENAI_FIELDS | {"reasoning", "usage"},
    "openrouter",
    replay=("reasoning",),
    blocks=True,
    effort="reasoning",
    efforts=EFFORTS,
    keeps_thinking=True,
    quirks=(
        "comment lines, null contents and two chunks with a finish reason (recorded)",
        (
            "reasoning_details replayed unmodified grow the next prompt by exactly their tokens "
            "(recorded); efforts none to max (openrouter.ai ChatRequestReasoningEffort)"
        ),
        "the upstream may be another than Z.AI, with another price and template",
    ),
)

VLLM = Dialect(
    OPENAI_FIELDS | {"chat_template_kwargs"},
    "template",
    replay=("reasoning_content", "reasoning"),
    effort="template",
    tool_choice=("auto", "none", "required"),
    max_stops=None,
    max_temperature=2.0,
    quirks=(
        (
            "thinking comes back as `reasoning` since vllm#27752 and #33402, before that as "
            "`reasoning_content`; both are sent back, so that every version finds its own "
            "(vllm-project/router#115)"
        ),
        (
            "needs --enable-auto-tool-choice --tool-call-parser glm47 --reasoning-parser glm45; "
            "cached_tokens only with --enable-prompt-tokens-details (zai-org/GLM-5 README)"
        ),
        "chat_template_kwargs may replace the server's defaults instead of joining them",
        "an effort that the template does not know becomes max (Modular tests)",
    ),
)

SGLANG = replace(
    VLLM,
    replay=("reasoning_content",),
    quirks=(
        "needs --tool-call-parser glm47 --reasoning-parser glm45 (zai-org/GLM-5 README)",
        "streamed arguments may differ from unstreamed ones (sglang#35564, #36688)",
        VLLM.quirks[3],
    ),
)

NIM = Dialect(
    OPENAI_FIELDS | {"chat_template_kwargs", "reasoning_effort"},
    "template",
    effort="field",
    quirks=(
        "unknown fields are refused; tool_stream gives 400 (Gitlawb/openclaude#1950)",
        "argument streams may lack a brace (sglang#19345); the catalogue changes unannounced",
    ),
)

OLLAMA = Dialect(
    (OPENAI_FIELDS - {"tool_choice"}) | {"reasoning_effort"},
    "effort",
    replay=("reasoning",),
    effort="field",
    max_stops=None,
    max_temperature=2.0,
    quirks=(
        (
            "thinking is switched by reasoning_effort, none to switch it off (docs.ollama.com "
            "openai-compatibility)"
        ),
        "first characters of an answer reported missing in 10-20 % of replies (zai-org/GLM-5#19)",
    ),
)

ALIBABA = Dialect(
    OPENAI_FIELDS | {"enable_thinking"},
    "enable",
    max_tokens=16_384,
    quirks=(
        (
            "enable_thinking stands at the top level; answers up to 16,384 tokens, thinking up to "
            "32,768 (alibabacloud.com model-studio/glm)"
        ),
        "no documented way to keep the thinking of earlier user turns in the prompt",
    ),
)

FIREWORKS = Dialect(
    OPENAI_FIELDS | {"reasoning_effort", "reasoning_history"},
    "effort",
    effort="field",
    quirks=(
        (
            "efforts none, high, max on GLM-5 to 5.2, low too on 5.3 (docs.fireworks.ai reasoning, "
            "anomalyco/models.dev#6237); reasoning_history preserved keeps earlier thinking "
            "(docs.fireworks.ai thinking-history)"
        ),
        "a template tag may end function.name (fw-ai-external/python-sdk#119)",
    ),
)

PLAIN = Dialect(
    quirks=(
        (
            "gets only what every OpenAI-compatible server takes; a reseller that passes Z.ai's "
            "fields on is better named provider='zai'"
        ),
    )
)
