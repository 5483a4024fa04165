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
from collections.abc import Sequence
from enum import Enum
from typing import Generic, TypeVar

import msgspec

__all__ = ["Backlog", "Batch", "Limits", "Trouble"]

T = TypeVar("T")


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


class Batch(msgspec.Struct, Generic[T]):
    """Entries that are taken together.

    Attributes:
        ticket: where it stands among the others.
        arrived: the moment of their arrival.
        numbers: what the caller has numbered them with, growing.
        items: the entries themselves.
        sizes: bytes that each counts for; None for one that is not counted.
        events: how many of them are counted.
        size: bytes of those.
    """

    ticket: int
    arrived: float
    numbers: Sequence[int]
    items: Sequence[T]
    sizes: Sequence[int | None]
    events: int
    size: int


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

    Args:
        limits: how much it holds.
        at_once: how many entries of a run are taken together at most.

    Attributes:
        events: counted entries in it.
        size: their bytes.
        most_events: most entries that were ever in it.
        most_size: most bytes.
        dropped: deltas dropped so far.
        dropping: whether there is an episode of dropping.
    """

    __slots__ = (
        "_at_once", "_deltas", "_drops", "_largest_allowed", "_most_allowed", "_others", "_tickets", "dropped",
        "dropping", "events", "most_events", "most_size", "size",
    )  # fmt: skip

    def __init__(self, limits: Limits, at_once: int = 1) -> None:
        self._drops = limits.drop_deltas
        self._at_once = at_once
        self._most_allowed = limits.events
        self._largest_allowed = limits.size
        self._others: deque[Batch[T]] = deque()
        self._deltas: deque[Batch[T]] = deque()
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
            now: the moment of its arrival.
            number: whatever the caller numbers it with.
        """
        self._tickets += 1
        queue = self._deltas if delta and self._drops else self._others
        queue.append(
            Batch(self._tickets, now, (number,), (item,), (size,), 0, 0)
            if size is None
            else Batch(self._tickets, now, (number,), (item,), (size,), 1, size)
        )
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

    def extend(self, items: Sequence[T], numbers: Sequence[int], sizes: Sequence[int], now: float = 0.0) -> None:
        """Add deltas, for which there is room, at the end: ``put`` for each of them.

        They form batches of ``at_once``; where deltas may be dropped each stands by itself.
        """
        queue, at_once = (self._deltas, 1) if self._drops else (self._others, self._at_once)
        count, size = len(sizes), sum(sizes)
        if 0 < count <= at_once:  # As they are, so nobody may change them.
            self._tickets += 1
            queue.append(Batch(self._tickets, now, numbers, items, sizes, count, size))
        else:
            for start in range(0, count, at_once):
                part = slice(start, start + at_once)
                counted = sizes[part]
                self._tickets += 1
                queue.append(Batch(self._tickets, now, numbers[part], items[part], counted, len(counted), sum(counted)))
        events, total = self.events + count, self.size + size
        if events > self.most_events:
            self.most_events = events
        if total > self.most_size:
            self.most_size = total
        self.events, self.size = events, total

    def take(self) -> Batch[T] | None:
        """Remove the oldest batch. None where there is none."""
        queue = self._older() if self._deltas else self._others
        if not queue:
            return None
        batch = queue.popleft()
        self.events -= batch.events
        self.size -= batch.size
        if self.dropping:
            self.dropping = not self._half_empty()
        return batch

    def oldest(self) -> tuple[float, int] | None:
        """The arrival and the number of the oldest entry."""
        queue = self._older()
        return (queue[0].arrived, queue[0].numbers[0]) if queue else None

    def clear(self) -> None:
        """Forget the entries, not the totals."""
        self._others, self._deltas = deque(), deque()
        self.events = self.size = 0

    def _older(self) -> deque[Batch[T]]:
        """Whichever of the two queues has the oldest entry."""
        deltas, others = self._deltas, self._others
        return deltas if deltas and (not others or deltas[0].ticket < others[0].ticket) else others

    def _half_empty(self) -> bool:
        return 2 * self.events <= self._most_allowed and 2 * self.size <= self._largest_allowed

    def _too_much(self, events: int, size: int) -> bool:
        return events > 1 and (events > self._most_allowed or size > self._largest_allowed)

    def _shed(self, events: int, size: int) -> Trouble | None:
        """Count what is in the queue now, and drop deltas until the rest fits."""
        before = self.dropped
        while self._deltas and self._too_much(events, size):
            size -= self._deltas.popleft().size
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
