"""Which errors a task is worth being run again for, and when."""

from __future__ import annotations

import random

from rtsync.vocabulary.errors import BusUnavailable, ConnectFailed, ResponseFailed, SendTimeout, ServerError

__all__ = ["retry_delay"]

_PASSING_REASONS = frozenset({"rate_limit_exceeded", "server_error"})  # protocol 5.1 and 5.4


def retry_delay(
    error: BaseException, attempt: int, *, first_delay: float = 2.0, longest_delay: float = 300.0
) -> float | None:
    """Seconds until a task that ended with ``error`` is to be run again, or None where that would not help.

    What passes: errors that are ``retryable`` (a broken network, HTTP 408, 425, 429 and 5xx, a service that restarts, a
    session's maximum duration), ``SendTimeout``, ``BusUnavailable``, and responses that fail with
    ``rate_limit_exceeded``, ``server_error`` or because the line was lost. What does not: refusals, mistakes,
    ``WaitTimeout``, and everything that is not rtsync's.

    Args:
        error: how the task ended.
        attempt: number of the attempt to come, from 1: ``self.request.retries + 1``.
        first_delay: seconds before the first one; doubled for each further one, and shortened by up to a half at
            random, so that many tasks do not come back at once. ``retry_after``, which the service asked for, makes it
            longer, whatever it is.
        longest_delay: seconds that doubling ends at.
    """
    if not _passes(error):
        return None
    asked = error.retry_after if isinstance(error, ConnectFailed) else None
    doubled = min(longest_delay, first_delay * 2.0 ** min(attempt - 1, 32))
    return max(asked or 0.0, doubled * random.uniform(0.5, 1.0))


def _passes(error: BaseException) -> bool:
    match error:
        case ResponseFailed():
            return error.status == "lost" or error.reason in _PASSING_REASONS
        case ServerError():
            return error.type in _PASSING_REASONS or error.code in _PASSING_REASONS
        case SendTimeout() | BusUnavailable():
            return True
        case _:
            return bool(getattr(error, "retryable", False))
