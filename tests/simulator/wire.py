"""A client that takes no library's word for what is on the wire: bytes, frames, and how the stream ended."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from rtsync.simulator import SimulatorServer
from tests.simulator.talk import GA, LIMIT

_T = TypeVar("_T")

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    fin: bool
    reserved: int
    op: int
    masked: bool
    payload: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.payload)
        return event

    @property
    def close(self) -> tuple[int | None, str]:
        assert self.op == CLOSE, self
        return (struct.unpack("!H", self.payload[:2])[0], self.payload[2:].decode()) if self.payload else (None, "")


class _Tls:
    """TLS over a socket, beside it: an `SSLSocket` of Python 3.11 tells a reset from an end only now and then."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._retry(self._tls.do_handshake)

    def recv(self, size: int) -> bytes:
        try:
            return self._retry(lambda: self._tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data: bytes) -> None:
        self._retry(lambda: self._tls.write(data))

    def _retry(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                if more := self._sock.recv(65536):
                    self._in.write(more)
                else:
                    self._in.write_eof()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if data := self._out.read():
            self._sock.sendall(data)


class Raw:
    """A connection by hand, plain or TLS. Nothing is sent unless asked for, a pong neither."""

    def __init__(self, server: SimulatorServer, *, upgrade: bool = True, receive_buffer: int | None = None) -> None:
        address = urlsplit(server.http_url)
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(LIMIT)
        self.sock.connect((address.hostname or "", address.port or 0))
        self._stream: socket.socket | _Tls = self.sock
        if address.scheme == "https":
            self._stream = _Tls(self.sock, ssl.create_default_context(cafile=server.ca_file))
        self.read = 0
        """Bytes so far."""
        self.head = b""
        """The answer to the upgrade."""
        self._buffer = b""
        if upgrade:
            self.ask()
            self.head = self.until(b"\r\n\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.sock.close()

    def ask(self) -> None:
        """Send the upgrade request."""
        self._stream.sendall(
            f"GET {GA} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer k\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._buffer += self._some()
        return self._take(self._buffer.index(end) + len(end))

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._some()
        return self._take(size)

    def frame(self) -> Frame:
        first, second = self.exactly(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self.exactly(2 if size == 126 else 8))
        assert not second & 0x80 or self.exactly(4) == b"\x11\x22\x33\x44"
        return Frame(bool(first & 0x80), first >> 4 & 0x07, first & 0x0F, bool(second & 0x80), self.exactly(size))

    def events(self, count: int) -> list[dict[str, Any]]:
        return [self.frame().event for _ in range(count)]

    def until_event(self, kind: str) -> list[dict[str, Any]]:
        events = self.events(1)
        while events[-1]["type"] != kind:
            events += self.events(1)
        return events

    def send(self, op: int, payload: bytes = b"") -> None:
        """A masked frame; the mask is zeros."""
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
        self._stream.sendall(bytes([0x80 | op]) + size + bytes(4) + payload)

    def say(self, kind: str, **fields: Any) -> None:
        self.send(TEXT, json.dumps({"type": kind, **fields}).encode())

    def wrong(self) -> None:
        """Send an event that is answered with exactly one: an error."""
        self.say("nothing.like.it")

    def rest(self) -> tuple[bytes, str]:
        """What still comes, and how the stream ends: ``reset``, ``end``, or over TLS ``cut`` (not said properly)."""
        while True:
            try:
                more = self._stream.recv(65536)
            except ConnectionResetError:
                return self._take(len(self._buffer)), "reset"
            except ssl.SSLEOFError:
                return self._take(len(self._buffer)), "cut"
            if not more:
                return self._take(len(self._buffer)), "end"
            self._buffer += more

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long."""
        assert not self._buffer
        self.sock.settimeout(seconds)
        try:
            self._buffer = self._stream.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(LIMIT)
        return False

    def _some(self) -> bytes:
        more = self._stream.recv(65536)
        assert more, f"the stream ended after {self.read + len(self._buffer)} bytes"
        return more

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        self.read += len(taken)
        return taken
