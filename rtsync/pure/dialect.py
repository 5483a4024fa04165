"""The dialect of preview endpoints, translated both ways (protocol 7), so that all other code speaks GA alone.

Client events go out under their preview names and shapes; what the caller wrote in the preview's own terms is left as
it is. Server events come in under their GA names and shapes, and in the order of GA (protocol 3.4)::

    conversation.item.created, complete     ->  conversation.item.added, conversation.item.done
    conversation.item.created, in progress  ->  conversation.item.added
    response.output_item.done of that item  ->  conversation.item.done, response.output_item.done

Two things must be remembered for that: which items were announced and are not done, and the names of the functions
that are being called, which the preview does not repeat in ``response.function_call_arguments.done``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rtsync.pure.dialect_shapes import item_to_ga, item_to_preview, response_to_ga, session_to_ga, settings_to_preview

__all__ = ["PREVIEW_NAMES", "Arrival", "Memory", "Preview", "canonical", "from_preview", "to_preview"]

_MOST_REMEMBERED = 256  # items; a server that never finishes them must not fill the memory

_KINDS = ("realtime", "transcription")  # of sessions; the preview tells them apart by the event's type

_GA_NAMES = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "conversation.item.created": "conversation.item.added",
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}


PREVIEW_NAMES = frozenset(_GA_NAMES)
"""Server event types that only the preview knows."""


def canonical(event_type: str) -> str:
    """The GA name of a server event type that may be a preview name."""
    return _GA_NAMES.get(event_type, event_type)


class Arrival(NamedTuple):
    """A server event in GA terms, and how it came.

    Attributes:
        event: the event.
        wire_type: its type as it came; ``""`` for an event that the preview leaves out and GA sends.
    """

    event: dict[str, Any]
    wire_type: str


class Memory:
    """What must be remembered of the items of one connection until they are done, by item id.

    Attributes:
        begun: the name of the function that is being called; None for the model's other items.
        announced: the ``previous_item_id`` of items that are in the conversation and not done.
    """

    def __init__(self) -> None:
        self.begun: dict[str, Any] = {}
        self.announced: dict[str, Any] = {}

    def forget(self, item_id: str) -> None:
        """The item is done, or gone."""
        self.begun.pop(item_id, None)
        self.announced.pop(item_id, None)


class Preview:
    """The translator of one connection to a preview endpoint.

    Args:
        kind: ``"realtime"`` or ``"transcription"``: what a session is that does not say.

    Threads: ``outgoing`` may be called from any, ``incoming`` from the one that reads.
    """

    def __init__(self, kind: str = "realtime") -> None:
        self._kind = kind
        self._memory = Memory()
        self._reported: set[str] = set()

    def outgoing(self, event: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """A client event for the wire, and what is to be said about it; each sentence comes once."""
        translated, notes = to_preview(event, self._kind)
        fresh = [note for note in dict.fromkeys(notes) if note not in self._reported]
        self._reported.update(fresh)
        return translated, fresh

    def incoming(self, event: dict[str, Any]) -> list[Arrival]:
        """The events that a server event stands for, in order."""
        return from_preview(event, self._memory, self._kind)


# -- client events ----------------------------------------------------------------------------------------------------


def to_preview(event: Mapping[str, Any], kind: str = "realtime") -> tuple[dict[str, Any], list[str]]:
    """A client event in GA terms as a preview endpoint knows it, and sentences on what it does not know.

    Args:
        event: not changed.
        kind: what the session is where ``event`` does not say.
    """
    notes: list[str] = []
    result = dict(event)
    event_type = event.get("type")
    if event_type == "session.update" and isinstance(event.get("session"), Mapping):
        settings = settings_to_preview(event["session"], notes)
        if settings.get("type", kind) == "transcription":
            result["type"] = "transcription_session.update"
        if settings.get("type") in _KINDS:
            del settings["type"]
        result["session"] = settings
    elif event_type == "response.create" and isinstance(event.get("response"), Mapping):
        result["response"] = settings_to_preview(event["response"], notes)
    elif event_type == "conversation.item.create" and "item" in event:
        result["item"] = item_to_preview(event["item"], notes)
    return result, notes


# -- server events ----------------------------------------------------------------------------------------------------


def from_preview(event: dict[str, Any], memory: Memory, kind: str = "realtime") -> list[Arrival]:
    """The GA events that a server event of a preview endpoint stands for, in order; at least one.

    Args:
        event: not changed. One that is in GA terms already passes.
        memory: of the connection; is brought up to date.
        kind: what a session is that does not say.
    """
    wire_type = event.get("type")
    if not isinstance(wire_type, str):
        return [Arrival(event, "")]
    if wire_type in _GA_NAMES:
        event = {**event, "type": _GA_NAMES[wire_type]}
    translate = _INCOMING.get(wire_type)
    if translate is not None:
        return translate(event, wire_type, memory)
    if event["type"] in ("session.created", "session.updated") and "session" in event:
        kind = "transcription" if wire_type.startswith("transcription_session.") else kind
        event = {**event, "session": session_to_ga(event["session"], kind)}
    return [Arrival(event, wire_type)]


def _created(event: dict[str, Any], wire_type: str, memory: Memory) -> list[Arrival]:
    event = _with_item(event)
    added = Arrival(event, wire_type)
    item_id = _item_id(event)
    if _is_complete(event.get("item"), item_id, memory):
        return [added, _done(event, event.get("previous_item_id"))]
    if item_id is not None:
        _remember(memory.announced, item_id, event.get("previous_item_id"))
    return [added]


def _is_complete(item: Any, item_id: str | None, memory: Memory) -> bool:
    """Whether nothing more will be said in it: the client's items, and those of committed audio."""
    return isinstance(item, dict) and item.get("status") != "in_progress" and item_id not in memory.begun


def _output_added(event: dict[str, Any], wire_type: str, memory: Memory) -> list[Arrival]:
    event = _with_item(event)
    item_id = _item_id(event)
    if item_id is not None:
        _remember(memory.begun, item_id, event["item"].get("name"))
    return [Arrival(event, wire_type)]


def _output_done(event: dict[str, Any], wire_type: str, memory: Memory) -> list[Arrival]:
    event = _with_item(event)
    arrivals = [Arrival(event, wire_type)]
    item_id = _item_id(event)
    if item_id is not None:
        if item_id in memory.announced:  # Others are outside the conversation.
            arrivals.insert(0, _done(event, memory.announced[item_id]))
        memory.forget(item_id)
    return arrivals


def _arguments_done(event: dict[str, Any], wire_type: str, memory: Memory) -> list[Arrival]:
    item_id = event.get("item_id")
    name = memory.begun.get(item_id) if isinstance(item_id, str) else None
    return [Arrival(event if name is None else {"name": name, **event}, wire_type)]


def _retrieved(event: dict[str, Any], wire_type: str, _memory: Memory) -> list[Arrival]:
    return [Arrival(_with_item(event), wire_type)]


def _finished(event: dict[str, Any], wire_type: str, memory: Memory) -> list[Arrival]:
    """A late preview that sends ``conversation.item.done`` itself, or an item that was deleted."""
    item_id = _item_id(event) if "item" in event else event.get("item_id")
    if isinstance(item_id, str):
        memory.announced.pop(item_id, None)
    return [Arrival(_with_item(event), wire_type)]


def _response(event: dict[str, Any], wire_type: str, _memory: Memory) -> list[Arrival]:
    if "response" in event:
        event = {**event, "response": response_to_ga(event["response"])}
    return [Arrival(event, wire_type)]


_INCOMING: dict[str, Callable[[dict[str, Any], str, Memory], list[Arrival]]] = {
    "conversation.item.created": _created,
    "conversation.item.deleted": _finished,
    "conversation.item.done": _finished,
    "conversation.item.retrieved": _retrieved,
    "response.created": _response,
    "response.done": _response,
    "response.function_call_arguments.done": _arguments_done,
    "response.output_item.added": _output_added,
    "response.output_item.done": _output_done,
}


def _done(event: Mapping[str, Any], previous_item_id: Any) -> Arrival:
    """The ``conversation.item.done`` that GA would have sent; it shares the id of the event that it comes from."""
    done = {"type": "conversation.item.done", "previous_item_id": previous_item_id, "item": event["item"]}
    if "event_id" in event:
        done["event_id"] = event["event_id"]
    return Arrival(done, "")


def _with_item(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "item": item_to_ga(event["item"])} if "item" in event else event


def _item_id(event: Mapping[str, Any]) -> str | None:
    item = event.get("item")
    item_id = item.get("id") if isinstance(item, dict) else None
    return item_id if isinstance(item_id, str) else None


def _remember(where: dict[str, Any], item_id: str, what: Any) -> None:
    if len(where) >= _MOST_REMEMBERED:
        del where[next(iter(where))]
    where[item_id] = what
