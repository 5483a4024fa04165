"""How much was heard: what a device was given, less what it has not yet made sound of."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

__all__ = ["Playhead"]

Part = TypeVar("Part", bound=Hashable)


class Playhead(Generic[Part]):
    """Counts samples by part.

    Args:
        sample_rate: Hz, of the device.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._handed: dict[Part, int] = {}
        self._beginnings: deque[tuple[Part, float]] = deque()  # Not told of: when the first sample is heard.
        self._ends: dict[Part, float] = {}  # When the last sample so far is heard.
        self._sounding: deque[tuple[Part, int, float]] = deque()  # part, samples, when the first of them is heard

    def hand(self, spans: Iterable[tuple[Part, int]], starts_at: float) -> None:
        """The device was given these, one after the other, and the first is heard at ``starts_at``."""
        while self._sounding and self._end_of(self._sounding[0]) <= starts_at:
            self._sounding.popleft()
        for part, count in spans:
            if part not in self._handed:
                self._beginnings.append((part, starts_at))
            self._handed[part] = self._handed.get(part, 0) + count
            self._sounding.append((part, count, starts_at))
            starts_at += count / self._rate
            self._ends[part] = starts_at

    def heard(self, part: Part, now: float) -> int:
        """Samples of ``part`` that have sounded."""
        waiting = sum(self._waiting(span, now) for span in self._sounding if span[0] == part)
        return self._handed.get(part, 0) - waiting

    def begun(self, now: float) -> list[tuple[Part, float]]:
        """The parts that have begun to sound, and when; each once."""
        told = []
        while self._beginnings and self._beginnings[0][1] <= now:
            told.append(self._beginnings.popleft())
        return told

    def end_of(self, part: Part) -> float:
        """The moment at which what was handed over of ``part`` has been heard."""
        return self._ends[part]

    def is_silent(self, now: float) -> bool:
        """Whether nothing that was handed over is still to be heard."""
        return not any(self._waiting(span, now) for span in self._sounding)

    def stop(self, now: float) -> None:
        """What has not sounded yet is taken for never heard."""
        for span in self._sounding:
            self._handed[span[0]] -= self._waiting(span, now)
        self._sounding.clear()
        self._beginnings.clear()

    def forget(self, part: Part) -> None:
        """Nobody will ask for ``part`` any more."""
        self._handed.pop(part, None)
        self._ends.pop(part, None)
        self._sounding = deque(span for span in self._sounding if span[0] != part)

    def _end_of(self, span: tuple[Part, int, float]) -> float:
        return span[2] + span[1] / self._rate

    def _waiting(self, span: tuple[Part, int, float], now: float) -> int:
        sounded = round((now - span[2]) * self._rate)
        return span[1] - max(0, min(span[1], sounded))
