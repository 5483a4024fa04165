"""The threads in which tools run: ``rtsync-tools-N-1``, ``-2``, ... of session N.

1. A thread is started for a job when fewer than ``most`` are at work; else the job waits, first come first served. A
   thread that finds no job left ends: a session whose tools rest has no thread of theirs.
2. A job that is given up (its time is over) keeps its thread, which nothing can end, but that thread counts no more.
3. ``_lock`` guards who works and who waits. No job runs under it. It is reentrant, for ``close()`` in a signal handler.
4. The threads are daemons, so that a tool that hangs does not hold up the program's end.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from rtsync.vocabulary.deadline import Deadline

__all__ = ["Job", "Pool", "Serving", "Within"]

Within = Callable[[], contextlib.AbstractContextManager[Any]]

logger = logging.getLogger("rtsync.tools")

_MOMENT = 0.2  # seconds in which a thread surely ends that has nothing left to do


class Serving(msgspec.Struct, frozen=True):
    """How the tools of a session are run.

    Attributes:
        threads: how many at the same time.
        rounds: how many responses they may ask for in a row.
        within: gives the context manager in which each runs; None for none.
    """

    threads: int = 8
    rounds: int = 16
    within: Within | None = None


class Job(Protocol):
    """Something to run."""

    def run(self) -> None:
        """Do it. Called once, in a thread of the pool; raises nothing."""

    def cannot_run(self) -> None:
        """There is no thread for it: the system's limit. Called in the thread that submits."""

    @property
    def title(self) -> str:
        """What it is, for a message."""


class Pool:
    """The threads of one session's tools.

    Args:
        name: of the threads, before their number.
        most: how many may be at work at the same time, those given up not counted.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._lock = threading.RLock()  # Rule 3.
        self._numbers = itertools.count(1)
        self._waiting: deque[Job] = deque()
        self._working: dict[threading.Thread, Job] = {}
        self._given_up: dict[threading.Thread, Job] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self._name} of {self._most}, {len(self._working)} at work, {len(self._waiting)} waiting>"

    def submit(self, job: Job) -> None:
        """Run ``job`` as soon as there is a thread for it; never once the pool is closed. Threads: any."""
        with self._lock:
            if self._closed:
                return
            if len(self._working) >= self._most:
                self._waiting.append(job)
                return
            thread = self._new_thread(job)
        self._start(thread, job)

    def give_up(self, job: Job) -> None:
        """Nobody waits for ``job`` any longer: one that has not begun never will. Threads: any."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            for thread, running in list(self._working.items()):
                if running is job:
                    self._given_up[thread] = self._working.pop(thread)
            following = self._next()
        if following is not None:
            self._start(*following)

    def close(self) -> None:
        """Begin nothing more. Threads: any."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def join(self, timeout: float | None) -> list[str]:
        """Block until all have ended, at most ``timeout`` seconds, those given up only for a moment.

        Returns the titles of those that were waited for in vain. The calling thread does not wait for itself.
        """
        deadline = Deadline(timeout)
        left = []
        for threads, patience in ((self._working, None), (self._given_up, _MOMENT)):
            with self._lock:
                jobs = dict(threads)
            for thread, job in jobs.items():
                if thread is threading.current_thread() or thread.ident is None:
                    continue
                thread.join(deadline.remaining(patience))
                if thread.is_alive() and patience is None:
                    left.append(job.title)
        return left

    def disown(self) -> None:
        """In a forked child: the threads are the parent's. Takes no lock."""
        self._lock = threading.RLock()
        self._closed = True
        self._waiting.clear()
        self._working, self._given_up = {}, {}

    def _new_thread(self, job: Job) -> threading.Thread:
        """Under the lock."""
        name = f"{self._name}-{next(self._numbers)}"
        thread = threading.Thread(target=self._work, args=(job,), name=name, daemon=True)
        self._working[thread] = job
        return thread

    def _start(self, thread: threading.Thread, job: Job) -> None:
        try:
            thread.start()
        except RuntimeError as error:  # The system's limit; in 3.12 also a program that is ending.
            logger.warning("a tool cannot run, because there is no thread for it: %s", error)
            with self._lock:
                self._working.pop(thread, None)
            job.cannot_run()

    def _next(self) -> tuple[threading.Thread, Job] | None:
        """A new thread for the job that waits longest, where there may be one. Under the lock."""
        if not self._waiting or len(self._working) >= self._most:
            return None
        job = self._waiting.popleft()
        return self._new_thread(job), job

    def _work(self, job: Job) -> None:
        me = threading.current_thread()
        following: Job | None = job
        while following is not None:
            try:
                following.run()
            except BaseException as error:
                logger.exception("a tool's thread failed: %s", type(error).__name__)
            following = self._after(me)

    def _after(self, me: threading.Thread) -> Job | None:
        """The next job of this thread, which has ended one."""
        with self._lock:
            if self._given_up.pop(me, None) is not None or me not in self._working:  # Or this is a fork.
                return None
            if self._waiting:
                self._working[me] = self._waiting.popleft()
                return self._working[me]
            del self._working[me]
            return None
