"""When was what was heard? Offsets into the user's audio, told in moments of our own clock.

Voice detection says where speech begins and ends as milliseconds of all audio appended on a line (protocol:
``speech_started``). Audio does not always flow at the speed of speech: a program pauses, or sends a file at once. So it
is noted when which byte went out, at most once in 20 ms, and an offset is looked up there.
"""

from __future__ import annotations

from collections import deque

__all__ = ["InputClock"]

_SPACING = 0.02  # seconds
_MOST_MARKS = 512  # 10 seconds at the least; speech that has just begun or ended is more recent


class InputClock:
    """The audio appended on one line, and when."""

    def __init__(self) -> None:
        self._total = 0
        self._marks: deque[tuple[int, float]] = deque(maxlen=_MOST_MARKS)  # Bytes before a moment, and the moment.
        self._marked = float("-inf")

    def append(self, audio: object, now: float) -> None:
        """``audio``, raw or in base64, goes out."""
        if now - self._marked >= _SPACING:
            self._marked = now
            self._marks.append((self._total, now))
        if type(audio) is bytes:
            self._total += len(audio)
        elif type(audio) is str:
            self._total += len(audio) * 3 // 4

    def moment(self, offset_ms: float, bytes_per_ms: float) -> float | None:
        """When the sound at ``offset_ms`` went out; None where that is not known: somebody else appended it."""
        position = offset_ms * bytes_per_ms
        if not self._marks or not 0 <= position <= self._total + _SPACING * 1000 * bytes_per_ms:
            return None
        until = float("inf")
        for start, moment in reversed(self._marks):
            if start <= position:
                return min(until, moment + (position - start) / bytes_per_ms / 1000)
            until = moment
        return until

    def __repr__(self) -> str:
        return f"InputClock({self._total} bytes)"
