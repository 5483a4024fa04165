"""The load server: a process of its own that sends prepared frames, so that what is measured is the client alone.

``python -m benchmarks.load SPEC`` prints its port and serves until its standard input ends. Every connection is
greeted; each ``input_audio_buffer.clear`` is answered with the next burst, the last one again and again, each ended by
``input_audio_buffer.cleared``. Audio that is appended is read and forgotten.

With ``phases`` in the spec it plays for many sessions instead: each request is answered on its own connection when all
others have had ``rate`` deltas a second for so long. A delta carries the moment of its sending.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import traffic

__all__ = ["main"]

_KEY_END = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ROOM = 64 << 10  # bytes received at a time
_LONGEST_REQUEST = 1000  # bytes; whatever is longer is audio


class Connection:
    """One client, served by a thread of its own."""

    def __init__(self, sock: Any, server: Server) -> None:
        self.sock = sock
        self.asked = 0
        self._server = server
        self._buffer = bytearray()
        self._room = memoryview(bytearray(_ROOM))

    def run(self) -> None:
        try:
            self._upgrade()
            self._server.known.append(self)  # First: who has been greeted counts on having its share.
            self.sock.sendall(self._server.greeting)
            for _ in self._requests():
                self._server.answer(self)
                self.asked += 1
        except (OSError, EOFError):
            pass
        finally:
            if self in self._server.known:
                self._server.known.remove(self)
            self.sock.close()

    def _upgrade(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        key = {name.lower(): value for name, value in lines.items()}[b"sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1(key + _KEY_END).digest())
        self.sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _requests(self) -> Iterator[None]:
        while True:
            opcode, size = self._head()
            if size > _LONGEST_REQUEST:
                self._skip(size)
                continue
            payload = self._unmasked(size)
            if opcode == 0x8:
                self.sock.sendall(b"\x88" + bytes((len(payload),)) + payload)
                return
            if opcode == 0x9:
                self.sock.sendall(b"\x8a" + bytes((len(payload),)) + payload)
            elif traffic.REQUEST in payload:
                yield

    def _head(self) -> tuple[int, int]:
        self._await(2)
        opcode, size = self._buffer[0] & 15, self._buffer[1] & 127
        end = {126: 4, 127: 10}.get(size, 2)
        self._await(end)
        if end > 2:
            size = int.from_bytes(self._buffer[2:end], "big")
        del self._buffer[:end]
        return opcode, size

    def _unmasked(self, size: int) -> bytes:
        self._await(4 + size)
        mask, payload = bytes(self._buffer[:4]), bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        stretched = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")

    def _skip(self, size: int) -> None:
        left = 4 + size
        while left:
            if not self._buffer:
                self._receive()
            gone = min(left, len(self._buffer))
            del self._buffer[:gone]
            left -= gone

    def _await(self, size: int) -> None:
        while len(self._buffer) < size:
            self._receive()

    def _receive(self) -> None:
        count = self.sock.recv_into(self._room)  # Kept: memory from the system each time takes longer than the answer.
        if not count:
            raise EOFError
        self._buffer += self._room[:count]


class Server:
    """What is sent, and to whom."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.known: list[Connection] = []
        self.greeting = traffic.greeting()
        self._phases: list[tuple[float, float]] = spec.get("phases", [])
        if self._phases:
            begin, self._delta = traffic.stream()
            self.greeting += begin
        made = traffic.bursts(
            spec.get("load", "text"),
            spec.get("deltas", 0),
            items=spec.get("items", 0),
            responses=spec.get("responses", 0),
        )
        self._bursts = [burst for burst, _ in made]
        self.events = [count for _, count in made]

    def answer(self, connection: Connection) -> None:
        if self._phases:
            rate, seconds = self._phases[connection.asked % len(self._phases)]
            self._play([other for other in self.known if other is not connection], rate, seconds)
        connection.sock.sendall(self._bursts[min(connection.asked, len(self._bursts) - 1)])

    def _play(self, others: list[Connection], rate: float, seconds: float) -> None:
        """Deltas to all in turn, evenly over the time."""
        start, total = time.monotonic(), round(len(others) * rate * seconds)
        for number in range(total):
            ahead = start + number * seconds / total - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            others[number % len(others)].sock.sendall(self._delta(time.monotonic_ns()))
        time.sleep(max(0.0, start + seconds - time.monotonic()))

    def serve(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._welcome, args=(sock, context), daemon=True).start()

    def _welcome(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            secured = sock if context is None else context.wrap_socket(sock, server_side=True)
        except OSError:
            return
        Connection(secured, self).run()


def main(spec: dict[str, Any]) -> None:
    """Serve until standard input ends."""
    server = Server(spec)
    gc.freeze()  # The bursts are many megabytes, and nothing here makes garbage in circles.
    gc.disable()
    context = None
    if spec.get("certificate"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(spec["certificate"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=server.serve, args=(listener, context), daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1], "events": server.events}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
