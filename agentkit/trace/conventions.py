"""Names of spans and attributes, in one place.

The GenAI semantic conventions of OpenTelemetry as of v1.41 (open-telemetry/semantic-conventions,
docs/gen-ai/gen-ai-spans.md and gen-ai-agent-spans.md; their status is "development"), and our own
under `agentkit.` for what they have no name for.
"""

from __future__ import annotations

INVOKE_AGENT = "invoke_agent"
CHAT = "chat"
EXECUTE_TOOL = "execute_tool"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
AGENT_NAME = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
THINKING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
ERROR_TYPE = "error.type"

# Content: only on request.
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"

COST = "agentkit.cost_usd"
TURNS = "agentkit.turns"
TURN = "agentkit.turn"
ATTEMPTS = "agentkit.attempts"
TOOL_STATUS = "agentkit.tool.status"
EVENT_SEQ = "agentkit.event.seq"
