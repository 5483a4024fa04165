"""Manners of the process: sessions close at its end, and do not follow it through a fork.

1. At the end of the program (``atexit``, behind the last non-daemon thread) every open session gets its close frame,
   and handlers that still have events get to run, all within one second. Daemon threads that use a session sleep on
   over it: the interpreter is about to freeze them, and ``SessionClosed`` could do nothing there but print itself.
2. Nor may a thread of ours run handlers while the interpreter is taken apart: one that is killed in the middle of a
   ``print`` takes the whole program down. What could not run within the second is dropped.
3. A forked child has no thread but the one that forked, and any lock may be held by one that is not there. So what
   follows a fork takes no lock of a session; a session's methods look at ``process`` before they take any.
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from typing import Protocol

from rtsync.edges.latch import Latch, keep_daemons_asleep
from rtsync.threads.delivery import Delivery
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import RealtimeError

__all__ = ["discard", "register"]

logger = logging.getLogger("rtsync.session")

_EXIT_BUDGET = 1.0  # seconds for all sessions together at the end of the program
_DAEMONS_ASLEEP = 3.0  # seconds; the end of a program hardly takes longer, and if it does they see what happened


class Live(Protocol):
    """An open session's core."""

    process: int | None
    finished: Latch
    delivery: Delivery

    def close_line(self, *, timeout: float | None = None, wait: bool = True) -> None:
        """End the line with a close frame."""

    def abort_line(self, why: str) -> None:
        """End the line at once."""

    def join_tools(self, timeout: float | None) -> None:
        """Wait for the tools that run."""

    def disown(self) -> None:
        """Leave the connection to the parent process."""


# By identity, and not a WeakSet: its iteration breaks where another thread opens or closes a session meanwhile.
_live: weakref.WeakValueDictionary[int, Live] = weakref.WeakValueDictionary()


def register(core: Live) -> None:
    """``core`` has a connection from now on."""
    _live[id(core)] = core


def discard(core: Live) -> None:
    """``core`` has none any more."""
    _live.pop(id(core), None)


def _all_live() -> list[Live]:
    return [core for reference in _live.valuerefs() if (core := reference()) is not None]


def _close_all() -> None:
    """At the end of the program: rules 1 and 2."""
    mine = [core for core in _all_live() if core.process == os.getpid()]
    if not mine:
        return
    keep_daemons_asleep(_DAEMONS_ASLEEP)
    deadline = Deadline(_EXIT_BUDGET)
    for core in mine:
        try:
            core.close_line(timeout=deadline.remaining(), wait=False)
        except (RealtimeError, OSError):
            logger.debug("a session could not be closed at exit")
    for core in mine:
        if not core.finished.wait(deadline.remaining()):
            core.abort_line("the program ended")
    for core in mine:
        if not core.delivery.join(deadline.remaining()):
            core.delivery.drop()
    for core in mine:
        core.join_tools(deadline.remaining())


def _disown_all() -> None:
    """In a forked child: rule 3."""
    global _live
    inherited = _all_live()
    _live = weakref.WeakValueDictionary()
    for core in inherited:
        core.disown()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
