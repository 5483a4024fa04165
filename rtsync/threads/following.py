"""What user threads hold of the core's work: an answer to come, a response that grows, a stream of events.

The reader feeds them; each has a bell or a latch of its own, so that feeding never waits for a user thread.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rtsync.edges.latch import Bell, Latch
from rtsync.pure.backlog import Backlog, Limits, Trouble
from rtsync.pure.responses import Record
from rtsync.pure.runs import Run, events_of
from rtsync.vocabulary.errors import FellBehind, RealtimeError, WaitTimeout
from rtsync.vocabulary.events import Event

__all__ = ["Follower", "Request", "Subscription"]

logger = logging.getLogger("rtsync.session")


class Request:
    """A client event that a thread of ours waits to see answered."""

    __slots__ = ("answer", "arrived", "error", "sequence")

    def __init__(self) -> None:
        self.arrived = Latch()
        self.answer: Event | None = None
        self.error: RealtimeError | None = None
        self.sequence = 0

    def resolve(self, sequence: int, answer: Event | None, error: RealtimeError | None) -> None:
        """The answer, or why there is none. Called by the reader."""
        self.sequence, self.answer, self.error = sequence, answer, error
        self.arrived.set()


class Follower:
    """A response that somebody holds: its record, and a bell that rings when the record has grown.

    Attributes:
        options: of ``response.create``, our mark included; empty for one that this session did not ask for.
        over: nothing more will come, and ``sequence`` is the last event's: the record alone is done a moment earlier,
            when its handlers are not even queued.
        first: it is asked for before those that wait for their turn.
        exempt: no guard looks at it.
        watcher: another bell that rings with ``bell``.
        guard: the thread of the guards, while these may still stop it: whoever waits for it waits for them, too.
        verdict: why a guard has stopped it.
        replacement: the response that was asked for in its place then, once it has begun.
        replaces: the one in whose place it was asked for.
        leads_on: its tools may lead to another response, and nobody knows yet whether they will.
        next: that one, once it has begun.
        led_to: why it did not begin.
    """

    __slots__ = (
        "bell",
        "cancelled",
        "error",
        "exempt",
        "first",
        "guard",
        "leads_on",
        "led_to",
        "next",
        "options",
        "over",
        "record",
        "replacement",
        "replaces",
        "sequence",
        "verdict",
        "watcher",
    )

    def __init__(self, record: Record, options: dict[str, Any]) -> None:
        self.record = record
        self.options = options
        self.bell = Bell()
        self.error: RealtimeError | None = None
        self.sequence = 0
        self.cancelled = False
        self.over = False
        self.first = False
        self.exempt = False
        self.watcher: Bell | None = None
        self.guard: int | None = None
        self.verdict: Any = None
        self.replacement: Follower | None = None
        self.replaces: Follower | None = None
        self.leads_on = False
        self.next: Follower | None = None
        self.led_to: RealtimeError | None = None

    @property
    def begun(self) -> bool:
        """Whether the service has answered ``response.create``, in whatever way."""
        return self.record.status != "requested" or self.error is not None

    @property
    def settled(self) -> bool:
        """Whether nothing more will come, and no guard has still to look at it: but for the guards themselves."""
        return self.over and (self.guard is None or self.guard == threading.get_ident())

    def lead_to(self, following: Follower | None, error: RealtimeError | None = None) -> None:
        """It is known what its tools lead to: ``following``, nothing, or an ``error``. Called by rtsync's threads."""
        if self.leads_on:
            self.next, self.led_to, self.leads_on = following, error, False
            self.bell.ring()

    def notify(self, sequence: int, error: RealtimeError | None = None) -> None:
        """The record has grown, or ended with ``error``. Called by the reader."""
        self.sequence = sequence
        if error is not None:
            self.error = error
        self.over = self.record.done or self.error is not None
        self.bell.ring()
        if self.watcher is not None:
            self.watcher.ring()


class Subscription:
    """A live iterator over events: everything that arrives from its making on.

    ``for event in subscription`` ends when the session is closed by ``close()``, by the subscription's own
    ``close()``, or by the server with code 1000; any other end raises its exception. Use it in a ``with`` block, or
    close it: it queues events until then.

    It queues as much as ``max_queue_events`` and ``max_queue_size`` of the session allow. What happens beyond that is
    said by ``on_overflow``, and concerns this subscription only: it ends with ``FellBehind`` behind what it has queued,
    or drops its oldest deltas.

    Threads: made anywhere; iterated by one thread at a time.
    """

    def __init__(
        self,
        types: frozenset[str] | None,
        timeout: float | None,
        check_may_wait: Callable[[], None],
        unsubscribe: Callable[[Subscription], None],
        limits: Limits | None = None,
    ) -> None:
        self._check_may_wait = check_may_wait
        self._unsubscribe = unsubscribe
        self._types = types
        self._timeout = timeout
        self._lock = threading.RLock()  # Guards the queue. Reentrant for close() in a signal handler.
        self._events: Backlog[Event | dict[str, Any]] = Backlog(limits or Limits())
        self._bell = Bell()
        self._ended = False
        self._error: RealtimeError | None = None

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        """The next event; blocks at most the ``timeout`` given to ``events()``.

        Raises:
            StopIteration: the session or the subscription was closed.
            WaitTimeout: nothing came in time; the iteration may go on.
            FellBehind: more came than may be queued, and what did not fit is not kept.
            SessionClosed: the session was lost.
        """
        self._check_may_wait()
        if not self._bell.wait_until(lambda: bool(self._events) or self._ended, self._timeout):
            raise WaitTimeout(f"no event within {self._timeout:g} s")
        event = self._take()
        if event is None:
            raise StopIteration
        return event

    def next_unless(self, news: Callable[[], bool]) -> Event | None:
        """As ``next``, however long it takes; None where ``news()``, which is asked at every ``wake()``."""
        self._check_may_wait()
        self._bell.wait_until(lambda: bool(self._events) or self._ended or news(), None)
        if not self._events and not self._ended:
            return None
        event = self._take()
        if event is None:
            raise StopIteration
        return event

    def wake(self) -> None:
        """Have ``next_unless`` look again. Threads: any."""
        self._bell.ring()

    def _take(self) -> Event | None:
        """The first that is queued; None behind the last one."""
        with self._lock:
            taken = self._events.take()
        if taken is not None:
            item = taken.items[0]
            return item if isinstance(item, Event) else events_of([item])[0]
        if self._error is not None:
            raise copy.copy(self._error)
        return None

    def close(self) -> None:
        """Stop collecting; events not yet taken are dropped. May be called twice."""
        self._unsubscribe(self)
        self.end(None)
        with self._lock:
            self._events.clear()

    @property
    def queued(self) -> int:
        """Events that have arrived and not been taken. Threads: any."""
        return self._events.events

    @property
    def dropped(self) -> int:
        """Deltas dropped so far because nobody took them in time (``on_overflow="drop_deltas"``). Threads: any."""
        return self._events.dropped

    @property
    def waiting(self) -> int:
        """Threads that wait for the next event now."""
        return self._bell.waiting

    def put(self, event: Event, size: int = 0) -> None:
        """An event arrived, in a message of ``size`` bytes. Called by the reader."""
        if not (self._types is None or event.type in self._types):
            return
        with self._lock:
            if self._ended:
                return
            trouble = self._events.put(event, size, event.type.endswith(".delta"))
        self._bell.ring()
        if trouble is not None:
            self._heed(trouble)

    def put_run(self, run: Run) -> None:
        """Deltas arrived together: ``put`` for each of them, in one step where they fit."""
        wanted = run if self._types is None else run.of(self._types)
        if wanted is None:
            return
        with self._lock:
            whole = self._events.has_room(len(wanted), wanted.size)
            if whole and not self._ended:
                self._events.extend(wanted.data, wanted.numbers, wanted.sizes)
        if whole:
            self._bell.ring()
        else:
            for _, event, size in wanted:
                self.put(event, size)

    def _heed(self, trouble: Trouble) -> None:
        if trouble is Trouble.DROPPED:
            return
        waiting = f"{self._events.events} events ({self._events.size} bytes) were not taken"
        if trouble is Trouble.DROPPING:
            logger.warning("a subscription falls behind, and from now on its oldest deltas are dropped: %s", waiting)
            return
        self._unsubscribe(self)
        self.end(
            FellBehind(
                f"this subscription fell too far behind: {waiting}. The session goes on, and events() makes another"
                " subscription. Take events sooner, subscribe to fewer types, or see on_overflow, max_queue_events"
                " and max_queue_size"
            )
        )

    def end(self, error: RealtimeError | None) -> None:
        """Nothing more will come. Called by the reader."""
        if not self._ended:
            self._error = error
            self._ended = True
        self._bell.ring()
