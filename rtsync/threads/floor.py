"""Who may speak: the responses of one session, those who hold them, and those who wait for their turn.

One response at a time may write to the default conversation. ``await_turn`` serves those who ask for one in the order
of their coming, after whatever is running now, whoever started it.

Rules:

1. ``_books``, the core's own lock, guards ledger, followers and queue: what an event means for a response and what it
   answers are entered in one step.
2. ``turns`` rings whenever a turn may have come free: a response began, ended, was refused or given up, or the session
   ended.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

from rtsync.edges.latch import Bell
from rtsync.pure.responses import Ledger, Record
from rtsync.pure.runs import Run
from rtsync.threads.following import Follower
from rtsync.vocabulary.errors import RealtimeError
from rtsync.vocabulary.events import Event

__all__ = ["MARK", "Floor", "Unasked"]

MARK = "rtsync"
"""Key in a response's metadata that carries our mark."""


_MOST_UNCLAIMED = 16
# A server that skips response.created still ends what was asked for.
_BEGINNINGS = ("response.created", "response.done")


class Unasked:
    """Responses that began without our asking, until somebody claims them: at most 16, of which the oldest goes first.

    Args:
        books: the core's lock.
    """

    def __init__(self, books: threading.RLock) -> None:
        self._books = books
        self._waiting: dict[str, Follower] = {}
        self._dropped = 0

    def put(self, response_id: str, follower: Follower) -> None:
        """A response has begun. Under the books."""
        self._waiting[response_id] = follower
        if len(self._waiting) > _MOST_UNCLAIMED:
            del self._waiting[next(iter(self._waiting))]
            self._dropped += 1

    def claim(self, response_id: object) -> Follower | None:
        """The response of that id, once; None for one that was asked for. Ids have to come in the order of ``put``.

        Raises:
            LookupError: it, and perhaps more, began too long ago; said once.
        """
        with self._books:
            if self._dropped:
                self._dropped = 0
                raise LookupError
            return self._waiting.pop(response_id, None) if isinstance(response_id, str) else None


class Floor:
    """The responses of one session.

    Args:
        books: the core's lock.
        over: whether the session has ended, so that nobody need wait any longer.
    """

    def __init__(self, books: threading.RLock, over: Callable[[], bool]) -> None:
        self.turns = Bell()
        self.ended = 0
        self._books = books
        self._over = over
        self._ledger = Ledger(MARK)
        self._followers: dict[Record, Follower] = {}
        self._queue: deque[Follower] = deque()
        self._unasked: list[Unasked] = []
        self._watch: Callable[[Follower], None] | None = None
        self._newest: str | None = None
        self._kept = 0
        self._mark = os.urandom(8).hex()
        self._marks = 0

    # -- the reader's side --------------------------------------------------------------------------------------------

    def expect_echo(self) -> None:
        """The endpoint surely returns a response's metadata, by which ours are told from others'."""
        self._ledger = Ledger(MARK, echoes=True)
        self._listen()

    @property
    def is_followed(self) -> bool:
        """Whether anybody holds a response that is not done, and reads what it says."""
        return bool(self._followers)

    def follower_of(self, record: Record | None) -> Follower | None:
        """Who holds it, until it is done."""
        return None if record is None else self._followers.get(record)

    def note(self, event: Event) -> Record | None:
        """Enter ``event``; returns the record that it belongs to. Under the books."""
        record = self._ledger.apply(event)
        if record is not None and event.type in _BEGINNINGS:
            if not record.out_of_band:
                self._newest = record.id
            if self._unasked and event.type == "response.created":
                self._offer(record)
            if self._watch is not None and record.kept:
                self._watch(self._followers.get(record) or self._follow(record))
        return record

    def note_run(self, run: Run) -> Sequence[Record]:
        """Enter deltas one after the other; returns the records that they belong to. Under the books."""
        records = dict.fromkeys(map(self._ledger.grow, run.kinds, run.data))
        return [record for record in records if record is not None]

    def conclude(self, sequence: int, record: Record) -> None:
        """What ``note`` has entered was the end of a response: who holds it may know, and is told by ``advance``."""
        follower = self._followers.get(record)
        if follower is not None:
            follower.sequence, follower.over = sequence, True

    def advance(self, sequence: int, kind: str, record: Record | None) -> None:
        """Tell those concerned of what ``note`` has entered."""
        follower = None if record is None else self._followers.get(record)
        if follower is not None:
            follower.notify(sequence)
        if record is not None and record.done:
            self._followers.pop(record, None)
        if kind == "response.done":  # Anybody's, also of one that we never heard of before.
            self.ended += 1
        if kind in _BEGINNINGS:
            self.turns.ring()

    def refuse(self, sequence: int, follower: Follower, fault: RealtimeError) -> None:
        """The service refused to begin what ``follower`` asked for."""
        with self._books:
            self._ledger.withdraw(follower.record)
            self._followers.pop(follower.record, None)
        follower.notify(sequence, fault)
        self.turns.ring()

    def lose(self, asked: Container[str | None] | None = None) -> list[tuple[Record, Follower | None]]:
        """The line has ended. Returns the responses that it took along, and who held them. Under the books.

        Args:
            asked: marks of those that the service was asked for, see ``Ledger.lose``; None for all.
        """
        return [(record, self._followers.pop(record, None)) for record in self._ledger.lose(asked)]

    def keep_turn(self, follower: Follower) -> None:
        """A lost response is to be asked for once more, before all others. Under the books."""
        follower.record.restart()
        self._enter(follower)

    def is_held(self, follower: Follower) -> bool:
        """Whether somebody still holds it."""
        return follower.record in self._followers

    def cancel(self, sequence: int, follower: Follower) -> None:
        """It was cancelled before it was asked for once more."""
        with self._books:
            follower.record.status = "cancelled"
            self._ledger.withdraw(follower.record)
            self._followers.pop(follower.record, None)
        follower.notify(sequence)
        self.turns.ring()

    @property
    def idle(self) -> bool:
        """Whether no response is running or asked for. Under the books."""
        return self._ledger.idle

    def _offer(self, record: Record) -> None:
        """A response has begun: have those know who listen for such as nobody asked for. Under the books."""
        if not record.kept or not record.unasked or record.id is None or record.offered:
            return
        record.offered = True
        follower = self._followers.get(record) or self._follow(record)
        for unasked in self._unasked:
            unasked.put(record.id, follower)

    def adopt(self, record: Record) -> Follower:
        """Hold a response that has just begun without our asking, so that what it says is kept."""
        with self._books:
            record.kept = True
            return self._followers.get(record) or self._follow(record)

    def _follow(self, record: Record) -> Follower:
        follower = self._followers[record] = Follower(record, {})
        return follower

    # -- user threads -------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Threads that wait for their turn, or for more of a response. Under the books."""
        return self.turns.waiting + sum(follower.bell.waiting for follower in self._followers.values())

    @property
    def active(self) -> Record | None:
        """The response that writes to the default conversation now."""
        with self._books:
            return self._ledger.active

    @property
    def running(self) -> list[Record]:
        """The responses that have begun or been asked for, and not ended."""
        with self._books:
            return self._ledger.open

    @property
    def newest(self) -> str | None:
        """The id of the response to the default conversation that began last."""
        with self._books:
            return self._newest

    def watch(self, look: Callable[[Follower], None]) -> None:
        """Have ``look`` called with every response that begins from now on, under the books."""
        with self._books:
            self._watch = look
            self._listen()

    @contextmanager
    def kept_free(self) -> Iterator[None]:
        """While this lasts only those that are ``first`` get a turn in the default conversation."""
        with self._books:
            self._kept += 1
        try:
            yield
        finally:
            with self._books:
                self._kept -= 1
            self.turns.ring()

    def listen(self) -> Unasked:
        """Collect the responses that begin from now on without our asking, until ``ignore``."""
        unasked = Unasked(self._books)
        with self._books:
            self._unasked.append(unasked)
            self._listen()
        return unasked

    def ignore(self, unasked: Unasked) -> None:
        """Collect no more. What was claimed goes on to its end."""
        with self._books:
            if unasked in self._unasked:
                self._unasked.remove(unasked)
            self._listen()

    def _listen(self) -> None:
        """Keep what is said in answers that this session did not ask for where somebody listens. Under the books."""
        self._ledger.keeps_all = bool(self._unasked) or self._watch is not None

    def new_mark(self) -> str:
        """A mark for a response's metadata that no other response of any session has."""
        with self._books:
            self._marks += 1
            return f"{self._mark}-{self._marks}"

    def await_turn(self, follower: Follower, timeout: float | None) -> bool:
        """Block until the response may be asked for, or the session has ended; False when time is up.

        One outside the default conversation need not wait.
        """
        if follower.record.out_of_band:
            return self._claim(follower)
        try:
            (self._queue.appendleft if follower.first else self._queue.append)(follower)
            return self.turns.wait_until(lambda: self._over() or self._claim(follower), timeout)
        finally:
            if follower in self._queue:  # Not where Ctrl+C was faster.
                self._queue.remove(follower)
            self.turns.ring()

    def line_up(self, follower: Follower) -> None:
        """Have ``follower`` wait for its turn, without a thread that does: see ``takes_turn``."""
        self._queue.append(follower)

    def takes_turn(self, follower: Follower) -> bool:
        """Whether its turn has come, and the response may be asked for. It does not wait any more then."""
        if not self._claim(follower):
            return False
        self.step_back(follower)
        return True

    def may_take_turn(self, follower: Follower) -> bool:
        """Whether ``takes_turn`` would be true at this moment."""
        with self._books:
            return self._is_free_for(follower)

    def step_back(self, follower: Follower) -> None:
        """It does not wait for its turn any more."""
        if follower in self._queue:
            self._queue.remove(follower)
            self.turns.ring()

    def await_news(self, ended: int, timeout: float | None) -> bool:
        """Block until a response is known to run, or one more than ``ended`` has ended, or the session has."""
        return self.turns.wait_until(lambda: self.active is not None or self.ended != ended or self._over(), timeout)

    def withdraw(self, follower: Follower) -> None:
        """It was not asked for after all, or nobody holds it any more."""
        with self._books:
            if follower.record.id is None:  # Once begun it has the floor until its end, whoever holds it.
                self._ledger.withdraw(follower.record)
            self._followers.pop(follower.record, None)
        self.turns.ring()

    def _claim(self, follower: Follower) -> bool:
        """Enter a response that is about to be asked for, if the floor is free and it is its turn."""
        with self._books:
            if not (follower.record.out_of_band or self._is_free_for(follower)):
                return False
            self._enter(follower)
            return True

    def _is_free_for(self, follower: Follower) -> bool:
        """Under the books."""
        kept = self._kept and not follower.first
        return not kept and not self._ledger.busy and self._queue[0] is follower

    def _enter(self, follower: Follower) -> None:
        self._ledger.request(follower.record)
        self._followers[follower.record] = follower
