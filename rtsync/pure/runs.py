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
    """Deltas in the order of their arrival. Once it is numbered nobody changes it: everybody who keeps it shares it.

    Attributes:
        events: the deltas.
        kinds: the type of each.
        sizes: bytes of the message of each.
        said: what to keep of each for long: its message, or itself.
        types: those that occur.
        size: bytes of all messages.
        numbers: the sequence number of each, growing.
    """

    events: list[Event] = msgspec.field(default_factory=list)
    kinds: list[str] = msgspec.field(default_factory=list)
    sizes: list[int] = msgspec.field(default_factory=list)
    said: list[bytes | Event] = msgspec.field(default_factory=list)
    types: Set[str] = frozenset()
    size: int = 0
    numbers: Sequence[int] = ()

    def number(self, first: int) -> None:
        """It is complete, and its numbers are those from ``first`` on."""
        self.types, self.size = set(self.kinds), sum(self.sizes)
        self.numbers = range(first, first + len(self.events))

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
            list(compress(self.kinds, asked)),
            sizes,
            list(compress(self.said, asked)),
            self.types & types,
            sum(sizes),
            list(compress(self.numbers, asked)),
        )
