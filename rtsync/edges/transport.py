"""The line: one WebSocket connection, a ``WebSocketApp`` with its face kept and its engine replaced.

This is the only module that knows websocket-client. ``Line`` is a ``WebSocketApp``: ``run_forever`` in the reader
thread, ``send`` and ``close`` from any other, the same callbacks. The stock engine is not safe for threads: over TLS
it crashes with a second sending thread, it closes up to ten seconds late, loses close codes, carries credentials to
redirect targets, knows no deadlines and no limits, and re-checks UTF-8 in pure Python. Ours:

1. stands on a socket of our own (``network``, ``upgrade``, ``guard``), opened under one deadline;
2. cuts whole text frames out of the receive buffer itself, and leaves every other frame (fragments, control frames,
   reserved bits, odd opcodes) to websocket-client's ``WebSocket.recv_frame`` and its checks, once the frame is whole;
   what it sends is written by ``frames``;
3. measures silence in received bytes, mid-frame ones included, and pings before it gives up;
4. answers the peer's close code with the same, and a broken protocol with the code that names the fault;
5. ends within its timeout whatever the peer does: ``close`` awaits the end, then aborts the socket.

Messages are delivered as they came, never decoded here: the JSON decoder checks UTF-8 once, strictly, and a
``UnicodeDecodeError`` out of ``on_message`` closes with 1007.
"""

from __future__ import annotations

import functools
import logging
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import websocket
from websocket import ABNF

from rtsync.edges.dial import dial
from rtsync.edges.frames import client_frame
from rtsync.edges.guard import GuardedSocket, LineBroken
from rtsync.edges.latch import Latch
from rtsync.edges.network import Address, Interrupt, Interrupted, Route
from rtsync.edges.receive_buffer import ReceiveBuffer
from rtsync.edges.upgrade import upgrade
from rtsync.pure.failures import credentials_sent, without_credentials
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    CloseCause,
    ConfigurationError,
    ConnectTimeout,
    ProtocolError,
    RealtimeError,
    SendTimeout,
    SessionClosed,
    UsageError,
    WaitTimeout,
)
from rtsync.vocabulary.foreign import credentials_in, one_line, redact

__all__ = ["Ending", "Line", "LineOptions"]

logger = logging.getLogger("rtsync.line")

_head = struct.Struct("!HH").unpack_from
_TOGETHER = range(256)  # messages at most: close() and post() wait for them, and caches should still hold them all.
_LONGEST_HEAD = 10  # bytes, of frames that are not masked
# The first two bytes of the usual frames: FIN, no reserved bits, opcode text, no mask; then the length, or where it is.
_TEXT, _TEXT_126, _TEXT_127 = 0x8100, 0x817E, 0x817F
_CONTROL_PATIENCE = 1.0  # seconds that a ping, pong or close frame may wait for the line
_LONGEST_REASON = 123  # bytes; RFC 6455 5.5.1 leaves 125 for code and reason


class LineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a line behaves. Times in seconds, sizes in bytes."""

    connect_timeout: float = 10.0
    send_timeout: float = 20.0
    close_timeout: float = 3.0
    heartbeat: float | None = 20.0
    max_message_size: int = 64 << 20
    tls: ssl.SSLContext | None = None
    proxy: str | bool | None = None

    def __repr__(self) -> str:  # The URL of a proxy may hold a password.
        return f"<LineOptions connect_timeout={self.connect_timeout:g} heartbeat={self.heartbeat}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("connect_timeout", self.connect_timeout), ("heartbeat", self.heartbeat)]


class Ending(msgspec.Struct, frozen=True):
    """How a line ended.

    Attributes:
        code: close code; 1005 where the peer's frame had none, 1006 where no close frame came, None where the line
            never opened.
        reason: the peer's reason text.
        cause: who or what ended it.
        message: one sentence for people.
        error: what failed, where something failed.
    """

    code: int | None
    reason: str
    cause: CloseCause
    message: str
    error: Exception | None = None


class _Unanswered(Exception):
    """Our close frame got no answer in time."""


class Line(websocket.WebSocketApp):
    """One connection, used once: ``run_forever()`` opens it, reads until it ends, and returns.

    Args:
        url: ``ws://`` or ``wss://``.
        header: headers of the upgrade, or a callable that gives them, asked in the reader thread at each connect,
            within the connect deadline.
        options: deadlines, limits, TLS and proxy.
        on_open: called in the reader thread once the upgrade is done.
        on_message: called in the thread that reads, with the bytes of each message. A ``SessionClosed`` out of it ends
            the line with its cause and close code.
        on_messages: called instead of it, with a list of messages: those that arrived together, in order. They are
            ``bytes`` or views of the receive buffer, which hold until it returns: it decodes them, or copies what it
            keeps.
        on_lull: called in the same thread behind such messages, before it sleeps or does anything but read on.
        on_idle: called in the reader thread between messages. Where the line is ``at_rest`` it may have another thread
            call ``read_on``, one at a time, until it returns, and returns whether it did; what that raised, it raises.
        on_wanted: called in any thread where the reader is wanted while another one may read in its place. It takes no
            lock.
        on_error: called in the reader thread with what failed, where something failed.
        on_close: called in the reader thread at the end, always, with close code and reason.
    """

    def __init__(
        self,
        url: str,
        header: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        *,
        options: LineOptions | None = None,
        on_open: Callable[[Any], None] | None = None,
        on_message: Callable[[Any, Any], None] | None = None,
        on_messages: Callable[[Any, Sequence[bytes | memoryview]], None] | None = None,
        on_lull: Callable[[], None] | None = None,
        on_idle: Callable[[], bool] | None = None,
        on_wanted: Callable[[], None] | None = None,
        on_error: Callable[[Any, Any], None] | None = None,
        on_close: Callable[[Any, Any, Any], None] | None = None,
        on_ping: Callable[[Any, bytes], None] | None = None,
        on_pong: Callable[[Any, bytes], None] | None = None,
    ) -> None:
        super().__init__(
            url, on_open=on_open, on_message=on_message, on_error=on_error, on_close=on_close, on_ping=on_ping,
            on_pong=on_pong,
        )  # fmt: skip
        self._deliver = self._deliver_each if on_messages is None else functools.partial(on_messages, self)
        self.on_lull = on_lull
        self.on_idle = on_idle
        self.on_wanted = on_wanted
        self._headers = header if callable(header) else lambda: header or {}
        self.options = options or LineOptions()
        self.phase = "credential"
        self.ending: Ending | None = None
        self.finished = Latch()
        self.response_headers: Mapping[str, str] = {}
        self._address = Address.of(url)
        self._interrupt = Interrupt()
        self._guard: GuardedSocket | None = None
        self.reader_id: int | None = None  # Of the thread that reads at the moment.
        self._started = False
        self._open = False
        self._secrets: tuple[str, ...] = ()
        self._partial = bytearray()
        self._in_message = False
        self._closing = threading.Lock()  # Taken once, by whoever sends the close frame, and never given back.
        self._close_sent = False
        self._close_received: tuple[int, str] | None = None
        self._closed_by_us = False
        self._close_by: float | None = None
        self._alarm: tuple[float, Callable[[], None]] | None = None
        self._posted: deque[Callable[[], None]] = deque()
        self._pinged = 0.0

    # -- the face ------------------------------------------------------------------------------------------------

    @property
    def counters(self) -> tuple[int, int]:
        """Bytes received and sent on this connection, TLS not counted."""
        guard = self._guard
        return (0, 0) if guard is None else (guard.received_bytes, guard.sent_bytes)

    @property
    def last_received(self) -> float | None:
        """When the last byte came, on the monotonic clock, or the connection was made; None before that."""
        guard = self._guard
        return None if guard is None else guard.last_received

    @property
    def at_rest(self) -> bool:
        """Whether all that there was is received and delivered, as far as the last read has told."""
        return self._guard is not None and self._guard.at_rest

    def redact(self, text: str) -> str:
        """``text``, which came from the server, without the credentials of this line."""
        return redact(text, self._secrets)

    def cleaned(self, event: dict[str, Any]) -> dict[str, Any]:
        """``event`` as it came, but for the credentials of this line in what the server says of a failure.

        Of all that a server sends, that is what programs print and log, and some servers echo the key they refuse.
        """
        return without_credentials(event, self.redact)

    def note_credentials(self, event: Mapping[str, Any]) -> None:
        """Remember the credentials in a client event, so that no error of the server shows them. Threads: any."""
        if found := credentials_sent(event):
            self._secrets = tuple(dict.fromkeys((*self._secrets, *found)))

    def run_forever(self, *args: Any, **kwargs: Any) -> bool:
        """Open the line, deliver messages until it ends, and return whether it failed.

        Threads: the calling thread becomes the reader; all callbacks run in it. May be called once.
        """
        if args or kwargs:
            raise UsageError("a Line takes its settings as LineOptions, not as arguments of run_forever()")
        if self._started:
            raise UsageError("a Line is used once; make a new one to connect again")
        self._started = True
        self.reader_id = threading.get_ident()
        self.keep_running = True
        failure: BaseException | None = None
        try:
            self._interrupt.arm()
            self._connect()
            self._call(self.on_open)
            self._pump()
        except BaseException as error:
            failure = error
        self._end(failure)
        return self.has_errored

    def send(self, data: bytes | str, opcode: int = ABNF.OPCODE_TEXT, timeout: float | None = None) -> None:
        """Hand one message to the kernel.

        Raises:
            LineBroken: the line is not open.
            SendTimeout, WaitTimeout: see ``GuardedSocket.sendall``.

        Threads: any; messages of one thread stay in order, and messages never interleave.
        """
        if not self._open or self._close_sent or self._guard is None:
            raise LineBroken("the line is not open")
        payload = data.encode() if isinstance(data, str) else data
        self._guard.sendall(client_frame(payload, opcode), timeout)

    def send_text(self, text_data: str) -> None:
        """Send a text message."""
        self.send(text_data)

    def send_bytes(self, data: bytes | bytearray) -> None:
        """Send a binary message."""
        self.send(bytes(data), ABNF.OPCODE_BINARY)

    def close(self, code: int = 1000, reason: str = "", timeout: float | None = None, wait: bool = True) -> None:  # type: ignore[override]
        """End the line: at once while it connects, with a close frame once it is open.

        Returns when the reader has ended, after ``timeout`` seconds (``close_timeout`` where None) at the latest and
        a moment for it to notice. With ``wait=False``, and in the reader thread, it returns once the frame is sent.

        Raises:
            ConfigurationError: a code that no close frame may carry, or a reason that is not text.

        Threads: any, also several at once.
        """
        payload = _close_payload(code, reason)
        self.keep_running = False
        self._closed_by_us = True
        deadline = Deadline(self.options.close_timeout if timeout is None else timeout)
        self._close_by = (
            deadline.at if self._close_by is None or deadline.at is None else min(self._close_by, deadline.at)
        )
        if self._open:
            self._send_close(payload, deadline)
            self._interrupt.set()  # The reader may sleep past ``_close_by``.
            self._want()
        else:
            self.abort("closed while connecting")
        if not wait or not self._started or self.reader_id == threading.get_ident():
            return
        if not self.finished.wait(deadline.remaining()):
            self.abort("the server did not answer the close")
            self.finished.wait(_CONTROL_PATIENCE)

    def abort(self, why: str) -> None:
        """End the line now, without a word to the peer. Takes no lock. Threads: any, also a finalizer."""
        self._interrupt.set()
        guard = self._guard
        if guard is not None:
            guard.abort(why)
        self._want()

    def call_at(self, moment: float | None, job: Callable[[], None] = lambda: None) -> None:
        """Run ``job`` in the reader thread at ``moment`` (monotonic seconds), once the line is open; None: not at all.

        There is one such job: a later call replaces it. Threads: the reader, or before it runs.
        """
        self._alarm = None if moment is None else (moment, job)

    def post(self, job: Callable[[], None]) -> None:
        """Run ``job`` in the reader thread, between two messages; never where the line ends before. Threads: any."""
        self._posted.append(job)
        self.nudge()
        self._want()

    def nudge(self) -> None:
        """End the wait of the thread that reads, as if nothing had come in time. Threads: any."""
        self._interrupt.nudge()

    def _want(self) -> None:
        if self.on_wanted is not None:
            self.on_wanted()

    def abandon(self) -> None:
        """In a forked child: give the descriptors back and leave the connection to the parent."""
        self._open = False
        if self._guard is not None:
            self._guard.abandon()
        self._interrupt.abandon()

    # -- opening -------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        deadline = Deadline(self.options.connect_timeout)
        headers = dict(self._headers())
        self._interrupt.check()
        if deadline.passed:
            raise ConnectTimeout(
                f"the credential took longer than the {deadline.timeout:g} s of connect_timeout", phase="credential"
            )
        route = Route.to(self._address, self.options.proxy)
        guard = dial(route, self.options.tls, deadline, self._interrupt, adopt=self._guarded, phase=self._set_phase)
        self.phase = "upgrade"
        self._secrets = credentials_in(headers)
        self.response_headers = upgrade(guard, self._address, headers, self._secrets, deadline)
        self.sock = websocket.WebSocket(skip_utf8_validation=True)
        self.sock.sock = guard  # type: ignore[assignment]
        self.sock.connected = True
        guard.wake_by(self._interrupt.reader)
        if self.on_lull is not None:
            guard.on_lull = self.on_lull
        self._open = True
        self._interrupt.check()
        self.phase = "session"

    def _set_phase(self, phase: str) -> None:
        self.phase = phase

    def _guarded(self, sock: Any) -> GuardedSocket:
        self._guard = GuardedSocket(sock, send_timeout=self.options.send_timeout)
        self._interrupt.check()  # close() may have looked for the guard just before there was one.
        return self._guard

    # -- reading -------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Deliver messages until the peer's close frame."""
        guard = self._guard
        assert guard is not None
        while self._close_received is None:
            if self._posted or self._alarm is not None or self._close_by is not None:
                self._look_up()
            if self.on_idle is not None and self.on_idle():
                continue
            self._await(1)
            if not self._deliver_usual(guard.buffer):
                self._await_frame()
                if not self._deliver_usual(guard.buffer):
                    self._deliver_unusual()

    def read_on(self) -> bool:
        """In the place of the reader, which waits: receive what comes next, and deliver it where it is usual.

        Returns False, with nothing lost, where it is for the reader to go on: at a frame of another kind, in silence,
        when it is wanted. Threads: one that the reader has lent this to, see ``on_idle``.
        """
        guard, size = self._guard, 1
        assert guard is not None
        while not self._posted:
            until = self._wake_at(guard)
            if until is not None and until <= guard.last_received:
                break
            if guard.available < size and not guard.receive(size, until):
                break
            if self._deliver_usual(guard.buffer):
                return True
            size = self._wanted(guard.buffer)
            if size <= guard.available:  # Whole, and not delivered: not usual.
                break
        return False

    def _deliver_usual(self, buffer: ReceiveBuffer) -> bool:
        """Rule 2: the whole, unfragmented text frames at hand. Returns whether there were any.

        What was cut is let go of here: the reader may sleep next, and the buffer be given back.
        """
        if self._in_message:
            return False
        data, view, start, end = buffer.data, buffer.view, buffer.position, buffer.end
        limit, last = self.options.max_message_size, end - _LONGEST_HEAD
        messages: list[memoryview] = []
        for _ in _TOGETHER:
            if start > last:
                break
            head, length = _head(data, start)
            if head == _TEXT_126:  # First, as most are.
                begin = start + 4
            elif _TEXT <= head < _TEXT_126:
                length = head & 0x7F
                begin = start + 2
            elif head == _TEXT_127:
                begin = start + 10
                length = int.from_bytes(data[start + 2 : begin], "big")
            else:
                break
            behind = begin + length
            if behind > end or length > limit:
                break
            messages.append(view[begin:behind])
            start = behind
        buffer.position = start
        if messages:
            self._deliver(messages)
            return True
        return False

    def _deliver_each(self, messages: Sequence[bytes | memoryview]) -> None:
        if self.on_message is not None:
            for message in messages:
                self.on_message(self, bytes(message))

    def _deliver_unusual(self) -> None:
        """The frame at hand, whatever its kind, read and checked by websocket-client."""
        assert self.sock is not None
        frame: ABNF = self.sock.recv_frame()  # type: ignore[no-untyped-call]
        if frame.opcode == ABNF.OPCODE_CLOSE:
            self._on_close_frame(_payload(frame))
        elif frame.opcode == ABNF.OPCODE_PING:
            self._send_control(_payload(frame), ABNF.OPCODE_PONG)
            self._call(self.on_ping, frame.data)
        elif frame.opcode == ABNF.OPCODE_PONG:
            self._call(self.on_pong, frame.data)
        else:
            self._on_data_frame(frame)

    def _on_data_frame(self, frame: ABNF) -> None:
        if (frame.opcode == ABNF.OPCODE_CONT) != self._in_message:
            what = "a continuation without a beginning" if not self._in_message else "a message inside another"
            raise ProtocolError(f"the server sent {what}", close_code=1002)
        data = _payload(frame)
        if self._in_message or not frame.fin:
            # One growing buffer, not a list of pieces: a million empty or tiny fragments must not cost more than
            # the message that they are.
            self._partial += data
        self._in_message = not frame.fin
        if not frame.fin:
            return
        message = bytes(self._partial) if self._partial else data
        self._partial = bytearray()
        self._deliver([message])

    def _await_frame(self) -> None:
        """Receive until the next frame is whole."""
        guard = self._guard
        assert guard is not None
        while (size := self._wanted(guard.buffer)) > guard.available:
            self._await(size)

    def _wanted(self, buffer: ReceiveBuffer) -> int:
        """How many bytes, from its beginning, are to be received next of the frame at hand: its head, then all of it.

        Refuses what is too large or not a server's before it is received.
        """
        if buffer.available < 2:
            return 2
        start = buffer.position
        first, second = buffer.data[start : start + 2]
        length = second & 0x7F
        if second & 0x80:
            raise ProtocolError("the server sent a masked frame (RFC 6455 5.1)", close_code=1002)
        if first & 0x08 and (length > 125 or not first & 0x80):
            raise ProtocolError("the server sent a long or fragmented control frame (RFC 6455 5.5)", close_code=1002)
        head = {126: 4, 127: 10}.get(length, 2)
        if buffer.available < head:
            return head
        if head > 2:
            length = int.from_bytes(buffer.data[start + 2 : start + head], "big")
        size = 0 if first & 0x08 else length + len(self._partial)  # A control frame is no part of a message.
        if size > self.options.max_message_size:
            raise ProtocolError(
                f"the server sent a message of {size} bytes or more; max_message_size is"
                f" {self.options.max_message_size}. Raise it if such messages are wanted",
                close_code=1009,
            )
        return head + length

    def _await(self, size: int) -> None:
        guard = self._guard
        assert guard is not None
        buffer = guard.buffer
        while buffer.end - buffer.position < size:
            until = self._wake_at(guard)
            in_time = guard.receive(size, until)
            # A peer that never pauses must not put it off.
            if not in_time or (until is not None and until <= guard.last_received and guard.available < size):
                self._on_silence(guard)

    # -- silence -------------------------------------------------------------------------------------------------

    def _wake_at(self, guard: GuardedSocket) -> float | None:
        """The next moment at which silence means something."""
        heartbeat = self.options.heartbeat
        at = max(self._pinged, guard.last_received) + heartbeat if heartbeat else None
        if self._alarm is not None and (at is None or self._alarm[0] < at):
            at = self._alarm[0]
        if self._close_by is not None and (at is None or self._close_by < at):
            at = self._close_by
        return at

    def _look_up(self) -> None:
        """Between two messages, and whenever woken: is it time for something else than reading?"""
        if self._close_by is not None and time.monotonic() >= self._close_by:
            raise _Unanswered
        if self._alarm is not None and time.monotonic() >= self._alarm[0]:
            _, job = self._alarm
            self._alarm = None
            self._lull()
            job()
        while self._posted:
            self._lull()
            self._posted.popleft()()

    def _lull(self) -> None:
        if self.on_lull is not None:
            self.on_lull()

    def _on_silence(self, guard: GuardedSocket) -> None:
        self._look_up()
        now = time.monotonic()
        heartbeat = self.options.heartbeat
        if not heartbeat or now - max(self._pinged, guard.last_received) < heartbeat:
            return
        # Counted from the ping, not from the last byte: a callback may have kept this thread from reading for long,
        # and then the silence was ours.
        if self._pinged > guard.last_received:
            raise LineBroken(
                f"not a byte from the server for {2 * heartbeat:g} s, a ping included (heartbeat={heartbeat:g})"
            )
        self._pinged = now
        self._send_control(b"", ABNF.OPCODE_PING)

    def _send_control(self, payload: bytes, opcode: int) -> None:
        assert self._guard is not None
        self._lull()
        try:
            self._guard.sendall(client_frame(payload, opcode), _CONTROL_PATIENCE, give_up=False)
        except WaitTimeout:  # Another sender has the line. It has its own deadline, and the heartbeat goes on counting.
            logger.debug("no room on the line for a control frame")

    # -- ending --------------------------------------------------------------------------------------------------

    def _on_close_frame(self, payload: bytes) -> None:
        code = struct.unpack("!H", payload[:2])[0] if payload else 1005
        reason = payload[2:].decode("utf-8")  # Strictly: RFC 6455 5.5.1; a fault closes with 1007.
        self._close_received = (code, self.redact(reason))
        self._send_close(payload[:2], Deadline(_CONTROL_PATIENCE))

    def _send_close(self, payload: bytes, deadline: Deadline) -> None:
        if self._guard is None or not self._closing.acquire(blocking=False):
            return
        self._close_sent = True
        patience = deadline.remaining(_CONTROL_PATIENCE)
        try:
            self._guard.sendall(client_frame(payload, ABNF.OPCODE_CLOSE), patience)
        except (WaitTimeout, SendTimeout, LineBroken, UsageError):
            self.abort("the close frame could not be sent")

    def _end(self, failure: BaseException | None) -> None:
        self._lull()
        self.ending = self._ending(failure)
        code = self._close_code_for(failure)
        if code is not None:
            self._send_close(struct.pack("!H", code), Deadline(_CONTROL_PATIENCE))
            self._drain()
        self._open = False
        self.keep_running = False
        if self._guard is not None:
            self._guard.close()
        self._interrupt.close()
        self.sock = None
        self.has_errored = self.ending.error is not None
        try:
            if self.ending.error is not None:
                self._call(self.on_error, self.ending.error)
            self._call(self.on_close, self.ending.code, self.ending.reason)
        finally:  # Whatever a callback raises (SystemExit), nobody may wait for ever.
            self.finished.set()

    def _drain(self) -> None:
        """Read on until the peer has our close frame: closing over unread bytes would reset it away."""
        assert self._guard is not None
        until = time.monotonic() + min(_CONTROL_PATIENCE, self.options.close_timeout)
        try:
            while self._guard.fill(until):
                self._guard.buffer.forget()
                if time.monotonic() >= until:
                    return
        except LineBroken:
            pass

    def _ending(self, failure: BaseException | None) -> Ending:
        if self._close_received is not None:
            code, reason = self._close_received
            return self._closed_ending(code, reason)
        opened = 1006 if self._open else None
        if self._closed_by_us and not self._open:  # Whatever the closed socket looked like to the step in progress.
            return Ending(None, "", CloseCause.USER, "close() was called while connecting")
        if self._closed_by_us and isinstance(failure, LineBroken | _Unanswered | Interrupted | SessionClosed):
            return Ending(opened, "", CloseCause.USER, "close() was called")
        if isinstance(failure, Interrupted):
            failure = LineBroken("it was aborted")
        if isinstance(failure, LineBroken):
            return Ending(opened, "", CloseCause.NETWORK, f"the connection was lost: {failure}", failure)
        return self._failed_ending(failure, opened)

    def _failed_ending(self, failure: BaseException | None, opened: int | None) -> Ending:
        code = self._close_code_for(failure)
        if isinstance(failure, SessionClosed):
            return Ending(code, "", failure.cause, str(failure))
        if code is not None and isinstance(failure, Exception):
            cause = CloseCause.SIZE if code == 1009 else CloseCause.PROTOCOL
            return Ending(code, "", cause, _sentence(failure), _as_protocol_error(failure, code))
        if isinstance(failure, RealtimeError):
            return Ending(opened, "", CloseCause.NETWORK, str(failure), failure)
        logger.error("the reader failed", exc_info=failure)
        error = failure if isinstance(failure, Exception) else RuntimeError(type(failure).__name__)
        return Ending(opened, "", CloseCause.NETWORK, f"the reader failed: {type(failure).__name__}", error)

    def _closed_ending(self, code: int, reason: str) -> Ending:
        if self._closed_by_us:
            return Ending(code, reason, CloseCause.USER, "close() was called")
        said = f"{code} {one_line(reason)}".strip()
        return Ending(code, reason, CloseCause.SERVER, f"the server closed the session ({said})")

    def _close_code_for(self, failure: BaseException | None) -> int | None:
        """The close code that names ``failure``, where it is one of the protocol."""
        if not self._open:
            return None
        if isinstance(failure, UnicodeDecodeError):
            return 1007
        if isinstance(failure, websocket.WebSocketException):
            return 1002
        if isinstance(failure, SessionClosed):
            return failure.code
        return failure.close_code if isinstance(failure, ProtocolError) else None

    def _call(self, callback: Callable[..., object] | None, *args: Any) -> None:
        """A callback other than ``on_message``; its failure is logged and changes nothing."""
        if callback is None:
            return
        try:
            callback(self, *args)
        except Exception:
            logger.exception("a callback of the line failed")


def _payload(frame: ABNF) -> bytes:
    """The payload of a received frame, which websocket-client declares as text or bytes."""
    return frame.data if isinstance(frame.data, bytes) else frame.data.encode()


def _close_payload(code: int, reason: str) -> bytes:
    """What a close frame of ours carries; the reason is cut to what fits, at a character."""
    try:
        text = reason.encode()[:_LONGEST_REASON].decode("utf-8", "ignore").encode()
        frame = ABNF.create_frame(struct.pack("!H", code) + text, ABNF.OPCODE_CLOSE)
        frame.validate(skip_utf8_validation=True)
    except (UnicodeEncodeError, struct.error, websocket.WebSocketException) as error:
        raise ConfigurationError(
            f"close() takes a code of RFC 6455 7.4 (1000, or 3000 to 4999 of your own), not {code!r}, and a reason"
            " that UTF-8 can carry"
        ) from error
    return _payload(frame)


def _as_protocol_error(failure: Exception, code: int) -> ProtocolError:
    """``failure`` without what it holds on to: a decoding error carries the whole message, and shows it."""
    if isinstance(failure, ProtocolError):
        return failure
    return ProtocolError(_sentence(failure), close_code=code)


def _sentence(failure: Exception) -> str:
    if isinstance(failure, UnicodeDecodeError):
        return "the server sent text that is not UTF-8"
    if isinstance(failure, websocket.WebSocketException):
        return f"the server broke the WebSocket protocol: {failure}"
    return str(failure)
