"""A port of loopback that stays the test's own while no server is on it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

__all__ = ["reserved_port"]


@contextlib.contextmanager
def reserved_port(port: int = 0) -> Iterator[int]:
    """Yield a port of 127.0.0.1, any free one unless named, that no other program is given until the block ends.

    A socket that is bound and does not listen: who connects is refused, and the servers of this package may come and
    go beside it. A port that was merely free a moment ago may be anybody's by now, the other test process's too.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        yield held.getsockname()[1]
