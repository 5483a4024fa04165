"""Words for sound: runs the transcriber, once for each item, for the transcript's events and for the brain."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from rtsync.simulator.transcription import Recording, Transcriber

__all__ = ["Hearing"]


class Hearing:
    """What one session has heard.

    Threads: every method may be called from any thread. The transcriber runs on the thread that asks first, outside of
    every lock; others that ask for the same item wait for it.
    """

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber
        self._claiming = threading.Lock()  # who is the first to ask
        self._heard: dict[tuple[str, int], Future[str]] = {}

    def words(self, recording: Recording) -> str:
        """What was said in it.

        Raises:
            Exception: whatever the transcriber raised.

        Threads: blocks as long as the transcriber does.
        """
        key = (recording.item_id, recording.content_index)
        with self._claiming:
            first = key not in self._heard
            future = self._heard.setdefault(key, Future())
        if first:
            self._listen(recording, future)
        return future.result()

    def _listen(self, recording: Recording, future: Future[str]) -> None:
        try:
            future.set_result(recording.words(self._transcriber))
        except BaseException as error:
            future.set_exception(error)

    def with_words(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """``item`` with a transcript for each part that has only sound; one that cannot be heard stays as it is."""
        for index, part in enumerate(item.get("content", [])):
            if part["type"] == "input_audio" and part.get("audio") and not part.get("transcript"):
                part["transcript"] = self._words_of(item["id"], index, part)
        return item

    def _words_of(self, item_id: str, index: int, part: Mapping[str, Any]) -> str | None:
        try:
            return self.words(Recording(item_id, index, part["audio"], part["format"]))
        except Exception:  # The transcription's own events tell of it, if anybody asked for them.
            return None
