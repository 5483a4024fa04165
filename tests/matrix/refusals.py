"""The rows: what stands in the way of a session that is to be opened, and what it is called."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import email.utils
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import trustme

from rtsync import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectTimeout,
    OpenAI,
    RateLimited,
    RealtimeSession,
    RedirectRefused,
)
from tests.loopback import LIMIT, TEXT, Certificates, Peer, ScriptedServer, blackhole, frame, reserved_port
from tests.matrix.losses import KEY, QUOTA
from tests.session.service import error

__all__ = ["REFUSALS", "SHORT", "Credential", "Refusal", "reach"]

MODEL = {"code": "invalid_model", "message": 'Model "x" is not supported in realtime mode.'}

SHORT = 0.5
"""The `connect_timeout` of the rows in which it passes, in seconds."""

Script = Callable[[Peer], object]
Place = Callable[[int, Certificates | None], contextlib.AbstractContextManager[ScriptedServer | tuple[str, int]]]
"""Serves a port (0 for any), over TLS where there are certificates; yields what has the port."""


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A fault that keeps a session from being opened.

    Attributes:
        name: of the row.
        place: what listens where the server, or the proxy before it, should.
        kind, phases: what it is called; several phases where the kernel may be faster or slower.
        again: whether another attempt may succeed without any change: `ConnectFailed.retryable`.
        status: the HTTP status, where one came.
        late: it says nothing, so that `connect_timeout` has to pass.
        wait: `retry_after`, in seconds, at least and at most.
        over: what it is tried over: `ws`, `wss`, or `proxy`, where it stands in for a proxy.
    """

    name: str
    place: Place
    kind: type[ConnectFailed]
    phases: tuple[str, ...]
    again: bool
    status: int | None = None
    late: bool = False
    wait: tuple[float, float] | None = None
    over: tuple[str, ...] = ("ws",)

    def __str__(self) -> str:
        return self.name


class Credential:
    """A key that is given out when the test says so."""

    def __init__(self) -> None:
        self.asked, self.given = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.asked.set()
        assert self.given.wait(LIMIT)
        return "k"


def reach(port: int, over: str, certificates: Certificates, key: Any, **options: Any) -> RealtimeSession:
    """A session for `port`, or for a server behind the proxy there."""
    if over == "proxy":
        options["proxy"] = f"http://127.0.0.1:{port}"
    address = "https://api.example.test" if over == "proxy" else f"http{over[2:]}://127.0.0.1:{port}"
    return RealtimeSession(OpenAI(api_key=key, base_url=f"{address}/v1"), tls=certificates.client_context(), **options)


# -- places -----------------------------------------------------------------------------------------------------------


def _scripted(script: Script) -> Place:
    """Play `script` on a line that is up, TLS included."""
    return lambda port, certificates: ScriptedServer(
        script, port=port, tls=certificates.server_context() if certificates else None
    )


def _raw(script: Script) -> Place:
    """Play `script` on the bare socket, whatever the client takes it for."""
    return lambda port, _certificates: ScriptedServer(script, port=port)


@contextlib.contextmanager
def _nobody(port: int, _certificates: Certificates | None) -> Iterator[tuple[str, int]]:
    """A port where nobody listens."""
    with reserved_port(port) as unused:
        yield "127.0.0.1", unused


def _blackhole(port: int, _certificates: Certificates | None) -> contextlib.AbstractContextManager[tuple[str, int]]:
    return blackhole(port=port)


def _certified(context: Callable[[Certificates], ssl.SSLContext]) -> Place:
    """Serve with another certificate."""

    def place(port: int, certificates: Certificates | None) -> ScriptedServer:
        assert certificates is not None
        return ScriptedServer(Peer.accept, port=port, tls=context(certificates))

    return place


def _unknown(_certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def _expired(certificates: Certificates) -> ssl.SSLContext:
    return certificates.server_context("127.0.0.1", not_after=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))


def _for_another_host(certificates: Certificates) -> ssl.SSLContext:
    return certificates.server_context("other.example.test")


def _redirected(status: int, *, down: bool = False) -> Place:
    """Redirect to another host, where nobody may come; `down` to one without TLS."""

    @contextlib.contextmanager
    def place(port: int, certificates: Certificates | None) -> Iterator[ScriptedServer]:
        tls = certificates.server_context() if certificates else None
        with ScriptedServer(Peer.accept, host="127.0.0.2", tls=None if down else tls) as elsewhere:

            def redirect(peer: Peer) -> None:
                peer.refuse(status, "Elsewhere", [("Location", f"{elsewhere.url}/v1/realtime")])

            with ScriptedServer(redirect, port=port, tls=tls) as server:
                yield server
            assert elsewhere.connections == 0

    return place


# -- scripts ----------------------------------------------------------------------------------------------------------


def _refuse(status: int, retry_after: Callable[[], str] | None = None) -> Script:
    def script(peer: Peer) -> None:
        headers = [("Retry-After", retry_after())] if retry_after else []
        peer.refuse(status, "Refused", headers, '{"error": {"code": "because", "message": "Because."}}')

    return script


def _in_an_hour() -> str:
    return email.utils.formatdate(time.time() + 3600, usegmt=True)


def _turn_away(close_code: int, **fields: str) -> Script:
    """OpenAI's way of refusing: 101, an error, a close frame."""

    def script(peer: Peer) -> None:
        peer.accept()
        if fields:
            peer.send_json(error(**fields))
        peer.close(close_code)
        peer.expect_close(echo=False)

    return script


def _mid_handshake(peer: Peer) -> None:
    """The head of a TLS record that would hold a ServerHello, and a RST."""
    peer.wire.read_some()
    peer.send_raw(b"\x16\x03\x03\x00\x7a\x02")
    peer.reset()


def _mid_answer(peer: Peer) -> None:
    peer.read_request()
    peer.send_raw(b"HTTP/1.1 101 Switching Pro")
    peer.reset()


def _behind_the_answer(peer: Peer) -> None:
    peer.accept()
    peer.reset()


def _mid_greeting(peer: Peer) -> None:
    peer.accept()
    peer.send_raw(frame(TEXT, '{"type": "session.created"}')[:12])
    peer.reset()


def _upgrade_only(peer: Peer) -> None:
    peer.accept()
    peer.expect_close()


def _drip(peer: Peer) -> None:
    peer.accept(drip=0.05)


def _read_and_reset(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


def _hang(peer: Peer) -> None:
    peer.wait_until_released()


_BOTH, _WSS, _PROXY = ("ws", "wss"), ("wss",), ("proxy",)
_UPGRADE, _TLS, _SESSION, _AT_PROXY = ("upgrade",), ("tls",), ("session",), ("proxy",)
_EARLY, _LATE = ("tcp", "tls", "upgrade"), ("upgrade", "session")

# fmt: off
REFUSALS = [
    #       what happens                   how                            exception             where     again
    Refusal("nobody listens",              _nobody,                       ConnectFailed,        ("tcp",), True,
            over=_BOTH),
    Refusal("an address without answer",   _blackhole,                    ConnectTimeout,       ("tcp",), True,
            late=True, over=_BOTH),
    Refusal("reset before the handshake",  _raw(Peer.reset),              ConnectFailed,        _EARLY,   True,
            over=_BOTH),
    Refusal("reset during TLS",            _raw(_mid_handshake),          ConnectFailed,        _TLS,     True,
            over=_WSS),
    Refusal("no answer to TLS",            _raw(_hang),                   ConnectTimeout,       _TLS,     True,
            late=True, over=_WSS),
    Refusal("reset before the answer",     _scripted(_read_and_reset),    ConnectFailed,        _UPGRADE, True,
            over=_BOTH),
    Refusal("reset in the answer",         _scripted(_mid_answer),        ConnectFailed,        _UPGRADE, True,
            over=_BOTH),
    Refusal("no answer to the upgrade",    _scripted(_hang),              ConnectTimeout,       _UPGRADE, True,
            late=True, over=_BOTH),
    Refusal("an answer that drips",        _scripted(_drip),              ConnectTimeout,       _UPGRADE, True,
            late=True, over=_BOTH),
    Refusal("reset behind the answer",     _scripted(_behind_the_answer), ConnectFailed,        _LATE,    True,
            over=_BOTH),
    Refusal("reset in the greeting",       _scripted(_mid_greeting),      ConnectFailed,        _LATE,    True,
            over=_BOTH),
    Refusal("no greeting",                 _scripted(_upgrade_only),      ConnectTimeout,       _SESSION, True,
            late=True, over=_BOTH),

    Refusal("301 to another host",         _redirected(301),              RedirectRefused,      _UPGRADE, False, 301),
    Refusal("302 to another host",         _redirected(302),              RedirectRefused,      _UPGRADE, False, 302),
    Refusal("307 to another host",         _redirected(307),              RedirectRefused,      _UPGRADE, False, 307),
    Refusal("308 to another host",         _redirected(308),              RedirectRefused,      _UPGRADE, False, 308),
    Refusal("301 to ws://",                _redirected(301, down=True),   RedirectRefused,      _UPGRADE, False, 301,
            over=_WSS),
    Refusal("302 to ws://",                _redirected(302, down=True),   RedirectRefused,      _UPGRADE, False, 302,
            over=_WSS),
    Refusal("307 to ws://",                _redirected(307, down=True),   RedirectRefused,      _UPGRADE, False, 307,
            over=_WSS),
    Refusal("308 to ws://",                _redirected(308, down=True),   RedirectRefused,      _UPGRADE, False, 308,
            over=_WSS),

    Refusal("400",                         _scripted(_refuse(400)),       ConnectFailed,        _UPGRADE, False, 400),
    Refusal("401",                         _scripted(_refuse(401)),       AuthenticationFailed, _UPGRADE, False, 401),
    Refusal("403",                         _scripted(_refuse(403)),       AuthenticationFailed, _UPGRADE, False, 403),
    Refusal("404",                         _scripted(_refuse(404)),       ConnectFailed,        _UPGRADE, False, 404),
    Refusal("408",                         _scripted(_refuse(408)),       ConnectFailed,        _UPGRADE, True,  408),
    Refusal("429, wait some seconds",      _scripted(_refuse(429, lambda: "1")), RateLimited,   _UPGRADE, True,  429,
            wait=(1, 1)),
    Refusal("429, wait until a date",      _scripted(_refuse(429, _in_an_hour)), RateLimited,   _UPGRADE, True,  429,
            wait=(3500, 3600)),
    Refusal("500",                         _scripted(_refuse(500)),       ConnectFailed,        _UPGRADE, True,  500),
    Refusal("503",                         _scripted(_refuse(503)),       ConnectFailed,        _UPGRADE, True,  503),

    Refusal("wrong key, said behind 101",  _scripted(_turn_away(3000, **KEY)),   AuthenticationFailed, _SESSION, False),
    Refusal("wrong model, behind 101",     _scripted(_turn_away(4000, **MODEL)), ConnectFailed, _SESSION, False),
    Refusal("no quota, behind 101",        _scripted(_turn_away(4000, **QUOTA)), RateLimited, _SESSION, False),
    Refusal("trouble, behind 101",         _scripted(_turn_away(1011)),   ConnectFailed,        _SESSION, True),

    Refusal("an unknown certificate",      _certified(_unknown),          ConnectFailed,        _TLS,     False,
            over=_WSS),
    Refusal("an expired certificate",      _certified(_expired),          ConnectFailed,        _TLS,     False,
            over=_WSS),
    Refusal("another host's certificate",  _certified(_for_another_host), ConnectFailed,        _TLS,     False,
            over=_WSS),

    Refusal("a proxy that is not there",   _nobody,                       ConnectFailed,        ("tcp",), True,
            over=_PROXY),
    Refusal("a proxy that refuses",        _raw(_refuse(403)),            ConnectFailed,        _AT_PROXY, False, 403,
            over=_PROXY),
    Refusal("a proxy that has trouble",    _raw(_refuse(503)),            ConnectFailed,        _AT_PROXY, True, 503,
            over=_PROXY),
    Refusal("a proxy that hangs",          _raw(_hang),                   ConnectTimeout,       _AT_PROXY, True,
            late=True, over=_PROXY),
    Refusal("a proxy that wants a login",  _raw(_refuse(407)),            ConnectFailed,        _AT_PROXY, False, 407,
            over=_PROXY),
    Refusal("a proxy that resets",         _raw(_read_and_reset),         ConnectFailed,        _AT_PROXY, True,
            over=_PROXY),
]
# fmt: on
