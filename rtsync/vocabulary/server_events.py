"""The server events, one class each (protocol section 3), named after the type: ``response.done`` is ``ResponseDone``.

Two names give way to exceptions: ``error`` is ``ErrorEvent`` and ``session.closed`` is ``SessionClosedEvent``.

The annotations are for editors and type checkers. At run time nothing is validated: an event holds exactly what came,
and a field that is not there raises ``AttributeError``, as with any ``Event``. ``X | None`` is what may be absent or
null.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from rtsync.vocabulary.events import Event, filled, quick

if TYPE_CHECKING:  # They are many, and only type checkers read them.
    from rtsync.vocabulary import shapes

__all__ = [
    "SERVER_EVENTS",
    "ConversationCreated",
    "ConversationItemAdded",
    "ConversationItemCreated",
    "ConversationItemDeleted",
    "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted",
    "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed",
    "ConversationItemInputAudioTranscriptionSegment",
    "ConversationItemRetrieved",
    "ConversationItemTruncated",
    "ErrorEvent",
    "InputAudioBufferCleared",
    "InputAudioBufferCommitted",
    "InputAudioBufferDtmfEventReceived",
    "InputAudioBufferSpeechStarted",
    "InputAudioBufferSpeechStopped",
    "InputAudioBufferTimeoutTriggered",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
    "RateLimitsUpdated",
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseItemEvent",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
    "ResponsePartEvent",
    "ServerEvent",
    "SessionClosedEvent",
    "SessionCreated",
    "SessionInputTranscriptDelta",
    "SessionOutputAudioDelta",
    "SessionOutputTranscriptDelta",
    "SessionUpdated",
    "event_class",
    "made",
    "typed",
]


class ServerEvent(Event):
    """What all server events have.

    Attributes:
        event_id: the service's id of this event, event_...
    """

    __slots__ = ()
    event_id: str


class ResponseItemEvent(ServerEvent):
    """What events about an item of a response have.

    Attributes:
        response_id: the response concerned.
        item_id: the item concerned.
        output_index: position of the item in the response's output, from 0.
    """

    __slots__ = ()
    response_id: str
    item_id: str
    output_index: int


class ResponsePartEvent(ResponseItemEvent):
    """What events about a part of an item of a response have.

    Attributes:
        content_index: position of the part in the item's content, from 0.
    """

    __slots__ = ()
    content_index: int


# -- the Realtime API (protocol 3.1) -----------------------------------------------------------------------------------


class ConversationCreated(ServerEvent):
    """Documented as sent right after the session's creation; not seen from GA services in 2026.

    Attributes:
        conversation: the conversation.
    """

    __slots__ = ()
    type: Literal["conversation.created"]
    conversation: shapes.Conversation


class ConversationItemAdded(ServerEvent):
    """An item entered the conversation: the client created it, audio was committed, or the model began it.

    Attributes:
        previous_item_id: the item before it; null when it is the first.
        item: the item.
    """

    __slots__ = ()
    type: Literal["conversation.item.added"]
    previous_item_id: str | None
    item: shapes.Item


class ConversationItemCreated(ServerEvent):
    """The preview's name for an item that entered the conversation; not seen from GA services. On preview endpoints it
    is translated.

    Attributes:
        previous_item_id: the item before it; null when it is the first.
        item: the item.
    """

    __slots__ = ()
    type: Literal["conversation.item.created"]
    previous_item_id: str | None
    item: shapes.Item


class ConversationItemDeleted(ServerEvent):
    """``conversation.item.delete`` succeeded.

    Attributes:
        item_id: the item concerned.
    """

    __slots__ = ()
    type: Literal["conversation.item.deleted"]
    item_id: str


class ConversationItemDone(ServerEvent):
    """The item is final.

    Attributes:
        previous_item_id: the item before it; null when it is the first.
        item: the item.
    """

    __slots__ = ()
    type: Literal["conversation.item.done"]
    previous_item_id: str | None
    item: shapes.Item


class ConversationItemInputAudioTranscriptionCompleted(ServerEvent):
    """The transcript of an input is final; comes before, during or after the response.

    Attributes:
        item_id: the item concerned.
        content_index: position of the part in the item's content, from 0.
        transcript: the whole transcript.
        usage: what it cost.
        languages: languages heard in the audio; gpt-transcribe.
        logprobs: how sure each token is, when ``include`` asks for it.
    """

    __slots__ = ()
    type: Literal["conversation.item.input_audio_transcription.completed"]
    item_id: str
    content_index: int
    transcript: str
    usage: shapes.TranscriptionUsage
    languages: shapes.Array[shapes.Language] | None
    logprobs: shapes.Array[shapes.LogProb] | None


class ConversationItemInputAudioTranscriptionDelta(ServerEvent):
    """A fragment of an input's transcript; several with streaming models, one with whisper-1.

    Attributes:
        item_id: the item concerned.
        content_index: position of the part in the item's content, from 0.
        delta: the next fragment of the transcript.
        logprobs: how sure each token is, when ``include`` asks for it.
        obfuscation: random padding; ignore it.
    """

    __slots__ = ()
    type: Literal["conversation.item.input_audio_transcription.delta"]
    item_id: str
    content_index: int | None
    delta: str | None
    logprobs: shapes.Array[shapes.LogProb] | None
    obfuscation: str | None


class ConversationItemInputAudioTranscriptionFailed(ServerEvent):
    """An input could not be transcribed.

    Attributes:
        item_id: the item concerned.
        content_index: position of the part in the item's content, from 0.
        error: what went wrong.
    """

    __slots__ = ()
    type: Literal["conversation.item.input_audio_transcription.failed"]
    item_id: str
    content_index: int
    error: shapes.TranscriptionError


class ConversationItemInputAudioTranscriptionSegment(ServerEvent):
    """Somebody's part of the transcript was told apart.

    Attributes:
        item_id: the item concerned.
        content_index: position of the part in the item's content, from 0.
        id: id of the segment.
        end: where it ends, in seconds.
        speaker: label of the speaker.
        start: where it begins, in seconds.
        text: the words of the segment.
    """

    __slots__ = ()
    type: Literal["conversation.item.input_audio_transcription.segment"]
    item_id: str
    content_index: int
    id: str
    end: float
    speaker: str
    start: float
    text: str


class ConversationItemRetrieved(ServerEvent):
    """Answers ``conversation.item.retrieve``; the item has its audio bytes.

    Attributes:
        item: the item.
    """

    __slots__ = ()
    type: Literal["conversation.item.retrieved"]
    item: shapes.Item


class ConversationItemTruncated(ServerEvent):
    """``conversation.item.truncate`` succeeded.

    Attributes:
        item_id: the item concerned.
        content_index: position of the part in the item's content, from 0.
        audio_end_ms: where it was cut, in milliseconds.
    """

    __slots__ = ()
    type: Literal["conversation.item.truncated"]
    item_id: str
    content_index: int
    audio_end_ms: int


class ErrorEvent(ServerEvent):
    """A client event was refused, or the service failed; the session stays open in most cases.

    Attributes:
        error: what went wrong.
    """

    __slots__ = ()
    type: Literal["error"]
    error: shapes.ErrorObject


class InputAudioBufferCleared(ServerEvent):
    """Answers ``input_audio_buffer.clear``."""

    __slots__ = ()
    type: Literal["input_audio_buffer.cleared"]


class InputAudioBufferCommitted(ServerEvent):
    """The input buffer became a user message, by the client's word or by voice detection.

    Attributes:
        item_id: the user message that is about to be added.
        previous_item_id: the item that it will follow; null when it is the first.
    """

    __slots__ = ()
    type: Literal["input_audio_buffer.committed"]
    item_id: str
    previous_item_id: str | None


class InputAudioBufferDtmfEventReceived(Event):
    """A key was pressed on the telephone; SIP only. The one event without an ``event_id``.

    Attributes:
        event: the key: 0 to 9, *, #, A to D.
        received_at: when, in Unix seconds.
    """

    __slots__ = ()
    type: Literal["input_audio_buffer.dtmf_event_received"]
    event: str
    received_at: int


class InputAudioBufferSpeechStarted(ServerEvent):
    """Voice detection heard speech begin.

    Attributes:
        item_id: id that the user message will have.
        audio_start_ms: milliseconds from the first audio of the session, prefix padding included.
    """

    __slots__ = ()
    type: Literal["input_audio_buffer.speech_started"]
    item_id: str
    audio_start_ms: int


class InputAudioBufferSpeechStopped(ServerEvent):
    """Voice detection decided that the turn has ended; not sent when the client commits.

    Attributes:
        item_id: as in ``input_audio_buffer.speech_started``.
        audio_end_ms: milliseconds from the first audio of the session, with the silence that ended the turn.
    """

    __slots__ = ()
    type: Literal["input_audio_buffer.speech_stopped"]
    item_id: str
    audio_end_ms: int


class InputAudioBufferTimeoutTriggered(ServerEvent):
    """Nobody spoke for ``idle_timeout_ms`` after the last response was played.

    Attributes:
        item_id: the item made of the silence.
        audio_end_ms: milliseconds from the first audio of the session to the moment the time was up.
        audio_start_ms: milliseconds from the first audio of the session to the end of the last response's
            playback.
    """

    __slots__ = ()
    type: Literal["input_audio_buffer.timeout_triggered"]
    item_id: str
    audio_end_ms: int
    audio_start_ms: int


class McpListToolsCompleted(ServerEvent):
    """The tools of an MCP server are listed.

    Attributes:
        item_id: the item concerned.
    """

    __slots__ = ()
    type: Literal["mcp_list_tools.completed"]
    item_id: str


class McpListToolsFailed(ServerEvent):
    """The tools of an MCP server could not be listed.

    Attributes:
        item_id: the item concerned.
    """

    __slots__ = ()
    type: Literal["mcp_list_tools.failed"]
    item_id: str


class McpListToolsInProgress(ServerEvent):
    """The service is listing the tools of an MCP server.

    Attributes:
        item_id: the item concerned.
    """

    __slots__ = ()
    type: Literal["mcp_list_tools.in_progress"]
    item_id: str


class OutputAudioBufferCleared(ServerEvent):
    """The playback was cut, by voice detection or by ``output_audio_buffer.clear``; WebRTC and SIP only.

    Attributes:
        response_id: the response concerned.
    """

    __slots__ = ()
    type: Literal["output_audio_buffer.cleared"]
    response_id: str


class OutputAudioBufferStarted(ServerEvent):
    """The playback begins, after ``response.content_part.added``; WebRTC and SIP only.

    Attributes:
        response_id: the response concerned.
    """

    __slots__ = ()
    type: Literal["output_audio_buffer.started"]
    response_id: str


class OutputAudioBufferStopped(ServerEvent):
    """The playback has ended, after ``response.done``; WebRTC and SIP only.

    Attributes:
        response_id: the response concerned.
    """

    __slots__ = ()
    type: Literal["output_audio_buffer.stopped"]
    response_id: str


class RateLimitsUpdated(ServerEvent):
    """What is left of the limits; documented for the start of a response, seen after ``response.done``.

    Attributes:
        rate_limits: the limits, one each.
    """

    __slots__ = ()
    type: Literal["rate_limits.updated"]
    rate_limits: shapes.Array[shapes.RateLimit]


class ResponseContentPartAdded(ResponsePartEvent):
    """A part of an assistant's message begins.

    Attributes:
        part: the part; its type is text or audio.
    """

    __slots__ = ()
    type: Literal["response.content_part.added"]
    part: shapes.ContentPart


class ResponseContentPartDone(ResponsePartEvent):
    """A part of an assistant's message is finished, or was cut short.

    Attributes:
        part: the part; its type is text or audio.
    """

    __slots__ = ()
    type: Literal["response.content_part.done"]
    part: shapes.ContentPart


class ResponseCreated(ServerEvent):
    """A response begins: the client asked, voice detection, or the idle timeout. Its status is in_progress.

    Attributes:
        response: the response.
    """

    __slots__ = ()
    type: Literal["response.created"]
    response: shapes.ResponseObject


class ResponseDone(ServerEvent):
    """A response ended, whatever its status; sent once for each.

    Attributes:
        response: the response.
    """

    __slots__ = ()
    type: Literal["response.done"]
    response: shapes.ResponseObject


class ResponseFunctionCallArgumentsDelta(ResponseItemEvent):
    """A fragment of a function call's arguments.

    Attributes:
        call_id: ties the function's output to the call.
        delta: the next fragment of the arguments' JSON text.
    """

    __slots__ = ()
    type: Literal["response.function_call_arguments.delta"]
    call_id: str
    delta: str


class ResponseFunctionCallArgumentsDone(ResponseItemEvent):
    """The arguments of a function call are complete, or were cut short.

    Attributes:
        call_id: ties the function's output to the call.
        name: the function.
        arguments: the whole arguments, as JSON text.
    """

    __slots__ = ()
    type: Literal["response.function_call_arguments.done"]
    call_id: str
    name: str
    arguments: str


class ResponseMcpCallCompleted(ServerEvent):
    """An MCP call returned.

    Attributes:
        item_id: the item concerned.
        output_index: position of the item in the response's output, from 0.
    """

    __slots__ = ()
    type: Literal["response.mcp_call.completed"]
    item_id: str
    output_index: int


class ResponseMcpCallFailed(ServerEvent):
    """An MCP call failed.

    Attributes:
        item_id: the item concerned.
        output_index: position of the item in the response's output, from 0.
    """

    __slots__ = ()
    type: Literal["response.mcp_call.failed"]
    item_id: str
    output_index: int


class ResponseMcpCallInProgress(ServerEvent):
    """The service is calling an MCP server.

    Attributes:
        item_id: the item concerned.
        output_index: position of the item in the response's output, from 0.
    """

    __slots__ = ()
    type: Literal["response.mcp_call.in_progress"]
    item_id: str
    output_index: int


class ResponseMcpCallArgumentsDelta(ResponseItemEvent):
    """A fragment of an MCP call's arguments.

    Attributes:
        delta: the next fragment of the arguments' JSON text.
        obfuscation: random padding; ignore it.
    """

    __slots__ = ()
    type: Literal["response.mcp_call_arguments.delta"]
    delta: str
    obfuscation: str | None


class ResponseMcpCallArgumentsDone(ResponseItemEvent):
    """The arguments of an MCP call are complete.

    Attributes:
        arguments: the whole arguments, as JSON text.
    """

    __slots__ = ()
    type: Literal["response.mcp_call_arguments.done"]
    arguments: str


class ResponseOutputAudioDelta(ResponsePartEvent):
    """A fragment of speech; comes faster than it plays.

    Attributes:
        delta: base64 samples in the session's output format.
    """

    __slots__ = ()
    type: Literal["response.output_audio.delta"]
    delta: str


class ResponseOutputAudioDone(ResponsePartEvent):
    """An audio part is complete, or was cut short."""

    __slots__ = ()
    type: Literal["response.output_audio.done"]


class ResponseOutputAudioTranscriptDelta(ResponsePartEvent):
    """A fragment of the transcript of speech.

    Attributes:
        delta: the next fragment.
        obfuscation: random padding; ignore it.
    """

    __slots__ = ()
    type: Literal["response.output_audio_transcript.delta"]
    delta: str
    obfuscation: str | None


class ResponseOutputAudioTranscriptDone(ResponsePartEvent):
    """The transcript of an audio part is complete, or was cut short.

    Attributes:
        transcript: the whole transcript.
    """

    __slots__ = ()
    type: Literal["response.output_audio_transcript.done"]
    transcript: str


class ResponseOutputItemAdded(ServerEvent):
    """The model begins an item.

    Attributes:
        response_id: the response concerned.
        output_index: position of the item in the response's output, from 0.
        item: the item.
    """

    __slots__ = ()
    type: Literal["response.output_item.added"]
    response_id: str
    output_index: int
    item: shapes.Item


class ResponseOutputItemDone(ServerEvent):
    """An item of the model is finished, or was cut short.

    Attributes:
        response_id: the response concerned.
        output_index: position of the item in the response's output, from 0.
        item: the item.
    """

    __slots__ = ()
    type: Literal["response.output_item.done"]
    response_id: str
    output_index: int
    item: shapes.Item


class ResponseOutputTextDelta(ResponsePartEvent):
    """A fragment of text.

    Attributes:
        delta: the next fragment.
        obfuscation: random padding; ignore it.
    """

    __slots__ = ()
    type: Literal["response.output_text.delta"]
    delta: str
    obfuscation: str | None


class ResponseOutputTextDone(ResponsePartEvent):
    """A text part is complete, or was cut short.

    Attributes:
        text: the whole text.
    """

    __slots__ = ()
    type: Literal["response.output_text.done"]
    text: str


class SessionCreated(ServerEvent):
    """The first event, with the default configuration.

    Attributes:
        session: the whole configuration in effect.
    """

    __slots__ = ()
    type: Literal["session.created"]
    session: shapes.SessionObject


class SessionUpdated(ServerEvent):
    """``session.update`` was accepted.

    Attributes:
        session: the whole configuration in effect.
    """

    __slots__ = ()
    type: Literal["session.updated"]
    session: shapes.SessionObject


# -- translation (protocol 3.2) ----------------------------------------------------------------------------------------


class SessionClosedEvent(ServerEvent):
    """The last event, after ``session.close``; translation only."""

    __slots__ = ()
    type: Literal["session.closed"]


class SessionInputTranscriptDelta(ServerEvent):
    """A fragment of what was said, when ``audio.input.transcription`` is set; translation only.

    Attributes:
        delta: the next fragment.
        elapsed_ms: place in the stream, in milliseconds, in steps of 200; not an id.
    """

    __slots__ = ()
    type: Literal["session.input_transcript.delta"]
    delta: str
    elapsed_ms: int | None


class SessionOutputAudioDelta(ServerEvent):
    """A fragment of the translated speech; translation only.

    Attributes:
        delta: base64 samples; 400 ms were seen.
        channels: how many channels.
        elapsed_ms: place in the stream, in milliseconds, in steps of 200; not an id.
        format: encoding of the samples.
        sample_rate: samples in a second.
    """

    __slots__ = ()
    type: Literal["session.output_audio.delta"]
    delta: str
    channels: int | None
    elapsed_ms: int | None
    format: Literal["pcm16"] | None
    sample_rate: int | None


class SessionOutputTranscriptDelta(ServerEvent):
    """A fragment of the translation's transcript; translation only.

    Attributes:
        delta: the next fragment.
        elapsed_ms: place in the stream, in milliseconds, in steps of 200; not an id.
    """

    __slots__ = ()
    type: Literal["session.output_transcript.delta"]
    delta: str
    elapsed_ms: int | None


SERVER_EVENTS: dict[str, type[Event]] = {
    "conversation.created": ConversationCreated,
    "conversation.item.added": ConversationItemAdded,
    "conversation.item.created": ConversationItemCreated,
    "conversation.item.deleted": ConversationItemDeleted,
    "conversation.item.done": ConversationItemDone,
    "conversation.item.input_audio_transcription.completed": ConversationItemInputAudioTranscriptionCompleted,
    "conversation.item.input_audio_transcription.delta": ConversationItemInputAudioTranscriptionDelta,
    "conversation.item.input_audio_transcription.failed": ConversationItemInputAudioTranscriptionFailed,
    "conversation.item.input_audio_transcription.segment": ConversationItemInputAudioTranscriptionSegment,
    "conversation.item.retrieved": ConversationItemRetrieved,
    "conversation.item.truncated": ConversationItemTruncated,
    "error": ErrorEvent,
    "input_audio_buffer.cleared": InputAudioBufferCleared,
    "input_audio_buffer.committed": InputAudioBufferCommitted,
    "input_audio_buffer.dtmf_event_received": InputAudioBufferDtmfEventReceived,
    "input_audio_buffer.speech_started": InputAudioBufferSpeechStarted,
    "input_audio_buffer.speech_stopped": InputAudioBufferSpeechStopped,
    "input_audio_buffer.timeout_triggered": InputAudioBufferTimeoutTriggered,
    "mcp_list_tools.completed": McpListToolsCompleted,
    "mcp_list_tools.failed": McpListToolsFailed,
    "mcp_list_tools.in_progress": McpListToolsInProgress,
    "output_audio_buffer.cleared": OutputAudioBufferCleared,
    "output_audio_buffer.started": OutputAudioBufferStarted,
    "output_audio_buffer.stopped": OutputAudioBufferStopped,
    "rate_limits.updated": RateLimitsUpdated,
    "response.content_part.added": ResponseContentPartAdded,
    "response.content_part.done": ResponseContentPartDone,
    "response.created": ResponseCreated,
    "response.done": ResponseDone,
    "response.function_call_arguments.delta": ResponseFunctionCallArgumentsDelta,
    "response.function_call_arguments.done": ResponseFunctionCallArgumentsDone,
    "response.mcp_call.completed": ResponseMcpCallCompleted,
    "response.mcp_call.failed": ResponseMcpCallFailed,
    "response.mcp_call.in_progress": ResponseMcpCallInProgress,
    "response.mcp_call_arguments.delta": ResponseMcpCallArgumentsDelta,
    "response.mcp_call_arguments.done": ResponseMcpCallArgumentsDone,
    "response.output_audio.delta": ResponseOutputAudioDelta,
    "response.output_audio.done": ResponseOutputAudioDone,
    "response.output_audio_transcript.delta": ResponseOutputAudioTranscriptDelta,
    "response.output_audio_transcript.done": ResponseOutputAudioTranscriptDone,
    "response.output_item.added": ResponseOutputItemAdded,
    "response.output_item.done": ResponseOutputItemDone,
    "response.output_text.delta": ResponseOutputTextDelta,
    "response.output_text.done": ResponseOutputTextDone,
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "session.closed": SessionClosedEvent,
    "session.input_transcript.delta": SessionInputTranscriptDelta,
    "session.output_audio.delta": SessionOutputAudioDelta,
    "session.output_transcript.delta": SessionOutputTranscriptDelta,
}
"""The class of every documented type. Translation shares ``session.created``, ``session.updated`` and ``error``."""

# What every event is asked for, at hand in its class.
for _name, _class in SERVER_EVENTS.items():
    _class.type = _name
    if _name.endswith(".delta"):
        _class.delta = quick("delta")  # type: ignore[attr-defined]


_type = itemgetter("type")


def event_class(event_type: object) -> type[Event]:
    """The class of events of this type; ``Event`` for one that is not documented."""
    return SERVER_EVENTS.get(event_type, Event) if isinstance(event_type, str) else Event


def made(data: Sequence[dict[str, Any]]) -> list[Event]:
    """The events that so many JSON objects are, in GA terms, which all have a type: ``typed`` for each of them."""
    return filled(map(SERVER_EVENTS.get, map(_type, data), repeat(Event)), data)


def typed(data: dict[str, Any], wire_type: str | None = None) -> Event:
    """The event that ``data`` is, in the class of its type.

    Args:
        data: the JSON object, in GA terms; kept, not copied.
        wire_type: its type as it came over the wire, where that differs.
    """
    named = data.get("type")
    return (SERVER_EVENTS.get(named, Event) if type(named) is str else Event)(data, wire_type)
