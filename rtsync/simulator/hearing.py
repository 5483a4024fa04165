"""Words for sound: asks the ears, once for each item, for the transcript's events and for the brain."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from rtsync.simulator.brains import Cancellation
from rtsync.simulator.ears import Ears, EarsFailed
from rtsync.simulator.transcription import Recording

__all__ = ["Hearing"]

log = logging.getLogger("rtsync.simulator")


class Hearing:
    """What one session has heard.

    Args:
        ears: what listen.
        over: set when the session has ended.

    Threads: every method may be called from any thread. The ears listen on the thread that asks first, outside of
    every lock; others that ask for the same item wait for it.
    """

    def __init__(self, ears: Ears, over: Cancellation) -> None:
        self._ears = ears
        self._over = over
        self._claiming = threading.Lock()  # who is the first to ask
        self._heard: dict[tuple[str, int], Future[str]] = {}

    def words(self, recording: Recording) -> str:
        """What was said in it.

        Raises:
            Exception: whatever the ears raised.

        Threads: blocks as long as the ears do.
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
            future.set_result(recording.words(self._hear))
        except BaseException as error:
            if isinstance(error, EarsFailed):  # Where nobody asked for a transcript, no event tells of it.
                log.info("the simulator's ears: %s", error)
            future.set_exception(error)

    def _hear(self, pcm: bytes, sample_rate: int) -> str:
        return self._ears.hear(pcm, sample_rate, self._over)

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
