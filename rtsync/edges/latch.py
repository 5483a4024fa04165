"""What threads sleep on: ``Bell`` (look again) and ``Latch`` (happened, for ever).

``threading.Event`` and ``Condition`` would do, but an exception that lands in their wait (Ctrl+C, Celery's soft time
limit) can leave an inner lock held, and the thread that signals then hangs. Here every waiter sleeps on a raw lock of
its own and no lock is shared, so nothing can be left held, and ringing is allowed in a signal handler. Nothing polls,
but a main thread that sleeps looks up once a second for signals (``sleep_on``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rtsync.vocabulary.deadline import Deadline

__all__ = ["Bell", "Latch", "keep_daemons_asleep", "sleep_on", "stay_asleep"]

_LOOK_UP = 1.0  # seconds
_asleep = 0.0  # seconds; not 0 once the program is ending


def keep_daemons_asleep(seconds: float) -> None:
    """The program is ending: daemon threads that are woken from now on sleep on for ``seconds``."""
    global _asleep
    _asleep = seconds


def stay_asleep() -> None:
    """Where a thread learns that its session has ended: keep a daemon thread of a program that is ending from it."""
    if _asleep and threading.current_thread().daemon:
        time.sleep(_asleep)


def sleep_on(gate: threading.Lock, timeout: float | None) -> bool:
    """Block until ``gate`` is free, and take it; at most ``timeout`` seconds. Returns whether it was taken.

    The main thread, which runs Python's signal handlers, sleeps a second at a time: a signal that comes between
    Python's last look for one and the kernel's sleep ends no sleep, nor does ``_thread.interrupt_main``, nor any signal
    on Windows. A supervisor's SIGTERM in that moment would otherwise be lost.
    """
    if timeout is not None and timeout <= _LOOK_UP:
        return gate.acquire(timeout=timeout)
    if gate.acquire(timeout=_LOOK_UP):
        return True
    deadline = Deadline(None if timeout is None else timeout - _LOOK_UP)
    if threading.current_thread() is not threading.main_thread():
        left = deadline.remaining()
        return gate.acquire(timeout=-1 if left is None else left)
    while not gate.acquire(timeout=deadline.remaining(_LOOK_UP) or 0.0):
        if deadline.passed:
            return False
    return True


class Bell:
    """Wakes the threads that wait for something to become true."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: list[threading.Lock] = []

    @property
    def waiting(self) -> int:
        """How many threads sleep here now."""
        return len(self._gates)

    def ring(self) -> None:
        """Have everyone who waits look again. Threads: any."""
        while self._gates:
            try:
                gate = self._gates.pop()
            except IndexError:  # Another thread rings too, and took the last one.
                return
            gate.release()

    def wait_until(self, true: Callable[[], bool], timeout: float | None) -> bool:
        """Block until ``true()``, asked now and at each ring, at most ``timeout`` seconds. Returns the last answer."""
        if true():
            return True
        deadline = Deadline(timeout)
        while not deadline.passed:
            gate = threading.Lock()
            gate.acquire()
            try:
                self._gates.append(gate)
                if true():  # Asked again behind the append: the ring may have come just before it.
                    return True
                if sleep_on(gate, deadline.remaining()):
                    stay_asleep()
            finally:
                self._forget(gate)
        return true()

    def _forget(self, gate: threading.Lock) -> None:
        """Nobody sleeps there any more; a bell that is waited for again and again and never rings must not grow."""
        try:
            self._gates.remove(gate)
        except ValueError:  # A ring has taken it.
            pass


class Latch:
    """Unset, then set, for ever."""

    __slots__ = ("_bell", "_set")

    def __init__(self) -> None:
        self._set = False
        self._bell = Bell()

    def __bool__(self) -> bool:
        return self._set

    def set(self) -> None:
        """Wake everyone who waits and everyone who will. Threads: any, more than once."""
        self._set = True
        self._bell.ring()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until set, at most ``timeout`` seconds. Returns whether it is set."""
        return self._bell.wait_until(self.__bool__, timeout)
