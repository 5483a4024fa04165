"""websocket-client's own ``WebSocket`` in a ``recv()`` loop, at its best: no UTF-8 check in Python, a fast parser."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import websocket

from benchmarks.peers import context_for
from benchmarks.traffic import MARK, TEXT_DELTA

__all__ = ["Client"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Client:
    """See ``benchmarks.peers.Peer``."""

    def __init__(self, variant: str, handled: str) -> None:
        self.taken: int | None = 0
        self._handled = handled
        self._socket: Any = None

    def open(self, port: int, ca_file: str | None) -> None:
        context = context_for(ca_file)
        scheme = "ws" if context is None else "wss"
        self._socket = websocket.WebSocket(
            skip_utf8_validation=True, sslopt=None if context is None else {"context": context}
        )
        self._socket.connect(f"{scheme}://127.0.0.1:{port}/v1/realtime")
        self._next()

    def ask(self) -> None:
        self._socket.send(_encode({"type": "input_audio_buffer.clear"}), websocket.ABNF.OPCODE_TEXT)
        handled = self._handled
        while True:
            event = self._next()
            kind = event["type"]
            if kind == handled:
                self._handle(event)
            elif kind == MARK:
                return

    def append(self, pcm: bytes) -> None:
        event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode("ascii")}
        self._socket.send(_encode(event), websocket.ABNF.OPCODE_TEXT)

    def follow(self, note: Callable[[str], object]) -> None:
        def run() -> None:
            while True:
                event = self._next()
                if event["type"] == TEXT_DELTA:
                    note(event["delta"])

        threading.Thread(target=run, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _handle(self, event: dict[str, Any]) -> None:
        if event["delta"] and self.taken is not None:
            self.taken += 1

    def _next(self) -> Any:
        return _decode(self._socket.recv())
