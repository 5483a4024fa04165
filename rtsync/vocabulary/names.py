"""The event types of the Realtime API, as the service writes them (protocol sections 2 and 3).

The sets hold what is documented; events of other types are delivered all the same.
"""

from __future__ import annotations

__all__ = [
    "CLIENT_TYPES",
    "PREVIEW_CLIENT_TYPES",
    "PREVIEW_SERVER_TYPES",
    "SERVER_TYPES",
    "TRANSLATION_CLIENT_TYPES",
    "TRANSLATION_SERVER_TYPES",
    "closest",
    "known_server_types",
]

CLIENT_TYPES = frozenset(
    {
        "conversation.item.create",
        "conversation.item.delete",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "input_audio_buffer.append",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "output_audio_buffer.clear",
        "response.cancel",
        "response.create",
        "session.update",
    }
)

TRANSLATION_CLIENT_TYPES = frozenset({"session.close", "session.input_audio_buffer.append", "session.update"})

PREVIEW_CLIENT_TYPES = CLIENT_TYPES | {"transcription_session.update"}

SERVER_TYPES = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.failed",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "error",
        "input_audio_buffer.cleared",
        "input_audio_buffer.committed",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.timeout_triggered",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "rate_limits.updated",
        "response.content_part.added",
        "response.content_part.done",
        "response.created",
        "response.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "session.created",
        "session.updated",
    }
)

TRANSLATION_SERVER_TYPES = frozenset(
    {
        "error",
        "session.closed",
        "session.created",
        "session.input_transcript.delta",
        "session.output_audio.delta",
        "session.output_transcript.delta",
        "session.updated",
    }
)

PREVIEW_SERVER_TYPES = frozenset(
    {
        "conversation.created",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.failed",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "error",
        "input_audio_buffer.cleared",
        "input_audio_buffer.committed",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "rate_limits.updated",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.delta",
        "response.audio_transcript.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.created",
        "response.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.text.delta",
        "response.text.done",
        "session.created",
        "session.updated",
        "transcription_session.updated",
    }
)

_KNOWN_SERVER = SERVER_TYPES | PREVIEW_SERVER_TYPES | TRANSLATION_SERVER_TYPES


def known_server_types() -> frozenset[str]:
    """Every documented server event type, all dialects together."""
    return _KNOWN_SERVER


def closest(event_type: str) -> str | None:
    """The documented server event type that ``event_type`` looks like, for a message about a typing error."""
    import difflib  # For typing errors only.

    found = difflib.get_close_matches(event_type, _KNOWN_SERVER, n=1, cutoff=0.8)
    return found[0] if found else None
