"""One TCP or TLS socket of a test server, safe for several threads, every step under a deadline.

A socket is non-blocking and every wait happens outside the lock: an OpenSSL connection must never be used by two
threads at once, and a test may well send from its own thread while the script is reading.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["LIMIT", "PeerGone", "Wire"]

LIMIT = 30.0
"""Seconds that any single step may take; reached only when a test fails."""

_T = TypeVar("_T")
_SLICE = 16 * 1024
_RECHECK = 0.5  # how soon a blocked sender sees that another thread cut the line


class PeerGone(ConnectionError):
    """The other side ended the connection, or this side was told to stop."""


class Wire:
    """A socket with a read buffer: `read_exact`, `read_until`, `read_some`, `write`, and the ways to end it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self._buffer = bytearray()
        self._use = threading.Lock()  # serialises calls into OpenSSL; never held while waiting
        self._sending = threading.Lock()  # one message at a time, so that frames never interleave
        self._cut = False

    def shake_hands(self, limit: float = LIMIT) -> None:
        """Do the TLS handshake, where this is a TLS socket."""
        if isinstance(self.sock, ssl.SSLSocket):
            self._retry(self.sock.do_handshake, select.POLLIN, time.monotonic() + limit)

    def read_some(self, limit: float = LIMIT) -> bytes:
        """Return what is there, waiting for at least one byte; b"" at the end of the stream."""
        if self._buffer:
            found = bytes(self._buffer)
            self._buffer.clear()
            return found
        return self._receive(time.monotonic() + limit)

    def read_exact(self, size: int, limit: float = LIMIT) -> bytes:
        """Return exactly `size` bytes, or raise PeerGone at the end of the stream."""
        deadline = time.monotonic() + limit
        while len(self._buffer) < size:
            self._fill(deadline)
        return self._take(size)

    def read_until(self, end: bytes, limit: float = LIMIT) -> bytes:
        """Return everything up to and including `end`, leaving what follows for the next read."""
        deadline = time.monotonic() + limit
        while (found := self._buffer.find(end)) < 0:
            self._fill(deadline)
        return self._take(found + len(end))

    def write(self, data: bytes, limit: float = LIMIT) -> None:
        """Send all of `data`."""
        deadline = time.monotonic() + limit
        with self._sending:
            view = memoryview(data)
            while view:
                view = view[self._send(view[:_SLICE], deadline) :]

    def half_close(self) -> None:
        """Say that nothing more will be sent (TLS close_notify, then FIN) and go on reading."""
        with self._use, contextlib.suppress(OSError, ValueError):
            if isinstance(self.sock, ssl.SSLSocket):
                with contextlib.suppress(ssl.SSLError):
                    self.sock.unwrap()
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a RST. What was not yet sent is lost."""
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # Wakes a thread that is waiting to read without putting a FIN on the wire before the RST.
            socket.socket.shutdown(self.sock, socket.SHUT_RD)
        self.close()

    def interrupt(self) -> None:
        """Wake whoever is using the wire; its step ends with PeerGone. The descriptor stays until `close`."""
        self._cut = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back, at once and without ceremony."""
        self._cut = True
        with self._use:
            self.sock.close()

    def drain(self, limit: float = LIMIT) -> None:
        """Throw away what comes until the other side closes, so that closing here sends no RST."""
        deadline = time.monotonic() + limit
        with contextlib.suppress(OSError, ValueError):
            while not self._cut:
                try:
                    # Below TLS: after close_notify nothing that comes is worth decrypting.
                    if not socket.socket.recv(self.sock, _SLICE):
                        return
                except BlockingIOError:
                    self._wait(select.POLLIN, deadline)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self, deadline: float) -> None:
        more = self._receive(deadline)
        if not more:
            raise PeerGone("the client closed the TCP connection")
        self._buffer += more

    def _receive(self, deadline: float) -> bytes:
        try:
            return self._retry(lambda: self.sock.recv(_SLICE), select.POLLIN, deadline)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def _send(self, part: memoryview, deadline: float) -> int:
        try:
            return self._retry(lambda: self.sock.send(part), select.POLLOUT, deadline)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            raise PeerGone("the client closed the TLS connection") from exc

    def _retry(self, call: Callable[[], _T], direction: int, deadline: float) -> _T:
        while True:
            with self._use:
                self.check()
                try:
                    return call()
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except BlockingIOError:
                    event = direction
            self._wait(event, deadline)

    def check(self) -> None:
        """Raise PeerGone when this side has ended the connection."""
        if self._cut:
            raise PeerGone("the connection was ended on this side")

    def _wait(self, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client neither sent nor read anything for the whole limit")
        descriptor = self.sock.fileno()
        if descriptor < 0:
            raise PeerGone("the connection was ended on this side")
        readiness = select.poll()
        readiness.register(descriptor, event)
        readiness.poll(min(left, _RECHECK) * 1000)
