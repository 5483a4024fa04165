"""Where handlers run: one of three places, always in order, one at a time.

* ``Worker`` (``handlers="thread"``): an ordered worker thread, started with the first event that anyone handles.
  Handlers may block, send and wait.
* ``Inline`` (``handlers="inline"``): the reader thread. Least latency; a handler that blocks keeps the line unread.
* ``Posted`` (``handlers=submit``): wherever ``submit(fn)`` runs it, e.g. a GUI's main loop. One ``drain`` is posted
  when the queue goes from empty to filled; it runs a batch and posts itself again, so a burst never floods the loop.

Rules:

1. ``_lock`` guards the queue and the list of those who wait for it; handlers run outside it.
2. An item counts as done when its handlers have returned. Who waits for "settled up to N" is woken then.
3. What is delivered is decided when it runs, by the board of handlers, which is held weakly: the threads do not keep a
   forgotten session alive.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rtsync.edges.latch import Latch
from rtsync.edges.signals import name_of
from rtsync.vocabulary.errors import ConfigurationError, UsageError

__all__ = ["Delivery", "Inline", "Job", "Posted", "QueueDispatcher", "Worker", "delivery_for"]

logger = logging.getLogger("rtsync.handlers")

Job = Callable[[], None]
_BATCH_JOBS = 64
_BATCH_SECONDS = 0.008


class Delivery:
    """A queue of jobs (an event's handlers, or a lifecycle signal), each under the number of its event."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # Rule 1. Reentrant for close() in a signal handler.
        self._queue: deque[tuple[int, Job]] = deque()
        self._awaiting: list[tuple[int, Callable[[], None]]] = []
        self._running: list[int] = []  # Several where a handler runs a GUI's loop, which drains again.
        self._thread_id: int | None = None
        self._since = 0.0
        self._afterwards: list[Job] = []
        self.current: Callable[..., Any] | None = None
        self.reader: int | None = None
        self.drained = Latch()
        self._ending = False

    # -- the reader's side -----------------------------------------------------------------------------------------

    def put(self, sequence: int, job: Job) -> None:
        """Run ``job`` after all earlier ones."""
        raise NotImplementedError

    def end(self) -> None:
        """No more jobs will come; ``drained`` is set once those that have come are done."""
        raise NotImplementedError

    def join(self, timeout: float | None) -> bool:
        """Block until the last job is done, at most ``timeout`` seconds; not at all where the caller runs the jobs.

        Returns whether there is nothing more to wait for.
        """
        return self.drained.wait(timeout)

    def drop(self) -> None:
        """The program is ending: run no more jobs after the one that is running. Takes no lock."""
        self._queue.clear()
        self._ending = True

    def disown(self) -> None:
        """In a forked child: the handlers run in the parent. The thread that runs one may be the one that forked."""
        self._lock = threading.RLock()
        self._awaiting, self._afterwards = [], []
        self.drop()

    # -- the waits' side -------------------------------------------------------------------------------------------

    def in_handler(self) -> bool:
        """Whether the calling thread is inside a handler right now."""
        return bool(self._running) and self._thread_id == threading.get_ident()

    def check_may_wait(self, settled: bool) -> None:
        """Raise ``UsageError`` where the calling thread would wait for itself, as the reader thread always would."""
        if self.reader == threading.get_ident():
            raise UsageError(
                "the reader thread cannot wait: it would wait for itself. Handlers run there with handlers='inline',"
                " predicates always. Use the default handlers='thread', or hand the work to a thread of your own"
            )

    def when_settled(self, sequence: int, wake: Callable[[], None]) -> None:
        """Call ``wake`` once the jobs of all events up to ``sequence`` are done, at once where they are."""
        with self._lock:
            if self._oldest() <= sequence:
                self._awaiting.append((sequence, wake))
                return
        wake()

    def stuck(self) -> str | None:
        """The handler that is running, for a message."""
        if not self._running:
            return None
        name = "a handler" if self.current is None else name_of(self.current)
        return f"{name} has been running for {time.monotonic() - self._since:.1f} s"

    def afterwards(self, job: Job) -> None:
        """Called inside a handler: run ``job`` in this thread once the handler has returned."""
        self._afterwards.append(job)

    # -- running ---------------------------------------------------------------------------------------------------

    def _oldest(self) -> float:
        """Number of the oldest job not done; infinite where there is none. Under the lock."""
        if self._running:
            return self._running[0]
        return self._queue[0][0] if self._queue else float("inf")

    def _next(self) -> tuple[int, Job] | None:
        """Take the next job, which from here on is running; None where there is none. Under the lock."""
        if not self._queue:
            return None
        sequence, job = self._queue.popleft()
        self._running.append(sequence)
        return sequence, job

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
                self._running.pop()
            self._wake_settled()
            while self._afterwards and not self._running:
                self._afterwards.pop(0)()

    def _run_here(self, job: Job) -> None:
        """Run the job taken last in a thread of rtsync's, where ``sys.exit()`` in a handler must not end the rest."""
        try:
            self._run(job)
        except BaseException as error:
            logger.exception("a handler raised %s; in rtsync's threads that ends nothing", type(error).__name__)

    def _wake_settled(self) -> None:
        if not self._awaiting:
            return
        with self._lock:
            oldest = self._oldest()
            due = [wake for sequence, wake in self._awaiting if sequence < oldest]
            self._awaiting = [pair for pair in self._awaiting if pair[0] >= oldest]
        for wake in due:
            wake()


class Inline(Delivery):
    """Handlers run in the reader thread, as events arrive."""

    def put(self, sequence: int, job: Job) -> None:
        """Run it now."""
        with self._lock:
            self._running.append(sequence)
        self._run_here(job)

    def end(self) -> None:
        """Nothing is ever left."""
        self.drained.set()


class Worker(Delivery):
    """Handlers run in a thread of their own, in order."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._gate = threading.Lock()  # Released when there is work for the sleeping worker.
        self._gate.acquire()
        self._asleep = False
        self._started = False
        self._thread: threading.Thread | None = None

    def put(self, sequence: int, job: Job) -> None:
        """Queue it, and wake the worker where it sleeps."""
        with self._lock:
            self._queue.append((sequence, job))
            asleep, self._asleep = self._asleep, False
            start = not self._started
            self._started = True
        if start:
            self._start()
        elif asleep:
            self._gate.release()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError as error:  # The system's limit; in 3.12 also a program that is ending.
            logger.info("handlers run in the reader thread, because none could be started for them: %s", error)
            self._started = False
            while (taken := self._taken()) is not None:
                self._run_here(taken[1])

    def _taken(self) -> tuple[int, Job] | None:
        with self._lock:
            return self._next()

    def end(self) -> None:
        """Let the worker end behind the last job."""
        with self._lock:
            self._ending = True
            asleep, self._asleep = self._asleep, False
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

    def _work(self) -> None:
        while True:
            with self._lock:
                taken = self._next()
                if taken is None and self._ending:
                    break
                self._asleep = taken is None
            if taken is None:
                self._gate.acquire()
            else:
                self._run_here(taken[1])
        self.drained.set()


class Posted(Delivery):
    """Handlers run wherever ``submit`` runs what it is given, in order."""

    def __init__(self, submit: Callable[[Job], object]) -> None:
        super().__init__()
        if not callable(submit):
            raise ConfigurationError("handlers must be 'thread', 'inline' or a callable such as root.after_idle")
        self._submit = submit
        self._posted = False
        self._host: int | None = None

    def put(self, sequence: int, job: Job) -> None:
        """Queue it, and post a drain where none is posted."""
        with self._lock:
            self._queue.append((sequence, job))
            post = not self._posted
            self._posted = True
        if post:
            self._post()

    def end(self) -> None:
        """Drained once the queue is."""
        with self._lock:
            self._ending = True
            empty = not self._queue and not self._running
        if empty:
            self.drained.set()

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
        self._host = threading.get_ident()
        until = time.monotonic() + _BATCH_SECONDS
        try:
            for _ in range(_BATCH_JOBS):
                with self._lock:
                    taken = self._next()
                if taken is None:
                    break
                self._run(taken[1])
                if time.monotonic() >= until:
                    break
        finally:  # Also behind a handler that ended the loop (sys.exit(), Ctrl+C): the program may go on.
            self._after_batch()

    def _after_batch(self) -> None:
        with self._lock:
            more = bool(self._queue)
            ended = self._ending and not more
            self._posted = more
        if more:
            self._post()
        elif ended:
            self.drained.set()


class QueueDispatcher:
    """A ``submit`` for programs with a main loop of their own: Tk, pygame, a notebook.

    Give it as ``handlers=dispatcher`` and call ``dispatcher.drain()`` in the main loop, e.g. from Tk every 15 ms:
    ``root.after(15, pump)``. Handlers then run in the thread that drains.

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


def delivery_for(handlers: Any, name: str) -> Delivery:
    """The delivery that the option ``handlers`` names."""
    if handlers == "thread":
        return Worker(name)
    if handlers == "inline":
        return Inline()
    if callable(handlers):
        return Posted(handlers)
    raise ConfigurationError(
        f"handlers must be 'thread', 'inline' or a callable that runs what it is given, not {handlers!r}"
    )
