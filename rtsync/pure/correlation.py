"""Who asked for what: ties answers and errors of the service to the client events that caused them.

The service answers client events in order (protocol 3.4) and names the cause of an error by ``error.event_id``, but
not dependably (protocol 5.4): the id may be null although the client sent one. Then the error's code, parameter and
message say what kind of event it can answer, and the oldest one of that kind that is still unanswered is the cause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["Correlation", "Sent"]

_MOST_PENDING = 1024
# Never acknowledged (protocol 2), so they would pile up among the pending: a few are kept to find errors' causes.
_UNANSWERED = frozenset({"input_audio_buffer.append", "session.input_audio_buffer.append", "session.close"})
_MOST_UNANSWERED = 256

_BY_CODE = {
    "cannot_update_voice": ("session.update",),
    "conversation_already_has_active_response": ("response.create",),
    "input_audio_buffer_commit_empty": ("input_audio_buffer.commit",),
    "invalid_tool_call_id": ("conversation.item.create",),
    "item_delete_invalid_item_id": ("conversation.item.delete",),
    "item_retrieve_invalid_item_id": ("conversation.item.retrieve",),
    "item_truncate_invalid_item_id": ("conversation.item.truncate",),
    "response_cancel_not_active": ("response.cancel",),
}
_BY_PARAM = {
    "session": ("session.update", "transcription_session.update"),
    "item": ("conversation.item.create",),
    "previous_item_id": ("conversation.item.create",),
    "response": ("response.create",),
    "response_id": ("response.cancel",),
    "audio": ("input_audio_buffer.append", "session.input_audio_buffer.append"),
    "audio_end_ms": ("conversation.item.truncate",),
    "content_index": ("conversation.item.truncate",),
}
_BY_MESSAGE = {
    "audio messages can be truncated": ("conversation.item.truncate",),
    "is already shorter than": ("conversation.item.truncate",),
    "Error deleting item": ("conversation.item.delete",),
    "Error retrieving item": ("conversation.item.retrieve",),
    "Cancellation failed": ("response.cancel",),
    "a transcription session update": ("session.update", "transcription_session.update"),
}
# Not the answer to anything: the session as a whole is concerned.
_NOBODYS = frozenset({"session_expired"})
_NOBODYS_TYPES = frozenset({"server_error"})


class Sent(msgspec.Struct, frozen=True, eq=False):
    """A client event on its way.

    Attributes:
        event_id: its id.
        type: its type.
        owner: who sent it; whatever the caller gave.
        subject: what tells its answer from others of the same type: an item id, a metadata mark, a response id.
    """

    event_id: str
    type: str
    owner: object
    subject: str | None


class Correlation:
    """The client events that wait for an answer, oldest first.

    Attributes:
        pending: them, by their ids.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.pending: dict[str, Sent] = {}
        self._unanswered: deque[Sent] = deque(maxlen=_MOST_UNANSWERED)

    def sent(self, event: Mapping[str, Any], owner: object) -> Sent:
        """Note a client event, before its bytes go out, so that no answer can overtake the note."""
        event_id, kind = event["event_id"], event["type"]
        if kind not in _ANSWERABLE:
            record = Sent(event_id, kind, owner, None)
            self._unanswered.append(record)
            return record
        record = Sent(event_id, kind, owner, None if kind in _SUBJECTLESS else self._subject(event))
        if len(self.pending) >= _MOST_PENDING:
            del self.pending[next(iter(self.pending))]
        self.pending[event_id] = record
        return record

    def forget(self, record: Sent) -> None:
        """The event did not go out, or nobody wants its answer any more."""
        self.withdraw(record.event_id)

    def withdraw(self, event_id: str) -> bool:
        """The same by id, for one whose record never came into anybody's hands (Ctrl+C). Whether it was pending."""
        return self.pending.pop(event_id, None) is not None

    def in_flight(self) -> tuple[str, ...]:
        """Types of the unanswered events, oldest first."""
        return tuple(record.type for record in self.pending.values())

    def outstanding(self) -> tuple[Sent, ...]:
        """The unanswered events, oldest first."""
        return tuple(self.pending.values())

    def answered(self, event: Mapping[str, Any]) -> Sent | None:
        """The client event that this server event (any but ``error``) answers."""
        kind = event.get("type")
        rule = _ANSWERS.get(kind) if type(kind) is str else None
        if rule is None:
            return None
        if len(self.pending) == 1:  # As mostly.
            (only,) = self.pending.values()
            if only.type in _SUBJECTLESS:
                return self.pending.pop(only.event_id) if only.type in rule[0] else None
        found = [record for record in self.pending.values() if record.type in rule[0]]
        if not found:
            return None
        subject = rule[1](event, self._mark)
        if rule[1] is not _item:
            if len(found) > 1 or found[0].subject:
                found = [sent for sent in found if sent.subject == subject or not sent.subject]
            return self._chosen(found, subject)
        # The model's own items are announced before they are said, and are the answer to nobody who did not name them;
        # nor is what the service makes of MCP servers, which has no status.
        item = _inner(event, "item")
        exactly = item.get("status") == "in_progress" or item.get("type") in _SERVICES_OWN
        renamed = not exactly and _may_be_renamed(event)
        return self._chosen(
            [sent for sent in found if sent.subject == subject or renamed or not (sent.subject or exactly)], subject
        )

    def begun(self, mark: str) -> None:
        """The response that was asked for with ``mark`` has begun, on a server that does not echo marks."""
        self._take(("response.create",), lambda sent: sent.subject == mark)

    def blamed(self, error: Mapping[str, Any]) -> Sent | None:
        """The client event that an ``error`` event's ``error`` object answers."""
        event_id = error.get("event_id")
        if isinstance(event_id, str):
            return self._by_id(event_id)
        if _text(error.get("code")) in _NOBODYS or _text(error.get("type")) in _NOBODYS_TYPES:
            return None
        candidates = _candidates(error)
        found = self._take(candidates, lambda _: True) if candidates else self._oldest()
        if found is None and (candidates is None or not _UNANSWERED.isdisjoint(candidates)) and self._unanswered:
            return self._unanswered.popleft()
        return found

    def _by_id(self, event_id: str) -> Sent | None:
        found = self.pending.pop(event_id, None)
        return found or next((record for record in self._unanswered if record.event_id == event_id), None)

    def _oldest(self) -> Sent | None:
        return self.pending.pop(next(iter(self.pending)), None) if self.pending else None

    def _take(self, types: Iterable[str], accepts: Callable[[Sent], bool]) -> Sent | None:
        """The oldest pending event of ``types`` that ``accepts`` accepts."""
        return self._chosen([record for record in self.pending.values() if record.type in types and accepts(record)])

    def _chosen(self, found: list[Sent], subject: str | None = None) -> Sent | None:
        """The first of ``found``, or that which names exactly ``subject``: it is answered."""
        if not found:
            return None
        exact = [record for record in found if record.subject == subject] if subject is not None else None
        chosen = (exact or found)[0]
        del self.pending[chosen.event_id]
        return chosen

    def _subject(self, event: Mapping[str, Any]) -> str | None:
        if event["type"] == "conversation.item.create":
            return _text(_inner(event, "item").get("id"))
        if event["type"] == "response.create":
            return _text(_inner(_inner(event, "response"), "metadata").get(self._mark))
        return _text(event.get("item_id") or event.get("response_id"))


def _candidates(error: Mapping[str, Any]) -> tuple[str, ...] | None:
    code, param, message = error.get("code"), error.get("param"), error.get("message")
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(param, str) and (known := _BY_PARAM.get(param.split(".")[0].split("[")[0])):
        return known
    if isinstance(message, str):
        return next((types for text, types in _BY_MESSAGE.items() if text in message), None)
    return None


_SERVICES_OWN = ("mcp_list_tools", "mcp_call", "mcp_approval_request")


def _may_be_renamed(event: Mapping[str, Any]) -> bool:
    """Whether this may be an item that a client created under another id: compatible servers mint their own.

    What voice detection made of speech is not.
    """
    if event["type"] not in ("conversation.item.added", "conversation.item.created"):
        return False
    content = _inner(event, "item").get("content")
    first = content[0] if isinstance(content, Sequence) and content else None
    return not (isinstance(first, Mapping) and first.get("type") == "input_audio")


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if type(inner) is dict or isinstance(inner, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _item(event: Mapping[str, Any], _mark: str) -> str | None:
    return _text(_inner(event, "item").get("id"))


def _item_id(event: Mapping[str, Any], _mark: str) -> str | None:
    return _text(event.get("item_id"))


def _metadata(event: Mapping[str, Any], mark: str) -> str | None:
    return _text(_inner(_inner(event, "response"), "metadata").get(mark))


def _response_id(event: Mapping[str, Any], _mark: str) -> str | None:
    return _text(_inner(event, "response").get("id"))


def _nothing(_event: Mapping[str, Any], _mark: str) -> str | None:
    return None


# Server event -> the client events that it answers, and what in it names the subject (protocol section 2, "answers").
_ANSWERS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any], str], str | None]]] = {
    "session.updated": (("session.update", "transcription_session.update"), _nothing),
    "transcription_session.updated": (("transcription_session.update", "session.update"), _nothing),
    "conversation.item.added": (("conversation.item.create",), _item),
    "conversation.item.created": (("conversation.item.create",), _item),
    "conversation.item.deleted": (("conversation.item.delete",), _item_id),
    "conversation.item.retrieved": (("conversation.item.retrieve",), _item),
    "conversation.item.truncated": (("conversation.item.truncate",), _item_id),
    "input_audio_buffer.committed": (("input_audio_buffer.commit",), _nothing),
    "input_audio_buffer.cleared": (("input_audio_buffer.clear",), _nothing),
    "output_audio_buffer.cleared": (("output_audio_buffer.clear",), _nothing),
    "response.created": (("response.create",), _metadata),
    "response.done": (("response.cancel",), _response_id),
}
# Of these one answer is as good as another.
_SUBJECTLESS = frozenset(name for requests, subject in _ANSWERS.values() if subject is _nothing for name in requests)
# What no answer is known of would wait for one for ever.
_ANSWERABLE = frozenset(name for requests, _ in _ANSWERS.values() for name in requests)
