"""The openai SDK's sync client, with its own two ways to receive."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

from openai import OpenAI

from benchmarks.peers import context_for
from benchmarks.traffic import MARK, TEXT_DELTA

__all__ = ["Client"]


class _Marked(Exception):
    """The burst is over: out of ``dispatch_events``, which has no other end than the connection's."""


class Client:
    """See ``benchmarks.peers.Peer``."""

    def __init__(self, variant: str, handled: str) -> None:
        self.taken: int | None = 0
        self._variant = variant
        self._handled = handled
        self._client: Any = None
        self._connection: Any = None

    def open(self, port: int, ca_file: str | None) -> None:
        context = context_for(ca_file)
        scheme = "http" if context is None else "https"
        self._client = OpenAI(api_key="benchmark", base_url=f"{scheme}://127.0.0.1:{port}/v1")
        options: Any = {} if context is None else {"ssl": context}
        self._connection = self._client.realtime.connect(
            model="gpt-realtime", websocket_connection_options=options
        ).enter()
        self._connection.recv()
        if self._variant == "dispatch":
            self._connection.on(self._handled, self._handle)
            self._connection.on(MARK, self._stop)

    def ask(self) -> None:
        self._connection.input_audio_buffer.clear()
        if self._variant == "dispatch":
            try:
                self._connection.dispatch_events()
            except _Marked:
                return
        for event in self._connection:
            if event.type == self._handled:
                self._handle(event)
            elif event.type == MARK:
                return

    def append(self, pcm: bytes) -> None:
        self._connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode("ascii"))

    def follow(self, note: Callable[[str], object]) -> None:
        self._connection.on(TEXT_DELTA, lambda event: note(event.delta))
        threading.Thread(target=self._connection.dispatch_events, daemon=True).start()

    def close(self) -> None:
        self._connection.close()
        self._client.close()

    def _handle(self, event: Any) -> None:
        if event.delta and self.taken is not None:
            self.taken += 1

    def _stop(self, event: Any) -> None:
        raise _Marked
