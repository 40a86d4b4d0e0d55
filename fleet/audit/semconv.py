"""The names of OpenTelemetry's semantic conventions that spans carry, pinned to one version.

Version 1.41.1, the last release that holds the GenAI conventions (status: development). They have since moved to
open-telemetry/semantic-conventions-genai, which has no release yet; when it has one, this is the file to change. There
`cache_creation` is about to be called `cache_write`. A trace says which version it follows by `SCHEMA_URL`.

What the conventions have no name for is under `fleet.`, and the names of events begin with `dispatch.`.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_NAME", "CHAT", "COMPLETED", "CONVERSATION_ID", "DECISION_MADE", "ERROR_TYPE", "EXECUTE_TOOL",
    "FAILED", "INPUT_MESSAGES", "INVOKE_AGENT", "OPERATION_NAME", "OUTPUT_MESSAGES", "PROMPT_NAME",
    "PROVIDER_NAME", "REQUEST_CREATED", "REQUEST_MODEL", "RESPONSE_FINISH_REASONS", "RESPONSE_MODEL",
    "SCHEDULED", "SCHEMA_URL", "SERVICE_NAME", "SERVICE_VERSION", "SYSTEM_INSTRUCTIONS", "TAKEN_OVER",
    "TOOL_CALL_ARGUMENTS", "TOOL_CALL_ID", "TOOL_CALL_RESULT", "TOOL_NAME", "TOOL_TYPE",
    "USAGE_CACHE_CREATION_INPUT_TOKENS", "USAGE_CACHE_READ_INPUT_TOKENS", "USAGE_INPUT_TOKENS",
    "USAGE_OUTPUT_TOKENS", "USER_ID",
]  # fmt: skip

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.1"

# Stable, or of other rooms than GenAI.
ERROR_TYPE: Final = "error.type"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
USER_ID: Final = "user.id"

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
PROMPT_NAME: Final = "gen_ai.prompt.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"  # those read from and written to a cache included
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION_INPUT_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"

# Content: opt-in. On spans they are JSON in a string.
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"

# Values of gen_ai.operation.name; a span's name is the operation and what it is about: "chat claude-haiku-4-5".
CHAT: Final = "chat"
INVOKE_AGENT: Final = "invoke_agent"
EXECUTE_TOOL: Final = "execute_tool"

# Events of a message's own span: the transitions that `fleet dispatch trace` tells of.
REQUEST_CREATED: Final = "dispatch.request.created"
DECISION_MADE: Final = "dispatch.decision.made"
SCHEDULED: Final = "dispatch.scheduled"
COMPLETED: Final = "dispatch.completed"
FAILED: Final = "dispatch.failed"
TAKEN_OVER: Final = "dispatch.taken_over"
