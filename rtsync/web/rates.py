"""How often something may be done: token buckets, one for each who does it, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final

__all__ = ["MOST_KNOWN", "Bucket", "Rates"]

MOST_KNOWN: Final = 10_000
"""Whose rates are remembered; those who were not seen for the longest are forgotten first."""


class Bucket:
    """A token bucket.

    Threads: one at a time.
    """

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate, self._most, self._left, self._at = rate, most, most, now

    def take(self, amount: float, now: float) -> float:
        """0 where ``amount`` was there and is taken; else after how many seconds it will be."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
        self._at = max(now, self._at)
        if amount <= self._left:
            self._left -= amount
            return 0.0
        return max(0.001, (amount - self._left) / self._rate)


class Rates:
    """A bucket for each name.

    Args:
        rate: a second.
        most: at once.

    Threads: any.
    """

    def __init__(self, rate: float, most: float) -> None:
        self._rate, self._most = rate, most
        self._buckets_lock = threading.Lock()  # Guards _buckets, and what is in them.
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, name: str) -> float:
        """0 where it may be done once more; else after how many seconds it may."""
        now = time.monotonic()
        with self._buckets_lock:
            bucket = self._buckets.setdefault(name, Bucket(self._rate, self._most, now))
            self._buckets.move_to_end(name)
            if len(self._buckets) > MOST_KNOWN:
                self._buckets.popitem(last=False)
            return bucket.take(1.0, now)
