"""Where handlers run: one of three places, always in order, one at a time.

* ``Worker`` (``handlers="thread"``): an ordered worker thread, started with the first handler. Handlers may block,
  send and wait. As long as they are quick that thread reads, too (``loan``).
* ``Inline`` (``handlers="inline"``): the reader thread. Least latency; a handler that blocks keeps the line unread.
* ``Posted`` (``handlers=submit``): wherever ``submit(fn)`` runs it, e.g. a GUI's main loop. One ``drain`` is posted
  when the queue goes from empty to filled; it runs a batch and posts itself again, so a burst never floods the loop.
  A submit that is a ``Loop`` says which thread that is before anything has run, and when it is over for good.

Rules:

1. ``_lock`` guards the queue and the list of those who wait for it; handlers run outside it.
2. The worker is woken when the reader runs out of input (``flush``), not in the middle of it: every event by itself
   wakes it, and many deltas do.
3. An item counts as done when its handlers have returned. Who waits for "settled up to N" is woken then. Of deltas that
   came together the worker takes several at once, and says without the lock which one is running: first that, then it
   looks at who waits. Who begins to wait does it the other way round, so that one of the two sees the other.
4. What is delivered is decided when it runs, by the board of handlers, which is held weakly: the threads do not keep a
   forgotten session alive.
5. The reader never waits for a handler, so what waits for the handlers is bounded (``pure.backlog``). Where that
   overflows the reader ends the session, and nobody waits for the handlers any longer: what they were to settle ends
   unsettled.
6. Who runs the handlers does not wait for them: inside one, and in the thread of the loop that drains. What waits for
   an answer only does not ask (``runs_here``); what promises that handlers have run is refused (``check_may_wait``).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from rtsync.edges.latch import Latch
from rtsync.edges.signals import name_of
from rtsync.pure.backlog import Backlog, Batch, Limits, Trouble
from rtsync.pure.runs import Run, events_of
from rtsync.vocabulary.errors import ConfigurationError, UsageError
from rtsync.vocabulary.events import Event

if TYPE_CHECKING:
    from rtsync.threads.loan import Loan

__all__ = ["Delivery", "Inline", "Job", "Loop", "Posted", "QueueDispatcher", "Worker", "delivery_for"]

logger = logging.getLogger("rtsync.handlers")

Job = Callable[[], None]
Handle = Callable[[Iterable[Event]], None]
_BATCH_JOBS = 64
_BATCH_SECONDS = 0.008
_MOST_AT_ONCE = 256  # deltas
# Deltas, and bytes of their messages, from which on the worker is woken although the reader has more at hand: a waking
# costs as much as several of them, and what is queued should still be in the caches.
_MANY, _MUCH = 2048, 1 << 20
_NEVER = sys.maxsize


def _nobody(_events: Iterable[Event]) -> None:
    """Handlers that nobody has named."""


class _Running(msgspec.Struct, eq=False):
    """What is being done: a job, or one of the deltas in hand.

    Attributes:
        number: of its event.
        arrived: when that came.
    """

    number: int
    arrived: float


class Delivery:
    """A queue of jobs (an event's handlers, or a lifecycle signal), each under the number of its event.

    Attributes:
        handle: calls the handlers of events, one after the other.
        runs_in_reader: whether handlers run in the reader thread, which alone may put jobs.
        asleep: whether a thread of our own that runs them sleeps, and has to be woken for the next one.
        running: what is being done at the moment; several where a handler runs a GUI's loop, which drains again.
    """

    runs_in_reader = False
    asleep = False

    def __init__(self, limits: Limits | None = None, at_once: int = 1) -> None:
        self.limits = limits or Limits()
        self.queue: Backlog[Job | dict[str, Any]] = Backlog(self.limits, at_once)
        self.handle: Handle = _nobody
        self.overflow: str | None = None
        self._lock = threading.RLock()  # Rule 1. Reentrant for close() in a signal handler.
        self._awaiting: list[tuple[int, Callable[[], None]]] = []
        self._soonest = _NEVER  # The least number of these, or more than there ever are.
        self.running: list[_Running] = []
        self._thread_id: int | None = None
        self._since = 0.0
        self.current: Callable[..., Any] | None = None
        self.reader: int | None = None
        self.drained = Latch()
        self._ending = False
        self._dropped = False
        self._gave_up = False

    # -- the reader's side -----------------------------------------------------------------------------------------

    def put(self, sequence: int, job: Job, size: int | None = None, delta: bool = False) -> None:
        """Run ``job`` after all earlier ones.

        Where it does not fit, ``overflow`` says so from then on, in one sentence, and no further event is taken.

        Args:
            sequence: number of the event.
            job: calls its handlers.
            size: bytes of its message; None for a lifecycle signal, which always fits.
            delta: whether it may be dropped.
        """
        raise NotImplementedError

    def has_room(self, events: int, size: int) -> bool:
        """Whether the jobs of that many events, of ``size`` bytes, may be put in one step: nothing comes of any."""
        return self.overflow is None and self.queue.has_room(events, size)

    def put_run(self, run: Run) -> None:
        """Have ``handle`` called for each of the deltas, for which there is room, after all earlier jobs.

        Soon, that is: when more than a few wait, or at the next job by itself, or ``flush``.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """The reader is about to sleep, or to do something else: nothing shall wait for more to come."""

    def prepare(self) -> None:
        """Somebody will want handlers to run: no event shall have to wait until a thread for them is started."""

    def borrow(self, loan: Loan) -> Job | None:
        """Have a thread of our own that is to be woken read as well, when it has handled what there is.

        Returns what wakes it; None where it is not asleep, or there is nothing to do for it.
        """
        return None

    def end(self) -> None:
        """No more jobs will come; ``drained`` is set once those that have come are done.

        After an overflow nobody waits for them any longer.
        """
        with self._lock:
            self._ending = True
            self._gave_up = self._gave_up or self.overflow is not None
            forsaken = self._awaiting if self._gave_up else []
            self._await([] if self._gave_up else self._awaiting)
        for _, wake in forsaken:
            wake()
        self._conclude()

    def _conclude(self) -> None:
        """Have ``drained`` set once there is nothing left."""
        raise NotImplementedError

    def _enqueue(self, sequence: int, job: Job, size: int | None, delta: bool) -> Trouble | None:
        """Queue it, or, behind an overflow, leave it out. Under the lock."""
        if self.overflow is not None and size is not None:
            return None
        return self.queue.put(job, size, delta, time.monotonic(), sequence)

    def _enqueue_run(self, run: Run) -> None:
        """Queue its deltas. Under the lock."""
        self.queue.extend(run.data, run.numbers, run.sizes, time.monotonic())

    def _heed(self, trouble: Trouble) -> None:
        """Say what a put has brought about, and wake who waited only for what was dropped."""
        if trouble is Trouble.OVERFLOW:
            self.overflow = (
                f"the handlers fell too far behind: {self._waiting()}. Have them return sooner (hand long work to a"
                " thread of your own), or see on_overflow, max_queue_events and max_queue_size"
            )
        elif trouble is Trouble.DROPPING:
            logger.warning(
                "the handlers fall behind, and from now on the oldest deltas are dropped: %s", self._waiting()
            )
        self._wake_settled()

    def queued(self) -> tuple[int, int]:
        """Events that wait for their handlers, and their bytes. Threads: any."""
        return self.queue.events, self.queue.size

    def _waiting(self) -> str:
        """How much waits for what, for a message."""
        events, size = self.queued()
        said = f"{events} events ({size} bytes) are waiting"
        return f"{said}, the oldest for {self.lag():.1f} s; {self.stuck() or 'no handler is running'}"

    def join(self, timeout: float | None) -> bool:
        """Block until the last job is done, at most ``timeout`` seconds; not at all where the caller runs the jobs.

        Returns whether there is nothing more to wait for.
        """
        return self.drained.wait(timeout)

    def drop(self) -> None:
        """The program is ending: run no more jobs after the one that is running. Takes no lock."""
        self.queue.clear()
        self._ending = self._dropped = True

    def disown(self) -> None:
        """In a forked child: the handlers run in the parent. The thread that runs one may be the one that forked."""
        self._lock = threading.RLock()
        self._await([])
        self.drop()

    # -- the waits' side -------------------------------------------------------------------------------------------

    def in_handler(self) -> bool:
        """Whether the calling thread is inside a handler right now."""
        return bool(self.running) and self._thread_id == threading.get_ident()

    def runs_here(self) -> bool:
        """Whether handlers run in the calling thread only, so that it cannot wait for them."""
        return self.in_handler()

    @property
    def handling(self) -> tuple[int, object]:
        """The number of the event whose handlers run, and the handler; inside one only."""
        return self.running[-1].number, self.current

    def check_may_wait(self, settled: bool) -> None:
        """Raise ``UsageError`` where the calling thread would wait for itself, as the one that reads always would."""
        if self.reader == threading.get_ident():
            raise UsageError(
                "the thread that reads cannot wait: it would wait for itself. Handlers run there with"
                " handlers='inline', predicates always. Use the default handlers='thread', or hand the work to a thread"
                " of your own"
            )

    def when_settled(self, sequence: int, wake: Callable[[], None]) -> None:
        """Call ``wake`` once the jobs of all events up to ``sequence`` are done, at once where they are."""
        with self._lock:
            if (self.running or self.queue) and not self._is_settled(sequence):
                waiting = self._awaiting
                self._await([*waiting, (sequence, wake)])
                # Once more behind that: the worker looks at who waits behind each job, without the lock.
                if not self._is_settled(sequence):
                    return
                self._await(waiting)
        wake()

    def _is_settled(self, sequence: int) -> bool:
        """Whether the jobs up to that are done, or will not be waited for. Under the lock."""
        return not (self.running or self.queue) or self._gave_up or self._oldest() > sequence

    def forget(self, wake: Callable[[], None]) -> None:
        """Nobody waits for this call of ``when_settled`` any longer."""
        if self._awaiting:
            with self._lock:
                self._await([pair for pair in self._awaiting if pair[1] != wake])

    def gave_up(self, sequence: int) -> bool:
        """Whether the jobs up to ``sequence`` are not done and will not be waited for."""
        with self._lock:
            return self._gave_up and self._oldest() <= sequence

    @property
    def awaiting(self) -> int:
        """How many wait until something is settled."""
        return len(self._awaiting)

    def lag(self) -> float:
        """Seconds since the arrival of the oldest event that is not done; 0 where there is none. Threads: any."""
        with self._lock:
            queued = self.queue.oldest()
            arrivals = [job.arrived for job in self.running[:1]] + ([] if queued is None else [queued[0]])
        return max(0.0, time.monotonic() - arrivals[0]) if arrivals else 0.0

    def stuck(self) -> str | None:
        """The handler that is running, for a message."""
        if not self.running:
            return None
        name = "a handler" if self.current is None else name_of(self.current)
        return f"{name} has been running for {time.monotonic() - self._since:.1f} s"

    # -- running ---------------------------------------------------------------------------------------------------

    def _oldest(self) -> int:
        """Number of the oldest job not done; more than there ever are where there is none. Under the lock."""
        if self.running:
            return self.running[0].number
        oldest = self.queue.oldest()
        return _NEVER if oldest is None else oldest[1]

    def _next(self) -> Job | None:
        """Take the next job, which from here on is running; None where there is none. Under the lock."""
        taken = self.queue.take()
        if taken is None:
            return None
        sequence, item = taken.numbers[0], taken.items[0]  # One at a time, but for the worker.
        self.running.append(_Running(sequence, taken.arrived))
        return item if callable(item) else partial(self.handle, events_of([item]))

    def _run(self, job: Job) -> None:
        """Run the job taken last."""
        self._thread_id, self._since = threading.get_ident(), time.monotonic()
        try:
            job()
        except Exception:
            logger.exception("delivery failed")
        finally:
            self.current = None  # It may close over the session, which must stay collectable.
            with self._lock:
                self.running.pop()
            self._wake_settled()

    def _run_here(self, job: Job) -> None:
        """Run the job taken last in a thread of rtsync's, where ``sys.exit()`` in a handler must not end the rest."""
        try:
            self._run(job)
        except BaseException as error:
            logger.exception("a handler raised %s; in rtsync's threads that ends nothing", type(error).__name__)

    def _run_deltas(self, numbers: Sequence[int], data: Sequence[dict[str, Any]]) -> None:
        """The same for deltas of which the first is running: the way of most events, so with as little as possible."""
        rest = self._one_by_one(numbers, events_of(data))
        while True:
            try:
                self.handle(rest)
                break
            except BaseException as error:
                logger.exception("a handler raised %s; in rtsync's threads that ends nothing", type(error).__name__)
        self.current = None  # It may close over the session, which must stay collectable.

    def _one_by_one(self, numbers: Sequence[int], deltas: Sequence[Event]) -> Iterator[Event]:
        """Each, entered as the one that is running from when it is taken."""
        running, monotonic = self.running[-1], time.monotonic
        for number, event in zip(numbers, deltas, strict=True):
            running.number = number
            # Asked behind that: who begins to wait meanwhile looks at what is running behind joining those who wait.
            if number > self._soonest:
                self._wake_settled()
            if self._dropped:
                return
            self._since = monotonic()
            yield event

    def _wake_settled(self) -> None:
        if self._awaiting:
            with self._lock:
                due = self._due()
            for wake in due:
                wake()

    def _due(self) -> list[Callable[[], None]]:
        """Who waited for what is done by now, to be woken outside the lock. Under the lock."""
        oldest = self._oldest()
        due = [wake for sequence, wake in self._awaiting if sequence < oldest]
        self._await([pair for pair in self._awaiting if pair[0] >= oldest])
        return due

    def _await(self, awaiting: list[tuple[int, Callable[[], None]]]) -> None:
        """These wait from now on. Under the lock."""
        self._awaiting = awaiting
        self._soonest = min([sequence for sequence, _ in awaiting], default=_NEVER)


class Inline(Delivery):
    """Handlers run in the reader thread, as events arrive."""

    runs_in_reader = True

    def put(self, sequence: int, job: Job, size: int | None = None, delta: bool = False) -> None:
        """Run it now."""
        with self._lock:
            self.running.append(_Running(sequence, time.monotonic()))
        self._run_here(job)

    def put_run(self, run: Run) -> None:
        """Run them now."""
        self._thread_id = threading.get_ident()
        with self._lock:
            self.running.append(_Running(run.numbers[0], time.monotonic()))
        self._run_deltas(run.numbers, run.data)
        with self._lock:
            self.running.pop()
        self._wake_settled()

    def _conclude(self) -> None:
        self.drained.set()  # Nothing is ever left.


class Worker(Delivery):
    """Handlers run in a thread of their own, in order."""

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        # Those in hand are beyond the limits, so they are few against what may wait.
        super().__init__(limits, max(1, min(_MOST_AT_ONCE, limits.events // 64, limits.size >> 18)))
        self._name = name
        self._gate = threading.Lock()  # Released when there is work for the sleeping worker.
        self._gate.acquire()
        self._started = False
        self._thread: threading.Thread | None = None
        self._in_hand: Batch[Job | dict[str, Any]] | None = None
        self._loan: Loan | None = None  # The worker's alone, while it is not asleep.
        self._reads = False

    def put(self, sequence: int, job: Job, size: int | None = None, delta: bool = False) -> None:
        """Queue it, and wake the worker where it sleeps."""
        with self._lock:
            trouble = self._enqueue(sequence, job, size, delta)
            rouse = self._to_rouse()
        if rouse is not None:
            rouse()
        if trouble is not None:
            self._heed(trouble)

    def put_run(self, run: Run) -> None:
        """Queue them, and wake a worker that sleeps where they are worth a change of threads."""
        with self._lock:
            self._enqueue_run(run)
            few = self._started and self.queue.events < _MANY and self.queue.size < _MUCH
            rouse = None if few else self._to_rouse()
        if rouse is not None:
            rouse()

    def flush(self) -> None:
        """Wake the worker where it sleeps and something waits."""
        # Without the lock: a worker that is not asleep yet looks at the queue once more before it is.
        if self.asleep and self.queue:
            with self._lock:
                rouse = self._to_rouse()
            if rouse is not None:
                rouse()

    def _to_rouse(self) -> Callable[[], None] | None:
        """Something has been queued: what starts the worker, or wakes it where it is not at work. Under the lock."""
        if self.asleep:
            self.asleep = False
            return self._gate.release
        if not self._started:
            self._started = True
            return self._start
        if self._reads and self._loan is not None and self._thread_id != threading.get_ident():
            return self._loan.interrupt
        return None

    def prepare(self) -> None:
        """Start the worker."""
        if self._started:
            return
        with self._lock:
            if self._started or self._ending:
                return
            self._started = True
        self._start()

    def borrow(self, loan: Loan) -> Job | None:
        """Have the worker read, too."""
        with self._lock:
            if not (self.asleep and self.queue):
                return None
            self.asleep, self._loan = False, loan
            return self._gate.release

    def check_may_wait(self, settled: bool) -> None:
        """Where a handler is about to wait for what has yet to come, somebody else has to read."""
        super().check_may_wait(settled)
        loan = self._loan
        if loan is not None and self.in_handler():
            loan.doubt()

    def queued(self) -> tuple[int, int]:
        """Events that wait for their handlers, and their bytes; those in hand behind the one that is running too."""
        with self._lock:
            running = self._oldest()
            hand = self._in_hand
            pairs = () if hand is None else zip(hand.numbers, hand.sizes, strict=True)
            sizes = [size for number, size in pairs if size is not None and number > running]
            return self.queue.events + len(sizes), self.queue.size + sum(sizes)

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError as error:  # The system's limit; in 3.12 also a program that is ending.
            logger.info("handlers run in the reader thread, because none could be started for them: %s", error)
            self._work(stay=False)

    def _conclude(self) -> None:
        with self._lock:
            asleep, self.asleep = self.asleep, False
            idle = not self._started
        if idle:
            self.drained.set()
        elif asleep:
            self._gate.release()

    def join(self, timeout: float | None) -> bool:
        """Block until the worker has ended."""
        if not super().join(timeout):
            return False
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)  # It has nothing left to do.
        return True

    def _work(self, *, stay: bool = True) -> None:
        """Do what there is to do, until the end; without ``stay`` until there is nothing at the moment."""
        self._thread_id = threading.get_ident()
        while True:
            with self._lock:  # Once for the end of some jobs and the beginning of the next.
                self.running.clear()
                self._reads = False
                due = self._due() if self._awaiting else ()
                batch = self._in_hand = None if due else self.queue.take()
                if batch is not None:
                    self.running.append(_Running(batch.numbers[0], batch.arrived))
                over = self._has_nothing_to_do(stay) if batch is None and not due else False
            if batch is not None:
                self._run_batch(batch)
            elif over:
                break
            elif not due:
                self._rest()
            for wake in due:
                wake()
        if self._loan is not None:
            self._loan.recall()
        if self._ending:
            self.drained.set()

    def _has_nothing_to_do(self, stay: bool) -> bool:
        """Decide what the worker does then: read, where that is lent, or sleep; or end, if True. Under the lock."""
        over = self._ending or not stay
        self._reads = not over and self._loan is not None
        self.asleep = not over and not self._reads
        if over and not self._ending:
            self._started = False  # Whoever comes next starts it again.
        return over

    def _rest(self) -> None:
        """Wait for something to do."""
        loan = self._loan
        # As decided under the lock: one that is lent since comes with something to do, and wakes it.
        if not self._reads or loan is None:
            self._gate.acquire()
        elif not loan.read():
            self._loan = None

    def _run_batch(self, batch: Batch[Job | dict[str, Any]]) -> None:
        """Run what is in hand: a job, or deltas."""
        loan = self._loan
        if loan is not None:
            loan.handles()
        job = batch.items[0]
        if not callable(job):
            self._run_deltas(batch.numbers, batch.items)  # type: ignore[arg-type]
        elif not self._dropped:
            self._run_job(job)
        if loan is not None:
            loan.handled()

    def _run_job(self, job: Job) -> None:
        self._since = time.monotonic()
        try:
            job()
        except BaseException as error:
            logger.exception("a handler raised %s; in rtsync's threads that ends nothing", type(error).__name__)
        self.current = None


@runtime_checkable
class Loop(Protocol):
    """A ``submit`` that knows its loop: see ``rtsync.gui``."""

    thread_id: int
    """The thread that runs what it is given."""

    def __call__(self, job: Job) -> object:
        """Have ``job`` run."""

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Call ``tell``, a bound method and held weakly, once the loop will run nothing more."""


class Posted(Delivery):
    """Handlers run wherever ``submit`` runs what it is given, in order."""

    def __init__(self, submit: Callable[[Job], object], limits: Limits | None = None) -> None:
        super().__init__(limits)
        if not callable(submit):
            raise ConfigurationError("handlers must be 'thread', 'inline' or a callable such as wx.CallAfter")
        self._submit = submit
        self._posted = False
        self._host: int | None = None
        if isinstance(submit, Loop):
            self._host = submit.thread_id
            submit.when_gone(self._forsake)

    def put(self, sequence: int, job: Job, size: int | None = None, delta: bool = False) -> None:
        """Queue it, and post a drain where none is posted."""
        with self._lock:
            if self._dropped:
                return
            trouble = self._enqueue(sequence, job, size, delta)
            posted, self._posted = self._posted, True
        if not posted:
            self._post()
        if trouble is not None:
            self._heed(trouble)

    def put_run(self, run: Run) -> None:
        """Queue them, and post a drain where none is posted."""
        with self._lock:
            if self._dropped:
                return
            self._enqueue_run(run)
            posted, self._posted = self._posted, True
        if not posted:
            self._post()

    def _conclude(self) -> None:
        with self._lock:
            empty = not self.queue and not self.running
        if empty:
            self.drained.set()

    def _forsake(self) -> None:
        """The loop is gone: no more handlers run, and nobody waits for them. Threads: any."""
        with self._lock:
            self.queue.clear()
            self._dropped = self._gave_up = True
            self._host = None
            forsaken = self._awaiting
            self._await([])
        for _, wake in forsaken:
            wake()
        if self._ending:
            self._conclude()

    def runs_here(self) -> bool:
        """Also outside handlers, in the thread of the loop."""
        return self._host == threading.get_ident() or self.in_handler()

    def check_may_wait(self, settled: bool) -> None:
        """The thread that runs the handlers cannot wait for them outside one."""
        super().check_may_wait(settled)
        if settled and self._host == threading.get_ident() and not self.in_handler():
            raise UsageError(
                "this thread runs the handlers, so waiting until they have run would wait for itself; use"
                " wait_for(..., settled=False), or wait in another thread"
            )

    def join(self, timeout: float | None) -> bool:
        """Block until drained, unless the loop that drains is the caller's own, or was never seen to run."""
        if self._host is None or self._host == threading.get_ident():
            return True
        return super().join(timeout)

    def _post(self) -> None:
        try:
            self._submit(self._drain)
        except Exception:
            logger.exception("handlers could not be posted; is the main loop of the program gone?")
            with self._lock:
                self._posted = False

    def _drain(self) -> None:
        if not self._dropped:
            self._host = threading.get_ident()
        until = time.monotonic() + _BATCH_SECONDS
        try:
            for _ in range(_BATCH_JOBS):
                with self._lock:
                    job = self._next()
                if job is None:
                    break
                self._run(job)
                if time.monotonic() >= until:
                    break
        finally:  # Also behind a handler that ended the loop (sys.exit(), Ctrl+C): the program may go on.
            self._after_batch()

    def _after_batch(self) -> None:
        with self._lock:
            more = bool(self.queue)
            ended = self._ending and not more
            self._posted = more
        if more:
            self._post()
        elif ended:
            self.drained.set()


class QueueDispatcher:
    """A ``submit`` for programs with a main loop of their own: pygame, a notebook. For Tk and Qt see ``rtsync.gui``.

    Give it as ``handlers=dispatcher`` and call ``dispatcher.drain()`` in the main loop, once in every turn. Handlers
    then run in the thread that drains.

    Threads: calling it is safe from any thread; ``drain`` belongs to one.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def __call__(self, job: Job) -> None:
        """Queue ``job`` for the next ``drain``."""
        self._jobs.append(job)

    def drain(self) -> int:
        """Run what is queued by now, and return how much that was."""
        count = len(self._jobs)
        for _ in range(count):
            self._jobs.popleft()()
        return count


def delivery_for(handlers: Any, name: str, limits: Limits | None = None) -> Delivery:
    """The delivery that the option ``handlers`` names, with room for what ``limits`` say."""
    if handlers == "thread":
        return Worker(name, limits)
    if handlers == "inline":
        return Inline(limits)
    if callable(handlers):
        return Posted(handlers, limits)
    raise ConfigurationError(
        f"handlers must be 'thread', 'inline' or a callable that runs what it is given, not {handlers!r}"
    )
