"""An address that never answers a connection attempt, on loopback."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

__all__ = ["blackhole"]

_ATTEMPTS = 64
_ANSWER_MS = 300  # loopback answers in microseconds; an attempt without an answer by now gets none


@contextlib.contextmanager
def blackhole(host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[str, int]]:
    """Yield an address where a connection attempt is neither accepted nor refused, until the block ends.

    A listening socket whose queue is full: the kernel drops every further SYN.
    """
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        address = (host, listener.getsockname()[1])
        for _attempt in range(_ATTEMPTS):
            if not _is_answered(held.enter_context(socket.socket(listener.family)), address):
                break
        else:
            raise RuntimeError(f"this kernel queues more than {_ATTEMPTS} connections for a backlog of 0")
        yield address


def _is_answered(attempt: socket.socket, address: tuple[str, int]) -> bool:
    attempt.setblocking(False)
    attempt.connect_ex(address)
    readiness = select.poll()
    readiness.register(attempt, select.POLLOUT)
    return bool(readiness.poll(_ANSWER_MS))
