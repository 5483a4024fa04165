"""What the documents say of server events: the official SDK's models, and the required fields of each event."""

from __future__ import annotations

import re
from typing import Any

from openai.types.beta.realtime import RealtimeServerEvent as PreviewServerEvent
from openai.types.realtime import RealtimeServerEvent, RealtimeTranslationServerEvent
from pydantic import TypeAdapter

_GA: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_TRANSLATION: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationServerEvent)
_PREVIEW: TypeAdapter[Any] = TypeAdapter(PreviewServerEvent)

_IN_A_PART = {"response_id", "item_id", "output_index", "content_index"}
_IN_A_CALL = {"response_id", "item_id", "output_index", "call_id"}
_IN_AN_ITEM = {"item_id", "content_index"}
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
# Fields every event of a type carries besides type and event_id; those that may be missing are in _OPTIONAL.
FIELDS: dict[str, set[str]] = {
    "session.created": {"session"},
    "session.updated": {"session"},
    "error": {"error"},
    "conversation.item.added": {"previous_item_id", "item"},
    "conversation.item.done": {"previous_item_id", "item"},
    "conversation.item.deleted": {"item_id"},
    "conversation.item.retrieved": {"item"},
    "conversation.item.truncated": {"item_id", "content_index", "audio_end_ms"},
    "input_audio_buffer.committed": {"previous_item_id", "item_id"},
    "input_audio_buffer.cleared": set(),
    "response.created": {"response"},
    "response.done": {"response"},
    "response.output_item.added": {"response_id", "output_index", "item"},
    "response.output_item.done": {"response_id", "output_index", "item"},
    "response.content_part.added": _IN_A_PART | {"part"},
    "response.content_part.done": _IN_A_PART | {"part"},
    "response.output_text.delta": _IN_A_PART | {"delta"},
    "response.output_text.done": _IN_A_PART | {"text"},
    "response.output_audio.delta": _IN_A_PART | {"delta"},
    "response.output_audio.done": _IN_A_PART,
    "response.output_audio_transcript.delta": _IN_A_PART | {"delta"},
    "response.output_audio_transcript.done": _IN_A_PART | {"transcript"},
    "response.function_call_arguments.delta": _IN_A_CALL | {"delta"},
    "response.function_call_arguments.done": _IN_A_CALL | {"name", "arguments"},
    "rate_limits.updated": {"rate_limits"},
    "input_audio_buffer.speech_started": {"audio_start_ms", "item_id"},
    "input_audio_buffer.speech_stopped": {"audio_end_ms", "item_id"},
    "input_audio_buffer.timeout_triggered": {"audio_start_ms", "audio_end_ms", "item_id"},
    f"{_TRANSCRIPTION}.delta": _IN_AN_ITEM | {"delta"},
    f"{_TRANSCRIPTION}.completed": _IN_AN_ITEM | {"transcript", "usage"},
    f"{_TRANSCRIPTION}.failed": _IN_AN_ITEM | {"error"},
    f"{_TRANSCRIPTION}.segment": _IN_AN_ITEM | {"id", "start", "end", "speaker", "text"},
    "mcp_list_tools.in_progress": {"item_id"},
    "mcp_list_tools.completed": {"item_id"},
    "mcp_list_tools.failed": {"item_id"},
    "response.mcp_call_arguments.delta": _IN_A_CALL - {"call_id"} | {"delta"},
    "response.mcp_call_arguments.done": _IN_A_CALL - {"call_id"} | {"arguments"},
    "response.mcp_call.in_progress": {"item_id", "output_index"},
    "response.mcp_call.completed": {"item_id", "output_index"},
    "response.mcp_call.failed": {"item_id", "output_index"},
}
_OPTIONAL = {"type", "event_id", "obfuscation", "logprobs"}
_EVENT_ID = re.compile(r"event_[0-9A-Za-z]{21}")


def check_ga(event: dict[str, Any]) -> None:
    """Fail unless the event is exactly as documented: fields, id, and the SDK's model of it."""
    assert event.keys() - _OPTIONAL == FIELDS[event["type"]], event
    assert _EVENT_ID.fullmatch(event["event_id"]), event
    model = _GA.validate_python(event)
    assert model.type == event["type"]


def check_translation(event: dict[str, Any]) -> None:
    """Fail unless the SDK's models of the translation endpoint accept the event under its own type."""
    assert _EVENT_ID.fullmatch(event["event_id"]), event
    model = _TRANSLATION.validate_python(event)
    assert model.type == event["type"]


def check_preview(event: dict[str, Any]) -> None:
    """Fail unless the SDK's preview models accept the event under its own type."""
    model = _PREVIEW.validate_python(event)
    assert model.type == event["type"]
