"""TLS inside TLS: a secure WebSocket through a proxy that is itself reached over ``https://``.

``ssl`` wraps sockets of the system only, so the inner layer runs on memory buffers and this class carries its records
over the outer layer. To its user, ``GuardedSocket``, it looks like any non-blocking TLS socket.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeVar

__all__ = ["NestedTLS"]

_CHUNK = 65536
_T = TypeVar("_T")


class NestedTLS:
    """The inner TLS layer over an outer, connected one. Not blocking; one call at a time, as ``GuardedSocket`` does.

    Raises ``ssl.SSLWantReadError`` and ``ssl.SSLWantWriteError`` where the outer layer must first read or write.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""
        self._accepted = 0

    def do_handshake(self) -> None:
        """One step of the handshake; call again after each want."""
        self._drive(self._tls.do_handshake)
        self._flush()

    def recv_into(self, room: memoryview, size: int) -> int:
        """Receive up to ``size`` bytes into ``room``. Returns how many; 0 at the end of the stream."""
        try:
            return self._drive(lambda: int(self._tls.read(size, room)))  # A number, as there is room.
        except ssl.SSLZeroReturnError:
            return 0

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and hand over ``data``; after a want it must be called again with the same data."""
        if not self._accepted:
            self._flush()  # Records of the layer's own, a key update say, go first.
            self._accepted = self._drive(lambda: self._tls.write(data))
        self._flush()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def _drive(self, step: Callable[[], _T]) -> _T:
        """Do ``step``, feeding it what the outer layer has received."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._outer.recv(_CHUNK)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()

    def _flush(self) -> None:
        """Hand everything encrypted to the outer layer."""
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self._outer.send(self._unsent[:16384]) :]

    # -- the rest of a socket's face -------------------------------------------------------------------------------

    def setblocking(self, flag: bool) -> None:
        """Of the connection under both layers."""
        self._outer.setblocking(flag)

    def shutdown(self, how: int) -> None:
        """Of the TCP connection, past both layers: see rule 4 of ``guard``."""
        super(ssl.SSLSocket, self._outer).shutdown(how)

    def fileno(self) -> int:
        """The descriptor, or -1."""
        return self._outer.fileno()

    def detach(self) -> int:
        """Give up the descriptor without closing it."""
        return self._outer.detach()

    def close(self) -> None:
        """Give the descriptor back."""
        self._outer.close()
