"""An HTTP proxy that understands CONNECT, remembers what it was asked, and may refuse or keep silent."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping

from tests.loopback.peer import Peer, Request
from tests.loopback.server import ScriptedServer
from tests.loopback.wire import PeerGone, Wire

__all__ = ["RecordingProxy"]


class RecordingProxy(ScriptedServer):
    """A context manager like `ScriptedServer`, whose script is to be a proxy.

    Args:
        credentials: (user, password) that must come in `Proxy-Authorization`; without them the answer is 407.
        mute: accept the connection, read the request and never answer.
        routes: where an authority (`"api.openai.com:443"`) really leads, as (host, port); others are taken literally.
        tls: a server context for a proxy that is itself reached over TLS.
        port: 0 for any free one.
    """

    def __init__(
        self,
        *,
        credentials: tuple[str, str] | None = None,
        mute: bool = False,
        routes: Mapping[str, tuple[str, int]] | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(self._serve, tls=tls, port=port)
        self._expected = None if credentials is None else _basic(*credentials)
        self._mute = mute
        self._routes = dict(routes or {})
        self.requests: list[Request] = []
        """Every request that came, in order."""

    @property
    def targets(self) -> list[str]:
        """The authority that each request named."""
        return [request.path for request in self.requests]

    def _serve(self, peer: Peer) -> None:
        request = peer.read_request()
        self.requests.append(request)
        if self._mute:
            peer.wait_until_released()
        elif request.method != "CONNECT":
            peer.refuse(405, "Method Not Allowed", [("Allow", "CONNECT")])
        elif self._expected not in (None, request.headers.get("proxy-authorization")):
            peer.refuse(407, "Proxy Authentication Required", [("Proxy-Authenticate", 'Basic realm="loopback"')])
        else:
            self._tunnel(peer, request.path)

    def _tunnel(self, peer: Peer, authority: str) -> None:
        host, _colon, port = authority.rpartition(":")
        try:
            sock = socket.create_connection(self._routes.get(authority, (host.strip("[]"), int(port))))
        except OSError as exc:
            peer.refuse(502, "Bad Gateway", body=str(exc))
            return
        upstream = Wire(sock)
        peer.send_raw(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(
            target=_relay, args=(upstream, peer.wire), name=f"loopback-{self.port}-relay-{peer.number}", daemon=True
        )
        back.start()
        try:
            _relay(peer.wire, upstream)
        finally:
            back.join()
            upstream.close()


def _relay(source: Wire, sink: Wire) -> None:
    """Copy until either end is gone, then pass the end on to both."""
    with contextlib.suppress(PeerGone, OSError):
        while data := source.read_some():
            sink.write(data)
    sink.interrupt()
    source.interrupt()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
