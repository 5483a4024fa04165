"""What arrives at a server when a session with a target is opened."""

from __future__ import annotations

from dataclasses import dataclass

from rtsync import RealtimeSession, Target
from tests.loopback import Request, ScriptedServer

__all__ = ["Arrival", "arrival", "request_of"]

_OF_THE_HANDSHAKE = frozenset({"host", "upgrade", "connection", "user-agent"})


@dataclass
class Arrival:
    """One request as it came: the target of its request line, and the headers that are not the handshake's own."""

    path: str
    headers: list[tuple[str, str]]


def arrival(target: Target, server: ScriptedServer) -> Arrival:
    """Open a session with `target`, which names `server`, and return what came there."""
    request = request_of(target, server)
    return Arrival(request.path, sorted(_ours(request)))


def request_of(target: Target, server: ScriptedServer) -> Request:
    """The whole request of a session with `target`, opened and closed again. No header comes twice."""
    with RealtimeSession(target):
        request = server.wait_for_connections(1)[-1].request
    names = [name.lower() for name, _ in request.header_list]
    assert len(names) == len(set(names)), names
    return request


def _ours(request: Request) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in request.header_list
        if name.lower() not in _OF_THE_HANDSHAKE and not name.lower().startswith("sec-websocket-")
    ]
