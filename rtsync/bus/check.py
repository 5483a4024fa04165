"""Whether a bus fits a deployment."""

from __future__ import annotations

from rtsync.bus.directory import SessionDirectory

__all__ = ["check"]


def check(directory: SessionDirectory, *, workers: int | None = None) -> list[str]:
    """What is wrong with ``directory`` for so many processes, in sentences for people; empty where nothing is.

    For the system checks of Flask and Django, and for deployment scripts. It reaches no bus.

    Args:
        directory: the application's.
        workers: processes that serve the application, as far as known: gunicorn's ``--workers``; None for one.

    Threads: any.
    """
    found = []
    if not directory.shared and workers is not None and workers > 1:
        found.append(
            f"{workers} processes serve this application, and its sessions live in one of them ({directory.bus_name}):"
            " requests that land elsewhere do not find theirs. Use a redis:// bus, or one process with threads"
        )
    if directory.shared and directory.run_owners and directory.target is None:
        found.append("this process shall hold sessions, and has no target for them")
    return found
