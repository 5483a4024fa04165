"""Manners of the process: sessions close at its end, and do not follow it through a fork."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from typing import Protocol

from rtsync.edges.latch import Latch
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import RealtimeError

__all__ = ["discard", "register"]

logger = logging.getLogger("rtsync.session")

_EXIT_BUDGET = 1.0  # seconds for all sessions together at the end of the program


class Live(Protocol):
    """An open session's core."""

    process: int | None
    finished: Latch

    def close_line(self, *, timeout: float | None = None, wait: bool = True) -> None:
        """End the line with a close frame."""

    def abort_line(self, why: str) -> None:
        """End the line at once."""

    def disown(self) -> None:
        """Leave the connection to the parent process."""


_live: weakref.WeakSet[Live] = weakref.WeakSet()


def register(core: Live) -> None:
    """``core`` has a connection from now on."""
    _live.add(core)


def discard(core: Live) -> None:
    """``core`` has none any more."""
    _live.discard(core)


def _close_all() -> None:
    """At the end of the program: a close frame for every session, all within one second."""
    mine = [core for core in list(_live) if core.process == os.getpid()]
    deadline = Deadline(_EXIT_BUDGET)
    for core in mine:
        try:
            core.close_line(timeout=deadline.remaining(), wait=False)
        except (RealtimeError, OSError):
            logger.debug("a session could not be closed at exit")
    for core in mine:
        if not core.finished.wait(deadline.remaining()):
            core.abort_line("the program ended")


def _disown_all() -> None:
    for core in list(_live):
        core.disown()
    _live.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
