"""What arrived lately, and what of it a thread may still be waiting for.

A wait must find an answer that came between ``send()`` and ``wait_for()``. So every event gets a sequence number and
stays in a bounded history, and every thread has a window on it:

1. The first ``send`` after a wait opens a new window, at what has arrived by then. Events before it are never returned.
2. Every event in the window is returned at most once.
3. A thread that never sent gets its window at its first wait. The thread that opened the session starts with a window
   from the beginning, so that it finds ``session.created``; a handler with one that begins at the event it handles.
4. Deltas are many and large, so they have a smaller share of the history than the other events: the newest
   512, or 1 MiB of them, less a chunk, as they are dropped in chunks. When something was dropped that a wait might have
   wanted, the wait says so instead of missing it in silence.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rtsync.pure.runs import Run, events_of
from rtsync.vocabulary.errors import RealtimeError
from rtsync.vocabulary.events import Event, decode_object
from rtsync.vocabulary.names import known_server_types

__all__ = ["Entry", "History", "Window"]

_MOST_EVENTS = 2048
_MOST_DELTAS = 512
_MOST_EVENT_BYTES = 8 << 20
_MOST_DELTA_BYTES = 1 << 20
_CHUNK = 64  # deltas at most, that are dropped together,
_LARGEST_CHUNK = 64 << 10  # and bytes from which on it is full.
_LARGE = 1024  # bytes from which on a message takes more memory than the rest of its event
_MOST_NAMES = 256
_LONGEST_NAME = 128  # characters; the service's own have at most 64
_OTHERS = ""
_MOST_RETURNED = 2 * (_MOST_EVENTS + _MOST_DELTAS)


class Entry(msgspec.Struct, frozen=True, eq=False):
    """An event that arrived.

    Attributes:
        sequence: its number, from 1.
        type: the event's type; ``""`` for a fault that came without an event: the line ended.
        said: the event, its JSON object in GA terms, or the message that it came in; None without one.
        size: bytes of its message.
        fault: the error in it, where it answers what ``owner`` sent.
        owner: the window of the thread concerned, or None.
    """

    sequence: int
    type: str
    said: Event | dict[str, Any] | bytes | None
    size: int
    fault: RealtimeError | None = None
    owner: object = None

    @property
    def event(self) -> Event | None:
        """The event; where something else was kept, another one each time, equal to the one that handlers got."""
        said = self.said
        if type(said) is bytes:
            said = decode_object(said)
        return events_of([said])[0] if type(said) is dict else said  # type: ignore[return-value]


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


class _Chunk:
    """Deltas, the small ones as their messages: a fifth of the memory that the events take, which most of the time
    nobody asks for once they are handled. They are read again for a wait that looks back.

    Attributes:
        types: the type of each.
        numbers: the number of each.
        said: what was said, in order: messages, one behind the other, or one JSON object, or one event.
        sizes: bytes of the message of each.
        size: bytes of all of them.
    """

    __slots__ = ("numbers", "said", "size", "sizes", "types")

    def __init__(self) -> None:
        self.types: list[str] = []
        self.numbers = array("q")  # A fifth of a list of integers.
        self.said: list[bytes | dict[str, Any] | Event] = []
        self.sizes = array("Q")
        self.size = 0

    def join(self) -> None:
        """It is full: keep what came one by one in one piece."""
        if len(self.said) > 1 and set(map(type, self.said)) == {bytes}:
            self.said = [b"".join(self.said)]  # type: ignore[arg-type]

    def behind(self, start: int) -> Iterator[Entry]:
        """The entries behind number ``start``."""
        pieces = iter(self.said)
        said: bytes | dict[str, Any] | Event = b""
        position = 0
        for name, number, size in zip(self.types, self.numbers, self.sizes, strict=True):
            if not isinstance(said, bytes) or position == len(said):
                said, position = next(pieces), 0
            if number > start:
                yield Entry(number, name, said[position : position + size] if isinstance(said, bytes) else said, size)
            position += size


class History:
    """The newest events, in the order of their numbers."""

    def __init__(self) -> None:
        self.newest = 0
        self._events: deque[Entry] = deque()
        self._chunks: deque[_Chunk] = deque()  # The deltas.
        self._event_bytes = 0
        self._delta_bytes = 0
        self._delta_count = 0
        self._dropped: dict[str, int] = {}  # By type, the newest of those.
        self._newest_dropped = 0

    def add(self, event: Event | None, size: int, fault: RealtimeError | None = None, owner: object = None) -> Entry:
        """Keep ``event``, or a fault without one, under the next number."""
        entry = Entry(self.newest + 1, _OTHERS if event is None else event.type, event, size, fault, owner)
        if event is not None and fault is None and event.type.endswith(".delta"):
            self.newest = entry.sequence
            self._keep([event.type], [entry.sequence], [event], [size], size)
            return entry
        self.newest += 1
        events = self._events
        events.append(entry)
        self._event_bytes += size
        # However large, the newest is kept: somebody may be about to wait for it.
        while len(events) > _MOST_EVENTS or (self._event_bytes > _MOST_EVENT_BYTES and len(events) > 1):
            oldest = events.popleft()
            self._event_bytes -= oldest.size
            self._drop(oldest.type, oldest.sequence)
        return entry

    def extend(self, run: Run) -> None:
        """Keep deltas, whose numbers are the next ones."""
        self.newest = run.numbers[-1]
        # One name for all: each message has brought another copy of it.
        count = len(run.data)
        kinds = run.kinds if len(run.types) > 1 else [*run.types] * count
        if count <= _CHUNK:
            self._keep(kinds, run.numbers, _lasting(run.messages, run.data, run.sizes), run.sizes, run.size)
            return
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            sizes = run.sizes[part]
            said = _lasting(run.messages[part], run.data[part], sizes)
            self._keep(kinds[part], run.numbers[part], said, sizes, sum(sizes))

    def _keep(
        self,
        types: list[str],
        numbers: Sequence[int],
        said: Sequence[bytes | dict[str, Any] | Event],
        sizes: list[int],
        size: int,
    ) -> None:
        """Keep a chunk of deltas, or a part of one."""
        chunks = self._chunks
        newest = chunks[-1] if chunks else None
        if newest is None or len(newest.numbers) + len(numbers) > _CHUNK or newest.size >= _LARGEST_CHUNK:
            if newest is not None:
                newest.join()
            newest = _Chunk()
            chunks.append(newest)
        newest.types += types
        newest.numbers.extend(numbers)
        newest.said += said
        newest.sizes.extend(sizes)
        newest.size += size
        self._delta_bytes += size
        self._delta_count += len(numbers)
        while (self._delta_count > _MOST_DELTAS or self._delta_bytes > _MOST_DELTA_BYTES) and len(chunks) > 1:
            self._drop_chunk(chunks.popleft())

    def _drop_chunk(self, oldest: _Chunk) -> None:
        self._delta_bytes -= oldest.size
        self._delta_count -= len(oldest.numbers)
        for name, number in dict(zip(oldest.types, oldest.numbers, strict=True)).items():  # The last one of each.
            self._drop(name, number)

    def since(self, start: int) -> list[Entry]:
        """The kept entries behind number ``start``, oldest first."""
        if start >= self.newest:
            return []
        return sorted([*_tail(self._events, start), *self._deltas_behind(start)], key=_number)

    def _deltas_behind(self, start: int) -> Iterator[Entry]:
        for chunk in reversed(self._chunks):
            if chunk.numbers[-1] <= start:
                return
            yield from chunk.behind(start)

    def numbers(self) -> set[int]:
        """The numbers of the kept entries."""
        return {entry.sequence for entry in self._events}.union(*(chunk.numbers for chunk in self._chunks))

    def dropped(self, types: frozenset[str] | None, start: int, seen: Mapping[str, int]) -> bool:
        """Whether an event of ``types`` (None: of any type) was dropped that a window did not get to see.

        Args:
            types: what is waited for.
            start: the window shows what came behind this number.
            seen: by type, the number of the last event that the window has returned.
        """
        if self._newest_dropped <= start:
            return False
        if types is None:
            last = max([start, *seen.values()])
            return max([0, *self._dropped.values()]) > last
        return any(self._last_dropped(name) > max(start, seen.get(name, 0)) for name in types)

    def _last_dropped(self, name: str) -> int:
        """The number of the last event of type ``name`` that was dropped, or may have been."""
        shared = 0 if name in known_server_types() else self._dropped.get(_OTHERS, 0)
        return max(shared, self._dropped.get(name, 0))

    def _drop(self, name: str, number: int) -> None:
        self._newest_dropped = max(number, self._newest_dropped)
        self._dropped[_place(name, self._dropped)] = number


def _lasting(
    messages: Sequence[bytes | memoryview], data: Sequence[dict[str, Any]], sizes: Sequence[int]
) -> Sequence[bytes | dict[str, Any]]:
    """What to keep of messages that will be gone: a copy of small ones in one piece, of a large one what was in it."""
    if max(sizes) < _LARGE:
        return [b"".join(messages)]
    return [
        bytes(message) if size < _LARGE else fields for message, fields, size in zip(messages, data, sizes, strict=True)
    ]


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
