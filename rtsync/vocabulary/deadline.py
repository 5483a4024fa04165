"""One timeout spent over several steps."""

from __future__ import annotations

import math
import time

from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["Deadline", "seconds"]

_LONGEST = 2_000_000.0  # seconds, 23 days: poll() counts milliseconds in 31 bits, and locks have limits of their own


class Deadline:
    """A moment on the monotonic clock by which several steps together must be done.

    ``Deadline(None)`` never passes. ``since`` is when the time began, on the monotonic clock; now, where None.
    """

    __slots__ = ("at", "timeout")

    def __init__(self, timeout: float | None, since: float | None = None) -> None:
        self.timeout = timeout
        self.at = None if timeout is None else (time.monotonic() if since is None else since) + timeout

    def remaining(self, at_most: float | None = None) -> float | None:
        """Seconds left, never below 0 nor above ``at_most``; None when there is no limit at all."""
        if self.at is None:
            return at_most
        left = max(0.0, self.at - time.monotonic())
        return left if at_most is None else min(left, at_most)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.at is not None and time.monotonic() >= self.at

    def __repr__(self) -> str:
        left = self.remaining()
        return "Deadline(None)" if left is None else f"Deadline({left:.3f} s left)"


def seconds(value: object, name: str, *, none: str | None = None, zero: bool = False) -> float | None:
    """``value`` as a number of seconds, checked.

    Args:
        value: what the caller passed.
        name: option name for the message.
        none: what None means for this option; None is refused where this is not given.
        zero: whether 0 is allowed.

    Returns:
        The number; one that is longer than operating systems can sleep becomes the longest that they can, 23 days.

    Raises:
        ConfigurationError: not a finite positive number.
    """
    if (type(value) is float or type(value) is int) and 0 < value <= _LONGEST:  # As almost always.
        return float(value)
    if value is None and none is not None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        hint = f", or None ({none})" if none else ""
        raise ConfigurationError(f"{name} must be a number of seconds{hint}, not {value!r}")
    if value < 0 or (value == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise ConfigurationError(f"{name} must be {least} seconds, not {value!r}")
    return float(min(value, _LONGEST))


def _is_finite(value: int | float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # An int beyond every float is finite too.
