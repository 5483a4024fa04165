"""The database, where handlers and tools run: threads that are no request's, so nobody closes their connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

__all__ = ["close_connections", "fresh_connections"]


@contextmanager
def fresh_connections() -> Iterator[None]:
    """For ``RealtimeSession(within=...)``: connections that are opened inside are closed behind it.

    Whatever ``CONN_MAX_AGE`` says: a session's thread sleeps most of the time, and there may be hundreds. With a pool
    (``OPTIONS = {"pool": True}``) they go back there. Those that the thread had open before, it keeps.
    """
    before = {id(connection) for connection in _open()}
    try:
        yield
    finally:
        close_connections(but=before)


def close_connections(but: set[int] | frozenset[int] = frozenset()) -> None:
    """Close what the calling thread has open, but for those with these ids, and for what is in a transaction."""
    for connection in _open():
        if id(connection) not in but and not connection.in_atomic_block:
            connection.queries_log.clear()  # With DEBUG; Django does so at the beginning of a request.
            connection.close()


def _open() -> list[Any]:
    return [each for each in connections.all(initialized_only=True) if each.connection is not None]
