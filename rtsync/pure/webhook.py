"""Webhooks of the service: whether one is genuine, and the call that it announces (protocol section 1.7).

The scheme is Standard Webhooks: an HMAC over id, time of sending and raw body. Nothing of the body is read before it is
known to be genuine, and every comparison of signatures takes the same time.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import math
import time
from collections.abc import Iterable
from typing import Any, Protocol

from rtsync.vocabulary.errors import ConfigurationError, ProtocolError, WebhookRefused
from rtsync.vocabulary.events import Event, decode
from rtsync.vocabulary.settings import setting

__all__ = ["HeaderItems", "IncomingCall", "delivery_of", "verify_webhook"]

_INCOMING_CALL = "realtime.call.incoming"
_ENCODED_SECRET = "whsec_"
_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


class HeaderItems(Protocol):
    """Headers as any framework has them: a dict, or what Flask, Django and ``http.server`` call ``headers``."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


class IncomingCall(Event):
    """``realtime.call.incoming``: a phone call that waits to be accepted or rejected.

    An `Event` over exactly what came (``to_dict()``, ``event.data``), with its documented fields at hand.

    Attributes:
        id: id of the event, the same in every repetition of it.
        created_at: when the call came in, in unix seconds; None where the service left it out.
        call_id: names the call in ``Call(target, call_id)`` and ``target.for_call(call_id)``.
        sip_headers: names and values of the SIP headers in their order, with repeats; the service strips those that
            authenticate.
        sip_media_security: ``"rtp"`` or ``"srtp"``, None where the service left it out.
    """

    __slots__ = ()

    @property
    def id(self) -> str:
        """Id of the event, the same in every repetition of it."""
        return str(self._data.get("id", ""))

    @property
    def created_at(self) -> int | None:
        """When the call came in, in unix seconds."""
        value = self._data.get("created_at")
        return value if isinstance(value, int) else None

    @property
    def call_id(self) -> str:
        """Id of the call."""
        return str(self._data["data"]["call_id"])

    @property
    def sip_headers(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the SIP headers in their order, with repeats."""
        found = self._data["data"].get("sip_headers")
        entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
        pairs = ((entry.get("name"), entry.get("value")) for entry in entries)
        return tuple((name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str))

    @property
    def sip_media_security(self) -> str | None:
        """``"rtp"`` or ``"srtp"``, None where the service left it out."""
        value = self._data["data"].get("sip_media_security")
        return value if isinstance(value, str) else None

    def sip_header(self, name: str) -> str | None:
        """The first SIP header called ``name``, in upper or lower case; None where there is none."""
        return next((value for found, value in self.sip_headers if found.lower() == name.lower()), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return IncomingCall, (self._data, self.wire_type)


def verify_webhook(
    body: bytes,
    headers: HeaderItems,
    secret: str | None = None,
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> Event:
    """The event in a webhook request, if the service has sent it, just now, and nobody has changed it.

    A webhook may come twice: remember ``webhook-id`` (or ``event.id``) where that would hurt.

    Args:
        body: the raw body of the request, before any framework has parsed it.
        headers: the headers of the request; names in upper or lower case.
        secret: the endpoint's signing secret, ``whsec_...`` or raw; ``OPENAI_WEBHOOK_SECRET``.
        tolerance: seconds by which the time of sending may differ from ``now``, either way.
        now: unix time; None for this machine's clock.

    Returns:
        An `IncomingCall`; for any other type of event a plain `Event` (look at ``event.type``).

    Raises:
        WebhookRefused: with ``.reason``: answer 400, and do nothing.
        ConfigurationError: no secret, one that is not usable, or a body that is not raw.

    Threads: any; never blocks.
    """
    key = _key(secret)
    _check_tolerance(tolerance)
    raw = _raw(body)
    found = _signing_headers(headers)
    _check_time(found["webhook-timestamp"], time.time() if now is None else now, tolerance)
    _check_signature(found, raw, key)
    return _event(raw)


def delivery_of(headers: HeaderItems) -> str:
    """What tells one delivery of a verified webhook from every other one.

    A webhook that is delivered again has its id, and the time of that attempt (Standard Webhooks): only who knows the
    secret can have signed that. What has both is a copy.

    Raises ``WebhookRefused``, as of ``verify_webhook``. Threads: any; never blocks.
    """
    found = _signing_headers(headers)
    return f"{found['webhook-id']}.{found['webhook-timestamp']}"


def _key(secret: str | None) -> bytes:
    found = setting("secret=", secret, "OPENAI_WEBHOOK_SECRET")
    if found is None:
        raise ConfigurationError(
            "a webhook is verified with its endpoint's signing secret: pass secret=... or set OPENAI_WEBHOOK_SECRET"
        )
    if not found.text.startswith(_ENCODED_SECRET):
        return found.text.encode()
    try:
        key = base64.b64decode(found.text.removeprefix(_ENCODED_SECRET), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigurationError(f"{found.named} begins with whsec_ and goes on as no base64 does: copy it again")
    return key


def _check_tolerance(tolerance: object) -> None:
    # Not a timeout: years are fine, for webhooks that were kept.
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise ConfigurationError(f"tolerance must be a number of seconds, 0 or more, not {tolerance!r}")


def _raw(body: object) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise ConfigurationError(
        f"a webhook is verified by its raw body, not by {type(body).__name__}: pass request.get_data() (Flask) or "
        "request.body (Django)"
    )


def _signing_headers(headers: HeaderItems) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        lowered = str(name).lower()
        if lowered in _NAMES and found.setdefault(lowered, value) != value:
            raise WebhookRefused(f"the webhook has two headers {lowered} that differ", reason="malformed")
    for name in _NAMES:
        if not found.get(name):
            raise WebhookRefused(f"the webhook has no header {name}", reason="missing header")
        if not isinstance(found[name], str):
            raise WebhookRefused(f"the webhook's header {name} is not text", reason="malformed")
    return found


def _check_time(timestamp: str, now: float, tolerance: float) -> None:
    # int() also reads spaces, underscores and digits of other scripts, and more digits than anyone has time for.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise WebhookRefused("webhook-timestamp is not a number of seconds", reason="malformed")
    age = int(now) - int(timestamp)
    if abs(age) > tolerance:
        when = f"{age} s ago" if age > 0 else f"{-age} s in the future"
        raise WebhookRefused(
            f"the webhook was sent {when}, {tolerance:g} s are allowed: a replay, or a clock that is wrong",
            reason="stale",
        )


def _check_signature(found: dict[str, str], raw: bytes, key: bytes) -> None:
    try:
        signed = f"{found['webhook-id']}.{found['webhook-timestamp']}.".encode() + raw
    except UnicodeEncodeError:
        raise WebhookRefused("webhook-id holds half a character", reason="malformed") from None
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = [part.removeprefix("v1,").encode("utf-8", "replace") for part in found["webhook-signature"].split()]
    if not any(hmac.compare_digest(expected, each) for each in given):
        raise WebhookRefused(
            "the webhook's signature does not fit: it is forged, was changed on its way (a body that was parsed and "
            "written anew?), or belongs to another endpoint's secret",
            reason="forged",
        )


def _event(raw: bytes) -> Event:
    event = None
    with contextlib.suppress(ProtocolError, UnicodeDecodeError):  # Its text is the body: it must not be the context.
        event = decode(raw)
    if event is None:
        raise WebhookRefused("the webhook's body is not a JSON object", reason="malformed")
    if not event.type:
        raise WebhookRefused("the webhook's body has no type", reason="malformed")
    if event.type != _INCOMING_CALL:
        return event
    call = event.to_dict()
    data = call.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("call_id"), str) or not data["call_id"]:
        raise WebhookRefused(f"{_INCOMING_CALL} came without data.call_id", reason="malformed")
    return IncomingCall(call)
