"""rtsync as a program uses it: a whole session, its state keeping, checks and limits on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from benchmarks.peers import context_for
from benchmarks.traffic import MARK, TEXT_DELTA
from rtsync import OpenAI, RealtimeSession

__all__ = ["Client"]


class Client:
    """See ``benchmarks.peers.Peer``.

    Variants: ``handler`` and ``inline`` for one handler of the deltas, ``nothing`` for none, ``wait`` for a program
    without any handler, which waits for the end of the burst. The others have a handler for that.
    """

    def __init__(self, variant: str, handled: str) -> None:
        self.taken: int | None = 0 if variant in ("handler", "inline") else None
        self._variant = variant
        self._handled = handled
        self._marked = threading.Lock()  # Released at the mark.
        self._session: RealtimeSession | None = None

    def open(self, port: int, ca_file: str | None) -> None:
        context = context_for(ca_file)
        scheme = "http" if context is None else "https"
        target = OpenAI(model="gpt-realtime", api_key="benchmark", base_url=f"{scheme}://127.0.0.1:{port}/v1")
        self._session = RealtimeSession(
            target, tls=context, handlers="inline" if self._variant == "inline" else "thread"
        ).open()
        if self._variant != "wait":
            self._marked.acquire()
            self._session.on(MARK, lambda session, event: self._marked.release())
        if self.taken is not None:
            self._session.on(self._handled, self._handle)

    def ask(self) -> None:
        assert self._session is not None
        self._session.send({"type": "input_audio_buffer.clear"})
        if self._variant == "wait":
            self._session.wait_for(MARK, timeout=None)
        else:
            self._marked.acquire()

    def append(self, pcm: bytes) -> None:
        assert self._session is not None
        self._session.append_audio(pcm)

    def follow(self, note: Callable[[str], object]) -> None:
        assert self._session is not None
        self._session.on(TEXT_DELTA, lambda session, event: note(event.delta))

    def close(self) -> None:
        assert self._session is not None
        self._session.close()

    def _handle(self, session: Any, event: Any) -> None:
        if event.delta and self.taken is not None:
            self.taken += 1
