"""What of a session stands on the bus: the plan that it is rebuilt by, and which commands are done.

The conversation *is* what stands there: settings and items as the service has confirmed them, and the commands
that are not done. A line to the service is only where it goes on, and a new one is brought to the same place. So:

1. A command is done with the event that answers it, and both come to the bus in one step, with what they changed in
   the plan. A holder that dies before that has done nothing, as far as anybody can see; the next one does it again.
2. ``response.create`` is done when its response has ended, if it shall be asked for again, else when it has begun.
   Until then the items of a response that would be asked for again are not part of the plan.
3. What is never answered (``input_audio_buffer.append``, unknown types) is done when it was handed over.
4. Whatever should be answered and is not, is done after a minute.
5. A ``response.cancel`` does away with what was asked for before it: neither is done again.

Nothing here knows threads; whoever uses it guards it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from rtsync.bus.engine import Card, Entry, Plan
from rtsync.pure.conversation import Item, Snapshot, Usage
from rtsync.pure.correlation import Correlation, Sent
from rtsync.pure.recovery import UPDATES, Lost, Settings, replay
from rtsync.vocabulary.events import Event, decode_object, encode, raw

__all__ = ["Changes", "Command", "Cut", "Ledger", "conversation_of"]

_MARK = "rtsync_command"
"""In the metadata of a response that was asked for: the id of its command, which the service echoes."""
_MOST_METADATA = 16  # pairs, protocol 4.7
_PATIENCE = 60.0  # seconds
_SETTINGS, _ORDER, _LINE, _DROPPED, _ITEM = "settings", "order", "line", "dropped", "item:"

_STORED_BY = frozenset(
    {
        "conversation.item.done",
        "conversation.item.truncated",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.done",
    }
)
_ANNOUNCED_BY = frozenset({"conversation.item.added", "conversation.item.created"})
_HEARD_BY = frozenset({"input_audio_buffer.committed", "input_audio_buffer.cleared"})
_APPENDS = frozenset({"input_audio_buffer.append", "session.input_audio_buffer.append"})
# Those that an event of the service answers (``rtsync.pure.correlation``).
_ANSWERED = UPDATES | {
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "input_audio_buffer.clear",
    "input_audio_buffer.commit",
    "output_audio_buffer.clear",
    "response.cancel",
    "response.create",
}

Lookup = Callable[[str], Item | None]


class Command(msgspec.Struct, frozen=True):
    """A client event as it stands on the bus: the id of its entry, and the event."""

    entry_id: str
    event: dict[str, Any]

    @property
    def type(self) -> str:
        """The event's type."""
        kind: str = self.event["type"]
        return kind

    def __repr__(self) -> str:
        return f"<Command {self.entry_id} {self.type!r}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("entry_id", self.entry_id), ("type", self.type)]

    @classmethod
    def of(cls, entry: Entry) -> Command:
        """The command in ``entry``."""
        return cls(entry.id, decode_object(entry.data))


class Changes(msgspec.Struct):
    """What an event, or a command that was handed over, changed on the bus."""

    done: list[str] = msgspec.field(default_factory=list)
    fields: dict[str, bytes | None] = msgspec.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.done or self.fields)


class Cut(msgspec.Struct, frozen=True):
    """What the end of a line leaves.

    Attributes:
        left: the commands to do over the next one, in order.
        again: ids of responses that are asked for again by these.
        lost: what is not brought back.
        changes: of what stands on the bus.
    """

    left: list[Command]
    again: list[str]
    lost: list[Lost]
    changes: Changes


class _Line(msgspec.Struct):
    """What goes on over the line, and ends with it. ``responses``: by id, the command that asked for it, or None."""

    responses: dict[str, str | None] = msgspec.field(default_factory=dict)
    unheard: bool = False


class _Handed(msgspec.Struct):
    command: Command
    at: float


class Ledger:
    """The books of one session.

    Args:
        card: the session's.
        plan: what stands on the bus.

    Attributes:
        begun: whether the session was ever open.
    """

    def __init__(self, card: Card, plan: Plan) -> None:
        self._again = card.again
        self._max_history = card.max_history
        self._settings = Settings()
        self._items: dict[str, bytes] = {}
        self._size = 0
        self._order: list[str] = []
        self._dropped = 0
        self._line = _Line()
        self._read(plan.fields)
        self.begun = _ORDER in plan.fields
        if not self.begun and card.config is not None:
            self._configured({"type": "session.update", "session": card.config})
        self._begin_line()

    def _begin_line(self) -> None:
        self._correlation = Correlation(_MARK)
        self._handed: dict[str, _Handed] = {}  # By entry id.
        self._entries: dict[str, str] = {}  # Entry id by event id.
        self._held: dict[str, str] = {}  # Items of responses that would be asked for again: their response.
        self._echoes = False
        self._changes = Changes()
        self._behind_last: str | None = None

    def _read(self, fields: Mapping[str, bytes]) -> None:
        if (update := fields.get(_SETTINGS)) is not None:
            self._configured(decode_object(update))
        self._order = msgspec.json.decode(fields.get(_ORDER, b"[]"), type=list[str])
        self._dropped = msgspec.json.decode(fields.get(_DROPPED, b"0"), type=int)
        self._line = msgspec.json.decode(fields.get(_LINE, b"{}"), type=_Line)
        for item_id in self._order:
            if (item := fields.get(_ITEM + item_id)) is not None:
                self._items[item_id] = item
                self._size += len(item)

    def _configured(self, update: Mapping[str, Any]) -> None:
        self._settings.sent({**update, "event_id": "known"})
        self._settings.confirmed("known")

    # -- what a line is told -------------------------------------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any] | None:
        """The fields of the session, for a new line."""
        update = self._settings.event
        return None if update is None else update["session"]

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the conversation, for a new line."""
        return [decode_object(self._items[item_id]) for item_id in self._order if item_id in self._items]

    def fields(self) -> dict[str, bytes]:
        """The whole plan."""
        update = self._settings.event
        return {
            **({} if update is None else {_SETTINGS: encode(update)}),
            _ORDER: self._written_order(),
            **({_DROPPED: b"%d" % self._dropped} if self._dropped else {}),
            _LINE: msgspec.json.encode(self._line),
            **{_ITEM + item_id: item for item_id, item in self._items.items()},
        }

    def cut(self, commands: Iterable[Command]) -> Cut:
        """The line is gone; ``commands`` are all that are not done."""
        left, void = _without_cancelled(list(commands))
        asked = {command.entry_id for command in left}
        running = self._line.responses
        again = [response for response, entry in running.items() if entry in asked]
        lost = [Lost("response", each, "it was running") for each in running if each not in again]
        if self._line.unheard:
            lost.append(Lost("input_audio", None, "it was not committed"))
        kept = [each for each in self._order if each not in self._held]
        lost += [Lost("item", each, "it has no words") for each in kept if each not in self._items]
        if self._dropped:
            lost.append(Lost("item", None, f"the oldest {self._dropped} are no longer kept"))
        self._line = _Line()
        self._settings.dropped()
        self._order = [each for each in self._order if each in self._items]
        self._begin_line()
        self._changes.done += [command.entry_id for command in void]
        self._note_line()
        self._note_order()
        return Cut(left, again, lost, self._take_changes())

    # -- commands -----------------------------------------------------------------------------------------------------

    def hand(self, command: Command) -> dict[str, Any]:
        """``command`` is about to be handed to the service, as the event that this returns."""
        event = _marked(command.event)
        self._correlation.sent(event, command)
        moment, _, number = command.entry_id.partition("-")
        self._behind_last = f"{moment}-{int(number or 0) + 1}"
        self._handed[command.entry_id] = _Handed(command, time.monotonic())
        self._entries[event["event_id"]] = command.entry_id
        if command.type in UPDATES:
            self._settings.sent(event)
        return event

    def handed(self, command: Command) -> Changes:
        """The kernel has it."""
        if command.type in _APPENDS and not self._line.unheard:
            self._line.unheard = True
            self._note_line()
        if command.type not in _ANSWERED:
            self._finish(command.entry_id)
        return self._take_changes()

    def refuse(self, command: Command) -> Changes:
        """It cannot be handed over: nobody will answer it."""
        self._correlation.withdraw(command.event["event_id"])
        self._finish(command.entry_id)
        return self._take_changes()

    def open_commands(self) -> list[Command]:
        """Those that were handed over and are not done, in order."""
        return [each.command for each in self._handed.values()]

    def done_before(self) -> str | None:
        """An entry id before which all commands are done; None where none was handed over."""
        return next(iter(self._handed), self._behind_last)

    def expire(self) -> Changes:
        """Give up waiting for answers that do not come."""
        running = set(self._line.responses.values())
        late = time.monotonic() - _PATIENCE
        for entry_id, handed in list(self._handed.items()):
            if handed.at < late and entry_id not in running:
                self._correlation.withdraw(handed.command.event["event_id"])
                self._finish(entry_id)
        return self._take_changes()

    @property
    def calm(self) -> bool:
        """Whether nothing goes on that would be cut."""
        return not self._handed and not self._line.responses and not self._line.unheard

    # -- events -------------------------------------------------------------------------------------------------------

    def note(self, event: Event, lookup: Lookup) -> Changes:
        """The service has said ``event``, which no delta is; ``lookup`` finds an item as it is now."""
        kind = event.type
        if kind == "error":
            found = event.get("error")
            self._answered(self._correlation.blamed(dict(found) if isinstance(found, Mapping) else {}))
        elif kind == "response.created":
            self._response_began(event)
        else:
            self._answered(self._correlation.answered(raw(event)))
            self._note_items(kind, event, lookup)
        return self._take_changes()

    def begin(self) -> Changes:
        """The session is open for the first time."""
        self.begun = True
        self._note_settings()
        self._note_order()
        return self._take_changes()

    def _note_items(self, kind: str, event: Event, lookup: Lookup) -> None:
        if kind in _ANNOUNCED_BY:
            self._announced(event, lookup)
        elif kind == "response.output_item.added":
            self._hold(event)
        elif kind in _STORED_BY:
            self._store(_item_id(event), lookup)
        elif kind == "conversation.item.deleted":
            self._remove(_item_id(event))
        elif kind == "response.done":
            self._response_ended(event, lookup)
        elif kind in _HEARD_BY and self._line.unheard:
            self._line.unheard = False
            self._note_line()

    def _answered(self, sent: Sent | None) -> None:
        if sent is None:
            return
        if sent.type in UPDATES:
            self._settings.confirmed(sent.event_id)
            self._note_settings()
        entry_id = self._entries.get(sent.event_id)
        if entry_id is not None:
            self._finish(entry_id)

    def _finish(self, entry_id: str) -> None:
        handed = self._handed.pop(entry_id, None)
        if handed is not None:
            self._entries.pop(handed.command.event["event_id"], None)
            self._changes.done.append(entry_id)

    # -- responses ----------------------------------------------------------------------------------------------------

    def _response_began(self, event: Event) -> None:
        response_id = _text(_inner(event, "response").get("id"))
        sent = self._correlation.answered(raw(event))
        if sent is not None:
            self._echoes = True
        elif not self._echoes:  # Compatible servers do not all return metadata: then the oldest one it is.
            asked = [each for each in self._correlation.outstanding() if each.type == "response.create"]
            if asked and self._correlation.withdraw(asked[0].event_id):
                sent = asked[0]
        entry_id = None if sent is None else self._entries.get(sent.event_id)
        if response_id is not None:
            self._line.responses[response_id] = entry_id
            self._note_line()
        if entry_id is not None and (not self._again or response_id is None):
            self._finish(entry_id)

    def _hold(self, event: Event) -> None:
        response_id, item_id = _text(event.get("response_id")), _item_id(event)
        if self._again and response_id and item_id and self._line.responses.get(response_id) is not None:
            self._held[item_id] = response_id

    def _response_ended(self, event: Event, lookup: Lookup) -> None:
        response = _inner(event, "response")
        response_id = _text(response.get("id"))
        entry_id = self._line.responses.pop(response_id or "", None)
        mark = _text(_inner(response, "metadata").get(_MARK))
        entry_id = entry_id or self._entries.get(mark or "")  # Some servers begin nothing, and end it.
        if entry_id is not None:
            self._correlation.withdraw(mark or "")
            self._finish(entry_id)
        self._note_line()
        for item_id in [known for known, held_by in self._held.items() if held_by == response_id]:
            del self._held[item_id]
            self._store(item_id, lookup)
        self._note_order()

    # -- items --------------------------------------------------------------------------------------------------------

    def _announced(self, event: Event, lookup: Lookup) -> None:
        item_id, previous = _item_id(event), _text(event.get("previous_item_id"))
        if item_id is None or item_id in self._order:
            return
        if previous in self._order:
            self._order.insert(self._order.index(previous) + 1, item_id)
        elif "previous_item_id" in event and previous is None:  # The first, protocol 3.1.
            self._order.insert(0, item_id)
        else:
            self._order.append(item_id)
        self._note_order()
        self._store(item_id, lookup)

    def _store(self, item_id: str | None, lookup: Lookup) -> None:
        if item_id is None or item_id in self._held or item_id not in self._order:
            return
        item = lookup(item_id)
        if item is None:
            return
        rebuilt = replay(_alone(item)).items
        if not rebuilt:
            self._forget(item_id)  # What was cut off says no more than what was heard: nothing that can be rebuilt.
            return
        data = encode(rebuilt[0])
        if self._items.get(item_id) != data:
            self._size += len(data) - len(self._items.get(item_id, b""))
            self._items[item_id] = data
            self._changes.fields[_ITEM + item_id] = data
            self._make_room()

    def _make_room(self) -> None:
        while self._size > self._max_history and len(self._order) > 1:
            self._forget(self._order.pop(0))
            self._dropped += 1
            self._changes.fields[_DROPPED] = b"%d" % self._dropped
            self._note_order()

    def _remove(self, item_id: str | None) -> None:
        if item_id in self._order:
            self._order.remove(item_id)
            self._forget(item_id)
            self._note_order()

    def _forget(self, item_id: str) -> None:
        item = self._items.pop(item_id, None)
        if item is not None:
            self._size -= len(item)
            self._changes.fields[_ITEM + item_id] = None

    # -- what changed -------------------------------------------------------------------------------------------------

    def _take_changes(self) -> Changes:
        changes, self._changes = self._changes, Changes()
        return changes

    def _note_settings(self) -> None:
        update = self._settings.event
        if update is not None:
            self._changes.fields[_SETTINGS] = encode(update)

    def _note_order(self) -> None:
        self._changes.fields[_ORDER] = self._written_order()

    def _written_order(self) -> bytes:
        return msgspec.json.encode([item_id for item_id in self._order if item_id not in self._held])

    def _note_line(self) -> None:
        self._changes.fields[_LINE] = msgspec.json.encode(self._line)


def conversation_of(plan: Plan) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The items and the ``session.update`` that a plan holds."""
    order = msgspec.json.decode(plan.fields.get(_ORDER, b"[]"), type=list[str])
    found = [plan.fields.get(_ITEM + item_id) for item_id in order]
    update = plan.fields.get(_SETTINGS)
    return [decode_object(item) for item in found if item is not None], None if update is None else decode_object(
        update
    )


def _without_cancelled(commands: list[Command]) -> tuple[list[Command], list[Command]]:
    """``commands`` without what was cancelled among them, and that: rule 5."""
    left: list[Command] = []
    void: list[Command] = []
    for command in commands:
        if command.type == "response.cancel":
            void += [command, *(each for each in left if each.type == "response.create")]
            left = [each for each in left if each.type != "response.create"]
        else:
            left.append(command)
    return left, void


def _marked(event: dict[str, Any]) -> dict[str, Any]:
    if event["type"] != "response.create":
        return event
    response = event.get("response")
    options = dict(response) if isinstance(response, Mapping) else {}
    metadata = options.get("metadata") or {}
    if not isinstance(metadata, Mapping) or len(metadata) >= _MOST_METADATA:
        return event  # The service refuses more: then the order has to do.
    return {**event, "response": {**options, "metadata": {**metadata, _MARK: event["event_id"]}}}


def _alone(item: Item) -> Snapshot:
    return Snapshot(items=(item,), responses=(), config={}, rate_limits=[], usage=Usage(), speaking=False)


def _item_id(event: Event) -> str | None:
    return _text(event.get("item_id")) or _text(_inner(event, "item").get("id"))


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
