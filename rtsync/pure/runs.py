"""Deltas that arrived together, with nothing else between them: most of what a session receives.

A run goes through books, delivery, history and waits in one step each, so that what a delta costs there is a small
part of what its JSON costs. On that way it is JSON objects, and an event is made of one for whoever is to be given it:
objects of ours that wait, even for a moment, have the garbage collector look at each of them, which it need not do with
plain JSON.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import compress
from typing import Any

import msgspec

from rtsync.vocabulary.events import Event

__all__ = ["Run", "events_of"]


@functools.cache
def _made() -> Callable[[Sequence[dict[str, Any]]], list[Event]]:
    from rtsync.vocabulary.server_events import made  # A class for every type: not before there are events.

    return made


def events_of(data: Sequence[dict[str, Any]]) -> list[Event]:
    """The events that so many JSON objects are, in GA terms; others each time, and equal."""
    return _made()(data)


class Run(msgspec.Struct, eq=False):
    """Deltas in the order of their arrival. Once it is numbered nobody changes it.

    Attributes:
        data: the JSON object of each.
        kinds: the type of each.
        sizes: bytes of the message of each.
        messages: the message of each; only until the callback returns that brought them (``Line``).
        types: those that occur.
        size: bytes of all messages.
        numbers: the sequence number of each, growing.
    """

    data: list[dict[str, Any]] = msgspec.field(default_factory=list)
    kinds: list[str] = msgspec.field(default_factory=list)
    sizes: list[int] = msgspec.field(default_factory=list)
    messages: Sequence[bytes | memoryview] = ()
    types: Set[str] = frozenset()
    size: int = 0
    numbers: Sequence[int] = ()

    def number(self, first: int) -> None:
        """It is complete, and its numbers are those from ``first`` on."""
        self.types, self.size = set(self.kinds), sum(self.sizes)
        self.numbers = range(first, first + len(self.data))

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[tuple[int, Event, int]]:
        """Number, event and size of each."""
        return zip(self.numbers, events_of(self.data), self.sizes, strict=True)

    def of(self, types: Set[str]) -> Run | None:
        """Those of ``types`` alone; None where there are none."""
        if self.types <= types:
            return self
        if self.types.isdisjoint(types):
            return None
        asked = [kind in types for kind in self.kinds]
        sizes = list(compress(self.sizes, asked))
        return Run(
            list(compress(self.data, asked)),
            list(compress(self.kinds, asked)),
            sizes,
            list(compress(self.messages, asked)),
            self.types & types,
            sum(sizes),
            list(compress(self.numbers, asked)),
        )
