"""What has arrived and nobody has taken yet: a queue with bounds in entries and in bytes.

Rules:

1. Entries are taken in the order in which they came. Deltas, where they may be dropped, stand in a queue of their own
   and every entry has a ticket, so that the oldest delta is found and dropped without looking at anything else.
2. Above a bound the oldest deltas are dropped, where the limits allow that, until the rest fits. What is no delta is
   never dropped.
3. What does not fit all the same is an overflow. The entry that brought it about is kept; whoever owns the queue puts
   nothing more. So a queue holds at most what its limits say and one entry.
4. The only entry of a queue always fits, however large: nobody has had the time to take it.
5. Entries without a size always fit and are not counted. Those are few, and not the peer's to make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import repeat
from typing import Generic, TypeAlias, TypeVar

import msgspec

__all__ = ["Backlog", "Limits", "Taken", "Trouble"]

T = TypeVar("T")

Taken: TypeAlias = tuple[int | None, float, int, T]
"""Size, arrival and number of an entry, and the entry itself."""
_Entry: TypeAlias = tuple[int, int | None, float, int, T]  # A ticket, and the same.


class Limits(msgspec.Struct, frozen=True):
    """How much may wait to be taken.

    Attributes:
        events: most events.
        size: most bytes, of the messages that the events came in.
        drop_deltas: whether the oldest deltas make room for what is new; otherwise nothing does.
    """

    events: int = 20_000
    size: int = 64 << 20
    drop_deltas: bool = False


class Trouble(Enum):
    """What putting an entry has brought about."""

    DROPPING = "dropping"
    """Deltas were dropped, the first of an episode, which ends when the queue is half empty again."""
    DROPPED = "dropped"
    """Deltas were dropped once more."""
    OVERFLOW = "overflow"
    """It does not fit, and nothing may be dropped."""


class Backlog(Generic[T]):
    """A bounded queue. Not safe for threads by itself, but for reading its counters.

    Attributes:
        events: counted entries in it.
        size: their bytes.
        most_events: most entries that were ever in it.
        most_size: most bytes.
        dropped: deltas dropped so far.
        dropping: whether there is an episode of dropping.
    """

    __slots__ = (
        "_deltas", "_drops", "_largest_allowed", "_most_allowed", "_others", "_tickets", "dropped", "dropping",
        "events", "most_events", "most_size", "size",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._drops = limits.drop_deltas
        self._most_allowed = limits.events
        self._largest_allowed = limits.size
        self._others: deque[_Entry[T]] = deque()
        self._deltas: deque[_Entry[T]] = deque()
        self._tickets = 0
        self.events = 0
        self.size = 0
        self.most_events = 0
        self.most_size = 0
        self.dropped = 0
        self.dropping = False

    def __bool__(self) -> bool:
        return bool(self._others or self._deltas)

    def put(
        self, item: T, size: int | None = None, delta: bool = False, now: float = 0.0, number: int = 0
    ) -> Trouble | None:
        """Add ``item`` at the end.

        Args:
            item: the entry.
            size: bytes that it counts for; None for one that always fits.
            delta: whether it may be dropped.
            now: the moment of its arrival, for ``oldest``.
            number: whatever the caller numbers it with.
        """
        self._tickets += 1
        queue = self._deltas if delta and self._drops else self._others
        queue.append((self._tickets, size, now, number, item))
        if size is None:
            return None
        events, total = self.events + 1, self.size + size
        if events > self._most_allowed or total > self._largest_allowed:
            return self._shed(events, total)
        # The most first, so that no other thread ever reads more than the most.
        if events > self.most_events:
            self.most_events = events
        if total > self.most_size:
            self.most_size = total
        self.events, self.size = events, total
        return None

    def has_room(self, events: int, size: int) -> bool:
        """Whether that much more fits, without dropping anything."""
        return self.events + events <= self._most_allowed and self.size + size <= self._largest_allowed

    def extend(
        self,
        items: Iterable[T],
        sizes: Sequence[int],
        delta: bool = False,
        now: float = 0.0,
        numbers: Iterable[int] | None = None,
    ) -> None:
        """Add ``items``, for which there is room, at the end: ``put`` for each of them."""
        first = self._tickets + 1
        self._tickets += len(sizes)
        queue = self._deltas if delta and self._drops else self._others
        queue.extend(zip(range(first, self._tickets + 1), sizes, repeat(now), numbers or repeat(0), items))
        events, total = self.events + len(sizes), self.size + sum(sizes)
        self.most_events, self.most_size = max(self.most_events, events), max(self.most_size, total)
        self.events, self.size = events, total

    def take(self) -> Taken[T] | None:
        """Remove the oldest entry: its size, its arrival, its number and itself. None where there is none."""
        return next(iter(self.take_some(1)), None)

    def take_some(self, most: int, largest: int = 1) -> list[Taken[T]]:
        """Remove the oldest entries, see ``take``.

        Args:
            most: how many at most.
            largest: bytes that end it, once they are reached; deltas that may be dropped come one at a time.
        """
        queue, most = (self._older(), 1) if self._deltas else (self._others, most)
        taken: list[Taken[T]] = []
        events = total = 0
        while queue and len(taken) < most and total < largest:
            entry = queue.popleft()[1:]
            taken.append(entry)
            if (size := entry[0]) is not None:
                events += 1
                total += size
        self.events -= events
        self.size -= total
        if self.dropping:
            self.dropping = not self._half_empty()
        return taken

    def oldest(self) -> tuple[float, int] | None:
        """The arrival and the number of the entry that ``take`` would give."""
        queue = self._older()
        return queue[0][2:4] if queue else None

    def clear(self) -> None:
        """Forget the entries, not the totals."""
        self._others, self._deltas = deque(), deque()
        self.events = self.size = 0

    def _older(self) -> deque[_Entry[T]]:
        """Whichever of the two queues has the oldest entry."""
        deltas, others = self._deltas, self._others
        return deltas if deltas and (not others or deltas[0][0] < others[0][0]) else others

    def _half_empty(self) -> bool:
        return 2 * self.events <= self._most_allowed and 2 * self.size <= self._largest_allowed

    def _too_much(self, events: int, size: int) -> bool:
        return events > 1 and (events > self._most_allowed or size > self._largest_allowed)

    def _shed(self, events: int, size: int) -> Trouble | None:
        """Count what is in the queue now, and drop deltas until the rest fits."""
        before = self.dropped
        while self._deltas and self._too_much(events, size):
            size -= self._deltas.popleft()[1] or 0
            events -= 1
            self.dropped += 1
        self.most_events, self.most_size = max(self.most_events, events), max(self.most_size, size)
        self.events, self.size = events, size
        if self._too_much(events, size):
            return Trouble.OVERFLOW
        if self.dropped == before:
            return None
        first, self.dropping = not self.dropping, True
        return Trouble.DROPPING if first else Trouble.DROPPED
