"""The clients that are measured, one module each, behind one small face.

A module is imported in a process of its own, once it is certain to be measured: importing is measured elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

__all__ = ["PEERS", "Peer", "PeerKind", "context_for", "installed", "make"]


class Peer(Protocol):
    """One connection of one client.

    Attributes:
        taken: deltas that its handler or loop has seen; None where nobody looks at them.
    """

    taken: int | None

    def open(self, port: int, ca_file: str | None) -> None:
        """Connect, and return with the first event."""

    def ask(self) -> None:
        """Ask for the next burst and take it in, up to the mark at its end."""

    def append(self, pcm: bytes) -> None:
        """Send audio."""

    def follow(self, note: Callable[[str], object]) -> None:
        """From now on call ``note`` with each text delta. Returns at once."""

    def close(self) -> None:
        """Disconnect."""


class PeerKind(msgspec.Struct, frozen=True):
    """A client, as the tables name it.

    Attributes:
        module: in this package.
        needs: what has to be installed for it.
        variants: ways to use it, each with a name for people; the first is the one to compare with.
    """

    module: str
    needs: str
    variants: dict[str, str]


PEERS = {
    "bare": PeerKind(
        "bare_socket", "msgspec", {"loop": "bare socket, msgspec", "thread": "bare socket, a thread that reads"}
    ),
    "rtsync": PeerKind(
        "rtsync_session",
        "rtsync",
        {
            "handler": "rtsync, one handler",
            "nothing": "rtsync, nothing connected",
            "wait": "rtsync, wait_for only",
            "inline": "rtsync, one inline handler",
        },
    ),
    "websocket-client": PeerKind("bare_websocket_client", "websocket", {"loop": "websocket-client recv(), msgspec"}),
    "openai": PeerKind(
        "openai_python",
        "openai",
        {"dispatch": "openai-python, dispatch_events", "iterate": "openai-python, iteration"},
    ),
}


def installed(name: str) -> bool:
    """Whether this Python has what the peer needs."""
    return importlib.util.find_spec(PEERS[name].needs) is not None


def make(name: str, variant: str, handled: str) -> Callable[[], Peer]:
    """What makes connections of the peer ``name``. Imports its library."""
    module: Any = importlib.import_module(f"benchmarks.peers.{PEERS[name].module}")
    return lambda: module.Client(variant, handled)


def context_for(ca_file: str | None) -> ssl.SSLContext | None:
    """A TLS context that trusts the load server; None for plain connections."""
    return None if ca_file is None else ssl.create_default_context(cafile=ca_file)
