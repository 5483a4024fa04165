"""The client events (protocol section 2), one ``TypedDict`` each, named after the type, for editors and type checkers.

``session.send`` takes any mapping with a ``type``; these describe the documented ones. Keys that are not ``Required``
may be left out.
"""

# Annotations are evaluated here: a TypedDict does not see Required in a text.
from typing import Literal, Required, TypeAlias, TypedDict

from rtsync.vocabulary.client_shapes import (
    Audio,
    ItemConfig,
    ResponseOptions,
    SessionConfig,
    TranscriptionSessionConfig,
    TranslationSessionConfig,
)

__all__ = [
    "CLIENT_EVENTS",
    "TRANSLATION_CLIENT_EVENTS",
    "ClientEvent",
    "ConversationItemCreate",
    "ConversationItemDelete",
    "ConversationItemRetrieve",
    "ConversationItemTruncate",
    "InputAudioBufferAppend",
    "InputAudioBufferClear",
    "InputAudioBufferCommit",
    "OutputAudioBufferClear",
    "ResponseCancel",
    "ResponseCreate",
    "SessionClose",
    "SessionInputAudioBufferAppend",
    "SessionUpdate",
    "TranslationSessionUpdate",
]


# -- events (protocol 2) -----------------------------------------------------------------------------------------------


class ConversationItemCreate(TypedDict, total=False):
    """Add an item to the conversation. Answered by ``conversation.item.added`` and ``conversation.item.done``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        item: the item; its id may be left to the service.
        previous_item_id: the item that it shall follow; root puts it first, absent appends it.
    """

    type: Required[Literal["conversation.item.create"]]
    event_id: str
    item: Required[ItemConfig]
    previous_item_id: str | None


class ConversationItemDelete(TypedDict, total=False):
    """Remove an item from the conversation. Answered by ``conversation.item.deleted``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        item_id: the item.
    """

    type: Required[Literal["conversation.item.delete"]]
    event_id: str
    item_id: Required[str]


class ConversationItemRetrieve(TypedDict, total=False):
    """Ask for an item, with its audio bytes. Answered by ``conversation.item.retrieved``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        item_id: the item.
    """

    type: Required[Literal["conversation.item.retrieve"]]
    event_id: str
    item_id: Required[str]


class ConversationItemTruncate(TypedDict, total=False):
    """Cut an assistant's spoken item to what was heard. Answered by ``conversation.item.truncated``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        item_id: the item.
        content_index: 0.
        audio_end_ms: milliseconds that were heard; not beyond the audio's end.
    """

    type: Required[Literal["conversation.item.truncate"]]
    event_id: str
    item_id: Required[str]
    content_index: Required[int]
    audio_end_ms: Required[int]


class InputAudioBufferAppend(TypedDict, total=False):
    """Append audio to the input buffer. Not answered; voice detection may answer.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        audio: samples in the session's input format, at most 15 MiB.
    """

    type: Required[Literal["input_audio_buffer.append"]]
    event_id: str
    audio: Required[Audio]


class InputAudioBufferClear(TypedDict, total=False):
    """Empty the input buffer. Answered by ``input_audio_buffer.cleared``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
    """

    type: Required[Literal["input_audio_buffer.clear"]]
    event_id: str


class InputAudioBufferCommit(TypedDict, total=False):
    """Make the input buffer a user message, of at least 100 ms. Answered by ``input_audio_buffer.committed``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
    """

    type: Required[Literal["input_audio_buffer.commit"]]
    event_id: str


class OutputAudioBufferClear(TypedDict, total=False):
    """Cut the playback; WebRTC and SIP only. Answered by ``output_audio_buffer.cleared``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
    """

    type: Required[Literal["output_audio_buffer.clear"]]
    event_id: str


class ResponseCancel(TypedDict, total=False):
    """Stop a response. Answered by its ``response.done``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        response_id: the response; absent the one that writes to the conversation.
    """

    type: Required[Literal["response.cancel"]]
    event_id: str
    response_id: str


class ResponseCreate(TypedDict, total=False):
    """Ask the model for a response. Answered by ``response.created``, what the model says, and ``response.done``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        response: what it shall do differently from the session.
    """

    type: Required[Literal["response.create"]]
    event_id: str
    response: ResponseOptions


class SessionUpdate(TypedDict, total=False):
    """Change the session; all of it or, when refused, nothing. Answered by ``session.updated``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        session: what shall change.
    """

    type: Required[Literal["session.update"]]
    event_id: str
    session: Required[SessionConfig | TranscriptionSessionConfig]


# -- translation (protocol 2.2) ----------------------------------------------------------------------------------------


class SessionClose(TypedDict, total=False):
    """End the translation, pending input first. Answered by ``session.closed``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
    """

    type: Required[Literal["session.close"]]
    event_id: str


class SessionInputAudioBufferAppend(TypedDict, total=False):
    """Audio to translate, silence too. Not answered.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        audio: 24 kHz mono 16-bit samples, best 200 ms each.
    """

    type: Required[Literal["session.input_audio_buffer.append"]]
    event_id: str
    audio: Required[Audio]


class TranslationSessionUpdate(TypedDict, total=False):
    """Change the translation. Answered by ``session.updated``.

    Attributes:
        event_id: the caller's id of this event, at most 512 characters; ``send`` adds one.
        session: what shall change.
    """

    type: Required[Literal["session.update"]]
    event_id: str
    session: Required[TranslationSessionConfig]


ClientEvent: TypeAlias = (
    ConversationItemCreate
    | ConversationItemDelete
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | InputAudioBufferAppend
    | InputAudioBufferClear
    | InputAudioBufferCommit
    | OutputAudioBufferClear
    | ResponseCancel
    | ResponseCreate
    | SessionUpdate
    | SessionClose
    | SessionInputAudioBufferAppend
    | TranslationSessionUpdate
)
"""Every documented client event."""

CLIENT_EVENTS: dict[str, type] = {
    "conversation.item.create": ConversationItemCreate,
    "conversation.item.delete": ConversationItemDelete,
    "conversation.item.retrieve": ConversationItemRetrieve,
    "conversation.item.truncate": ConversationItemTruncate,
    "input_audio_buffer.append": InputAudioBufferAppend,
    "input_audio_buffer.clear": InputAudioBufferClear,
    "input_audio_buffer.commit": InputAudioBufferCommit,
    "output_audio_buffer.clear": OutputAudioBufferClear,
    "response.cancel": ResponseCancel,
    "response.create": ResponseCreate,
    "session.update": SessionUpdate,
}
"""What a conversation or a transcription session accepts, by type."""

TRANSLATION_CLIENT_EVENTS: dict[str, type] = {
    "session.close": SessionClose,
    "session.input_audio_buffer.append": SessionInputAudioBufferAppend,
    "session.update": TranslationSessionUpdate,
}
"""What a translation session accepts, by type."""
