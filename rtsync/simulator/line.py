"""The simulator's end of one connection: a guarded socket, and a WebSocket over it.

Theory
------
``simple_websocket`` brings the handshake, the frames and their compression; this room brings what it leaves out.

1. The socket is non-blocking. ``_using_socket`` covers each single call on it (OpenSSL objects must not be used by two
   threads at once) and is never held while waiting.
2. One thread, the one that accepted the connection, reads and answers: ``Line.run`` calls the message handler on it, so
   a client that floods is slowed down by TCP instead of filling a queue. The library would start a thread
   of its own; it is given a thread class that hands its reading loop over to ``run``.
3. Any thread may send. Messages are framed and written under ``turn``, so that frames never mix. The wait for a
   slow peer is bounded: after ``send_timeout`` seconds the connection is given up.
4. ``abort`` takes no lock. It shuts the connection down, which wakes whoever reads or writes.
5. After a close frame has gone out, the peer has ``_CLOSE_WAIT`` seconds to answer it.
6. A line keeps the rules. What makes one suffer (``trouble.py``) puts itself in the place of three callables:
   ``GuardedSocket.write`` and ``may_read``, and ``Line.say``.
"""

from __future__ import annotations

import contextlib
import functools
import math
import secrets
import select
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import simple_websocket
from simple_websocket.ws import LocalProtocolError

__all__ = ["GuardedSocket", "Line"]

_Data = TypeVar("_Data", str, bytes)

_CHUNK = 1 << 16
_CLOSE_WAIT = 1.0
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
_LINE_LOST = (OSError, simple_websocket.ConnectionClosed, LocalProtocolError)
_UNANSWERED_PINGS = 2
_POLL_SECONDS = 0.1  # where the system cannot wait for an end alone
_RECHECK_SECONDS = 0.5  # a reset does not wake a writer
_NARROW = 4096  # bytes


class GuardedSocket:
    """A connected socket, plain or TLS, that several threads may use.

    Args:
        sock: the connected socket; made non-blocking here. ``close`` stays with the owner.
        send_timeout: seconds after which a send to a peer that does not read fails.
    """

    def __init__(self, sock: socket.socket, *, send_timeout: float) -> None:
        self._sock = sock
        self.send_timeout = send_timeout
        self._using_socket = threading.Lock()
        self._writing = threading.Lock()  # whole buffers, one after another
        self._gone = False
        self._last_word = socket.SHUT_RDWR  # how ``abort`` shuts the connection down
        self.write: Callable[[memoryview], None] = self.write_through
        """Writes a whole buffer; called by ``send``, one at a time."""
        self.may_read: Callable[[float | None], bool] = lambda wait: True
        """Asked before each read; False, after at most as many seconds: not now."""
        self.heard = time.monotonic()
        """When bytes last came in, monotonic seconds."""
        self.next_wake: Callable[[], float | None] = lambda: None
        """Says when ``recv`` has to return to look at the clock: seconds from now, None for never."""
        self.on_wake: Callable[[], bool] = lambda: False
        """Called then, on the reading thread; False ends the connection."""
        sock.setblocking(False)

    def recv(self, size: int) -> bytes:
        """The next bytes; empty at the end of the stream, after ``abort``, or when ``on_wake`` says so.

        Threads: blocks; one thread only.
        """
        while not self._gone:
            wait = self.next_wake()
            # The clock comes first: a peer that floods must not outlive its session.
            if wait is not None and wait <= 0 and not self.on_wake():
                break
            if not self.may_read(wait):
                continue
            data = self._attempt(functools.partial(self._sock.recv, size))
            if data is not None:
                self.heard = time.monotonic()
                return bytes(data)
            self._ready(selectors.EVENT_READ, wait)
        return b""

    def send(self, data: bytes) -> int:
        """Write all of ``data``.

        Threads: any; blocks up to ``send_timeout`` seconds.

        Raises:
            OSError: the connection is lost, or given up because the peer does not read.
        """
        with self._writing:
            try:
                self.write(memoryview(data))
            except OSError:
                self.abort()  # Half a frame may be out: nothing sensible can follow.
                raise
        return len(data)

    def write_through(self, rest: memoryview) -> None:
        """Hand ``rest`` to the kernel; as ``send``, but without taking turns."""
        until = time.monotonic() + self.send_timeout
        while rest:
            if self._gone:
                raise ConnectionError("the connection was given up")
            sent = self._attempt(functools.partial(self._sock.send, rest))
            rest = rest[sent or 0 :]
            if sent is None:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the peer does not read")
                self._ready(selectors.EVENT_WRITE, min(left, _RECHECK_SECONDS))

    def _attempt(self, call: Callable[[], Any]) -> Any:
        """The result of one call on the socket, or None if it would have to wait."""
        with self._using_socket:
            try:
                return call()
            except _WOULD_BLOCK:
                return None

    def _ready(self, event: int, timeout: float | None) -> bool:
        """Wait, outside of every lock, until the socket can go on; False when the time is over."""
        if timeout is not None and timeout <= 0:
            return False
        with _Selector() as selector:
            try:
                selector.register(self._sock, event)
            except (ValueError, KeyError):  # closed meanwhile
                return False
            return bool(selector.select(timeout))

    @property
    def gone(self) -> bool:
        """Whether this end has given the connection up."""
        return self._gone

    def abort(self) -> None:
        """Shut the connection down at once.

        Threads: any; takes no lock and wakes a reader and a writer.
        """
        self._gone = True
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: that takes the TLS object away from under a thread that uses it.
            socket.socket.shutdown(self._sock, self._last_word)

    def reset(self) -> None:
        """Give the connection up; when its owner closes it, which is next, the peer gets a TCP reset.

        Threads: any; takes no lock, wakes a reader at once and a writer soon.
        """
        self._last_word = socket.SHUT_RD  # no FIN may come before the reset
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def end_stream(self, *, notify: bool) -> None:
        """Say that nothing more will be sent, over TLS only with ``notify`` in a way that can be trusted.

        Threads: any; reading goes on.
        """
        with contextlib.suppress(OSError, ValueError):
            if notify and isinstance(self._sock, ssl.SSLSocket):
                self._attempt(self._sock.unwrap)
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def narrow(self) -> None:
        """Shrink the receive buffer, so that a peer that goes on sending to one who does not read soon has to wait."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW)

    def wait_for_end(self, timeout: float | None) -> bool:
        """Wait, reading nothing, until one of the two ends is gone; False when that took too long.

        Threads: blocks up to ``timeout`` seconds, None without limit; woken by ``abort``.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._gone:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return False
            if self._hung_up(left):
                break
        return True

    def _hung_up(self, timeout: float | None) -> bool:
        """Whether the connection ends within ``timeout``, or within a moment where that cannot be waited for."""
        if not hasattr(select, "POLLRDHUP"):  # Linux has it
            time.sleep(_POLL_SECONDS if timeout is None else min(timeout, _POLL_SECONDS))
            return False
        poll = select.poll()
        try:
            poll.register(self._sock, select.POLLRDHUP)
        except ValueError:  # closed meanwhile
            return True
        return bool(poll.poll(None if timeout is None else math.ceil(timeout * 1000)))

    def linger(self, seconds: float) -> None:
        """Say that nothing more will be sent, and read on until the peer is gone too.

        Closing with unread input would reset the connection, and the peer might never read the close frame.

        Threads: blocks up to ``seconds``, or until ``abort``.
        """
        if self._gone:
            return
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                self._attempt(self._sock.unwrap)
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            while not self._gone and self._ready(selectors.EVENT_READ, until - time.monotonic()):
                if self._attempt(lambda: socket.socket.recv(self._sock, _CHUNK)) == b"":
                    break

    def close(self) -> None:
        """Nothing: the library closes here, but the socket belongs to the HTTP server's thread."""


class _ReadingLoop:
    """Takes the place of the library's thread: keeps the loop for ``Line.run`` instead of starting it."""

    def __init__(self, target: Callable[[], None]) -> None:
        self.run = target
        self.name = "reading loop"

    def start(self) -> None:
        """Not yet: ``Line.run`` runs it."""


class _Arrival:
    """Takes the place of the library's event: tells the line that something came in."""

    def __init__(self, arrived: Callable[[], None]) -> None:
        self.set = arrived


class Line:
    """One accepted WebSocket.

    Args:
        guarded: the connection, after the request head has been read.
        headers: the upgrade request's.
        ping_interval: seconds between the pings of the server.
        max_message_size: bytes; a longer message ends the connection with 1009.

    Raises:
        OSError: the peer went away during the handshake.
    """

    def __init__(
        self,
        guarded: GuardedSocket,
        headers: Mapping[str, str],
        *,
        ping_interval: float,
        max_message_size: int,
    ) -> None:
        self._guarded = guarded
        self._ping_interval = ping_interval
        self.turn = threading.RLock()
        """Held while a message is written. Reentrant: a fault that strikes between two events sends, too."""
        self._closing = False
        self._close_until: float | None = None
        self._expires: float | None = None
        self._on_expiry: Callable[[], None] = lambda: None
        self._on_message: Callable[[str | bytes], None] = lambda message: None
        self._last_ping = 0.0
        self._next_ping = time.monotonic() + ping_interval
        self._unanswered = 0
        self._socket = simple_websocket.Server.accept(
            _environ(guarded, headers),
            subprotocols=["realtime"],
            receive_bytes=_CHUNK,
            max_message_size=max_message_size,
            thread_class=_ReadingLoop,
            event_class=lambda: _Arrival(self._drain),
        )
        self.say: Callable[[str], None] = self._socket.send
        """Writes one text message; called by ``send``, one at a time."""
        guarded.next_wake = self._seconds_to_wake
        guarded.on_wake = self._look_at_the_clock

    def run(self, on_message: Callable[[str | bytes], None]) -> None:
        """Read until the connection ends, calling ``on_message`` for each message: text as str, binary as bytes.

        Threads: blocks; the handler runs on the calling thread.
        """
        self._on_message = on_message
        self._socket.thread.run()

    def expire_at(self, when: float, on_expiry: Callable[[], None]) -> None:
        """Call ``on_expiry`` on the reading thread at ``when`` (monotonic seconds). Before ``run``."""
        self._expires = when
        self._on_expiry = on_expiry

    def send(self, text: str) -> bool:
        """Send a text message; False when the connection is closing or lost.

        Threads: any; blocks while the peer does not read, up to the socket's ``send_timeout``.
        """
        return self._in_turn(self.say, text)

    def send_plain(self, text: str) -> bool:
        """As ``send``, past what has taken the place of ``say``."""
        return self._in_turn(self._socket.send, text)

    def send_frames(self, frames: bytes) -> bool:
        """As ``send``, with frames made by hand."""
        return self._in_turn(self._guarded.send, frames)

    def _in_turn(self, write: Callable[[_Data], object], data: _Data) -> bool:
        with self.turn:
            if self._closing:
                return False
            try:
                write(data)
            except _LINE_LOST:
                self._closing = True
                return False
        return True

    def close(self, code: int, reason: str, *, timeout: float = -1) -> bool:
        """Send a close frame; ``run`` returns once the peer has answered, or a second later.

        ``timeout``: how long to wait for a sender that blocks, and for room to write, in seconds; -1 waits as long as
        every send does. False when the time did not suffice, or when a close frame is out already.

        Threads: any.
        """
        if not self.turn.acquire(timeout=timeout):
            return False
        try:
            if timeout >= 0:
                self._guarded.send_timeout = timeout
            if self._closing:
                return False
            self._closing = True
            self._close_until = time.monotonic() + _CLOSE_WAIT
            with contextlib.suppress(*_LINE_LOST):
                self._socket.close(code, reason)
        finally:
            self.turn.release()
        # The library's loop ends with this flag, but the peer's own close frame is still to be read.
        self._socket.connected = True
        return True

    def end_with(self, frame: bytes) -> None:
        """Send ``frame``, bytes that stand for a close frame however wrong, as the last thing that is sent.

        Threads: any; as ``close``.
        """
        with self.turn:
            if self._closing:
                return
            self._closing = True
            self._close_until = time.monotonic() + _CLOSE_WAIT
            with contextlib.suppress(*_LINE_LOST):
                self._guarded.send(frame)

    def abort(self) -> None:
        """End the connection without a word. Threads: any; takes no lock."""
        self._guarded.abort()

    def _drain(self) -> None:
        while self._socket.input_buffer:
            self._on_message(self._socket.input_buffer.pop(0))

    def _seconds_to_wake(self) -> float | None:
        times = [self._next_ping, self._close_until, None if self._closing else self._expires]
        return max(0.0, min(when for when in times if when is not None) - time.monotonic())

    def _look_at_the_clock(self) -> bool:
        now = time.monotonic()
        if self._close_until is not None:
            return now < self._close_until
        if self._expires is not None and now >= self._expires:
            self._expires = None
            self._on_expiry()
        if now >= self._next_ping:
            return self._ping(now)
        return True

    def _ping(self, now: float) -> bool:
        """A ping with a four-byte payload, as the service sends (protocol 1.2); False when nobody answers them."""
        # Counted in pings, not in seconds: a machine that slept must not drop a peer it has not asked.
        self._unanswered = 0 if self._guarded.heard > self._last_ping else self._unanswered + 1
        if self._unanswered == _UNANSWERED_PINGS:
            return False
        self._last_ping, self._next_ping = now, now + self._ping_interval
        try:
            self._guarded.send(b"\x89\x04" + secrets.token_bytes(4))
        except OSError:
            return False
        return True


def _environ(guarded: GuardedSocket, headers: Mapping[str, str]) -> dict[str, Any]:
    """The request as the library wants it: WSGI names, and the socket where Werkzeug puts it."""
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return {**named, "werkzeug.socket": guarded}
