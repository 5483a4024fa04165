"""What arrives at a server when a target is connected to."""

from __future__ import annotations

from dataclasses import dataclass

import websocket

from rtsync.edges.credentials import authorization
from rtsync.vocabulary.targets import Target
from tests.loopback import LIMIT, Request, ScriptedServer

__all__ = ["Arrival", "arrival"]

_OF_THE_HANDSHAKE = frozenset({"host", "upgrade", "connection", "origin", "user-agent"})


@dataclass
class Arrival:
    """One request as it came: the target of its request line, and the headers that are not the handshake's own."""

    path: str
    headers: list[tuple[str, str]]


def arrival(target: Target, server: ScriptedServer) -> Arrival:
    """Connect to `target`, which names `server`, and return what came there."""
    _connect(target)
    request = server.wait_for_connections(1)[-1].request
    return Arrival(request.path, sorted(_ours(request)))


def _connect(target: Target) -> None:
    line = websocket.create_connection(
        target.url, header={**target.headers, **authorization(target)}, timeout=LIMIT, suppress_origin=True
    )
    try:
        line.recv()
    finally:
        line.close()


def _ours(request: Request) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in request.header_list
        if name.lower() not in _OF_THE_HANDSHAKE and not name.lower().startswith("sec-websocket-")
    ]
