"""What type checkers know of the methods that take an event type. Written by ``tests/events/face_writer.py``.

A type may be given under its GA or its preview name. The last overload of each method is for types that are not known
when the program is checked, and for several at once.
"""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, overload

from rtsync.session.session import Expectation, RealtimeSession, Wanted
from rtsync.threads.following import Subscription
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.server_events import (
    ConversationCreated,
    ConversationItemAdded,
    ConversationItemCreated,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemInputAudioTranscriptionSegment,
    ConversationItemRetrieved,
    ConversationItemTruncated,
    ErrorEvent,
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    InputAudioBufferDtmfEventReceived,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
    RateLimitsUpdated,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseMcpCallArgumentsDelta,
    ResponseMcpCallArgumentsDone,
    ResponseMcpCallCompleted,
    ResponseMcpCallFailed,
    ResponseMcpCallInProgress,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    SessionClosedEvent,
    SessionCreated,
    SessionInputTranscriptDelta,
    SessionOutputAudioDelta,
    SessionOutputTranscriptDelta,
    SessionUpdated,
)

__all__ = ["events", "expect", "on", "once", "typed_as", "wait_for"]

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)
R = TypeVar("R")
Overloads = TypeVar("Overloads", bound=Callable[..., Any])

Handler: TypeAlias = Callable[[RealtimeSession, E], R]
Where: TypeAlias = Callable[[E], object] | None

class _Decorator(Protocol[E]):
    def __call__(self, handler: Handler[E, R], /) -> Handler[E, R]: ...

class _Expectation(Expectation, Generic[E_co]):
    @property
    def event(self) -> E_co: ...
    def __enter__(self) -> Self: ...

class _Subscription(Subscription, Generic[E_co]):
    def __enter__(self) -> Self: ...
    def __iter__(self) -> Iterator[E_co]: ...
    def __next__(self) -> E_co: ...

def typed_as(overloads: Overloads) -> Callable[[Callable[..., Any]], Overloads]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.created"], handler: Handler[ConversationCreated, R]
) -> Handler[ConversationCreated, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["conversation.created"]) -> _Decorator[ConversationCreated]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.added"], handler: Handler[ConversationItemAdded, R]
) -> Handler[ConversationItemAdded, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["conversation.item.added"]) -> _Decorator[ConversationItemAdded]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.created"], handler: Handler[ConversationItemCreated, R]
) -> Handler[ConversationItemCreated, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["conversation.item.created"]) -> _Decorator[ConversationItemCreated]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.deleted"], handler: Handler[ConversationItemDeleted, R]
) -> Handler[ConversationItemDeleted, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["conversation.item.deleted"]) -> _Decorator[ConversationItemDeleted]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.done"], handler: Handler[ConversationItemDone, R]
) -> Handler[ConversationItemDone, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["conversation.item.done"]) -> _Decorator[ConversationItemDone]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.completed"],
    handler: Handler[ConversationItemInputAudioTranscriptionCompleted, R],
) -> Handler[ConversationItemInputAudioTranscriptionCompleted, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.completed"]
) -> _Decorator[ConversationItemInputAudioTranscriptionCompleted]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.delta"],
    handler: Handler[ConversationItemInputAudioTranscriptionDelta, R],
) -> Handler[ConversationItemInputAudioTranscriptionDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.delta"]
) -> _Decorator[ConversationItemInputAudioTranscriptionDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.failed"],
    handler: Handler[ConversationItemInputAudioTranscriptionFailed, R],
) -> Handler[ConversationItemInputAudioTranscriptionFailed, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.failed"]
) -> _Decorator[ConversationItemInputAudioTranscriptionFailed]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.segment"],
    handler: Handler[ConversationItemInputAudioTranscriptionSegment, R],
) -> Handler[ConversationItemInputAudioTranscriptionSegment, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.segment"]
) -> _Decorator[ConversationItemInputAudioTranscriptionSegment]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.retrieved"], handler: Handler[ConversationItemRetrieved, R]
) -> Handler[ConversationItemRetrieved, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.retrieved"]
) -> _Decorator[ConversationItemRetrieved]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.truncated"], handler: Handler[ConversationItemTruncated, R]
) -> Handler[ConversationItemTruncated, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["conversation.item.truncated"]
) -> _Decorator[ConversationItemTruncated]: ...
@overload
def on(self: RealtimeSession, type: Literal["error"], handler: Handler[ErrorEvent, R]) -> Handler[ErrorEvent, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["error"]) -> _Decorator[ErrorEvent]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.cleared"], handler: Handler[InputAudioBufferCleared, R]
) -> Handler[InputAudioBufferCleared, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["input_audio_buffer.cleared"]) -> _Decorator[InputAudioBufferCleared]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.committed"], handler: Handler[InputAudioBufferCommitted, R]
) -> Handler[InputAudioBufferCommitted, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.committed"]
) -> _Decorator[InputAudioBufferCommitted]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.dtmf_event_received"],
    handler: Handler[InputAudioBufferDtmfEventReceived, R],
) -> Handler[InputAudioBufferDtmfEventReceived, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.dtmf_event_received"]
) -> _Decorator[InputAudioBufferDtmfEventReceived]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_started"],
    handler: Handler[InputAudioBufferSpeechStarted, R],
) -> Handler[InputAudioBufferSpeechStarted, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.speech_started"]
) -> _Decorator[InputAudioBufferSpeechStarted]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_stopped"],
    handler: Handler[InputAudioBufferSpeechStopped, R],
) -> Handler[InputAudioBufferSpeechStopped, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.speech_stopped"]
) -> _Decorator[InputAudioBufferSpeechStopped]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.timeout_triggered"],
    handler: Handler[InputAudioBufferTimeoutTriggered, R],
) -> Handler[InputAudioBufferTimeoutTriggered, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["input_audio_buffer.timeout_triggered"]
) -> _Decorator[InputAudioBufferTimeoutTriggered]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["mcp_list_tools.completed"], handler: Handler[McpListToolsCompleted, R]
) -> Handler[McpListToolsCompleted, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["mcp_list_tools.completed"]) -> _Decorator[McpListToolsCompleted]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["mcp_list_tools.failed"], handler: Handler[McpListToolsFailed, R]
) -> Handler[McpListToolsFailed, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["mcp_list_tools.failed"]) -> _Decorator[McpListToolsFailed]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["mcp_list_tools.in_progress"], handler: Handler[McpListToolsInProgress, R]
) -> Handler[McpListToolsInProgress, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["mcp_list_tools.in_progress"]) -> _Decorator[McpListToolsInProgress]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["output_audio_buffer.cleared"], handler: Handler[OutputAudioBufferCleared, R]
) -> Handler[OutputAudioBufferCleared, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["output_audio_buffer.cleared"]) -> _Decorator[OutputAudioBufferCleared]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["output_audio_buffer.started"], handler: Handler[OutputAudioBufferStarted, R]
) -> Handler[OutputAudioBufferStarted, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["output_audio_buffer.started"]) -> _Decorator[OutputAudioBufferStarted]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["output_audio_buffer.stopped"], handler: Handler[OutputAudioBufferStopped, R]
) -> Handler[OutputAudioBufferStopped, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["output_audio_buffer.stopped"]) -> _Decorator[OutputAudioBufferStopped]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["rate_limits.updated"], handler: Handler[RateLimitsUpdated, R]
) -> Handler[RateLimitsUpdated, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["rate_limits.updated"]) -> _Decorator[RateLimitsUpdated]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.content_part.added"], handler: Handler[ResponseContentPartAdded, R]
) -> Handler[ResponseContentPartAdded, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.content_part.added"]) -> _Decorator[ResponseContentPartAdded]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.content_part.done"], handler: Handler[ResponseContentPartDone, R]
) -> Handler[ResponseContentPartDone, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.content_part.done"]) -> _Decorator[ResponseContentPartDone]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.created"], handler: Handler[ResponseCreated, R]
) -> Handler[ResponseCreated, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.created"]) -> _Decorator[ResponseCreated]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.done"], handler: Handler[ResponseDone, R]
) -> Handler[ResponseDone, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.done"]) -> _Decorator[ResponseDone]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.delta"],
    handler: Handler[ResponseFunctionCallArgumentsDelta, R],
) -> Handler[ResponseFunctionCallArgumentsDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.function_call_arguments.delta"]
) -> _Decorator[ResponseFunctionCallArgumentsDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.done"],
    handler: Handler[ResponseFunctionCallArgumentsDone, R],
) -> Handler[ResponseFunctionCallArgumentsDone, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.function_call_arguments.done"]
) -> _Decorator[ResponseFunctionCallArgumentsDone]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.mcp_call.completed"], handler: Handler[ResponseMcpCallCompleted, R]
) -> Handler[ResponseMcpCallCompleted, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.mcp_call.completed"]) -> _Decorator[ResponseMcpCallCompleted]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.mcp_call.failed"], handler: Handler[ResponseMcpCallFailed, R]
) -> Handler[ResponseMcpCallFailed, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.mcp_call.failed"]) -> _Decorator[ResponseMcpCallFailed]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.mcp_call.in_progress"],
    handler: Handler[ResponseMcpCallInProgress, R],
) -> Handler[ResponseMcpCallInProgress, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.mcp_call.in_progress"]
) -> _Decorator[ResponseMcpCallInProgress]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.delta"],
    handler: Handler[ResponseMcpCallArgumentsDelta, R],
) -> Handler[ResponseMcpCallArgumentsDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.mcp_call_arguments.delta"]
) -> _Decorator[ResponseMcpCallArgumentsDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.done"],
    handler: Handler[ResponseMcpCallArgumentsDone, R],
) -> Handler[ResponseMcpCallArgumentsDone, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.mcp_call_arguments.done"]
) -> _Decorator[ResponseMcpCallArgumentsDone]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.output_audio.delta", "response.audio.delta"],
    handler: Handler[ResponseOutputAudioDelta, R],
) -> Handler[ResponseOutputAudioDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_audio.delta", "response.audio.delta"]
) -> _Decorator[ResponseOutputAudioDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.output_audio.done", "response.audio.done"],
    handler: Handler[ResponseOutputAudioDone, R],
) -> Handler[ResponseOutputAudioDone, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_audio.done", "response.audio.done"]
) -> _Decorator[ResponseOutputAudioDone]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"],
    handler: Handler[ResponseOutputAudioTranscriptDelta, R],
) -> Handler[ResponseOutputAudioTranscriptDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"]
) -> _Decorator[ResponseOutputAudioTranscriptDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"],
    handler: Handler[ResponseOutputAudioTranscriptDone, R],
) -> Handler[ResponseOutputAudioTranscriptDone, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"]
) -> _Decorator[ResponseOutputAudioTranscriptDone]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_item.added"], handler: Handler[ResponseOutputItemAdded, R]
) -> Handler[ResponseOutputItemAdded, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.output_item.added"]) -> _Decorator[ResponseOutputItemAdded]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_item.done"], handler: Handler[ResponseOutputItemDone, R]
) -> Handler[ResponseOutputItemDone, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["response.output_item.done"]) -> _Decorator[ResponseOutputItemDone]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.output_text.delta", "response.text.delta"],
    handler: Handler[ResponseOutputTextDelta, R],
) -> Handler[ResponseOutputTextDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_text.delta", "response.text.delta"]
) -> _Decorator[ResponseOutputTextDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["response.output_text.done", "response.text.done"],
    handler: Handler[ResponseOutputTextDone, R],
) -> Handler[ResponseOutputTextDone, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["response.output_text.done", "response.text.done"]
) -> _Decorator[ResponseOutputTextDone]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["session.created"], handler: Handler[SessionCreated, R]
) -> Handler[SessionCreated, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["session.created"]) -> _Decorator[SessionCreated]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["session.updated", "transcription_session.updated"],
    handler: Handler[SessionUpdated, R],
) -> Handler[SessionUpdated, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["session.updated", "transcription_session.updated"]
) -> _Decorator[SessionUpdated]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["session.closed"], handler: Handler[SessionClosedEvent, R]
) -> Handler[SessionClosedEvent, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["session.closed"]) -> _Decorator[SessionClosedEvent]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["session.input_transcript.delta"],
    handler: Handler[SessionInputTranscriptDelta, R],
) -> Handler[SessionInputTranscriptDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["session.input_transcript.delta"]
) -> _Decorator[SessionInputTranscriptDelta]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["session.output_audio.delta"], handler: Handler[SessionOutputAudioDelta, R]
) -> Handler[SessionOutputAudioDelta, R]: ...
@overload
def on(self: RealtimeSession, type: Literal["session.output_audio.delta"]) -> _Decorator[SessionOutputAudioDelta]: ...
@overload
def on(
    self: RealtimeSession,
    type: Literal["session.output_transcript.delta"],
    handler: Handler[SessionOutputTranscriptDelta, R],
) -> Handler[SessionOutputTranscriptDelta, R]: ...
@overload
def on(
    self: RealtimeSession, type: Literal["session.output_transcript.delta"]
) -> _Decorator[SessionOutputTranscriptDelta]: ...
@overload
def on(self: RealtimeSession, type: str, handler: Handler[Event, R]) -> Handler[Event, R]: ...
@overload
def on(self: RealtimeSession, type: str) -> _Decorator[Event]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.created"], handler: Handler[ConversationCreated, R]
) -> Handler[ConversationCreated, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["conversation.created"]) -> _Decorator[ConversationCreated]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.added"], handler: Handler[ConversationItemAdded, R]
) -> Handler[ConversationItemAdded, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["conversation.item.added"]) -> _Decorator[ConversationItemAdded]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.created"], handler: Handler[ConversationItemCreated, R]
) -> Handler[ConversationItemCreated, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["conversation.item.created"]) -> _Decorator[ConversationItemCreated]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.deleted"], handler: Handler[ConversationItemDeleted, R]
) -> Handler[ConversationItemDeleted, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["conversation.item.deleted"]) -> _Decorator[ConversationItemDeleted]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.done"], handler: Handler[ConversationItemDone, R]
) -> Handler[ConversationItemDone, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["conversation.item.done"]) -> _Decorator[ConversationItemDone]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.completed"],
    handler: Handler[ConversationItemInputAudioTranscriptionCompleted, R],
) -> Handler[ConversationItemInputAudioTranscriptionCompleted, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.completed"]
) -> _Decorator[ConversationItemInputAudioTranscriptionCompleted]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.delta"],
    handler: Handler[ConversationItemInputAudioTranscriptionDelta, R],
) -> Handler[ConversationItemInputAudioTranscriptionDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.delta"]
) -> _Decorator[ConversationItemInputAudioTranscriptionDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.failed"],
    handler: Handler[ConversationItemInputAudioTranscriptionFailed, R],
) -> Handler[ConversationItemInputAudioTranscriptionFailed, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.failed"]
) -> _Decorator[ConversationItemInputAudioTranscriptionFailed]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.segment"],
    handler: Handler[ConversationItemInputAudioTranscriptionSegment, R],
) -> Handler[ConversationItemInputAudioTranscriptionSegment, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.input_audio_transcription.segment"]
) -> _Decorator[ConversationItemInputAudioTranscriptionSegment]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.retrieved"], handler: Handler[ConversationItemRetrieved, R]
) -> Handler[ConversationItemRetrieved, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.retrieved"]
) -> _Decorator[ConversationItemRetrieved]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.truncated"], handler: Handler[ConversationItemTruncated, R]
) -> Handler[ConversationItemTruncated, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["conversation.item.truncated"]
) -> _Decorator[ConversationItemTruncated]: ...
@overload
def once(self: RealtimeSession, type: Literal["error"], handler: Handler[ErrorEvent, R]) -> Handler[ErrorEvent, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["error"]) -> _Decorator[ErrorEvent]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.cleared"], handler: Handler[InputAudioBufferCleared, R]
) -> Handler[InputAudioBufferCleared, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["input_audio_buffer.cleared"]) -> _Decorator[InputAudioBufferCleared]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.committed"], handler: Handler[InputAudioBufferCommitted, R]
) -> Handler[InputAudioBufferCommitted, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.committed"]
) -> _Decorator[InputAudioBufferCommitted]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.dtmf_event_received"],
    handler: Handler[InputAudioBufferDtmfEventReceived, R],
) -> Handler[InputAudioBufferDtmfEventReceived, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.dtmf_event_received"]
) -> _Decorator[InputAudioBufferDtmfEventReceived]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_started"],
    handler: Handler[InputAudioBufferSpeechStarted, R],
) -> Handler[InputAudioBufferSpeechStarted, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.speech_started"]
) -> _Decorator[InputAudioBufferSpeechStarted]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_stopped"],
    handler: Handler[InputAudioBufferSpeechStopped, R],
) -> Handler[InputAudioBufferSpeechStopped, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.speech_stopped"]
) -> _Decorator[InputAudioBufferSpeechStopped]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.timeout_triggered"],
    handler: Handler[InputAudioBufferTimeoutTriggered, R],
) -> Handler[InputAudioBufferTimeoutTriggered, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["input_audio_buffer.timeout_triggered"]
) -> _Decorator[InputAudioBufferTimeoutTriggered]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["mcp_list_tools.completed"], handler: Handler[McpListToolsCompleted, R]
) -> Handler[McpListToolsCompleted, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["mcp_list_tools.completed"]) -> _Decorator[McpListToolsCompleted]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["mcp_list_tools.failed"], handler: Handler[McpListToolsFailed, R]
) -> Handler[McpListToolsFailed, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["mcp_list_tools.failed"]) -> _Decorator[McpListToolsFailed]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["mcp_list_tools.in_progress"], handler: Handler[McpListToolsInProgress, R]
) -> Handler[McpListToolsInProgress, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["mcp_list_tools.in_progress"]) -> _Decorator[McpListToolsInProgress]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["output_audio_buffer.cleared"], handler: Handler[OutputAudioBufferCleared, R]
) -> Handler[OutputAudioBufferCleared, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["output_audio_buffer.cleared"]
) -> _Decorator[OutputAudioBufferCleared]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["output_audio_buffer.started"], handler: Handler[OutputAudioBufferStarted, R]
) -> Handler[OutputAudioBufferStarted, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["output_audio_buffer.started"]
) -> _Decorator[OutputAudioBufferStarted]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["output_audio_buffer.stopped"], handler: Handler[OutputAudioBufferStopped, R]
) -> Handler[OutputAudioBufferStopped, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["output_audio_buffer.stopped"]
) -> _Decorator[OutputAudioBufferStopped]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["rate_limits.updated"], handler: Handler[RateLimitsUpdated, R]
) -> Handler[RateLimitsUpdated, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["rate_limits.updated"]) -> _Decorator[RateLimitsUpdated]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.content_part.added"], handler: Handler[ResponseContentPartAdded, R]
) -> Handler[ResponseContentPartAdded, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.content_part.added"]
) -> _Decorator[ResponseContentPartAdded]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.content_part.done"], handler: Handler[ResponseContentPartDone, R]
) -> Handler[ResponseContentPartDone, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["response.content_part.done"]) -> _Decorator[ResponseContentPartDone]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.created"], handler: Handler[ResponseCreated, R]
) -> Handler[ResponseCreated, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["response.created"]) -> _Decorator[ResponseCreated]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.done"], handler: Handler[ResponseDone, R]
) -> Handler[ResponseDone, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["response.done"]) -> _Decorator[ResponseDone]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.delta"],
    handler: Handler[ResponseFunctionCallArgumentsDelta, R],
) -> Handler[ResponseFunctionCallArgumentsDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.function_call_arguments.delta"]
) -> _Decorator[ResponseFunctionCallArgumentsDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.done"],
    handler: Handler[ResponseFunctionCallArgumentsDone, R],
) -> Handler[ResponseFunctionCallArgumentsDone, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.function_call_arguments.done"]
) -> _Decorator[ResponseFunctionCallArgumentsDone]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.mcp_call.completed"], handler: Handler[ResponseMcpCallCompleted, R]
) -> Handler[ResponseMcpCallCompleted, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.mcp_call.completed"]
) -> _Decorator[ResponseMcpCallCompleted]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.mcp_call.failed"], handler: Handler[ResponseMcpCallFailed, R]
) -> Handler[ResponseMcpCallFailed, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["response.mcp_call.failed"]) -> _Decorator[ResponseMcpCallFailed]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.mcp_call.in_progress"],
    handler: Handler[ResponseMcpCallInProgress, R],
) -> Handler[ResponseMcpCallInProgress, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.mcp_call.in_progress"]
) -> _Decorator[ResponseMcpCallInProgress]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.delta"],
    handler: Handler[ResponseMcpCallArgumentsDelta, R],
) -> Handler[ResponseMcpCallArgumentsDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.mcp_call_arguments.delta"]
) -> _Decorator[ResponseMcpCallArgumentsDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.done"],
    handler: Handler[ResponseMcpCallArgumentsDone, R],
) -> Handler[ResponseMcpCallArgumentsDone, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.mcp_call_arguments.done"]
) -> _Decorator[ResponseMcpCallArgumentsDone]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.output_audio.delta", "response.audio.delta"],
    handler: Handler[ResponseOutputAudioDelta, R],
) -> Handler[ResponseOutputAudioDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_audio.delta", "response.audio.delta"]
) -> _Decorator[ResponseOutputAudioDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.output_audio.done", "response.audio.done"],
    handler: Handler[ResponseOutputAudioDone, R],
) -> Handler[ResponseOutputAudioDone, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_audio.done", "response.audio.done"]
) -> _Decorator[ResponseOutputAudioDone]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"],
    handler: Handler[ResponseOutputAudioTranscriptDelta, R],
) -> Handler[ResponseOutputAudioTranscriptDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"]
) -> _Decorator[ResponseOutputAudioTranscriptDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"],
    handler: Handler[ResponseOutputAudioTranscriptDone, R],
) -> Handler[ResponseOutputAudioTranscriptDone, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"]
) -> _Decorator[ResponseOutputAudioTranscriptDone]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_item.added"], handler: Handler[ResponseOutputItemAdded, R]
) -> Handler[ResponseOutputItemAdded, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["response.output_item.added"]) -> _Decorator[ResponseOutputItemAdded]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_item.done"], handler: Handler[ResponseOutputItemDone, R]
) -> Handler[ResponseOutputItemDone, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["response.output_item.done"]) -> _Decorator[ResponseOutputItemDone]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.output_text.delta", "response.text.delta"],
    handler: Handler[ResponseOutputTextDelta, R],
) -> Handler[ResponseOutputTextDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_text.delta", "response.text.delta"]
) -> _Decorator[ResponseOutputTextDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["response.output_text.done", "response.text.done"],
    handler: Handler[ResponseOutputTextDone, R],
) -> Handler[ResponseOutputTextDone, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["response.output_text.done", "response.text.done"]
) -> _Decorator[ResponseOutputTextDone]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["session.created"], handler: Handler[SessionCreated, R]
) -> Handler[SessionCreated, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["session.created"]) -> _Decorator[SessionCreated]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["session.updated", "transcription_session.updated"],
    handler: Handler[SessionUpdated, R],
) -> Handler[SessionUpdated, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["session.updated", "transcription_session.updated"]
) -> _Decorator[SessionUpdated]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["session.closed"], handler: Handler[SessionClosedEvent, R]
) -> Handler[SessionClosedEvent, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["session.closed"]) -> _Decorator[SessionClosedEvent]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["session.input_transcript.delta"],
    handler: Handler[SessionInputTranscriptDelta, R],
) -> Handler[SessionInputTranscriptDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["session.input_transcript.delta"]
) -> _Decorator[SessionInputTranscriptDelta]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["session.output_audio.delta"], handler: Handler[SessionOutputAudioDelta, R]
) -> Handler[SessionOutputAudioDelta, R]: ...
@overload
def once(self: RealtimeSession, type: Literal["session.output_audio.delta"]) -> _Decorator[SessionOutputAudioDelta]: ...
@overload
def once(
    self: RealtimeSession,
    type: Literal["session.output_transcript.delta"],
    handler: Handler[SessionOutputTranscriptDelta, R],
) -> Handler[SessionOutputTranscriptDelta, R]: ...
@overload
def once(
    self: RealtimeSession, type: Literal["session.output_transcript.delta"]
) -> _Decorator[SessionOutputTranscriptDelta]: ...
@overload
def once(self: RealtimeSession, type: str, handler: Handler[Event, R]) -> Handler[Event, R]: ...
@overload
def once(self: RealtimeSession, type: str) -> _Decorator[Event]: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationCreated] = None,
    settled: bool = True,
) -> ConversationCreated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.added"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemAdded] = None,
    settled: bool = True,
) -> ConversationItemAdded: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemCreated] = None,
    settled: bool = True,
) -> ConversationItemCreated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.deleted"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemDeleted] = None,
    settled: bool = True,
) -> ConversationItemDeleted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemDone] = None,
    settled: bool = True,
) -> ConversationItemDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.completed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionCompleted] = None,
    settled: bool = True,
) -> ConversationItemInputAudioTranscriptionCompleted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionDelta] = None,
    settled: bool = True,
) -> ConversationItemInputAudioTranscriptionDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.failed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionFailed] = None,
    settled: bool = True,
) -> ConversationItemInputAudioTranscriptionFailed: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.segment"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionSegment] = None,
    settled: bool = True,
) -> ConversationItemInputAudioTranscriptionSegment: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.retrieved"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemRetrieved] = None,
    settled: bool = True,
) -> ConversationItemRetrieved: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["conversation.item.truncated"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemTruncated] = None,
    settled: bool = True,
) -> ConversationItemTruncated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["error"],
    *,
    timeout: float | None = 30.0,
    where: Where[ErrorEvent] = None,
    settled: bool = True,
) -> ErrorEvent: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.cleared"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferCleared] = None,
    settled: bool = True,
) -> InputAudioBufferCleared: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.committed"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferCommitted] = None,
    settled: bool = True,
) -> InputAudioBufferCommitted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.dtmf_event_received"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferDtmfEventReceived] = None,
    settled: bool = True,
) -> InputAudioBufferDtmfEventReceived: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_started"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferSpeechStarted] = None,
    settled: bool = True,
) -> InputAudioBufferSpeechStarted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_stopped"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferSpeechStopped] = None,
    settled: bool = True,
) -> InputAudioBufferSpeechStopped: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.timeout_triggered"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferTimeoutTriggered] = None,
    settled: bool = True,
) -> InputAudioBufferTimeoutTriggered: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["mcp_list_tools.completed"],
    *,
    timeout: float | None = 30.0,
    where: Where[McpListToolsCompleted] = None,
    settled: bool = True,
) -> McpListToolsCompleted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["mcp_list_tools.failed"],
    *,
    timeout: float | None = 30.0,
    where: Where[McpListToolsFailed] = None,
    settled: bool = True,
) -> McpListToolsFailed: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["mcp_list_tools.in_progress"],
    *,
    timeout: float | None = 30.0,
    where: Where[McpListToolsInProgress] = None,
    settled: bool = True,
) -> McpListToolsInProgress: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["output_audio_buffer.cleared"],
    *,
    timeout: float | None = 30.0,
    where: Where[OutputAudioBufferCleared] = None,
    settled: bool = True,
) -> OutputAudioBufferCleared: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["output_audio_buffer.started"],
    *,
    timeout: float | None = 30.0,
    where: Where[OutputAudioBufferStarted] = None,
    settled: bool = True,
) -> OutputAudioBufferStarted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["output_audio_buffer.stopped"],
    *,
    timeout: float | None = 30.0,
    where: Where[OutputAudioBufferStopped] = None,
    settled: bool = True,
) -> OutputAudioBufferStopped: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["rate_limits.updated"],
    *,
    timeout: float | None = 30.0,
    where: Where[RateLimitsUpdated] = None,
    settled: bool = True,
) -> RateLimitsUpdated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.content_part.added"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseContentPartAdded] = None,
    settled: bool = True,
) -> ResponseContentPartAdded: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.content_part.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseContentPartDone] = None,
    settled: bool = True,
) -> ResponseContentPartDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseCreated] = None,
    settled: bool = True,
) -> ResponseCreated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseDone] = None,
    settled: bool = True,
) -> ResponseDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseFunctionCallArgumentsDelta] = None,
    settled: bool = True,
) -> ResponseFunctionCallArgumentsDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseFunctionCallArgumentsDone] = None,
    settled: bool = True,
) -> ResponseFunctionCallArgumentsDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.mcp_call.completed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallCompleted] = None,
    settled: bool = True,
) -> ResponseMcpCallCompleted: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.mcp_call.failed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallFailed] = None,
    settled: bool = True,
) -> ResponseMcpCallFailed: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.mcp_call.in_progress"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallInProgress] = None,
    settled: bool = True,
) -> ResponseMcpCallInProgress: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallArgumentsDelta] = None,
    settled: bool = True,
) -> ResponseMcpCallArgumentsDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallArgumentsDone] = None,
    settled: bool = True,
) -> ResponseMcpCallArgumentsDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_audio.delta", "response.audio.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioDelta] = None,
    settled: bool = True,
) -> ResponseOutputAudioDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_audio.done", "response.audio.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioDone] = None,
    settled: bool = True,
) -> ResponseOutputAudioDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioTranscriptDelta] = None,
    settled: bool = True,
) -> ResponseOutputAudioTranscriptDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioTranscriptDone] = None,
    settled: bool = True,
) -> ResponseOutputAudioTranscriptDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_item.added"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputItemAdded] = None,
    settled: bool = True,
) -> ResponseOutputItemAdded: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_item.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputItemDone] = None,
    settled: bool = True,
) -> ResponseOutputItemDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_text.delta", "response.text.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputTextDelta] = None,
    settled: bool = True,
) -> ResponseOutputTextDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["response.output_text.done", "response.text.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputTextDone] = None,
    settled: bool = True,
) -> ResponseOutputTextDone: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["session.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionCreated] = None,
    settled: bool = True,
) -> SessionCreated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["session.updated", "transcription_session.updated"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionUpdated] = None,
    settled: bool = True,
) -> SessionUpdated: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["session.closed"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionClosedEvent] = None,
    settled: bool = True,
) -> SessionClosedEvent: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["session.input_transcript.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionInputTranscriptDelta] = None,
    settled: bool = True,
) -> SessionInputTranscriptDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["session.output_audio.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionOutputAudioDelta] = None,
    settled: bool = True,
) -> SessionOutputAudioDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Literal["session.output_transcript.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionOutputTranscriptDelta] = None,
    settled: bool = True,
) -> SessionOutputTranscriptDelta: ...
@overload
def wait_for(
    self: RealtimeSession,
    type: Wanted,
    *,
    timeout: float | None = 30.0,
    where: Where[Event] = None,
    settled: bool = True,
) -> Event: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationCreated] = None,
    settled: bool = True,
) -> _Expectation[ConversationCreated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.added"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemAdded] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemAdded]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemCreated] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemCreated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.deleted"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemDeleted] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemDeleted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemDone] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.completed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionCompleted] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemInputAudioTranscriptionCompleted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionDelta] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemInputAudioTranscriptionDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.failed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionFailed] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemInputAudioTranscriptionFailed]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.segment"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemInputAudioTranscriptionSegment] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemInputAudioTranscriptionSegment]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.retrieved"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemRetrieved] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemRetrieved]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["conversation.item.truncated"],
    *,
    timeout: float | None = 30.0,
    where: Where[ConversationItemTruncated] = None,
    settled: bool = True,
) -> _Expectation[ConversationItemTruncated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["error"],
    *,
    timeout: float | None = 30.0,
    where: Where[ErrorEvent] = None,
    settled: bool = True,
) -> _Expectation[ErrorEvent]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.cleared"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferCleared] = None,
    settled: bool = True,
) -> _Expectation[InputAudioBufferCleared]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.committed"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferCommitted] = None,
    settled: bool = True,
) -> _Expectation[InputAudioBufferCommitted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.dtmf_event_received"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferDtmfEventReceived] = None,
    settled: bool = True,
) -> _Expectation[InputAudioBufferDtmfEventReceived]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_started"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferSpeechStarted] = None,
    settled: bool = True,
) -> _Expectation[InputAudioBufferSpeechStarted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.speech_stopped"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferSpeechStopped] = None,
    settled: bool = True,
) -> _Expectation[InputAudioBufferSpeechStopped]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["input_audio_buffer.timeout_triggered"],
    *,
    timeout: float | None = 30.0,
    where: Where[InputAudioBufferTimeoutTriggered] = None,
    settled: bool = True,
) -> _Expectation[InputAudioBufferTimeoutTriggered]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["mcp_list_tools.completed"],
    *,
    timeout: float | None = 30.0,
    where: Where[McpListToolsCompleted] = None,
    settled: bool = True,
) -> _Expectation[McpListToolsCompleted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["mcp_list_tools.failed"],
    *,
    timeout: float | None = 30.0,
    where: Where[McpListToolsFailed] = None,
    settled: bool = True,
) -> _Expectation[McpListToolsFailed]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["mcp_list_tools.in_progress"],
    *,
    timeout: float | None = 30.0,
    where: Where[McpListToolsInProgress] = None,
    settled: bool = True,
) -> _Expectation[McpListToolsInProgress]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["output_audio_buffer.cleared"],
    *,
    timeout: float | None = 30.0,
    where: Where[OutputAudioBufferCleared] = None,
    settled: bool = True,
) -> _Expectation[OutputAudioBufferCleared]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["output_audio_buffer.started"],
    *,
    timeout: float | None = 30.0,
    where: Where[OutputAudioBufferStarted] = None,
    settled: bool = True,
) -> _Expectation[OutputAudioBufferStarted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["output_audio_buffer.stopped"],
    *,
    timeout: float | None = 30.0,
    where: Where[OutputAudioBufferStopped] = None,
    settled: bool = True,
) -> _Expectation[OutputAudioBufferStopped]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["rate_limits.updated"],
    *,
    timeout: float | None = 30.0,
    where: Where[RateLimitsUpdated] = None,
    settled: bool = True,
) -> _Expectation[RateLimitsUpdated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.content_part.added"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseContentPartAdded] = None,
    settled: bool = True,
) -> _Expectation[ResponseContentPartAdded]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.content_part.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseContentPartDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseContentPartDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseCreated] = None,
    settled: bool = True,
) -> _Expectation[ResponseCreated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseFunctionCallArgumentsDelta] = None,
    settled: bool = True,
) -> _Expectation[ResponseFunctionCallArgumentsDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.function_call_arguments.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseFunctionCallArgumentsDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseFunctionCallArgumentsDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.mcp_call.completed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallCompleted] = None,
    settled: bool = True,
) -> _Expectation[ResponseMcpCallCompleted]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.mcp_call.failed"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallFailed] = None,
    settled: bool = True,
) -> _Expectation[ResponseMcpCallFailed]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.mcp_call.in_progress"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallInProgress] = None,
    settled: bool = True,
) -> _Expectation[ResponseMcpCallInProgress]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallArgumentsDelta] = None,
    settled: bool = True,
) -> _Expectation[ResponseMcpCallArgumentsDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.mcp_call_arguments.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseMcpCallArgumentsDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseMcpCallArgumentsDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_audio.delta", "response.audio.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioDelta] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputAudioDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_audio.done", "response.audio.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputAudioDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioTranscriptDelta] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputAudioTranscriptDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputAudioTranscriptDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputAudioTranscriptDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_item.added"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputItemAdded] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputItemAdded]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_item.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputItemDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputItemDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_text.delta", "response.text.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputTextDelta] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputTextDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["response.output_text.done", "response.text.done"],
    *,
    timeout: float | None = 30.0,
    where: Where[ResponseOutputTextDone] = None,
    settled: bool = True,
) -> _Expectation[ResponseOutputTextDone]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["session.created"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionCreated] = None,
    settled: bool = True,
) -> _Expectation[SessionCreated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["session.updated", "transcription_session.updated"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionUpdated] = None,
    settled: bool = True,
) -> _Expectation[SessionUpdated]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["session.closed"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionClosedEvent] = None,
    settled: bool = True,
) -> _Expectation[SessionClosedEvent]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["session.input_transcript.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionInputTranscriptDelta] = None,
    settled: bool = True,
) -> _Expectation[SessionInputTranscriptDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["session.output_audio.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionOutputAudioDelta] = None,
    settled: bool = True,
) -> _Expectation[SessionOutputAudioDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Literal["session.output_transcript.delta"],
    *,
    timeout: float | None = 30.0,
    where: Where[SessionOutputTranscriptDelta] = None,
    settled: bool = True,
) -> _Expectation[SessionOutputTranscriptDelta]: ...
@overload
def expect(
    self: RealtimeSession,
    type: Wanted,
    *,
    timeout: float | None = 30.0,
    where: Where[Event] = None,
    settled: bool = True,
) -> _Expectation[Event]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.created"], /, *, timeout: float | None = None
) -> _Subscription[ConversationCreated]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.item.added"], /, *, timeout: float | None = None
) -> _Subscription[ConversationItemAdded]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.item.created"], /, *, timeout: float | None = None
) -> _Subscription[ConversationItemCreated]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.item.deleted"], /, *, timeout: float | None = None
) -> _Subscription[ConversationItemDeleted]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.item.done"], /, *, timeout: float | None = None
) -> _Subscription[ConversationItemDone]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.completed"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ConversationItemInputAudioTranscriptionCompleted]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.delta"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ConversationItemInputAudioTranscriptionDelta]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.failed"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ConversationItemInputAudioTranscriptionFailed]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["conversation.item.input_audio_transcription.segment"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ConversationItemInputAudioTranscriptionSegment]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.item.retrieved"], /, *, timeout: float | None = None
) -> _Subscription[ConversationItemRetrieved]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["conversation.item.truncated"], /, *, timeout: float | None = None
) -> _Subscription[ConversationItemTruncated]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["error"], /, *, timeout: float | None = None
) -> _Subscription[ErrorEvent]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["input_audio_buffer.cleared"], /, *, timeout: float | None = None
) -> _Subscription[InputAudioBufferCleared]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["input_audio_buffer.committed"], /, *, timeout: float | None = None
) -> _Subscription[InputAudioBufferCommitted]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["input_audio_buffer.dtmf_event_received"], /, *, timeout: float | None = None
) -> _Subscription[InputAudioBufferDtmfEventReceived]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["input_audio_buffer.speech_started"], /, *, timeout: float | None = None
) -> _Subscription[InputAudioBufferSpeechStarted]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["input_audio_buffer.speech_stopped"], /, *, timeout: float | None = None
) -> _Subscription[InputAudioBufferSpeechStopped]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["input_audio_buffer.timeout_triggered"], /, *, timeout: float | None = None
) -> _Subscription[InputAudioBufferTimeoutTriggered]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["mcp_list_tools.completed"], /, *, timeout: float | None = None
) -> _Subscription[McpListToolsCompleted]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["mcp_list_tools.failed"], /, *, timeout: float | None = None
) -> _Subscription[McpListToolsFailed]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["mcp_list_tools.in_progress"], /, *, timeout: float | None = None
) -> _Subscription[McpListToolsInProgress]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["output_audio_buffer.cleared"], /, *, timeout: float | None = None
) -> _Subscription[OutputAudioBufferCleared]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["output_audio_buffer.started"], /, *, timeout: float | None = None
) -> _Subscription[OutputAudioBufferStarted]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["output_audio_buffer.stopped"], /, *, timeout: float | None = None
) -> _Subscription[OutputAudioBufferStopped]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["rate_limits.updated"], /, *, timeout: float | None = None
) -> _Subscription[RateLimitsUpdated]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.content_part.added"], /, *, timeout: float | None = None
) -> _Subscription[ResponseContentPartAdded]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.content_part.done"], /, *, timeout: float | None = None
) -> _Subscription[ResponseContentPartDone]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.created"], /, *, timeout: float | None = None
) -> _Subscription[ResponseCreated]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.done"], /, *, timeout: float | None = None
) -> _Subscription[ResponseDone]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.function_call_arguments.delta"], /, *, timeout: float | None = None
) -> _Subscription[ResponseFunctionCallArgumentsDelta]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.function_call_arguments.done"], /, *, timeout: float | None = None
) -> _Subscription[ResponseFunctionCallArgumentsDone]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.mcp_call.completed"], /, *, timeout: float | None = None
) -> _Subscription[ResponseMcpCallCompleted]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.mcp_call.failed"], /, *, timeout: float | None = None
) -> _Subscription[ResponseMcpCallFailed]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.mcp_call.in_progress"], /, *, timeout: float | None = None
) -> _Subscription[ResponseMcpCallInProgress]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.mcp_call_arguments.delta"], /, *, timeout: float | None = None
) -> _Subscription[ResponseMcpCallArgumentsDelta]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.mcp_call_arguments.done"], /, *, timeout: float | None = None
) -> _Subscription[ResponseMcpCallArgumentsDone]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["response.output_audio.delta", "response.audio.delta"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ResponseOutputAudioDelta]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["response.output_audio.done", "response.audio.done"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ResponseOutputAudioDone]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ResponseOutputAudioTranscriptDelta]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ResponseOutputAudioTranscriptDone]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.output_item.added"], /, *, timeout: float | None = None
) -> _Subscription[ResponseOutputItemAdded]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["response.output_item.done"], /, *, timeout: float | None = None
) -> _Subscription[ResponseOutputItemDone]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["response.output_text.delta", "response.text.delta"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ResponseOutputTextDelta]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["response.output_text.done", "response.text.done"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[ResponseOutputTextDone]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["session.created"], /, *, timeout: float | None = None
) -> _Subscription[SessionCreated]: ...
@overload
def events(
    self: RealtimeSession,
    type: Literal["session.updated", "transcription_session.updated"],
    /,
    *,
    timeout: float | None = None,
) -> _Subscription[SessionUpdated]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["session.closed"], /, *, timeout: float | None = None
) -> _Subscription[SessionClosedEvent]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["session.input_transcript.delta"], /, *, timeout: float | None = None
) -> _Subscription[SessionInputTranscriptDelta]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["session.output_audio.delta"], /, *, timeout: float | None = None
) -> _Subscription[SessionOutputAudioDelta]: ...
@overload
def events(
    self: RealtimeSession, type: Literal["session.output_transcript.delta"], /, *, timeout: float | None = None
) -> _Subscription[SessionOutputTranscriptDelta]: ...
@overload
def events(self: RealtimeSession, *types: str, timeout: float | None = None) -> _Subscription[Event]: ...
