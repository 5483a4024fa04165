"""A speaker whose work a test can wait for, and what the simulator is to say."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rtsync.devices import Heard, Speaker
from rtsync.edges.latch import Bell
from rtsync.simulator import Turn

LIMIT = 20.0  # seconds; reached only on failure


class WatchedSpeaker(Speaker):
    """Tells who waits for it when it was given something, and remembers what it was told to stop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.given = Bell()
        self.stops: list[tuple[Heard, ...]] = []

    def play(self, sound: bytes, **place: Any) -> None:
        super().play(sound, **place)
        self.given.ring()

    def finish(self, item_id: str | None = None, content_index: int = 0) -> None:
        super().finish(item_id, content_index)
        self.given.ring()

    def stop(self) -> tuple[Heard, ...]:
        told = super().stop()
        self.stops.append(told)
        self.given.ring()
        return told

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until the playing thread has done its work."""
        assert self.given.wait_until(true, LIMIT)

    def given_ms(self, item_id: str) -> int:
        return sum(part.given_ms for part in self.heard() if part.item_id == item_id)


class Lines:
    """A brain that says what it was given, and stays at the end of a line where it shall, until it is cut off."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self.said = threading.Semaphore(0)

    def give(self, text: str, *, stays: bool = False) -> None:
        self._lines.put((text, stays))

    def __call__(self, turn: Turn) -> Iterator[str]:
        text, stays = self._lines.get(timeout=LIMIT)
        yield text
        self.said.release()
        if stays:
            turn.cancelled.wait(LIMIT)
