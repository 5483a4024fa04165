"""Client secrets: short-lived keys for a browser or an app, made with the key that stays on the server."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from typing import Any, NoReturn

from rtsync.pure.dialect import Memory, from_preview, to_preview
from rtsync.pure.endpoints import client_secret_url
from rtsync.session.options import proxy_option, required_seconds, tls_context
from rtsync.vocabulary.auth import Secret
from rtsync.vocabulary.errors import ConfigurationError, ProtocolError
from rtsync.vocabulary.events import Fields
from rtsync.vocabulary.targets import Target

__all__ = ["ClientSecret", "create_client_secret"]

_SHORTEST, _LONGEST = 10, 7200  # seconds, protocol 1.6

logger = logging.getLogger("rtsync.rest")


class ClientSecret:
    """A short-lived key that opens realtime sessions and nothing else. Shows itself to ``value`` only.

    Attributes:
        value: the key, ``ek_...``: hand it to whom it is for.
        expires_at: until when it opens sessions, in unix seconds; None where the service does not say. A session that
            runs outlives it.
        session: the session that it opens, as the service has completed it.
    """

    __slots__ = ("_secret", "expires_at", "session")

    def __init__(self, value: str, expires_at: int | None, session: Mapping[str, Any]) -> None:
        self._secret = Secret(value)
        self.expires_at = expires_at
        self.session = Fields(dict(session))

    @property
    def value(self) -> str:
        """The key itself."""
        return self._secret.reveal()

    def __repr__(self) -> str:
        return f"<ClientSecret that expires at {self.expires_at}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ClientSecret is never pickled: pass its .value on")


def create_client_secret(
    target: Target,
    *,
    session: Mapping[str, Any] | None = None,
    expires_after: int | None = None,
    timeout: float = 30.0,
    tls: ssl.SSLContext | str | os.PathLike[str] | None = None,
    proxy: str | bool | None = None,
) -> ClientSecret:
    """Ask the service for a key that a browser or an app may hold (protocol section 1.6).

    Args:
        target: an `OpenAI` or `Azure` target, aimed at a model, at transcription or at translation, which is what the
            secret opens.
        session: fields of the session that the secret opens, e.g. ``{"instructions": "Be brief."}``. ``type`` and
            ``model`` are the target's where you leave them out. A preview endpoint gets them in its own names.
        expires_after: seconds, 10 to 7200, in which it opens sessions; None for the service's choice (600, about 60 on
            a preview endpoint, which does not let you choose).
        timeout: seconds for everything: the credential, connecting, up to two retries where the service says *later*.
        tls: an ``ssl.SSLContext``, or the path of a file with the authorities to trust.
        proxy: URL of an HTTP proxy; False for none; None to follow the environment.

    Raises:
        ConfigurationError: an option is not what it must be, or the target offers no client secrets.
        ServerError: the service refused the session; ``.code`` and ``.param`` tell why.
        ConnectFailed: and its kinds ``ConnectTimeout``, ``AuthenticationFailed``, ``RateLimited`` and
            ``RedirectRefused``, with phase ``"rest"`` once the request was sent.
        ProtocolError: the answer holds no secret.

    Threads: any; blocks the caller up to ``timeout``.
    """
    from rtsync.edges.rest import post  # It brings azure.core, which a session does not need.

    if not isinstance(target, Target):
        raise ConfigurationError(
            f"a client secret needs a target, OpenAI(...) or Azure(...), not {type(target).__name__}"
        )
    reply = post(
        target,
        client_secret_url(target),
        _request(target, session, expires_after),
        timeout=required_seconds(timeout, "timeout"),
        tls=tls_context(tls),
        proxy=proxy_option(proxy),
    )
    return _from(reply.fields() or {})


def _request(target: Target, session: Mapping[str, Any] | None, expires_after: int | None) -> dict[str, Any]:
    if session is not None and not isinstance(session, Mapping):
        raise ConfigurationError(f"session must be a mapping of session fields, not {type(session).__name__}")
    fields = {**_of_target(target), **(session or {})}
    lifetime = _lifetime(expires_after)
    if target.dialect == "ga":
        return {**lifetime, "session": fields}
    if lifetime:
        raise ConfigurationError(
            "a preview endpoint gives secrets a minute and takes no wishes: leave expires_after off"
        )
    return _flat(fields)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The session as a preview endpoint knows it; what it does not know goes along, and is told of (protocol 7)."""
    event, notes = to_preview({"type": "session.update", "session": fields})
    for note in notes:
        logger.warning("%s", note)
    return dict(event["session"])


def _of_target(target: Target) -> dict[str, str]:
    named = {"type": target.session_type, "model": target.model}
    return {name: value for name, value in named.items() if value is not None}


def _lifetime(expires_after: object) -> dict[str, Any]:
    if expires_after is None:
        return {}
    if isinstance(expires_after, bool) or not isinstance(expires_after, int):
        raise ConfigurationError(f"expires_after must be a whole number of seconds, not {expires_after!r}")
    if not _SHORTEST <= expires_after <= _LONGEST:
        raise ConfigurationError(f"expires_after must be {_SHORTEST} to {_LONGEST} seconds, not {expires_after}")
    return {"expires_after": {"anchor": "created_at", "seconds": expires_after}}


def _from(answer: dict[str, Any]) -> ClientSecret:
    """GA names value, expiry and session side by side; the preview puts the secret into its flat session."""
    inside = answer.pop("client_secret", None)
    secret = answer if inside is None else inside
    value = secret.get("value") if isinstance(secret, dict) else None
    if not isinstance(value, str) or not value:
        raise ProtocolError("the service answered the request for a client secret with something else")
    session = answer.get("session") if inside is None else _nested(answer)
    expires_at = secret.get("expires_at")
    return ClientSecret(
        value,
        int(expires_at) if isinstance(expires_at, int | float) else None,
        session if isinstance(session, dict) else {},
    )


def _nested(session: dict[str, Any]) -> Any:
    (arrival,) = from_preview({"type": "session.created", "session": session}, Memory())
    return arrival.event["session"]
