"""A process that does nothing but hold sessions: the body of ``rtsync worker`` and ``manage.py rtsync worker``."""

from __future__ import annotations

import signal
from collections.abc import Callable

from rtsync.bus.directory import SessionDirectory
from rtsync.edges.latch import Latch

__all__ = ["hold_until_stopped"]

_STOPPING = 5.0  # seconds


def hold_until_stopped(directory: SessionDirectory, tell: Callable[[str], object]) -> None:
    """Hold sessions until Ctrl+C or SIGTERM, then hand them over.

    Args:
        directory: with ``run_owners``.
        tell: called with what there is to say to who has started the program.

    Threads: the main thread, whose handlers of these signals it replaces.
    """
    stopped = Latch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    directory.start()
    where = "" if directory.target is None else f" with {directory.target.describe()}"
    tell(f"holding sessions of {directory.bus_name}{where}; Ctrl+C hands them over")
    try:
        stopped.wait()
    finally:
        tell("handing over")
        directory.stop(timeout=_STOPPING)
