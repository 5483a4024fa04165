"""What a page is told of an error: an HTTP status, and an event."""

from __future__ import annotations

from typing import Any

from rtsync.vocabulary.errors import (
    BusUnavailable,
    RealtimeError,
    SessionClosed,
    TooManySessions,
    UnknownSession,
    UsageError,
    WebhookRefused,
)
from rtsync.web.gate import Refused

__all__ = ["error_event", "status_of"]

# The first that fits. What is not here is a matter of the service or of the application, and told in no detail.
_TOLD: tuple[tuple[type[RealtimeError], int, str], ...] = (
    (UnknownSession, 404, "unknown_session"),
    (SessionClosed, 410, "session_closed"),
    (TooManySessions, 429, "too_many_sessions"),
    (UsageError, 400, "malformed"),
    (WebhookRefused, 400, "webhook_refused"),
)


def status_of(error: RealtimeError) -> int:
    """The HTTP status to answer a page with.

    That of a ``Refused``; 404 for ``UnknownSession``, 410 for ``SessionClosed``, 429 for ``TooManySessions``, 400 for
    ``UsageError`` and ``WebhookRefused``, 503 for ``BusUnavailable``, and 502 for what else the
    service or the line to it has said.
    """
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, BusUnavailable):
        return 503
    return next((status for kind, status, _ in _TOLD if isinstance(error, kind)), 502)


def error_event(error: RealtimeError) -> dict[str, Any]:
    """An ``error`` event (protocol 5.4) for the page.

    It says what the page can do something about. What went wrong between the application and the service names hosts
    and accounts, and is told as ``"unavailable"`` only.
    """
    if isinstance(error, Refused):
        return error.event()
    for kind, _, code in _TOLD:
        if isinstance(error, kind):
            return _event("invalid_request_error", code, str(error))
    return _event("server_error", "unavailable", "the service is out of reach; try again later")


def _event(kind: str, code: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "code": code, "message": message, "param": None}}
