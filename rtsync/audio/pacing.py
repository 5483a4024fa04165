"""When sound is due that is sent as if it were being said now."""

from __future__ import annotations

__all__ = ["LONGEST_CATCH_UP_S", "Pacer"]

LONGEST_CATCH_UP_S = 1.0
"""Seconds by which sound may be late and is still caught up with, all at once."""


class Pacer:
    """Due times on one clock: what lies ``position_ms`` behind the beginning is due at ``start + position_ms / speed``.

    Nothing adds up from one piece to the next, so an hour ends when an hour is over. After a stall what is overdue is
    due at once, as a network that was stuck delivers it, but no more than ``LONGEST_CATCH_UP_S`` of it: the rest of a
    longer stall moves everything that follows.

    Args:
        start: seconds, on whatever clock ``delay`` is asked by.
        speed: 1.0 is real time, 2.0 twice as fast.
    """

    def __init__(self, start: float, speed: float = 1.0) -> None:
        self._start = start
        self._speed = speed

    def delay(self, position_ms: float, now: float) -> float:
        """Seconds from ``now`` until what begins at ``position_ms`` is due; 0.0 where it is overdue."""
        due = self._start + position_ms / 1000 / self._speed
        self._start += max(0.0, now - due - LONGEST_CATCH_UP_S)
        return max(0.0, due - now)
