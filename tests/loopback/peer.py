"""The server's end of one WebSocket connection, frame by frame: it may keep the protocol or break it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.loopback.wire import LIMIT, PeerGone, Wire

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Peer",
    "PeerClosed",
    "Request",
    "Script",
    "frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3

Headers = Iterable[tuple[str, str]]


class PeerClosed(PeerGone):
    """The client sent a close frame. `code` is None when the frame was empty."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"the client closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Request:
    """An HTTP request as it came over the wire."""

    method: str
    path: str
    """The request target, query included."""
    header_list: list[tuple[str, str]]
    """Names as they were written, in their order, doubles included."""
    raw: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Header values by lower-case name; of doubles the last."""
        return {name.lower(): value for name, value in self.header_list}

    @property
    def query(self) -> dict[str, str]:
        """Decoded query parameters."""
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @classmethod
    def parse(cls, raw: bytes) -> Request:
        """Read the head of a request."""
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, path, _version = first.split(" ", 2)
        pairs = [line.partition(":") for line in lines]
        return cls(method, path, [(name, value.strip()) for name, _colon, value in pairs], raw)


def frame(op: int, data: bytes | str = b"", fin: int = 1, rsv: int = 0, *, masked: bool = False) -> bytes:
    """Build one frame, as wrong as you like: `rsv` is 0 to 7, a server must not mask."""
    payload = data.encode() if isinstance(data, str) else data
    head = bytes([fin << 7 | rsv << 4 | op]) + _length(len(payload), masked << 7)
    if not masked:
        return head + payload
    key = b"\x11\x22\x33\x44"
    return head + key + _mask(payload, key)


def _length(size: int, mask_bit: int) -> bytes:
    if size < 126:
        return bytes([mask_bit | size])
    if size < 1 << 16:
        return bytes([mask_bit | 126]) + struct.pack("!H", size)
    return bytes([mask_bit | 127]) + struct.pack("!Q", size)


def _mask(data: bytes, key: bytes) -> bytes:
    size = len(data)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


class Peer:
    """One client, as the script of a `ScriptedServer` sees it.

    Every method may be called from the script or from the test's own thread; reads belong to one of them at a time.
    A method raises `PeerGone` when the client went away, and TimeoutError when nothing happened for 30 seconds.
    """

    def __init__(self, wire: Wire, number: int) -> None:
        self.wire = wire
        self.number = number
        """1 for the first connection of the server."""
        self.closed_with: PeerClosed | None = None
        """The client's close frame, once it came."""
        self.finished = threading.Event()
        """Set when the script has returned or raised (the connection may still be draining)."""
        self.accepted = False
        """Whether 101 was sent."""
        self._request: Request | None = None
        self._released = threading.Event()

    # -- HTTP ---------------------------------------------------------------------------------------------------

    @property
    def request(self) -> Request:
        """The request that opened this connection; only after it was read."""
        assert self._request is not None, "no request was read on this connection yet"
        return self._request

    def read_request(self, limit: float = LIMIT) -> Request:
        """Read the head of the next HTTP request."""
        self._request = Request.parse(self.wire.read_until(b"\r\n\r\n", limit))
        return self._request

    def accept(self, headers: Headers = (), *, accept_key: str | None = None, drip: float | None = None) -> Request:
        """Answer the upgrade with 101, reading the request first where the script has not.

        Args:
            headers: sent in addition.
            accept_key: a `Sec-WebSocket-Accept` in place of the right one; "" leaves the header out.
            drip: send the answer byte by byte with this many seconds between.
        """
        request = self._request or self.read_request()
        key = _accept_key(request) if accept_key is None else accept_key
        lines = [("Upgrade", "websocket"), ("Connection", "Upgrade"), *([("Sec-WebSocket-Accept", key)] if key else [])]
        self._send_dripping(_head(101, "Switching Protocols", [*lines, *headers]), drip)
        self.accepted = True
        return request

    def refuse(
        self, status: int, reason: str, headers: Headers = (), body: bytes | str = b"", *, chunked: bool = False
    ) -> Request:
        """Answer the request with any other HTTP status, and a body with its length or in chunks of seven bytes."""
        request = self._request or self.read_request()
        content = body.encode() if isinstance(body, str) else body
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(content)))
        head = _head(status, reason, [*headers, framing, ("Connection", "close")])
        self.wire.write(head + (b"".join(_chunks(content)) if chunked else content))
        return request

    def _send_dripping(self, data: bytes, pause: float | None) -> None:
        if pause is None:
            return self.wire.write(data)
        for byte in data:
            self.wire.write(bytes([byte]))
            if self._released.wait(pause):
                return None
        return None

    # -- sending ------------------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.wire.write(data)

    def send_frame(self, op: int, data: bytes | str = b"", fin: int = 1, rsv: int = 0, *, masked: bool = False) -> None:
        """Send one frame; see `frame`."""
        self.wire.write(frame(op, data, fin, rsv, masked=masked))

    def send_text(self, text: str) -> None:
        """Send a text message in one frame."""
        self.send_frame(TEXT, text)

    def send_json(self, *events: object) -> None:
        """Send each event as a text message, all in one write."""
        self.wire.write(b"".join(frame(TEXT, json.dumps(event)) for event in events))

    def close(self, code: int | None = None, reason: str = "") -> None:
        """Send a close frame. The connection stays; see `expect_close`, `drop` and `half_close`."""
        self.send_frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())

    # -- receiving ----------------------------------------------------------------------------------------------

    def recv_frame(self, limit: float = LIMIT) -> tuple[int, bytes]:
        """Receive one frame of any kind as (op, payload), answering nothing."""
        _fin, op, payload = self._read_frame(limit)
        return op, payload

    def recv_message(self, limit: float = LIMIT) -> tuple[int, bytes]:
        """Receive one text or binary message, put together from its frames.

        Pings are answered. A close frame is answered too, and raises PeerClosed.
        """
        op, parts = CONTINUATION, list[bytes]()
        for fin, kind, payload in self._data_frames(limit):
            op = kind or op
            parts.append(payload)
            if fin:
                break
        return op, b"".join(parts)

    def recv_json(self, limit: float = LIMIT) -> Any:
        """Receive one text message and decode it; pings and close as in `recv_message`."""
        op, payload = self.recv_message(limit)
        assert op == TEXT, f"the client sent a message of kind {op}, not text"
        return json.loads(payload.decode("utf-8"))

    def expect_close(self, limit: float = LIMIT, *, echo: bool = True) -> tuple[int | None, str]:
        """Read past everything up to the client's close frame; return its code and reason, and echo it.

        Set `echo` to False where this side has already sent its close frame, or keeps silent.
        """
        try:
            for _frame in self._data_frames(limit, echo=echo):
                pass
        except PeerClosed as closed:
            return closed.code, closed.reason
        raise AssertionError("frames end only by an exception")

    def _data_frames(self, limit: float, *, echo: bool = True) -> Iterator[tuple[bool, int, bytes]]:
        while True:
            fin, op, payload = self._read_frame(limit)
            if op == CLOSE:
                raise self._closed(payload, echo=echo)
            if op == PING:
                self.send_frame(PONG, payload)
            elif op != PONG:
                yield fin, op, payload

    def _closed(self, payload: bytes, *, echo: bool) -> PeerClosed:
        code = struct.unpack("!H", payload[:2])[0] if payload else None
        self.closed_with = PeerClosed(code, payload[2:].decode())
        if echo:
            self.send_frame(CLOSE, payload[:2])
        return self.closed_with

    def _read_frame(self, limit: float) -> tuple[bool, int, bytes]:
        first, second = self.wire.read_exact(2, limit)
        assert second & 0x80, "the client sent a frame without a mask (RFC 6455, section 5.3)"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self.wire.read_exact(2 if size == 126 else 8, limit), "big")
        key = self.wire.read_exact(4, limit)
        return bool(first & 0x80), first & 0x0F, _mask(self.wire.read_exact(size, limit), key)

    # -- misbehaving --------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """End the connection with a RST, in the middle of whatever it was."""
        self.wire.reset()

    def drop(self) -> None:
        """End the TCP connection without a close frame, as a dying process does."""
        self.wire.interrupt()

    def half_close(self) -> None:
        """Send FIN (over TLS close_notify first) and go on reading."""
        self.wire.half_close()

    def stop_reading(self) -> None:
        """Shrink the receive buffer, so that a client that keeps sending soon fills it. Read nothing after this."""
        self.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def wait_until_released(self, limit: float = LIMIT) -> None:
        """Do nothing until the test calls `release`, or the server stops (then PeerGone)."""
        if not self._released.wait(limit):
            raise TimeoutError("the test never released this peer")
        self.wire.check()

    def release(self) -> None:
        """Let a script go on that stands in `wait_until_released`; a dripping answer ends where it is."""
        self._released.set()

    def stop(self) -> None:
        """End whatever the script is doing; called by the server when it stops."""
        self.wire.interrupt()
        self._released.set()


def _accept_key(request: Request) -> str:
    key = request.headers["sec-websocket-key"].encode()
    return base64.b64encode(hashlib.sha1(key + _ACCEPT_SALT).digest()).decode()


def _head(status: int, reason: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 7):
        part = body[start : start + 7]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


Script = Callable[[Peer], object]
"""What a server plays for each connection; what it returns is ignored."""
