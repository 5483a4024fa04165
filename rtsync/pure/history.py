"""What arrived lately, and what of it a thread may still be waiting for.

A wait must find an answer that came between ``send()`` and ``wait_for()``. So every event gets a sequence number and
stays in a bounded history, and every thread has a window on it:

1. The first ``send`` after a wait opens a new window, at what has arrived by then. Events before it are never returned.
2. Every event in the window is returned at most once.
3. A thread that never sent gets its window at its first wait. The thread that opened the session starts with a window
   from the beginning, so that it finds ``session.created``; a handler with one that begins at the event it handles.
4. Deltas are many and large, so they have a smaller share of the history than the other events. When something was
   dropped that a wait might have wanted, the wait says so instead of missing it in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from rtsync.vocabulary.errors import RealtimeError
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.names import known_server_types

__all__ = ["Entry", "History", "Window"]

_MOST_EVENTS = 2048
_MOST_DELTAS = 512
_MOST_EVENT_BYTES = 8 << 20
_MOST_DELTA_BYTES = 1 << 20
_MOST_NAMES = 256
_LONGEST_NAME = 128  # characters; the service's own have at most 64
_OTHERS = ""
_MOST_RETURNED = 2 * (_MOST_EVENTS + _MOST_DELTAS)


class Entry(msgspec.Struct, frozen=True, eq=False):
    """An event that arrived.

    Attributes:
        sequence: its number, from 1.
        event: the event; None for a fault that came without one: the line ended.
        size: bytes of its message.
        fault: the error in it, where it answers what ``owner`` sent.
        owner: the window of the thread concerned, or None.
    """

    sequence: int
    event: Event | None
    size: int
    fault: RealtimeError | None = None
    owner: object = None

    @property
    def type(self) -> str:
        """The event's type."""
        return _OTHERS if self.event is None else self.event.type


class Window(msgspec.Struct, eq=False):
    """One thread's view: what it may still be told of.

    Attributes:
        start: events up to this number are out of view; None until the first send or wait.
        waited: whether the thread has waited since the window opened, so that its next send opens a new one.
        returned: numbers of the events in view that were returned already.
        seen: by event type, the number of the last one returned; older ones of the type were looked at.
    """

    start: int | None = None
    waited: bool = False
    returned: set[int] = msgspec.field(default_factory=set)
    seen: dict[str, int] = msgspec.field(default_factory=dict)

    def on_send(self, now: int) -> None:
        """The thread is about to send; ``now`` is the number of the newest event."""
        if self.start is None or self.waited:
            self.start, self.waited = now, False
            self.returned.clear()
            self.seen.clear()

    def on_wait(self, now: int) -> int:
        """The thread is about to wait; returns the number behind which it looks."""
        if self.start is None:
            self.start = now
        self.waited = True
        return self.start

    def on_return(self, entry: Entry, kept: Callable[[], set[int]]) -> None:
        """``entry`` is handed out. Only numbers that are still ``kept`` need be remembered, asked for now and then."""
        self.returned.add(entry.sequence)
        if len(self.returned) > _MOST_RETURNED:
            self.returned &= kept()
        place = _place(entry.type, self.seen)
        self.seen[place] = max(entry.sequence, self.seen.get(place, 0))

    def on_timeout(self, types: frozenset[str] | None, newest: int) -> None:
        """A wait has looked at everything up to number ``newest`` in vain, also at what is dropped later."""
        for name in types or ("",):
            place = _place(name, self.seen)
            self.seen[place] = max(newest, self.seen.get(place, 0))


class History:
    """The newest events, in the order of their numbers."""

    def __init__(self) -> None:
        self.newest = 0
        self._events: deque[Entry] = deque()
        self._deltas: deque[Entry] = deque()
        self._event_bytes = 0
        self._delta_bytes = 0
        self._dropped: dict[str, int] = {}

    def add(self, event: Event | None, size: int, fault: RealtimeError | None = None, owner: object = None) -> Entry:
        """Keep ``event``, or a fault without one, under the next number."""
        if event is not None and event.type.endswith(".delta"):
            entry = Entry(self.newest + 1, event, size, fault, owner)
            self._keep_deltas([entry])
            return entry
        self.newest += 1
        entry = Entry(self.newest, event, size, fault, owner)
        self._events.append(entry)
        self._event_bytes += size
        while self._too_many_events():
            self._event_bytes -= self._events[0].size
            self._drop(self._events.popleft())
        return entry

    def extend(self, deltas: Sequence[Event], sizes: Sequence[int]) -> list[Entry]:
        """Keep ``deltas`` under the next numbers, each with the size of its message."""
        numbers = range(self.newest + 1, self.newest + 1 + len(deltas))
        entries = list(map(Entry, numbers, deltas, sizes))
        self._keep_deltas(entries)
        return entries

    def _keep_deltas(self, entries: list[Entry]) -> None:
        self.newest += len(entries)
        deltas, dropped = self._deltas, self._dropped
        deltas.extend(entries)
        self._delta_bytes += sum([entry.size for entry in entries])
        while len(deltas) > _MOST_DELTAS or (self._delta_bytes > _MOST_DELTA_BYTES and len(deltas) > 1):
            oldest = deltas.popleft()
            self._delta_bytes -= oldest.size
            kind = oldest.type
            if kind in dropped:  # Once for every delta of a long answer.
                dropped[kind] = oldest.sequence
            else:
                self._drop(oldest)

    def _too_many_events(self) -> bool:
        if len(self._events) == 1:  # However large, the newest is kept: somebody may be about to wait for it.
            return False
        return len(self._events) > _MOST_EVENTS or self._event_bytes > _MOST_EVENT_BYTES

    def since(self, start: int) -> list[Entry]:
        """The kept entries behind number ``start``, oldest first."""
        return sorted(_tail(self._events, start) + _tail(self._deltas, start), key=_number)

    def numbers(self) -> set[int]:
        """The numbers of the kept entries."""
        return {entry.sequence for kept in (self._events, self._deltas) for entry in kept}

    def dropped(self, types: frozenset[str] | None, start: int, seen: Mapping[str, int]) -> bool:
        """Whether an event of ``types`` (None: of any type) was dropped that a window did not get to see.

        Args:
            types: what is waited for.
            start: the window shows what came behind this number.
            seen: by type, the number of the last event that the window has returned.
        """
        if types is None:
            last = max([start, *seen.values()])
            return max([0, *self._dropped.values()]) > last
        return any(self._last_dropped(name) > max(start, seen.get(name, 0)) for name in types)

    def _last_dropped(self, name: str) -> int:
        """The number of the last event of type ``name`` that was dropped, or may have been."""
        shared = 0 if name in known_server_types() else self._dropped.get(_OTHERS, 0)
        return max(shared, self._dropped.get(name, 0))

    def _drop(self, entry: Entry) -> None:
        self._dropped[_place(entry.type, self._dropped)] = entry.sequence


def _place(name: str, places: Mapping[str, int]) -> str:
    """The key of type ``name``. Names from the wire may be many, and long: unknown ones share a place then."""
    room = len(places) < _MOST_NAMES and len(name) <= _LONGEST_NAME
    return name if room or name in places or name in known_server_types() else _OTHERS


def _number(entry: Entry) -> int:
    return entry.sequence


def _tail(entries: deque[Entry], start: int) -> list[Entry]:
    """The entries behind number ``start``, found from the new end, where they are few."""
    found: list[Entry] = []
    for entry in reversed(entries):
        if entry.sequence <= start:
            break
        found.append(entry)
    return found[::-1]
