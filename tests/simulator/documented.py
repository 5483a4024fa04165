"""What the documents say of server events: the official SDK's models, and the required fields of each event."""

from __future__ import annotations

import re
from typing import Any

from openai.types.beta.realtime import RealtimeServerEvent as PreviewServerEvent
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

_GA: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_PREVIEW: TypeAdapter[Any] = TypeAdapter(PreviewServerEvent)

_IN_A_PART = {"response_id", "item_id", "output_index", "content_index"}
_IN_A_CALL = {"response_id", "item_id", "output_index", "call_id"}
# Fields every event of a type carries besides type and event_id; `obfuscation` is the one that may be missing.
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
}
_EVENT_ID = re.compile(r"event_[0-9A-Za-z]{21}")


def check_ga(event: dict[str, Any]) -> None:
    """Fail unless the event is exactly as documented: fields, id, and the SDK's model of it."""
    assert event.keys() - {"type", "event_id", "obfuscation"} == FIELDS[event["type"]], event
    assert _EVENT_ID.fullmatch(event["event_id"]), event
    model = _GA.validate_python(event)
    assert model.type == event["type"]


def check_preview(event: dict[str, Any]) -> None:
    """Fail unless the SDK's preview models accept the event under its own type."""
    model = _PREVIEW.validate_python(event)
    assert model.type == event["type"]
