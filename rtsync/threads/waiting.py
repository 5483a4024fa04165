"""Waits that cannot miss, cannot hang and wake at once.

Rules:

1. ``_lock`` guards the history, the windows and the list of waiters. It is held for a few lines, never while a socket
   or user code is at work. It is reentrant so that a signal handler that closes the session cannot lock itself out.
2. Every waiter sleeps on a raw lock of its own, created locked and released once. Nothing polls, a thousand waiters
   cost one release each, and Ctrl+C in a wait leaves nothing held.
3. A waiter joins the list in the same locked step that reads the history, so an event is either in what it read or
   comes to it later.
4. Predicates of users run outside the lock: for past events in the waiting thread, for new ones in the reader.
5. A wait ends by the event, an error that answers what its thread sent, the end of the session, or its deadline.
6. An event is handed out when the handlers up to it have run (``settled``), unless the wait stands inside a handler.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Protocol

from rtsync.edges.latch import sleep_on, stay_asleep
from rtsync.pure.history import Entry, History, Window
from rtsync.pure.runs import Run
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import FellBehind, RealtimeError, WaitTimeout
from rtsync.vocabulary.events import Event

__all__ = ["Hub", "Settling", "Waiter"]

Predicate = Callable[[Event], object]
_LONGEST_NAME = 80  # characters of a type in a message; the wire sets no limit


class Settling(Protocol):
    """What the hub asks of the delivery: has everything up to an event been handled?"""

    @property
    def running(self) -> Sequence[object]:
        """What is being handled at the moment."""

    def in_handler(self) -> bool:
        """Whether the calling thread is inside a handler right now."""

    @property
    def handling(self) -> tuple[int, object]:
        """The number of the event, and the handler, that the calling thread is inside."""

    def check_may_wait(self, settled: bool) -> None:
        """Raise ``UsageError`` where the calling thread would wait for itself."""

    def when_settled(self, sequence: int, wake: Callable[[], None]) -> None:
        """Call ``wake`` once the handlers of all events up to ``sequence`` have run, at once where they have."""

    def forget(self, wake: Callable[[], None]) -> None:
        """Nobody waits for this call of ``when_settled`` any longer."""

    def gave_up(self, sequence: int) -> bool:
        """Whether the handlers of events up to ``sequence`` have not run and will not be waited for."""

    def stuck(self) -> str | None:
        """The handler that is running, for a message; None where none is."""


class Waiter:
    """One wait: what it wants, and what came of it.

    Attributes:
        wake: lets the waiting thread go on; called once. Threads: any.
        woken: whether it has.
    """

    __slots__ = (
        "_gate", "asleep", "done", "entry", "error", "settled", "start", "types", "wake", "where", "window", "woken",
    )  # fmt: skip

    def __init__(self, types: frozenset[str] | None, where: Predicate | None, window: Window, settled: bool) -> None:
        self.types = types
        self.where = where
        self.window = window
        self.settled = settled
        self.start = 0  # What came up to this number is not for it.
        self.asleep = False
        self.done = False
        self.entry: Entry | None = None
        self.error: BaseException | None = None
        self.woken = False
        self._gate = gate = threading.Lock()
        self.wake: Callable[[], None] = gate.release
        gate.acquire()

    def wants(self, entry: Entry) -> bool:
        """Whether the event in ``entry`` is what it waits for. Runs the user's predicate."""
        if entry.said is None or (self.types is not None and entry.type not in self.types):
            return False
        return self.where is None or bool(self.where(entry.event))  # type: ignore[arg-type]

    def faulted_by(self, entry: Entry) -> bool:
        """Whether the error in ``entry`` answers something that the waiting thread sent."""
        return entry.fault is not None and entry.owner is self.window

    @property
    def follows_a_response(self) -> bool:
        """Whether it waits for nothing but events of a response."""
        return self.types is not None and all(name.startswith("response.") for name in self.types)

    def sleep(self, timeout: float | None) -> bool:
        """Block until ``wake``, at most ``timeout`` seconds."""
        self.asleep = True
        try:
            self.woken = sleep_on(self._gate, timeout)
        finally:
            self.asleep = False
        stay_asleep()
        return self.woken

    def describe(self) -> str:
        """What it waits for, for a message."""
        if self.types is None:
            return "event that matches"
        names = " or ".join(repr(name) for name in sorted(self.types))
        return names if self.where is None else f"{names} that matches"


class Hub:
    """The waits of one session.

    Attributes:
        history: what arrived lately; under the lock, but for the number of the newest.
    """

    def __init__(self, settling: Settling) -> None:
        self._settling = settling
        self._lock = threading.RLock()
        self.history = History()
        self._waiters: list[Waiter] = []
        self._windows = threading.local()
        # Of handlers that are running and have sent or waited, by the number of their event: each has its own window.
        # Taken out again by whoever calls the handlers.
        self.visits: dict[int, tuple[object, Window]] = {}
        self._closed: RealtimeError | None = None

    @property
    def waiting(self) -> int:
        """Threads that wait for an event now; those that have theirs and wait for its handlers are not counted."""
        return sum(waiter.asleep for waiter in tuple(self._waiters))

    # -- windows -------------------------------------------------------------------------------------------------

    def window(self) -> Window:
        """The calling thread's window; inside a handler, one of the handler's own."""
        return self._view()[0]

    def _view(self) -> tuple[Window, int | None]:
        """The same, and the number of the event whose handler the calling thread is inside; None outside one."""
        if self._settling.running and self._settling.in_handler():
            sequence, handler = self._settling.handling
            return self._visit(sequence, handler), sequence
        window: Window | None = getattr(self._windows, "window", None)
        if window is None:
            window = self._windows.window = Window()
        return window, None

    def _visit(self, sequence: int, handler: object) -> Window:
        """The window of a handler of event ``sequence``: what came behind that is in view.

        A handler runs later than its event arrived, so what it waits for may have come already.
        """
        visit = self.visits.get(sequence)
        if visit is None or visit[0] is not handler:
            visit = self.visits[sequence] = handler, Window(start=sequence, waited=True)
        return visit[1]

    def open_window(self) -> None:
        """Give the calling thread a window from the beginning: it opens the session."""
        self.window().start = 0

    def note_send(self) -> Window:
        """The calling thread is about to send. Returns its window, which owns the errors that come of it."""
        window, handled = self._view()
        with self._lock:
            window.on_send(self.history.newest if handled is None else self._now(handled))
        return window

    def _now(self, handled: int | None) -> int:
        """The number of the newest event that the calling thread, inside ``handled``, can know of. Under the lock.

        Handlers are queued before their event is kept here, so inside one that may be newer than the newest.
        """
        newest = self.history.newest
        return newest if handled is None else max(handled, newest)

    def note_request(self) -> None:
        """The calling thread is about to send and to block until it is answered: a send and a wait in one."""
        window, handled = self._view()
        with self._lock:
            window.on_send(self._now(handled))
            window.on_wait(self._now(handled))

    # -- arrivals: the thread that reads ------------------------------------------------------------------------------

    def publish(self, event: Event | None, size: int, fault: RealtimeError | None = None, owner: object = None) -> None:
        """Number ``event``, keep it, and wake who waits for it: ``keep``, then ``offer``."""
        self.offer(*self.keep(event, size, fault, owner))

    def keep(
        self, event: Event | None, size: int, fault: RealtimeError | None = None, owner: object = None
    ) -> tuple[Entry, Sequence[Waiter]]:
        """Number ``event`` and keep it. Returns what is to be offered to those who wait for it now, and them.

        Args:
            event: what arrived; None for a fault without an event.
            size: bytes of its message.
            fault: the error in it, where it answers what ``owner`` sent.
            owner: the window of the thread concerned.
        """
        with self._lock:
            entry = self.history.add(event, size, fault, owner)
            return entry, tuple(self._waiters) if self._waiters else ()

    def offer(self, entry: Entry, waiters: Sequence[Waiter]) -> None:
        """Wake those of ``waiters`` who wait for ``entry``."""
        for waiter in waiters:
            # Told from most of them here, as this is asked for every event and every wait.
            other = waiter.types is not None and entry.type not in waiter.types and entry.fault is None
            if other or entry.sequence <= waiter.start:
                continue
            try:
                if waiter.wants(entry):
                    self._finish(waiter, entry, None)
                elif waiter.faulted_by(entry):
                    self._finish(waiter, entry, entry.fault)
            except BaseException as error:  # The user's predicate raised: its own wait raises it.
                self._finish(waiter, None, error)

    def publish_run(self, run: Run) -> None:
        """The same for deltas that arrived together and are numbered from the next number on."""
        with self._lock:
            self.history.extend(run)
            waiters = tuple(self._waiters) if self._waiters else ()
        for waiter in waiters:
            if waiter.types is None or not waiter.types.isdisjoint(run.types):
                for number, event, size in run:
                    if waiter.done:
                        break
                    self.offer(Entry(number, event.type, event, size), (waiter,))

    def lose(self, faults: Iterable[tuple[object, RealtimeError]], response: RealtimeError | None) -> None:
        """The line has ended, and the session goes on over another one.

        Args:
            faults: windows of those who sent what will not be answered now, each with what to tell them.
            response: ends every wait for events of a response, where one was running.
        """
        for owner, error in faults:
            self.publish(None, 0, error, owner)
        if response is not None:
            with self._lock:
                waiters = [waiter for waiter in self._waiters if waiter.follows_a_response]
            for waiter in waiters:
                self._finish(waiter, None, response)

    @property
    def newest(self) -> int:
        """The number of the newest event."""
        return self.history.newest

    def end(self, error: RealtimeError) -> None:
        """The session is over: every wait, present and future, ends with a copy of ``error``."""
        with self._lock:
            self._closed = error
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._finish(waiter, None, error)

    def _finish(
        self, waiter: Waiter, entry: Entry | None, error: BaseException | None, *, preferred: bool = False
    ) -> None:
        """Write down what came of the wait, and wake its thread.

        Only the first call does; one that is ``preferred`` replaces what that wrote down.
        """
        with self._lock:
            done = waiter.done
            if done and not preferred:
                return
            waiter.done, waiter.entry, waiter.error = True, entry, error
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if done:
            return
        if waiter.settled and entry is not None:
            self._settling.when_settled(entry.sequence, waiter.wake)
        else:
            waiter.wake()

    # -- waits: user threads ---------------------------------------------------------------------------------------

    def wait(self, types: Iterable[str] | None, where: Predicate | None, timeout: float | None, settled: bool) -> Event:
        """Block until an event of the calling thread's window matches; see ``RealtimeSession.wait_for``."""
        self._settling.check_may_wait(settled)
        deadline = Deadline(timeout)
        window, handled = self._view()
        waiter = Waiter(None if types is None else frozenset(types), where, window, settled and handled is None)
        try:
            with self._lock:
                waiter.start = start = window.on_wait(self._now(handled))
                past = self.history.since(start)
                overrun = self.history.dropped(waiter.types, start, waiter.window.seen)
                self._join(waiter, closed=None)
            self._look_back(waiter, past, overrun)
            return self._result(waiter, deadline, start)
        finally:
            if not waiter.woken:
                self._leave(waiter)

    def expect(
        self,
        types: Iterable[str] | None,
        where: Predicate | None,
        settled: bool,
        made: Callable[[Waiter], object] = lambda waiter: None,
    ) -> tuple[Waiter, int]:
        """A waiter for what arrives from now on, and the number of the newest event. To be given to ``collect``.

        ``made`` is given the waiter before it waits: who is interrupted from then on has it to ``cancel``.
        """
        self._settling.check_may_wait(settled)
        window, handled = self._view()
        waiter = Waiter(None if types is None else frozenset(types), where, window, settled and handled is None)
        made(waiter)
        with self._lock:
            waiter.start = self._now(handled)
            self._join(waiter, closed=self._closed)
        return waiter, waiter.start

    def collect(self, waiter: Waiter, deadline: Deadline, start: int) -> Event:
        """Block until the waiter of ``expect`` has its event."""
        try:
            with self._lock:
                waiter.window.on_wait(self.history.newest)
            return self._result(waiter, deadline, start)
        finally:
            if not waiter.woken:
                self._leave(waiter)

    def cancel(self, waiter: Waiter) -> None:
        """Nobody will collect this waiter."""
        self._leave(waiter)

    def _join(self, waiter: Waiter, closed: RealtimeError | None) -> None:
        if closed is not None:
            raise copy.copy(closed)
        if self._closed is None:
            self._waiters.append(waiter)

    def _leave(self, waiter: Waiter) -> None:
        """Its thread waits no longer, and has not been woken."""
        if not waiter.done:  # Who has what came of it is on the list no more.
            with self._lock:
                waiter.done = True
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        if waiter.settled and waiter.entry is not None:
            self._settling.forget(waiter.wake)

    def _look_back(self, waiter: Waiter, past: Sequence[Entry], overrun: bool) -> None:
        """Take the oldest match of the window; what the reader may have found meanwhile is newer."""
        if overrun and waiter.where is None:  # What is kept may match too, but would be the wrong one.
            raise self._missed(waiter)
        for entry in past:
            if entry.sequence in waiter.window.returned:
                continue
            if waiter.wants(entry):
                self._finish(waiter, entry, None, preferred=True)
                return
            if waiter.faulted_by(entry):
                self._finish(waiter, entry, entry.fault, preferred=True)
                return
        with self._lock:
            if waiter.done:
                return
            if overrun:
                raise self._missed(waiter)
            closed = self._closed
        if closed is not None:
            self._finish(waiter, None, closed)

    def _missed(self, waiter: Waiter) -> BaseException:
        """Why the event will not be returned. That the session is over says more than that events were many."""
        return _overrun(waiter) if self._closed is None else _own_copy(self._closed)

    def _result(self, waiter: Waiter, deadline: Deadline, start: int) -> Event:
        if not waiter.sleep(deadline.remaining()):
            with self._lock:
                if not waiter.done or (waiter.entry is not None and waiter.settled):
                    raise self._too_late(waiter, deadline, start)
        if waiter.entry is not None:
            with self._lock:
                waiter.window.on_return(waiter.entry, self.history.numbers)
        if waiter.error is not None:
            raise _own_copy(waiter.error)
        assert waiter.entry is not None
        if waiter.settled and self._closed is not None and self._settling.gave_up(waiter.entry.sequence):
            raise _own_copy(self._closed)
        event = waiter.entry.event
        assert event is not None
        return event

    def _too_late(self, waiter: Waiter, deadline: Deadline, start: int) -> WaitTimeout:
        stuck = self._settling.stuck()
        arrived = _folded(entry.type for entry in self.history.since(start) if entry.said is not None)
        if waiter.entry is not None:
            return WaitTimeout(
                f"{waiter.entry.type!r} arrived, but the handlers before it have not finished within"
                f" {deadline.timeout:g} s ({stuck or 'none is running'}). settled=False returns without waiting for"
                " handlers",
                arrived=arrived,
            )
        waiter.window.on_timeout(waiter.types, self.history.newest)
        came = ", ".join(arrived[-8:]) or "nothing"
        busy = f"; the handler {stuck}" if stuck else ""
        return WaitTimeout(
            f"no {waiter.describe()} within {deadline.timeout:g} s; since this thread's send arrived: {came}{busy}",
            arrived=arrived,
        )


def _overrun(waiter: Waiter) -> FellBehind:
    return FellBehind(
        f"so many events have arrived since this thread's last send that the {waiter.describe()} may have been among"
        " those no longer kept; wait sooner after sending, or use expect() or events()"
    )


def _own_copy(error: BaseException) -> BaseException:
    """One exception object may be raised in many threads, and each raise writes into its traceback."""
    if not isinstance(error, RealtimeError):
        return error
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own


def _folded(types: Iterable[str]) -> tuple[str, ...]:
    """Runs of one type as ``type x N``."""
    runs = [(name[:_LONGEST_NAME], sum(1 for _ in group)) for name, group in groupby(types)]
    return tuple(name if count == 1 else f"{name} x {count}" for name, count in runs)
