"""Phone and WebRTC calls that the service holds: answer them, pass them on, end them, and listen in."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any

from rtsync.pure.endpoints import call_url
from rtsync.session.options import proxy_option, required_seconds, tls_context
from rtsync.session.session import RealtimeSession
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.settings import checked_text
from rtsync.vocabulary.targets import Azure, Target

__all__ = ["Call"]

_REFERABLE = ("tel:", "sip:", "sips:")


class Call:
    """A call that the service holds, by its id (protocol section 1.6).

    ::

        call = Call(Azure(deployment="gpt-realtime"), incoming.call_id)
        call.accept(instructions="You answer the phone of a bakery.")
        with call.session() as session:
            session.respond(instructions="Greet the caller.").wait()

    Each method is one request, repeated up to twice where the service says *later* (429, 5xx) or no connection came
    about, never when it may have been carried out unanswered.

    Args:
        target: an `OpenAI` or `Azure` target; its model or deployment is who takes the call.
        call_id: ``rtc_...``, from ``verify_webhook(...)`` or the ``Location`` of a WebRTC answer; left out for a target
            that is aimed at the call already.
        timeout: seconds for each request, retries and waits included.
        tls: an ``ssl.SSLContext``, or the path of a file with the authorities to trust.
        proxy: URL of an HTTP proxy; False for none; None to follow the environment.

    Raises:
        ConfigurationError: no call id, one that is not usable, or a target without calls. From the methods: an argument
            that is not what it must be, or a credential that is not usable.
        ServerError: from the methods: the service refused and explained itself (``.code``), e.g. as the call is over.
        ConnectFailed: from the methods, and its kinds ``ConnectTimeout``, ``AuthenticationFailed``, ``RateLimited`` and
            ``RedirectRefused``.

    Threads: every method may be called from any thread, and blocks it up to ``timeout``. A webhook has to be answered
    within seconds: accept there, and hold the session in a thread or task of its own.
    """

    def __init__(
        self,
        target: Target,
        call_id: str | None = None,
        *,
        timeout: float = 30.0,
        tls: ssl.SSLContext | str | os.PathLike[str] | None = None,
        proxy: str | bool | None = None,
    ) -> None:
        if not isinstance(target, Target):
            raise ConfigurationError(f"a call needs a target, OpenAI(...) or Azure(...), not {type(target).__name__}")
        self.target = target
        self.call_id = _call_id(target, call_id)
        self._timeout = required_seconds(timeout, "timeout")
        self._tls = tls_context(tls)
        self._proxy = proxy_option(proxy)
        call_url(target, self.call_id, "accept")  # Where there are no calls it says so now.

    def __repr__(self) -> str:
        return f"<Call {self.call_id}, {self.target.describe()}>"

    def accept(self, *, timeout: float | None = None, **session: Any) -> None:
        """Answer the call with a session of these fields; it rings, and the model takes over.

        Args:
            timeout: seconds; the call's where None, as in every method here.
            session: fields as of ``RealtimeSession.update``: ``instructions``, ``audio``, ``tools``. ``type`` and
                ``model`` are the target's where you leave them out. Azure asks for ``instructions``.

        Raises, Threads: see the class.
        """
        self._post("accept", _session(self.target, session), timeout)

    def reject(self, status_code: int | None = None, *, timeout: float | None = None) -> None:
        """Decline the call with a SIP status, e.g. 486 for busy; the service sends 603 (decline) where None.

        Raises, Threads: see the class.
        """
        self._post("reject", {} if status_code is None else {"status_code": _sip_status(status_code)}, timeout)

    def refer(self, target_uri: str, *, timeout: float | None = None) -> None:
        """Pass the call on (SIP REFER), to ``"tel:+15550100"`` or ``"sip:agent@example.com"``.

        Raises, Threads: see the class.
        """
        uri = checked_text(target_uri, "target_uri")
        if not uri.lower().startswith(_REFERABLE):
            raise ConfigurationError("target_uri must begin with tel: or sip:, e.g. tel:+15550100")
        self._post("refer", {"target_uri": uri}, timeout)

    def hangup(self, *, timeout: float | None = None) -> None:
        """End the call, whether over SIP or WebRTC.

        Raises, Threads: see the class.
        """
        self._post("hangup", None, timeout)

    def session(self, **options: Any) -> RealtimeSession:
        """A session beside the call (a sideband), not opened yet: it hears every event and may send its own.

        Args:
            options: of `RealtimeSession`; ``tls`` and ``proxy`` are the call's where you leave them out.

        Raises:
            ConfigurationError: an option is not what it must be, or the target offers no sideband.

        Threads: any; does not block.
        """
        aimed = self.target if self.target.call_id == self.call_id else self.target.for_call(self.call_id)
        return RealtimeSession(aimed, **{"tls": self._tls, "proxy": self._proxy, **options})

    def _post(self, action: str, body: Mapping[str, Any] | None, timeout: float | None) -> None:
        from rtsync.edges.rest import post  # It brings azure.core, which a session does not need.

        url = call_url(self.target, self.call_id, action)
        limit = seconds(timeout, "timeout", none="the call's") or self._timeout
        post(self.target, url, body, timeout=limit, accept="*/*", tls=self._tls, proxy=self._proxy)


def _call_id(target: Target, call_id: str | None) -> str:
    found = target.call_id if call_id is None else checked_text(call_id, "call_id")
    if found is None:
        raise ConfigurationError('a call has an id: pass Call(target, "rtc_..."), or a target made with for_call()')
    return found


def _session(target: Target, fields: Mapping[str, Any]) -> dict[str, Any]:
    session = {"type": "realtime", **({"model": target.model} if target.model else {}), **fields}
    if isinstance(target, Azure):
        for name in ("model", "instructions"):
            if name not in session:
                raise ConfigurationError(f"Azure takes a call only with {name}: accept({name}=...)")
    return session


def _sip_status(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 300 <= value <= 699:
        raise ConfigurationError(f"status_code must be a SIP status that declines, 300 to 699, not {value!r}")
    return value
