"""About the limit in Python: a blocking socket, frames cut out of a buffer, the JSON parser that rtsync uses.

No check, no state, no thread, no deadline, no answer to a ping.
"""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.peers import context_for
from benchmarks.traffic import MARK, TEXT_DELTA

__all__ = ["Client"]

_CHUNK = 65536
_ASK = b'{"type":"input_audio_buffer.clear"}'
_decode = msgspec.json.Decoder().decode


class Client:
    """See ``benchmarks.peers.Peer``.

    Variants: ``loop`` for a program that reads for itself, ``thread`` for one that has a second thread read, and sleeps
    on a lock meanwhile.
    """

    def __init__(self, variant: str, handled: str) -> None:
        self.taken: int | None = 0
        self._threaded = variant == "thread"
        self._marked = threading.Lock()  # Released at the mark.
        self._marked.acquire()
        self._handled = handled
        self._sock: Any = None
        self._buffer = b""
        self._position = 0

    def open(self, port: int, ca_file: str | None) -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = context_for(ca_file)
        self._sock = sock if context is None else context.wrap_socket(sock, server_hostname="127.0.0.1")
        self._sock.sendall(
            b"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n"
        )
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._sock.recv(_CHUNK)
        self._position = self._buffer.index(b"\r\n\r\n") + 4
        next(self._events())
        if self._threaded:
            threading.Thread(target=self._read, daemon=True).start()

    def ask(self) -> None:
        self._send(_ASK)
        if self._threaded:
            self._marked.acquire()
        else:
            self._take_burst()

    def _read(self) -> None:
        while True:
            self._take_burst()
            self._marked.release()

    def _take_burst(self) -> None:
        handled = self._handled
        for event in self._events():
            kind = event["type"]
            if kind == handled:
                self._handle(event)
            elif kind == MARK:
                return

    def append(self, pcm: bytes) -> None:
        self._send(b'{"type":"input_audio_buffer.append","audio":"%b"}' % base64.b64encode(pcm))

    def follow(self, note: Callable[[str], object]) -> None:
        def run() -> None:
            for event in self._events():
                if event["type"] == TEXT_DELTA:
                    note(event["delta"])

        threading.Thread(target=run, daemon=True).start()

    def close(self) -> None:
        self._sock.close()

    def _handle(self, event: dict[str, Any]) -> None:
        if event["delta"] and self.taken is not None:
            self.taken += 1

    def _events(self) -> Iterator[dict[str, Any]]:
        while True:
            buffer, position = self._buffer, self._position
            left = len(buffer) - position
            head, size = 2, buffer[position + 1] if left >= 2 else 0
            if size == 126 and left >= 4:
                head, size = 4, buffer[position + 2] << 8 | buffer[position + 3]
            elif size == 127 and left >= 10:
                head, size = 10, int.from_bytes(buffer[position + 2 : position + 10], "big")
            if left >= head + size and left >= 2:
                start = position + head
                self._position = start + size
                yield _decode(buffer[start : start + size])
            elif head + size > _CHUNK:
                yield _decode(self._large(buffer[position + head :], size))
            else:
                self._buffer, self._position = buffer[position:] + self._sock.recv(_CHUNK), 0

    def _large(self, begun: bytes, size: int) -> memoryview:
        """The rest of a large frame, received where it shall stay."""
        whole = memoryview(bytearray(size))
        done = len(begun)
        whole[:done] = begun
        while done < size:
            done += self._sock.recv_into(whole[done:])
        self._buffer, self._position = b"", 0
        return whole

    def _send(self, payload: bytes) -> None:
        size, mask = len(payload), os.urandom(4)
        if size < 126:
            head = bytes((0x81, 0x80 | size))
        else:
            head = b"\x81\xfe" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x81\xff" + size.to_bytes(8, "big")
        stretched = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload, "little") ^ int.from_bytes(stretched, "little")
        self._sock.sendall(head + mask + masked.to_bytes(size, "little"))
