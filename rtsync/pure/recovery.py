"""Getting a lost session back: when to try again, and what a new connection must be told.

A new connection is a new session of the service; nothing carries over (protocol 1.3). What the program had, it gets
back in three steps:

1. ``Settings``: the fields of every ``session.update`` that the service has confirmed, merged as it merges them
   (protocol 4.3). Re-sent are the program's own words, not the service's echo, which leaves credentials of tools out.
2. ``Replay``: the items that the conversation shall have, as a client may create them (protocol 5.3), and what cannot
   be rebuilt.
3. ``Restoration``: the events that bring a connection there, a few at a time, so that neither side fills up, and what
   came of each. It starts from what the connection has already, so a second one only sends what has changed since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from rtsync.pure.conversation import Item, Snapshot
from rtsync.pure.weight import weight
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConfigurationError,
    ConnectFailed,
    RateLimited,
    SessionClosed,
)
from rtsync.vocabulary.events import new_event_id

__all__ = [
    "UPDATES",
    "Lost",
    "Reconnect",
    "Replay",
    "Restoration",
    "Restore",
    "Settings",
    "cause_of",
    "delay_before",
    "replay",
    "restorable_items",
]

UPDATES = frozenset({"session.update", "transcription_session.update"})
Restore = Literal["config", "conversation"] | Callable[[Snapshot], Iterable[Mapping[str, Any]]]

_WINDOW = 16  # events on their way at once
_WINDOW_BYTES = 65536  # of them; what is larger goes alone, and is read whole by a server before it answers
_MOST_PENDING = 64
_LONGEST_RETRY_AFTER = 120.0  # seconds; who asks for more is not worth holding a conversation for
_MERGED = frozenset({"audio", "input", "output"})  # Objects that an update merges; all others it replaces.


class Reconnect(msgspec.Struct, frozen=True, kw_only=True):
    """How a session that was lost is brought back: ``RealtimeSession(..., reconnect=Reconnect(...))``.

    What passes is tried again: a broken network, the service's maximum duration, closes 1001, 1005, 1006 and 1011 to
    1014, HTTP 408, 425, 429 and 5xx. Refusals are not: other closes and statuses, TLS that fails, redirects, and a
    token that was refused once already.

    Attributes:
        attempts: how often in a row, at most; None for ever. Counted anew only once a new connection has done more
            than to greet and to be restored.
        first_delay: seconds before the first attempt; doubled for each further one, and shortened by up to a half at
            random, so that many clients do not come back at once. ``Retry-After`` makes it longer.
        longest_delay: seconds that doubling ends at.
        restore: what a new connection is told. ``"config"``: what ``session.update`` had set. ``"conversation"``: that,
            and the items of the conversation: messages as text, audio by its transcript, function calls and their
            outputs. A callable: the configuration, and the items that it returns for a ``Snapshot`` of the
            conversation: ``[]``, a summary, or some of ``restorable_items(snapshot)``. It runs in a thread of
            rtsync's, which it may block.

            Some models answer in text only once they find their own answers in the conversation as text, so for voice
            ``"conversation"`` is a choice to be tried out.
        responses: what becomes of a response that was running: ``"fail"`` ends it with ``ResponseFailed``, which has
            the text so far; ``"again"`` asks for it once more, which costs tokens again.
        renew: whether to move to a new connection before the service's maximum duration (60 minutes on OpenAI, 30 on
            Azure), at a quiet moment.

    Raises:
        ConfigurationError: an attribute is not what it must be.
    """

    attempts: int | None = 5
    first_delay: float = 0.5
    longest_delay: float = 30.0
    restore: Restore = "config"
    responses: Literal["fail", "again"] = "fail"
    renew: bool = True

    def __post_init__(self) -> None:
        if self.attempts is not None and not (_is_number(self.attempts, int) and self.attempts >= 1):
            raise ConfigurationError(f"attempts must be a whole number, at least 1, or None, not {self.attempts!r}")
        for name in ("first_delay", "longest_delay"):
            value = getattr(self, name)
            if not (_is_number(value, int | float) and 0 <= value < float("inf")):
                raise ConfigurationError(f"{name} must be a number of seconds, not {value!r}")
        if self.restore not in ("config", "conversation") and not callable(self.restore):
            raise ConfigurationError(
                f"restore must be 'config', 'conversation' or a callable that takes a Snapshot, not {self.restore!r}"
            )
        if self.responses not in ("fail", "again"):
            raise ConfigurationError(f"responses must be 'fail' or 'again', not {self.responses!r}")
        if self.responses == "again" and self.restore == "config":
            raise ConfigurationError(
                "responses='again' needs restore='conversation', or a callable: with the configuration alone the model"
                " would not know what it is to answer"
            )


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


class Lost(msgspec.Struct, frozen=True):
    """Something that a new connection could not be given back.

    Attributes:
        what: ``"item"``, ``"part"`` (of an item), ``"response"``, ``"input_audio"``, or ``"event"``.
        id: id of the item or response, type of the event, or None.
        reason: why, in a few words.
    """

    what: str
    id: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.what}{f' {self.id}' if self.id else ''}: {self.reason}"


# -- when -------------------------------------------------------------------------------------------------------------


def delay_before(attempt: int, policy: Reconnect, error: Exception, chance: float) -> float | None:
    """Seconds to wait before attempt number ``attempt`` (from 1), or None where there is to be none.

    Args:
        attempt: its number since the last progress.
        policy: the user's.
        error: how the line or the last attempt ended.
        chance: a random number from 0 to 1.
    """
    if policy.attempts is not None and attempt > policy.attempts:
        return None
    if isinstance(error, AuthenticationFailed) and not error.retryable:
        # A new token may do; the old one is not sent again.
        return 0.0 if error.status == 401 or error.phase == "session" else None
    if not getattr(error, "retryable", False):
        return None
    asked = getattr(error, "retry_after", None) or 0.0
    if asked > _LONGEST_RETRY_AFTER:
        return None
    if attempt == 1 and isinstance(error, SessionClosed) and error.cause is CloseCause.EXPIRED:
        return 0.0
    doubled = min(policy.longest_delay, policy.first_delay * 2.0 ** min(attempt - 1, 32))
    return max(asked, doubled * (0.5 + chance / 2))


def cause_of(failure: Exception, loss: CloseCause) -> CloseCause:
    """The cause of a session's end after the last attempt failed with ``failure``; ``loss`` began it."""
    if isinstance(failure, AuthenticationFailed):
        return CloseCause.AUTHENTICATION
    if isinstance(failure, RateLimited):
        return CloseCause.RATE_LIMIT
    if isinstance(failure, ConnectFailed):
        return loss
    return getattr(failure, "cause", loss)


# -- what -------------------------------------------------------------------------------------------------------------


class Settings:
    """What the program has set by ``session.update``, as far as the service has confirmed it.

    Attributes:
        awaited: the session is not open before the first one is confirmed.
    """

    def __init__(self) -> None:
        self.awaited = False
        self._type = "session.update"
        self._merged: dict[str, Any] = {}
        self._pending: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def sent(self, event: Mapping[str, Any]) -> None:
        """An update goes out."""
        session = event.get("session")
        if isinstance(session, Mapping):
            if len(self._pending) >= _MOST_PENDING:
                del self._pending[next(iter(self._pending))]
            self._pending[event["event_id"]] = event["type"], session

    def confirmed(self, event_id: str) -> None:
        """The service has taken it."""
        found = self._pending.pop(event_id, None)
        if found is not None:
            self.awaited = False
            self._type, fields = found
            _merge(self._merged, fields)

    def dropped(self) -> None:
        """The line has ended: what is not confirmed will not be."""
        self._pending.clear()

    @property
    def event(self) -> dict[str, Any] | None:
        """The update that sets it all, without an id; None where nothing was set."""
        return {"type": self._type, "session": _copied(self._merged)} if self._merged else None


def _merge(into: dict[str, Any], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in _MERGED and isinstance(value, Mapping):
            known = into.get(name)
            into[name] = known if isinstance(known, dict) else {}
            _merge(into[name], value)
        else:
            into[name] = _copied(value)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list | tuple) else value


class Replay(msgspec.Struct, frozen=True):
    """What a conversation shall have on a new connection.

    Attributes:
        items: in order, each with an id.
        lost: what cannot be rebuilt.
    """

    items: list[dict[str, Any]]
    lost: tuple[Lost, ...]


def restorable_items(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The items of a conversation as ``restore="conversation"`` replays them, plain dicts for
    ``conversation.item.create`` (protocol 5.3): messages as text, audio by its transcript, function calls and their
    outputs. Not what was approved of MCP servers' tools: a client cannot create the request that it answers.

    For a callable given as ``Reconnect(restore=...)`` that keeps some of them.
    """
    return replay(snapshot).items


def replay(snapshot: Snapshot) -> Replay:
    """Everything of ``snapshot`` that a client may create, and what it may not."""
    items: list[dict[str, Any]] = []
    lost: list[Lost] = []
    if snapshot.dropped_items:
        lost.append(Lost("item", None, f"the oldest {snapshot.dropped_items} are no longer kept"))
    for item in snapshot.items:
        rebuilt = _rebuilt(item, lost)
        if rebuilt is not None:
            items.append(rebuilt)
    return Replay(items, tuple(lost))


def _rebuilt(item: Item, lost: list[Lost]) -> dict[str, Any] | None:
    data = item.data
    if item.type == "message":
        return _message(item, lost)
    if item.status == "in_progress":
        lost.append(Lost("item", item.id, "it was still being said"))
    elif item.type in _FIELDS:
        return {"id": item.id, "type": item.type} | {name: data[name] for name in _FIELDS[item.type] if name in data}
    else:
        lost.append(
            Lost("item", item.id, _CANNOT.get(item.type) or f"a client cannot create a {item.type or 'nameless'} item")
        )
    return None


_FIELDS = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}


_CANNOT = {"mcp_approval_response": "a client cannot create the request that it answers"}


def _message(item: Item, lost: list[Lost]) -> dict[str, Any] | None:
    if item.role == "assistant" and item.status == "in_progress":
        lost.append(Lost("item", item.id, "it was still being said"))
        return None
    parts = [_part(part, item.role) for part in item.data.get("content") or ()]
    kept = [part for part in parts if part is not None]
    if kept and len(kept) < len(parts):
        lost.append(Lost("part", item.id, "audio without a transcript, or a part of an unknown kind"))
    if not kept:
        lost.append(Lost("item", item.id, "audio without a transcript" if parts else "it has no content"))
        return None
    return {"id": item.id, "type": "message", "role": item.role or "user", "content": kept}


def _part(part: object, role: str | None) -> dict[str, Any] | None:
    if not isinstance(part, Mapping):
        return None
    text = part.get("text") or part.get("transcript")
    if isinstance(text, str) and text:
        return {"type": "output_text" if role == "assistant" else "input_text", "text": text}
    url = part.get("image_url")
    if isinstance(url, str) and url:
        return {name: part[name] for name in ("type", "image_url", "detail") if part.get(name) is not None}
    return None


# -- how --------------------------------------------------------------------------------------------------------------


class _Step(msgspec.Struct, frozen=True):
    event: dict[str, Any]
    item: dict[str, Any] | None = None
    size: int = 0


class Restoration:
    """The way of one connection to what it shall have.

    ``aim`` says what that is, ``due`` what is to be sent now; ``confirmed`` and ``refused`` what came of it.
    """

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self.updates_refused: list[Mapping[str, Any]] = []
        self._has: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, Any] | None = None
        self._refused: set[str] = set()
        self._waiting: deque[_Step] = deque()
        self._underway: dict[str, _Step] = {}

    @property
    def done(self) -> bool:
        """Whether everything was sent and answered."""
        return not self._waiting and not self._underway

    def aim(self, update: dict[str, Any] | None, items: Iterable[Mapping[str, Any]]) -> None:
        """What the connection shall have: ``update`` confirmed, and exactly ``items`` in their order.

        Queues what is missing. May be called again once ``done``.
        """
        if update is not None and update != self._settings:
            self._settings = update
            self._waiting.append(_Step(update))
        wanted = {str(item["id"]): dict(item) for item in items}
        for item_id in [known for known, item in self._has.items() if wanted.get(known) != item]:
            del self._has[item_id]
            if item_id not in self._refused:
                self._waiting.append(_Step({"type": "conversation.item.delete", "item_id": item_id}))
            self._refused.discard(item_id)
        previous: str | None = None
        for item_id, item in wanted.items():
            if item_id not in self._has:
                create: dict[str, Any] = {"type": "conversation.item.create", "item": item}
                if self._has:  # Among others it needs its place; alone, each follows the last.
                    create["previous_item_id"] = previous or "root"
                self._waiting.append(_Step(create, item, weight(item)))
            if item_id not in self._refused:
                previous = item_id

    def has(self, update: dict[str, Any] | None, items: Iterable[Mapping[str, Any]]) -> bool:
        """Whether ``aim`` with the same would find nothing to do."""
        same = update is None or update == self._settings
        return self.done and same and {str(item["id"]): item for item in items} == self._has

    def lacks(self, items: Iterable[Mapping[str, Any]]) -> list[str]:
        """Ids of those of ``items`` that are not there as they shall be."""
        return [str(item["id"]) for item in items if self._has.get(str(item["id"])) != item]

    def exceeds(self, items: Iterable[Mapping[str, Any]]) -> list[str]:
        """Ids of what is there, or may still be there, although it is none of ``items``."""
        steps = [*self._waiting, *self._underway.values()]
        deleting = [step.event["item_id"] for step in steps if "item_id" in step.event]
        wanted = {str(item["id"]) for item in items}
        return [known for known in (*self._has, *deleting) if known not in wanted]

    def made(self, item_id: object) -> bool:
        """Whether the item of that id is there because of this restoration."""
        return isinstance(item_id, str) and item_id in self._has

    def due(self) -> list[dict[str, Any]]:
        """The events to send now, with their ids; they are underway from here on."""
        events = []
        while self._waiting and self._has_room_for(self._waiting[0]):
            step = self._waiting.popleft()
            event = {"event_id": new_event_id(), **step.event}
            self._underway[event["event_id"]] = step
            events.append(event)
        return events

    def _has_room_for(self, step: _Step) -> bool:
        size = step.size + sum(other.size for other in self._underway.values())
        return not self._underway or (len(self._underway) < _WINDOW and size <= _WINDOW_BYTES)

    def confirmed(self, event_id: str) -> None:
        """The service has done it."""
        step = self._underway.pop(event_id, None)
        if step is not None and step.item is not None:
            self._has[str(step.item["id"])] = step.item

    def refused(self, event_id: str, error: Mapping[str, Any]) -> None:
        """The service has answered with an error."""
        step = self._underway.pop(event_id, None)
        if step is None:
            return
        if step.event["type"] in UPDATES:
            self.updates_refused.append(error)
        elif step.item is not None:
            self._has[str(step.item["id"])] = step.item  # Not to be asked for again.
            self._refused.add(str(step.item["id"]))
            self.lost.append(Lost("item", str(step.item["id"]), f"the service refused it ({error.get('code')})"))
