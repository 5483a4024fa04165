"""What a caller waits for: event types, conditions, and the wait that begins before a block."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Self

from rtsync.pure.dialect import canonical
from rtsync.threads.reader import Core
from rtsync.threads.waiting import Waiter
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import UsageError
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.names import closest, known_server_types

__all__ = ["Expectation", "Wanted", "checked_type", "wanted"]

Wanted = str | Iterable[str] | Callable[[Event], object]
# What most waits are for, made once.
_alone = {name: frozenset({canonical(name)}) for name in known_server_types()}


def wanted(
    what: Wanted, where: Callable[[Event], object] | None
) -> tuple[frozenset[str] | None, Callable[[Event], object] | None]:
    """Types and condition of a wait; no types for a predicate."""
    if where is not None and not callable(where):
        raise UsageError("where must be a callable that takes the event")
    if isinstance(what, str):
        return _alone.get(what) or frozenset({checked_type(what)}), where
    if callable(what):
        first = what
        return None, first if where is None else lambda event: first(event) and where(event)
    types = frozenset(map(checked_type, what))
    if not types:
        raise UsageError("wait_for() needs at least one event type")
    return types, where


def checked_type(name: object) -> str:
    """The GA name of an event type, which may be given under its preview name.

    One that is not documented is allowed, for servers ahead of us, but a typing error deserves a word.
    """
    if not isinstance(name, str):
        raise UsageError(f"an event type is a str, not {type(name).__name__}")
    if name not in known_server_types() and (like := closest(name)):
        warnings.warn(f"no event type {name!r} is documented; did you mean {like!r}?", UserWarning, stacklevel=4)
    return canonical(name)


class Expectation:
    """A wait that begins with a ``with`` block and ends behind it. Made by ``session.expect()``."""

    def __init__(
        self,
        core: Core,
        types: frozenset[str] | None,
        where: Callable[[Event], object] | None,
        timeout: float | None,
        settled: bool,
    ) -> None:
        self._core = core
        self._wanted = types, where, settled
        self._timeout = timeout
        self._waiter: Waiter | None = None
        self._start = 0
        self._event: Event | None = None

    @property
    def event(self) -> Event:
        """The event, once the block is over."""
        if self._event is None:
            raise UsageError("the event is there when the with block of expect() has ended")
        return self._event

    def __enter__(self) -> Self:
        self._core.check_process()
        made: list[Waiter] = []
        try:  # An interrupt must leave no waiter behind: nobody would collect it.
            self._waiter, self._start = self._core.hub.expect(*self._wanted, made=made.append)
        except BaseException:
            for waiter in made:
                self._core.hub.cancel(waiter)
            raise
        return self

    def __exit__(self, kind: object, _error: object, _traceback: object) -> None:
        assert self._waiter is not None
        try:
            if kind is None:
                self._core.check_process()
                self._event = self._core.hub.collect(self._waiter, Deadline(self._timeout), self._start)
        finally:  # Also where an interrupt came before the wait began.
            if not self._core.inherited:
                self._core.hub.cancel(self._waiter)
