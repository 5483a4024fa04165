"""What the end of a line means for the session: which exception its waiters get.

Two kinds of refusal become one (protocol 1.2): Azure refuses in the upgrade, with an HTTP status; OpenAI upgrades,
sends an ``error`` event and closes with 3000 or 4000 in the same millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    RateLimited,
    SessionClosed,
    SessionExpired,
    passing_close,
)

__all__ = ["closed", "refused"]

_QUOTA_CODES = frozenset({"insufficient_quota", "rate_limit_exceeded", "rate_limit_reached", "too_many_requests"})
_KEY_CODES = frozenset({"invalid_api_key", "unauthorized", "invalid_issuer"})
_HINTS = {
    AuthenticationFailed: "check the key or token, and that it belongs to this endpoint",
    RateLimited: "wait, or raise the quota",
}
_MODEL_HINTS = {
    "invalid_model": "give a realtime model",
    "missing_model": "give a model",
    "model_not_found": "the project may not use this model, or its name is misspelt",
    "beta_api_shape_disabled": "do not send OpenAI-Beta: realtime=v1",
}


def refused(
    error: Mapping[str, Any] | None, code: int | None, reason: str, headers: Mapping[str, str] | None = None
) -> ConnectFailed:
    """A session that was upgraded and then closed before it began.

    Args:
        error: the ``error`` object of the last ``error`` event, if one came.
        code: close code.
        reason: close reason, ``<error.type>.<error.code>`` on OpenAI.
        headers: response headers of the upgrade.
    """
    details = error or {}
    error_code = details.get("code")
    error_code = error_code if isinstance(error_code, str) else _code_in(reason)
    kind = _kind(error_code, code)
    said = details.get("message")
    said = said if isinstance(said, str) and said else f"close code {code} {reason}".rstrip()
    hint = _MODEL_HINTS.get(error_code or "") or _HINTS.get(kind)
    message = f"the service refused the session: {said.rstrip('.')}"
    found = headers or {}
    return kind(
        f"{message}. {hint[0].upper()}{hint[1:]}" if hint else message,
        phase="session",
        headers=found,
        request_id=found.get("x-request-id") or found.get("apim-request-id") or found.get("cf-ray"),
        code=error_code,
        retryable=passing_close(code) and error_code not in _MODEL_HINTS if kind is ConnectFailed else None,
    )


def _code_in(reason: str) -> str | None:
    """The code in ``<type>.<code>``; the type alone, prose and nothing have none."""
    return None if " " in reason else reason.partition(".")[2] or None


def _kind(error_code: str | None, close_code: int | None) -> type[ConnectFailed]:
    if close_code == 3000 or error_code in _KEY_CODES:
        return AuthenticationFailed
    return RateLimited if error_code in _QUOTA_CODES else ConnectFailed


def closed(
    *,
    code: int | None,
    reason: str,
    cause: CloseCause,
    message: str,
    error: Mapping[str, Any] | None = None,
    in_flight: Sequence[str] = (),
) -> SessionClosed:
    """A session that had begun.

    Args:
        code: close code; 1006 where no close frame came.
        reason: the peer's reason.
        cause: what the line knows of the cause.
        message: what the line says of it.
        error: the ``error`` object of the last ``error`` event if that told of the session's end.
        in_flight: types of client events without an answer.
    """
    details = error or {}
    final = _cause(cause, code, reason, details.get("code"))
    said = details.get("message") if final not in (CloseCause.USER, CloseCause.OVERFLOW) else None
    text = f"{message}: {said}" if isinstance(said, str) and said else message
    if in_flight:
        text += f" (unanswered: {', '.join(in_flight[:5])}{', ...' if len(in_flight) > 5 else ''})"
    kind = _CLASSES.get(final, SessionClosed)
    for_good = details.get("code") == "insufficient_quota"  # Which money mends, not time.
    return kind(text, code=code, reason=reason, cause=final, in_flight=in_flight, retryable=False if for_good else None)


def _cause(cause: CloseCause, code: int | None, reason: str, error_code: object) -> CloseCause:
    if cause is not CloseCause.SERVER:
        return cause
    if error_code == "session_expired" or "maximum duration" in reason:
        return CloseCause.EXPIRED
    if code == 3000:
        return CloseCause.AUTHENTICATION
    return CloseCause.RATE_LIMIT if isinstance(error_code, str) and error_code in _QUOTA_CODES else cause


_CLASSES: dict[CloseCause, type[SessionClosed]] = {
    CloseCause.NETWORK: ConnectionLost,
    CloseCause.EXPIRED: SessionExpired,
}
