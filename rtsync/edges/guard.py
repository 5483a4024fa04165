"""The socket that a reader thread and any number of sender threads may share.

Stock clients read and write one ``SSLSocket`` from two threads. OpenSSL forbids that, CPython does not prevent it,
and over TLS 1.3 a ticket that arrives during a write ends in a crash or in corrupt records. Rules here:

1. The socket is non-blocking. Every call on it is made under ``_calls``, and never waits there: readiness is awaited
   outside the lock, so that a reader with nothing to read does not keep a sender out.
2. ``_frames`` gives a sender the line for one whole ``sendall``, so frames never interleave. The turn is awaited with
   the sender's own deadline.
3. A ``sendall`` that left half a frame behind ends the connection: whatever the next one wrote would be read as the
   rest of it. That holds for timeouts, errors and exceptions from outside (Ctrl+C) alike.
4. ``abort()`` takes no lock. It shuts the TCP connection down, which wakes whoever waits for it. It goes past
   ``SSLSocket.shutdown``, which would drop the TLS layer under a reader and hand it ciphertext as data.
5. Received bytes are kept in one buffer (``receive_buffer``), and read by whoever owns the reading side: first the
   upgrade, then the reader thread.
6. What a read has told is not asked for again: one that did not fill its room took all that there was, and the next
   thing to do is to sleep. TLS gives one record at a time; those that are here already are taken together.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

from rtsync.edges import forks
from rtsync.edges.nested_tls import NestedTLS
from rtsync.edges.receive_buffer import ReceiveBuffer
from rtsync.vocabulary.errors import SendTimeout, UsageError, WaitTimeout

__all__ = ["GuardedSocket", "LineBroken", "shut_down", "wait_ready"]

_LULL = 1.0  # seconds without a byte, behind which a large buffer is given back
# One TLS record. Longer writes would keep the reader out of the TLS layer for as long as they encrypt.
_RECORD = 16384
_INTERRUPTED = "a send did not finish: it was interrupted"


class LineBroken(ConnectionError):
    """The socket is dead: reset, ended, or aborted from another thread. The text says which."""


def _nothing() -> None:
    """What nobody has asked to be called for."""


def _milliseconds(timeout: float | None) -> int | None:
    """Rounded up: a wait of less than a millisecond must not become a busy loop."""
    return None if timeout is None else max(0, int(timeout * 1000 + 0.999))


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())


def shut_down(sock: socket.socket | NestedTLS) -> None:
    """Shut the TCP connection down in both directions: rule 4. Threads: any, also where another one uses it."""
    if isinstance(sock, ssl.SSLSocket):
        super(ssl.SSLSocket, sock).shutdown(socket.SHUT_RDWR)
    else:
        sock.shutdown(socket.SHUT_RDWR)


def wait_ready(
    sock: socket.socket | NestedTLS, *, write: bool, timeout: float | None, also: socket.socket | None = None
) -> bool:
    """Block until ``sock`` can be read or written, or ``also`` can be read; False when ``timeout`` seconds passed.

    Modules are looked up at call time, so that gevent's replacements are used where it is in charge.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLOUT if write else select.POLLIN)
        if also is not None:
            poll.register(also, select.POLLIN)
        return bool(poll.poll(_milliseconds(timeout)))
    readers = [also] if also is not None else []
    writers = [sock] if write else []
    ready = select.select(readers if write else [sock, *readers], writers, [], timeout)
    return any(ready)


class GuardedSocket:
    """A connected socket, plain or TLS, safe for one reading thread and many writing ones.

    Attributes:
        on_lull: called in the reading thread whenever it is about to sleep.
    """

    def __init__(self, sock: socket.socket | NestedTLS, *, send_timeout: float = 20.0) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._record = _RECORD if isinstance(sock, ssl.SSLSocket | NestedTLS) else 1 << 20
        self._calls = threading.Lock()  # Rule 1.
        self._frames = threading.RLock()  # Rule 2. Reentrant only so that its release can tell whose it is.
        self._mid_frame = False  # A thread is in the middle of a frame now.
        self._begun = False  # The last frame may have got no further than its middle.
        self._half_record = False
        self._owed = b""  # A whole small frame that OpenSSL holds and that goes out in front of the next one.
        self._wakeup: socket.socket | None = None
        self._input: select.poll | None = None  # The reader's, of socket and wakeup,
        self._here = -1  # and the socket's descriptor.
        self._drained = False  # The last read took all that there was: rule 6.
        self._wants_write = False  # TLS has to write before it can read on.
        self._broke: LineBroken | None = None  # Found behind bytes that were to be delivered first.
        self._dead: str | None = None
        self.on_lull: Callable[[], None] = _nothing
        self.send_timeout = send_timeout
        self.buffer = ReceiveBuffer()
        self.last_received = time.monotonic()
        self.received_bytes = 0
        self.sent_bytes = 0

    # -- reading: one thread ------------------------------------------------------------------------------------

    @property
    def available(self) -> int:
        """Bytes received and not yet taken."""
        return self.buffer.end - self.buffer.position

    @property
    def at_rest(self) -> bool:
        """Whether all that there was is received and taken, as far as the last read has told."""
        return self._drained and self._broke is None and self.buffer.end == self.buffer.position

    def fill(self, until: float | None) -> bool:
        """Receive what there is, waiting until ``until`` (monotonic clock; None: for ever).

        Returns False when nothing came in time. Raises ``LineBroken`` at the end of the stream.
        """
        return self.receive(self.available + 1, until)

    def take(self, size: int) -> bytes:
        """The next ``size`` available bytes."""
        return self.buffer.take(size)

    def receive(self, size: int, until: float | None) -> bool:
        """The same, into room for ``size`` bytes in all, which is more than are available."""
        if self._broke is not None:
            raise self._broke
        while not self._drained or self._may_go_on(until):
            if count := self._attempt(self.buffer.room(size)):
                if self._record == _RECORD:
                    self._take_records(count)
                return True
        return False

    def _attempt(self, room: memoryview) -> int:
        """One call on the socket. Returns how many bytes it had; 0 where there is nothing at the moment."""
        with self._calls:
            if self._dead is not None:
                raise LineBroken(self._dead)
            try:
                if self._record == _RECORD:
                    with forks.whole():  # Tickets are read here too, with locks inside OpenSSL.
                        count = self._sock.recv_into(room, len(room))
                else:
                    count = self._sock.recv_into(room, len(room))
                    self._drained = count < len(room)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._drained = True
                return 0
            except ssl.SSLWantWriteError:
                self._drained = self._wants_write = True
                return 0
            except OSError as error:
                raise self._broken(error) from error
        if not count:
            raise LineBroken(self._dead or "the server ended the connection without a close frame")
        self.last_received = time.monotonic()
        self.received_bytes += count
        self.buffer.received(count)
        return count

    def _take_records(self, count: int) -> None:
        """Receive the records behind one of ``count`` bytes that are here already, as far as there is room."""
        try:
            while count and (room := self.buffer.spare()) and self._more_records(count):
                count = self._attempt(room)
        except LineBroken as error:
            self._broke = error

    def _more_records(self, count: int) -> bool:
        # The memory between two layers may hold records that the kernel does not know of: asked until it is empty.
        if count == _RECORD or isinstance(self._sock, NestedTLS):
            return True
        if self._input is None:
            return False
        self._drained = all(found != self._here for found, _ in self._input.poll(0))
        return not self._drained

    def wake_by(self, wakeup: socket.socket) -> None:
        """Let a byte on ``wakeup`` end the reader's wait early, as if nothing had come in time. Set before reading."""
        self._wakeup = wakeup
        if hasattr(select, "poll"):
            self._input = select.poll()
            self._here = self._sock.fileno()
            self._input.register(self._here, select.POLLIN)
            self._input.register(wakeup, select.POLLIN)

    def _may_go_on(self, until: float | None) -> bool:
        """Block until there may be something to read; False where time is up, or the wakeup ended the wait."""
        self.on_lull()
        write, self._drained, self._wants_write = self._wants_write, False, False
        if write or self._input is None:
            return self._ready(write=write, until=until, also=self._wakeup) and not self._woken()
        if self.buffer.spacious and self._grows_small(self._input, until):
            return True
        found = self._input.poll(None if until is None else _milliseconds(until - time.monotonic()))
        if len(found) == 1 and found[0][0] == self._here:
            return True
        self._drained = all(descriptor != self._here for descriptor, _ in found)
        return (bool(found) or bool(self._dead)) and not self._woken()

    def _grows_small(self, poll: select.poll, until: float | None) -> bool:
        """Where nothing comes for a while, wait with no more memory than a session at rest should have.

        Returns whether something did come from the server, and nothing else.
        """
        lull = time.monotonic() + _LULL
        if until is None or until > lull:
            if found := poll.poll(_milliseconds(_LULL)):
                return len(found) == 1 and found[0][0] == self._here
            self.buffer.shrink()
        return False

    def _woken(self) -> bool:
        try:
            return self._wakeup is not None and bool(self._wakeup.recv(_RECORD))
        except OSError:  # Nothing there.
            return False

    # -- writing: any thread ------------------------------------------------------------------------------------

    def sendall(self, data: bytes | bytearray, timeout: float | None = None, *, give_up: bool = True) -> None:
        """Hand all of ``data`` to the kernel, not interleaved with any other ``sendall``.

        Args:
            data: one or more whole frames.
            timeout: seconds for all of it, ``send_timeout`` where None.
            give_up: whether a peer that took no byte in that time ends the connection. Without it that is a
                ``WaitTimeout``, for frames that may as well go unsent (pings).

        Raises:
            WaitTimeout: other senders kept the line busy for the whole time; nothing was sent.
            SendTimeout: the peer does not read; the connection is given up (rule 3).
            LineBroken: the connection is dead.
        """
        limit = self.send_timeout if timeout is None else timeout
        until = None  # Nobody asks before something blocks.
        # The release is one C call behind any exception, also one that lands between the acquisition and the next
        # line (Ctrl+C): an RLock knows whether it is ours, which no variable could be sure to say.
        try:
            if not self._frames.acquire(blocking=False):
                until = time.monotonic() + limit
                if not self._frames.acquire(timeout=max(limit, 0.001)):
                    raise WaitTimeout(
                        f"other threads' sends have kept the line busy for {limit:g} s; nothing of this one was sent."
                        " Give send() more time, or send less from the other threads"
                    )
            if self._mid_frame:
                raise UsageError(
                    "send() in a signal handler that interrupted a send() of the same thread; set a flag in the"
                    " handler and send afterwards"
                )
            self._write(data, limit, until, give_up)
        finally:
            try:
                self._frames.release()
            except RuntimeError:  # Not ours: the turn never came.
                pass

    def _write(self, data: bytes | bytearray, limit: float, until: float | None, give_up: bool) -> None:
        if self._begun:  # A second interrupt kept the handling of the first from its end.
            self.abort(_INTERRUPTED)
        if self._dead is not None:
            raise LineBroken(self._dead)
        owed = self._owed
        if owed:
            data = owed + data
        sent: list[int] = []
        self._mid_frame = self._begun = True
        try:
            size, record = len(data), self._record
            blocked = self._offer(data if size <= record else memoryview(data)[:record], sent)
            if sum(sent) != size:
                self._write_rest(data, sent, blocked, limit, until)
            self._owed = b""
        except SendTimeout as error:
            if not give_up and sum(sent) in (0, len(owed)):
                # A record that OpenSSL has accepted cannot be taken back, but it can wait for the next send.
                pending = bytes(data[sum(sent) :]) if sent else owed or bytes(data)
                self._owed = pending if self._half_record else b""
                self._begun = False
                raise WaitTimeout("the server does not read at the moment") from error
            self.abort("a send did not finish: the server stopped reading")
            raise
        except BaseException as error:
            if 0 < sum(sent) < len(data) or self._half_record:
                self.abort(str(error) if isinstance(error, LineBroken) else _INTERRUPTED)
            self._begun = False
            raise
        else:
            self._begun = False
        finally:
            self._mid_frame = False
            self.sent_bytes += sum(sent)

    def _write_rest(
        self, data: bytes | bytearray, sent: list[int], blocked: bool | None, limit: float, until: float | None
    ) -> None:
        """All of ``data`` behind what is ``sent``, where the last piece was ``blocked`` as ``_offer`` has said."""
        if until is None:
            until = time.monotonic() + limit
        while (done := sum(sent)) != len(data):
            if blocked is not None and not self._ready(write=blocked, until=until):
                raise SendTimeout(
                    f"the server has not read for {limit:g} s; the event was not sent in full and the connection is"
                    " given up. Open a new session; send_timeout sets the limit"
                )
            blocked = self._offer(memoryview(data)[done : done + self._record], sent)

    def _offer(self, piece: bytes | bytearray | memoryview, sent: list[int]) -> bool | None:
        """Write as much of ``piece`` as there is room for, and note how much in ``sent``.

        Returns None where there was room, else what it has to be tried again upon: True when the socket can be
        written, False when it can be read.
        """
        with self._calls:
            if self._dead is not None:
                raise LineBroken(self._dead)
            # SSLSocket.send is Python: an interrupt may land in it when OpenSSL has the record already, and then
            # a frame of several records counts as begun.
            if self._record == _RECORD:
                self._half_record |= len(piece) == _RECORD
            try:
                # On a plain socket one C call sends and records how much: an exception from outside (Ctrl+C) can
                # land before or behind it, but not between, so that an interrupted send knows what it left behind.
                sent.extend(map(self._sock.send, (piece,)))
                self._half_record = False
                return None
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._half_record = self._record == _RECORD  # OpenSSL keeps it and wants the same bytes again.
                return True
            except ssl.SSLWantReadError:
                return False
            except OSError as error:
                raise self._broken(error) from error

    # -- both ---------------------------------------------------------------------------------------------------

    def abort(self, why: str) -> None:
        """End the connection now. Takes no lock: callable from any thread, a signal handler or a finalizer."""
        if self._dead is None:
            self._dead = why
        try:
            shut_down(self._sock)
        except OSError:
            pass

    def close(self) -> None:
        """End the connection and give the descriptor back. Called by the reading thread only."""
        self.abort("closed")
        with self._calls, forks.whole():
            self._sock.close()
        self.buffer.discard()

    def abandon(self) -> None:
        """In a forked child: give the descriptor back without a word to the peer, whose connection is the parent's."""
        self._dead = "this process is a fork of the one that opened the connection"
        try:
            socket.close(self._sock.detach())
        except OSError:
            pass

    def fileno(self) -> int:
        """The descriptor, or -1."""
        return self._sock.fileno()

    def _ready(self, *, write: bool, until: float | None, also: socket.socket | None = None) -> bool:
        try:
            return wait_ready(self._sock, write=write, timeout=_left(until), also=also) or bool(self._dead)
        except (OSError, ValueError) as error:  # Closed under us: the descriptor is -1.
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> LineBroken:
        """``error`` as LineBroken; no TLS or system text carries payload."""
        return LineBroken(self._dead or f"{type(error).__name__}: {error}")

    # -- the face that websocket.WebSocket expects of its socket -------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Up to ``size`` of the received bytes, waiting for the first one."""
        if not self.available:
            self.fill(None)
        return self.take(min(size, self.available))

    def send(self, data: bytes) -> int:
        """All of ``data``, as one turn."""
        self.sendall(data)
        return len(data)

    def gettimeout(self) -> float | None:
        """The timeout of blocking calls: none, deadlines are per call."""
        return None

    def settimeout(self, timeout: float | None) -> None:
        """Ignored: deadlines are per call."""

    def shutdown(self, how: int) -> None:
        """The whole connection, as ``abort``."""
        self.abort("shut down")
