"""A program that holds the sessions of a bus and does nothing else: ``rtsync worker``, and what frameworks call so."""

from __future__ import annotations

import signal
from collections.abc import Callable

from rtsync.bus.directory import SessionDirectory
from rtsync.edges.latch import Latch
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["hold_until_stopped"]

_STOPPING = 5.0  # seconds


def hold_until_stopped(directory: SessionDirectory, say: Callable[[str], object]) -> None:
    """Hold sessions until SIGTERM or SIGINT comes; then hand them over and return.

    Args:
        directory: one with ``run_owners`` and a target, on a bus that processes share.
        say: is told what happens, in lines for people.

    Raises:
        ConfigurationError: the bus is within one process, and this is another one than the web workers.

    Threads: blocks the main thread; handlers of both signals are set, and stay.
    """
    if not directory.shared:
        raise ConfigurationError(
            f"{directory.bus_name} is within one process, and a worker is another one; use a redis:// bus"
        )
    assert directory.target is not None
    stopped = Latch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    directory.start()
    say(f"holding sessions of {directory.bus_name} with {directory.target.describe()}; Ctrl+C hands them over")
    try:
        stopped.wait()
    finally:
        say("handing over")
        directory.stop(timeout=_STOPPING)
