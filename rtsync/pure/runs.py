"""Deltas that arrived together, with nothing else between them: most of what a session receives.

A run goes through books, delivery, history and waits in one step each, so that what a delta costs there is a small
part of what its JSON costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import compress

import msgspec

from rtsync.vocabulary.events import Event

__all__ = ["Run"]


class Run(msgspec.Struct, eq=False):
    """Deltas in the order of their arrival. Not to be changed: everybody who keeps it shares it.

    Attributes:
        events: the deltas, one at least.
        messages: the message of each.
        kinds: the type of each.
        numbers: the sequence number of each, growing.
        types: those that occur.
        sizes: bytes of each message.
        size: bytes of all of them.
    """

    events: list[Event]
    messages: list[bytes]
    kinds: list[str]
    numbers: Sequence[int]
    types: Set[str]
    sizes: list[int]
    size: int

    @classmethod
    def numbered(cls, first: int, events: list[Event], messages: list[bytes]) -> Run:
        """A run under the numbers from ``first`` on."""
        sizes = list(map(len, messages))
        kinds = [event.type for event in events]
        return cls(events, messages, kinds, range(first, first + len(events)), set(kinds), sizes, sum(sizes))

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[tuple[int, Event, int]]:
        """Number, delta and size of each."""
        return zip(self.numbers, self.events, self.sizes, strict=True)

    def of(self, types: Set[str]) -> Run | None:
        """Those of ``types`` alone; None where there are none."""
        if self.types <= types:
            return self
        if self.types.isdisjoint(types):
            return None
        asked = [kind in types for kind in self.kinds]
        sizes = list(compress(self.sizes, asked))
        return Run(
            list(compress(self.events, asked)),
            list(compress(self.messages, asked)),
            list(compress(self.kinds, asked)),
            list(compress(self.numbers, asked)),
            self.types & types,
            sizes,
            sum(sizes),
        )
