"""Everything rtsync raises, and why a session ends.

The tree answers first *who* has to act: you, they (the service), or the line between::

    RealtimeError
    ├── ConfigurationError      you: target, options or credentials missing or malformed
    ├── UsageError              you: a documented rule broken (waits for itself, forked)
    │   └── FellBehind          too many events came before a wait or a subscription took them
    ├── UnknownSession          you: no session of that id and owner in the directory
    ├── TooManySessions         you: a limit of the directory
    ├── ServerError             they: an ``error`` event
    ├── ResponseFailed          they: a response failed, incomplete or cut off
    ├── ProtocolError           they: not the protocol (bad frame, bad UTF-8, too large)
    ├── ConnectFailed           the line never opened
    │   ├── ConnectTimeout
    │   ├── AuthenticationFailed
    │   ├── RateLimited
    │   └── RedirectRefused
    ├── SessionClosed           the line ended
    │   ├── ConnectionLost
    │   └── SessionExpired
    ├── SendTimeout             the peer stopped reading; the connection is given up
    ├── BusUnavailable          the bus between web workers and those who hold sessions
    ├── DeviceFailed            the sound device: unplugged, or it stopped
    ├── ToolError               your tool: raised in it, for the model to read
    ├── ToolCancelled           your tool: nobody waits for it any longer
    ├── WebhookRefused          somebody: a webhook that is forged, stale or malformed
    └── WaitTimeout             a deadline passed; the session is still usable

Every error can be pickled (Celery and multiprocessing move them between processes): its data are
keyword arguments and attributes, and both travel. No message carries a credential, audio, or what was said in the
conversation. The service's own words on an error are quoted, without the credential where it echoes that, and every
message is one line of printable characters, whatever came over the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from rtsync.vocabulary.foreign import one_line

__all__ = [
    "AuthenticationFailed",
    "BusUnavailable",
    "CloseCause",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "DeviceFailed",
    "FellBehind",
    "ProtocolError",
    "RateLimited",
    "RealtimeError",
    "RedirectRefused",
    "ResponseFailed",
    "SendTimeout",
    "ServerError",
    "SessionClosed",
    "SessionExpired",
    "TooManySessions",
    "ToolCancelled",
    "ToolError",
    "UnknownSession",
    "UsageError",
    "WaitTimeout",
    "WebhookRefused",
    "passing_close",
    "rebuilt",
]


# What time may mend (protocol 1.3 and 6.2; RFC 9110 15.5 and 15.6).
_PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_PASSING_CLOSES = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014})


class CloseCause(StrEnum):
    """Why a session ended. Agrees with ``SessionClosed.cause`` and the ``session_closed`` signal."""

    USER = "user"
    """``close()`` was called, or the program ended."""
    SERVER = "server"
    """The service closed the WebSocket with a code of its own."""
    EXPIRED = "expired"
    """The service's maximum session duration passed."""
    NETWORK = "network"
    """Reset, end of stream without a close frame, silence, or a peer that stopped reading."""
    AUTHENTICATION = "authentication"
    """The credential was refused."""
    RATE_LIMIT = "rate_limit"
    """The service said: too many, or no quota."""
    PROTOCOL = "protocol"
    """The peer broke the WebSocket protocol or sent invalid UTF-8."""
    SIZE = "size"
    """A message was larger than ``max_message_size``."""
    OVERFLOW = "overflow"
    """The handlers fell so far behind that no more events could be queued for them (``on_overflow="close"``)."""
    BUDGET = "budget"
    """A limit of ``budget=Budget(...)`` was reached."""
    ABANDONED = "abandoned"
    """The session object was garbage-collected while open."""


class RealtimeError(Exception):
    """Base of everything rtsync raises: one ``except RealtimeError`` catches it all."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(one_line(message))
        self.__dict__.update(data)

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (type(self), str(self), dict(self.__dict__))


def rebuilt(cls: type[RealtimeError], message: str, data: Mapping[str, Any]) -> RealtimeError:
    """An error from its kind, message and data, as they travel between processes."""
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(data)
    return error


class ConfigurationError(RealtimeError, ValueError):
    """A target, an option or a credential is missing or malformed. The message names it and the fix."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class UsageError(RealtimeError, RuntimeError):
    """A documented rule was broken, e.g. a wait that could only wait for itself."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class FellBehind(UsageError):
    """Events that a wait or a subscription wants came so long before it took them that they are no longer kept.

    The session goes on.
    """


class UnknownSession(RealtimeError, LookupError):
    """The directory has no session of that id for that owner.

    It never was, it has ended and is no longer kept, or it is somebody else's: the error is the same, so that ids
    cannot be tried out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class TooManySessions(RealtimeError):
    """One more session would go beyond a limit of the directory.

    Attributes:
        limit: ``"owner"``, of one user; ``"all"``, of all together.
    """

    def __init__(self, message: str, *, limit: str = "") -> None:
        super().__init__(message, limit=limit)

    limit: str


class ServerError(RealtimeError):
    """An ``error`` event that answers something this program sent (protocol section 5.4).

    Attributes:
        type: kind of error, e.g. ``"invalid_request_error"``.
        code: the service's code, e.g. ``"unknown_parameter"``; None where it sends none.
        param: dotted path of the field concerned, or None.
        event_id: id of the client event that caused it, or None where the service left it out.
        request: type of the client event that caused it, e.g. ``"session.update"``, where known.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - the wire's own name
        code: str | None = None,
        param: str | None = None,
        event_id: str | None = None,
        request: str | None = None,
    ) -> None:
        super().__init__(message, type=type, code=code, param=param, event_id=event_id, request=request)

    type: str | None
    code: str | None
    param: str | None
    event_id: str | None
    request: str | None


class ResponseFailed(RealtimeError):
    """A response ended other than ``completed``: failed, incomplete, cancelled or cut off.

    Attributes:
        response: the response as last known, a plain dict in the shape of ``response.done``'s
            ``response`` (protocol section 5.1), or None where none had begun.
        status: ``"failed"``, ``"incomplete"``, ``"cancelled"``, or ``"lost"`` when the line ended first.
        reason: the service's reason or error code, e.g. ``"max_output_tokens"``, or None; ``"too_large"`` where it was
            larger than what rtsync keeps of a response, ``"no_audio"`` where audio was to be saved and there is none,
            ``"guarded"`` where a guard stopped it, of whatever status.
        text: the text (or transcript) received before the end.
    """

    def __init__(
        self,
        message: str,
        *,
        response: Mapping[str, Any] | None = None,
        status: str = "failed",
        reason: str | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message, response=response, status=status, reason=reason, text=text)

    response: Mapping[str, Any] | None
    status: str
    reason: str | None
    text: str


class ProtocolError(RealtimeError):
    """The peer did not speak the protocol.

    Attributes:
        close_code: WebSocket close code that answers it (1002, 1007, 1009), or None where the
            session goes on (a text frame that is not a JSON object).
    """

    def __init__(self, message: str, *, close_code: int | None = None) -> None:
        super().__init__(message, close_code=close_code)

    close_code: int | None


class ConnectFailed(RealtimeError, ConnectionError):
    """The line never opened.

    Attributes:
        phase: how far it came: ``"credential"``, ``"dns"``, ``"tcp"``, ``"proxy"``, ``"tls"``,
            ``"upgrade"`` or ``"session"`` (upgraded, then refused or silent); ``""`` where only the text has come from
            another process.
        status: HTTP status of a refusal, or None.
        headers: response headers, names in lower case; cookies are left out.
        request_id: the service's id of the request, for its support, or None.
        retry_after: seconds the service asked to wait, or None.
        code: the service's error code (``"invalid_model"``) or None.
        retryable: whether another attempt may succeed although nothing is changed.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str = "",
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        code: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(
            message,
            phase=phase,
            status=status,
            headers=dict(headers or {}),
            request_id=request_id,
            retry_after=retry_after,
            code=code,
            retryable=self._passes(phase, status, code) if retryable is None else retryable,
        )

    @classmethod
    def _passes(cls, phase: str, status: int | None, code: str | None) -> bool:
        """What is known from phase and answer alone: silence and trouble pass, refusals and bad TLS stay."""
        return status in _PASSING_STATUSES if status is not None else phase not in ("", "tls", "session")

    phase: str
    status: int | None
    headers: Mapping[str, str]
    request_id: str | None
    retry_after: float | None
    code: str | None
    retryable: bool


class ConnectTimeout(ConnectFailed, TimeoutError):
    """The one deadline over credential, DNS, TCP, proxy, TLS, upgrade and ``session.created`` passed."""

    @classmethod
    def _passes(cls, phase: str, status: int | None, code: str | None) -> bool:
        return True


class AuthenticationFailed(ConnectFailed):
    """The credential was refused: HTTP 401 or 403, or close code 3000 after the upgrade."""

    @classmethod
    def _passes(cls, phase: str, status: int | None, code: str | None) -> bool:
        return phase == "credential"  # Nobody refused it: what gives tokens was not to be reached.


class RateLimited(ConnectFailed):
    """HTTP 429, or a quota error after the upgrade. ``retry_after`` says how long to wait, where known."""

    @classmethod
    def _passes(cls, phase: str, status: int | None, code: str | None) -> bool:
        return code != "insufficient_quota"  # Which money mends, not time.


class RedirectRefused(ConnectFailed):
    """The server answered with a redirect. rtsync never follows one: it would carry the credential along."""

    @classmethod
    def _passes(cls, phase: str, status: int | None, code: str | None) -> bool:
        return False


class SessionClosed(RealtimeError, ConnectionError):
    """The session has ended; or, where it reconnects, the line ended before something was answered.

    Attributes:
        code: WebSocket close code (1005: none was sent, 1006: no close frame came), or None where the
            session never opened.
        reason: close reason text of the peer.
        cause: a ``CloseCause``.
        in_flight: types of client events that had been sent and not answered, oldest first.
        retryable: whether a new session may succeed although nothing is changed: the network, the service's
            maximum duration, and closes that pass (1001, 1005, 1006, 1011 to 1014; protocol 6.2).
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        reason: str = "",
        cause: CloseCause = CloseCause.SERVER,
        in_flight: Sequence[str] = (),
        retryable: bool | None = None,
    ) -> None:
        super().__init__(
            message,
            code=code,
            reason=reason,
            cause=cause,
            in_flight=tuple(in_flight),
            retryable=_passing(cause, code) if retryable is None else retryable,
        )

    code: int | None
    reason: str
    cause: CloseCause
    in_flight: tuple[str, ...]
    retryable: bool


def passing_close(code: int | None) -> bool:
    """Whether a server that closes with ``code`` may take a new connection (protocol 6.2)."""
    return code in _PASSING_CLOSES


def _passing(cause: CloseCause, code: int | None) -> bool:
    if cause is CloseCause.SERVER:
        return passing_close(code)
    return cause in (CloseCause.NETWORK, CloseCause.EXPIRED, CloseCause.RATE_LIMIT)


class ConnectionLost(SessionClosed):
    """The line broke: reset, end of stream, silence beyond the heartbeat, or a failed send."""


class SessionExpired(SessionClosed):
    """The service's maximum session duration passed (60 min on OpenAI, 30 min on Azure)."""


class SendTimeout(RealtimeError, TimeoutError):
    """The peer stopped reading and the frame could not be handed over in time. The connection is given up."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class WaitTimeout(RealtimeError, TimeoutError):
    """A wait's deadline passed; the session is still usable.

    Attributes:
        arrived: types of the events that did arrive while waiting, newest last, with repeats folded.
    """

    def __init__(self, message: str, *, arrived: Sequence[str] = ()) -> None:
        super().__init__(message, arrived=tuple(arrived))

    arrived: tuple[str, ...]


class BusUnavailable(RealtimeError, ConnectionError):
    """The bus cannot be reached, does not answer in time, or nobody takes from it. Another attempt may succeed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class DeviceFailed(RealtimeError):
    """A microphone or speaker that was open works no more: unplugged, or stopped by its system."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ToolError(RealtimeError):
    """Raise it in a tool to tell the model what went wrong: ``ToolError("there is no city of that name")``.

    The model is given the message; of any other exception it is told only that there was one. It goes to no log, and
    not to ``handler_failed``: it is an answer.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ToolCancelled(RealtimeError):
    """Nobody waits for this tool any longer: the user interrupted, its time is over, or the session ends.

    Raised in a tool by ``context.check()``. A tool that lets it through ends as cancelled.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class WebhookRefused(RealtimeError):
    """A webhook that is not to be acted on (protocol section 1.7): answer it with HTTP 400.

    Attributes:
        reason: ``"missing header"``; ``"stale"``, sent too long ago or in the future; ``"forged"``, the signature does
            not fit; ``"malformed"``, a header or the body is not what it must be; ``"replayed"``, a copy of one that
            was delivered (``rtsync.web.IncomingCalls``).
    """

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message, reason=reason)

    reason: str
