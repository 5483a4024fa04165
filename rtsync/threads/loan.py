"""The reading of a line, lent to the thread that runs the handlers.

A change of threads costs more than all that is done with a small event. So where the reader would wake the handlers'
thread and go to sleep itself, it lends it the reading: that thread receives, and handles what it has received, for as
long as its handlers are quick. Two threads work where two are needed.

Rules:

1. One thread reads at a time, and holds ``_turn``. The borrower lets go of it while handlers run, so that the reader
   can take the reading back at any moment then.
2. The borrower does what is usual: it receives whole text frames, and has them delivered. Silence, control frames,
   fragments, jobs for the reader, whatever raises: it gives the reading back, and the reader sees to that.
3. The reading goes back (``recall``) when somebody wants something of the line (``close``, ``abort``, ``post``) or of
   the handlers' thread, when a handler begins to wait for what has yet to arrive, and when handlers have run for more
   than a moment, which the watch sees. Behind the last two the reader keeps it for a while (``doubt``).
4. ``recall`` takes no lock, so ``abort`` can call it in a finalizer. Who parks, sleeps or reads looks once more behind
   saying so; who recalls does it the other way round, so that one of the two sees the other.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtsync.edges.transport import Line
    from rtsync.threads.delivery import Delivery

__all__ = ["Loan"]

logger = logging.getLogger("rtsync.session")

# Seconds between two looks of the watch. A handler that is seen twice is slow: nothing is read for up to two of these.
_TICK = 0.005
_QUIET = 20  # looks at nothing, behind which the watch goes to sleep
_WARY = 1.0  # seconds without a loan behind handlers that were slow


class Loan:
    """The reading of one line.

    Args:
        delivery: of the session.

    Attributes:
        line: set before it is lent.
        batches: how often the borrower has begun to call handlers.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.line: Line
        self.batches = 0
        self._delivery = delivery
        self._turn = threading.Lock()
        self._turn.acquire()
        self._parked: list[threading.Lock] = []  # What the reader sleeps on.
        self._back = True
        self._failure: BaseException | None = None
        self._wary_until = 0.0
        self._watch: _Watch | None = None

    # -- the reader --------------------------------------------------------------------------------------------------

    def lend(self) -> bool:
        """Lend the reading where the handlers' thread would be woken, and sleep until it is back.

        Returns whether it was lent. Raises what the borrower's reading has raised.

        Threads: the reader's, where it has nothing more to read.
        """
        delivery = self._delivery
        if time.monotonic() < self._wary_until or not self._is_watched():
            return False
        self._back = False
        rouse = delivery.borrow(self)
        if rouse is None:
            self._back = True
            return False
        reader = threading.get_ident()
        self._turn.release()
        rouse()
        self._park()
        self._turn.acquire()
        delivery.reader = self.line.reader_id = reader
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # It refers to this frame.
        return True

    def _park(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        self._parked.append(gate)
        if not self._back:  # Rule 4.
            gate.acquire()
        self._parked.clear()

    def end(self) -> None:
        """The line has ended: it is lent no more. Threads: the reader's."""
        self._wary_until = float("inf")
        if self._watch is not None:
            self._watch.let_go()
            self._watch = None

    def _is_watched(self) -> bool:
        """See to it that somebody looks after slow handlers; False where no thread can be started for that."""
        if self._watch is None:
            self._watch = _Watch.one()
        return not self._watch.over

    # -- the borrower ------------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """Receive what comes next and have it delivered; False where the reading has gone back.

        Threads: the handlers', outside any handler.
        """
        if not self._turn.acquire(blocking=False):
            return False
        delivery, line = self._delivery, self.line
        goes_on = False
        try:
            if not self._back:  # Rule 4.
                delivery.reader = line.reader_id = threading.get_ident()
                goes_on = line.read_on()
        except BaseException as error:
            self._failure = error
        finally:
            delivery.reader = line.reader_id = None
            self._turn.release()
        if not goes_on:
            self.recall()
        return goes_on

    def handles(self) -> None:
        """Handlers begin to run."""
        self.batches += 1
        watch = self._watch
        if watch is not None:
            watch.busy.add(self)
            watch.stirred = True
            if watch.asleep:
                watch.wake()

    def handled(self) -> None:
        """They have returned."""
        watch = self._watch
        if watch is not None:
            watch.busy.discard(self)

    # -- any thread --------------------------------------------------------------------------------------------------

    def recall(self) -> None:
        """Have the reader take the reading back. Takes no lock."""
        self._back = True
        try:
            gate = self._parked.pop()
        except IndexError:  # It is not asleep, or somebody else has called it.
            return
        gate.release()

    def interrupt(self) -> None:
        """The same, also where the borrower waits for input."""
        self.recall()
        self.line.nudge()

    def doubt(self) -> None:
        """The handlers are not quick: the reader shall read for itself, and go on with that for a while."""
        self._wary_until = time.monotonic() + _WARY
        self.recall()


class _Watch:
    """A thread that notices slow handlers: one for all lines of the process that have been lent.

    It looks every few milliseconds while there are any handlers, and sleeps behind that.

    Attributes:
        busy: the loans whose handlers are running.
        stirred: some have run since it looked last.
        asleep: what it sleeps on, where it does.
        over: it does not look any more.
    """

    _lock = threading.Lock()
    _present: _Watch | None = None

    def __init__(self) -> None:
        self._users = 0  # Under the lock.
        self.over = False
        self.stirred = False
        self.busy: set[Loan] = set()
        self.asleep: list[threading.Lock] = []
        self._thread = threading.Thread(target=self._run, name="rtsync-watch", daemon=True)

    @classmethod
    def one(cls) -> _Watch:
        """That of this process, for one more line."""
        with cls._lock:
            present = cls._present
            watch = cls._present = cls() if present is None else present
            watch._users += 1
        if present is None:  # Outside the lock: where threads are gevent's, others may run meanwhile.
            try:
                watch._thread.start()
            except RuntimeError as error:  # The system's limit; in 3.12 also a program that is ending.
                logger.info("no thread could be started to look after handlers, which shall not read: %s", error)
                watch.over = True
        return watch

    @classmethod
    def start_anew(cls) -> None:
        """In a forked child: the thread is not there, and another one may have held the lock."""
        cls._lock = threading.Lock()
        cls._present = None

    def let_go(self) -> None:
        """A line has ended. With the last one the thread ends, too."""
        cls = type(self)
        with cls._lock:
            self._users -= 1
            if self._users:
                return
            if cls._present is self:
                cls._present = None
        self.over = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join(2 * _TICK)

    def wake(self) -> None:
        """Have it look again."""
        try:
            gate = self.asleep.pop()
        except IndexError:
            return
        gate.release()

    def _run(self) -> None:
        seen: dict[Loan, int] = {}
        quiet = 0
        while not self.over:
            time.sleep(_TICK)
            stirred, self.stirred = self.stirred, False
            seen = self._look(seen)
            quiet = 0 if stirred or seen else quiet + 1
            if quiet == _QUIET:
                quiet = 0
                self._sleep()

    def _look(self, seen: dict[Loan, int]) -> dict[Loan, int]:
        """Doubt those whose handlers have been at the same batch at the last look; returns the others that are busy."""
        busy = {loan: loan.batches for loan in self.busy.copy()}  # In one step, whatever other threads do.
        for loan in [loan for loan, batch in busy.items() if seen.get(loan) == batch]:
            del busy[loan]
            self.busy.discard(loan)
            loan.doubt()
        return busy

    def _sleep(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        self.asleep.append(gate)
        if not (self.stirred or self.over):  # Rule 4.
            gate.acquire()
        self.asleep.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Watch.start_anew)
