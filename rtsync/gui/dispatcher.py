"""What the dispatchers of all toolkits share: the queue, its slices, calls, and the end.

1. What is to run stands in one queue, in order. A wake-up of the loop is under way at most once, however much comes.
2. A *slice* runs what is queued, for 8 ms. What is left waits until the loop has done everything else that there was to
   do (input, timers, drawing), and wake-ups that come meanwhile do nothing: a loop that we woke without end would never
   draw.
3. What runs may run a loop of its own, as a dialog does, and slices happen inside that, too. So before a job begins
   there is a wake-up under way for what stands behind it. A session hands over one job at a time: its other events
   wait until a handler with a dialog has returned, and keep their order.
4. ``_lock`` guards the queue, and what wakes the loop against being closed under the hands of who wakes it. It is
   reentrant, for a session that is closed or collected in the middle. What is queued runs outside it.
5. When the window (Tk) or the application (Qt) is gone nothing runs any more: what is queued is dropped, calls that
   have not begun fail, and sessions learn that nobody is to wait for their handlers.
"""

from __future__ import annotations

import functools
import itertools
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rtsync.edges.latch import Latch
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import UsageError, WaitTimeout

if TYPE_CHECKING:
    from rtsync.session.session import RealtimeSession

__all__ = ["Closing", "Dispatcher"]

logger = logging.getLogger("rtsync.gui")

Result = TypeVar("Result")
Job = Callable[[], object]

_SLICE_SECONDS = 0.008
_numbers = itertools.count(1)
# Sessions that were closed with their window, until the next one is. Their handlers hold widgets, and a Tk that is
# freed in another thread than its own ends the program: so the thread that closes must not be the last to hold them.
_closed: list[RealtimeSession] = []


class Dispatcher:
    """A main loop, as somewhere for things to run: ``dispatcher(job)`` has ``job()`` run there, in order.

    What a job raises is logged on ``rtsync.gui``, and the rest goes on; ``sys.exit()`` and Ctrl+C do what they do in
    any callback of the toolkit.

    Attributes:
        thread_id: the thread of the main loop.

    Threads: calling it and ``call`` are for any thread, the rest is for that of the main loop.
    """

    def __init__(self) -> None:
        self.thread_id = threading.get_ident()
        self._lock = threading.RLock()  # Rule 4.
        self._jobs: deque[Job] = deque()
        self._roused = False
        self._resting = False
        self._gone = False
        self._to_tell: list[weakref.WeakMethod[Callable[[], None]]] = []

    @property
    def gone(self) -> bool:
        """Whether the window, or the application, is gone, so that nothing runs any more. Threads: any."""
        return self._gone

    def __call__(self, job: Job) -> None:
        """Have ``job`` run in the main loop; nothing happens where that is gone. Threads: any; it does not block."""
        with self._lock:
            if not self._gone:
                self._jobs.append(job)
                self._rouse()

    def call(self, function: Callable[..., Result], *args: Any, timeout: float | None = 30.0, **options: Any) -> Result:
        """Run ``function(*args, **options)`` in the main loop; returns what it returns and raises what it raises.

        For a tool, or any other thread, that touches a widget. In the thread of the main loop it is a plain call.

        Args:
            function: holds up the main loop, so it should be quick, or open a dialog.
            args: for it.
            timeout: seconds; None waits for ever, as for a dialog that somebody has to answer.
            options: for it.

        Raises:
            UsageError: the window is gone, so it will not run.
            WaitTimeout: it has not run in time, and will not; or it is still running.

        Threads: any that may block. The main loop must not be waiting for the calling thread.
        """
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        if threading.get_ident() == self.thread_id:
            return function(*args, **options)
        call = _Call(functools.partial(function, *args, **options))
        with self._lock:
            if self._gone:
                raise _window_is_gone()
            self(call)
        return call.result(limit)

    def close_with(self, session: RealtimeSession, window: Any = None) -> None:
        """Close ``session`` when ``window`` is closed, in a thread of its own, so that the main loop is not held up.

        That takes at most the session's ``close_timeout``, and the program does not end before. Closing the session
        otherwise, before or after, does no harm. It is held weakly: it stays the program's.

        Args:
            session: open, or not yet.
            window: a window of the toolkit; None for what the dispatcher ends with.

        Raises:
            UsageError: the window is gone.

        Threads: that of the main loop. ``rtsync-closing-N`` closes the session.
        """
        if self._gone:
            raise _window_is_gone()
        _closed.clear()
        self._when_closed(window, Closing(session))

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Call ``tell``, a bound method and held weakly, once nothing runs any more; at once where that is so.

        Threads: any. It is called in the thread in which the window goes.
        """
        with self._lock:
            known = [reference for reference in self._to_tell if reference() is not None]
            self._to_tell = [*known, weakref.WeakMethod(tell)]
        if self._gone:
            tell()

    # -- slices: the main loop's thread ----------------------------------------------------------------------------

    def _on_wake(self) -> None:
        """The loop has been woken."""
        with self._lock:
            self._roused = False
        if not self._resting:
            self._run_slice()

    def _on_rested(self) -> None:
        """The loop has done everything else."""
        self._resting = False
        self._run_slice()

    def _run_slice(self) -> None:
        until = time.monotonic() + _SLICE_SECONDS
        try:
            while (job := self._next()) is not None:
                _run(job)
                if time.monotonic() >= until:
                    break
        finally:  # Also behind a job that leaves the loop: the program may run it again.
            with self._lock:
                if self._jobs and not self._resting:
                    self._resting = True
                    self._rest()

    def _next(self) -> Job | None:
        with self._lock:
            if not self._jobs:
                return None
            job = self._jobs.popleft()
            if self._jobs:
                self._rouse()  # Rule 3.
            return job

    def _rouse(self) -> None:
        """Under the lock."""
        if not self._roused:
            self._roused = True
            self._wake()

    def _end(self) -> None:
        """Nothing runs any more."""
        with self._lock:
            if self._gone:
                return
            self._gone = True
            dropped, self._jobs = self._jobs, deque()
            to_tell, self._to_tell = self._to_tell, []
            self._release()
        for job in dropped:
            if isinstance(job, _Call):
                job.refuse(_window_is_gone())
        for reference in to_tell:
            if (tell := reference()) is not None:
                tell()

    # -- what a toolkit does ---------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Have the loop call ``_on_wake`` soon. Under the lock, in any thread; it must not block."""
        raise NotImplementedError

    def _rest(self) -> None:
        """Have the loop call ``_on_rested`` when it has done everything else. Under the lock, in the loop's thread."""
        raise NotImplementedError

    def _release(self) -> None:
        """Let go of what wakes the loop. Once, under the lock, in the loop's thread."""
        raise NotImplementedError

    def _when_closed(self, window: Any, closing: Closing) -> None:
        """Have ``closing`` called, once or more often, when ``window`` is closed."""
        raise NotImplementedError


class Closing:
    """Closes a session in a thread, once, however often it is called and with whatever a toolkit adds."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = weakref.ref(session)
        self._claim = threading.Lock()  # Taken for good by the first call.

    def __call__(self, *_: object) -> None:
        """Begin. Threads: any."""
        session = self._session()
        if session is not None and self._claim.acquire(blocking=False):
            _closed.append(session)
            # No daemon: the program ends behind it. That is bounded.
            threading.Thread(target=_close, args=(session,), name=f"rtsync-closing-{next(_numbers)}").start()


class _Call(Generic[Result]):
    """One ``call``: run by the main loop, or given up, whichever comes first."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._claim = threading.Lock()  # Taken for good by who runs it, or makes sure that nobody will.
        self._over = Latch()
        self._outcome: list[Result] = []
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Run it: in the main loop."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._outcome.append(self._function())
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._over.set()

    def refuse(self, error: UsageError) -> None:
        """It will not run."""
        if self._claim.acquire(blocking=False):
            self._error = error
            self._over.set()

    def result(self, timeout: float | None) -> Result:
        """Block until it has run, at most ``timeout`` seconds."""
        try:
            over = self._over.wait(timeout)
        finally:
            given_up = self._claim.acquire(blocking=False)
        if not over and not self._over:
            did = "did not get to this call" if given_up else "has begun this call, but not ended it"
            raise WaitTimeout(f"the main loop {did} within {timeout:g} s; does it run, and is nothing holding it up?")
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # Its traceback holds this frame, and what the function held: widgets.
        return self._outcome.pop()


def _run(job: Job) -> None:
    try:
        job()
    except Exception:
        logger.exception("what was handed to the main loop failed")


def _close(session: RealtimeSession) -> None:
    try:
        session.close()
    except Exception:
        logger.exception("a session could not be closed with its window")


def _window_is_gone() -> UsageError:
    return UsageError("the window is gone, so nothing runs in its main loop any more")
