"""The rows: what goes wrong on an open session, and what it is called."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
import struct
from collections.abc import Callable, Mapping
from typing import Any

from rtsync import CloseCause, ConnectionLost, RealtimeError, SendTimeout, SessionClosed, SessionExpired
from tests.loopback import PING, TEXT, frame
from tests.matrix.house import Room
from tests.session.service import error

__all__ = ["KEY", "LOSSES", "QUOTA", "Loss"]

Fault = Callable[[Room], object]

LARGEST = 64 << 20
"""Bytes of the largest message that a session takes unless told otherwise."""

BEAT = 0.3
"""Heartbeat of the rows that are about silence, in seconds."""


@dataclasses.dataclass(frozen=True)
class Loss:
    """A fault that ends an open line.

    Attributes:
        name: of the row.
        fault: what the service does, once everybody waits.
        kind, cause, code: what the end is called everywhere.
        again: whether a new session may succeed without any change: `SessionClosed.retryable`.
        within: seconds that it may take by what is documented.
        options: of the session.
        deaf: the service reads nothing from the moment before; nothing that the session says arrives.
        blocked: it is deaf, and a thread stands in the middle of a send.
        sender: what that thread gets, where it is not the end of the session.
        answered: the service hears the same code.
    """

    name: str
    fault: Fault
    kind: type[SessionClosed]
    cause: CloseCause
    code: int
    again: bool
    within: float = 0.0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    deaf: bool = False
    blocked: bool = False
    sender: type[RealtimeError] | None = None
    answered: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def over(self) -> tuple[str, ...]:
        """What it is tried over. TLS matters to what breaks a line, stalls it or fills it, not to a frame's meaning."""
        broken = self.kind is ConnectionLost or self.cause is CloseCause.SIZE or self.blocked
        return ("ws", "wss") if broken else ("ws",)


def _closed(close_code: int, reason: str = "", **before: str) -> Fault:
    """Close as a service does; with an `error` event of these fields before."""

    def fault(room: Room) -> None:
        if before:
            room.say(error(event_id="event_of_nobody", **before))
        room.peer.close(close_code, reason)

    return fault


def _mid_frame(then: Fault) -> Fault:
    def fault(room: Room) -> None:
        room.peer.send_raw(frame(TEXT, "x" * 1000)[:500])
        then(room)

    return fault


def _reset(room: Room) -> None:
    room.peer.reset()


def _drop(room: Room) -> None:
    room.peer.drop()


def _nothing(_room: Room) -> None:
    """Neither a byte nor an answer: a machine that is gone, or a process that hangs."""


def _one_byte_too_much(room: Room) -> None:
    room.peer.send_raw(b"\x81\x7f" + struct.pack("!Q", LARGEST + 1))
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # The client does not wait for the end of it.
        for _ in range(64):
            room.peer.send_raw(b"x" * (1 << 20))


def _raw(data: bytes) -> Fault:
    return lambda room: room.peer.send_raw(data)


EXPIRY = {"code": "session_expired", "message": "Your session hit the maximum duration of 60 minutes."}
QUOTA = {"code": "insufficient_quota", "message": "You exceeded your current quota."}
KEY = {"code": "invalid_api_key", "message": "Incorrect API key provided."}

SERVER, NETWORK = CloseCause.SERVER, CloseCause.NETWORK
PROTOCOL, SIZE = CloseCause.PROTOCOL, CloseCause.SIZE
EXPIRED, REFUSED, RATE = CloseCause.EXPIRED, CloseCause.AUTHENTICATION, CloseCause.RATE_LIMIT
SILENT = {"heartbeat": BEAT}

# fmt: off
LOSSES = [
    #    what happens                    how                    exception       cause     code  again
    Loss("reset",                        _reset,                ConnectionLost, NETWORK,  1006, True, blocked=True),
    Loss("reset in mid frame",           _mid_frame(_reset),    ConnectionLost, NETWORK,  1006, True),
    Loss("end of stream",                _drop,                 ConnectionLost, NETWORK,  1006, True, blocked=True),
    Loss("end of stream in mid frame",   _mid_frame(_drop),     ConnectionLost, NETWORK,  1006, True),
    Loss("half-open",                    _nothing,              ConnectionLost, NETWORK,  1006, True,
         within=2 * BEAT, options=SILENT, blocked=True),
    Loss("half-open, nobody sends",      _nothing,              ConnectionLost, NETWORK,  1006, True,
         within=2 * BEAT, options=SILENT, deaf=True),
    Loss("half-open in mid frame",       _mid_frame(_nothing),  ConnectionLost, NETWORK,  1006, True,
         within=2 * BEAT, options=SILENT, deaf=True),
    Loss("stops reading",                _nothing,              ConnectionLost, NETWORK,  1006, True,
         within=0.5, options={"send_timeout": 0.5}, blocked=True, sender=SendTimeout),
    Loss("close 1000",                   _closed(1000),         SessionClosed,  SERVER,   1000, False, answered=True),
    Loss("close 1001",                   _closed(1001, "shutdown"), SessionClosed, SERVER, 1001, True, answered=True),
    Loss("close 1001 over a blocked send", _closed(1001),       SessionClosed,  SERVER,   1001, True,
         within=1.0, blocked=True),
    Loss("close 1001, expired",          _closed(1001, **EXPIRY), SessionExpired, EXPIRED, 1001, True),
    Loss("close 1003",                   _closed(1003),         SessionClosed,  SERVER,   1003, False, answered=True),
    Loss("close 1006, as a frame",       _closed(1006),         SessionClosed,  PROTOCOL, 1002, False, answered=True),
    Loss("close 1007",                   _closed(1007),         SessionClosed,  SERVER,   1007, False, answered=True),
    Loss("close 1008",                   _closed(1008, "policy"), SessionClosed, SERVER,  1008, False, answered=True),
    Loss("close 1009",                   _closed(1009),         SessionClosed,  SERVER,   1009, False, answered=True),
    Loss("close 1011",                   _closed(1011, "oops"), SessionClosed,  SERVER,   1011, True, answered=True),
    Loss("close 1012",                   _closed(1012),         SessionClosed,  SERVER,   1012, True, answered=True),
    Loss("close 1013",                   _closed(1013),         SessionClosed,  SERVER,   1013, True, answered=True),
    Loss("close 3000, bad key",          _closed(3000, **KEY),  SessionClosed,  REFUSED, 3000, False),
    Loss("close 4000",                   _closed(4000),         SessionClosed,  SERVER,   4000, False, answered=True),
    Loss("close 4000, no quota",         _closed(4000, **QUOTA), SessionClosed, RATE, 4000, False),
    Loss("close without a code",         lambda room: room.peer.close(), SessionClosed, SERVER, 1005, True),
    Loss("64 MiB and a byte",            _one_byte_too_much,    SessionClosed,  SIZE,     1009, False,
         answered=True, within=1.0),
    Loss("not UTF-8",                    _raw(frame(TEXT, b"\xff")), SessionClosed, PROTOCOL, 1007, False,
         answered=True),
    Loss("a masked frame",               _raw(frame(PING, b"", masked=True)), SessionClosed, PROTOCOL, 1002, False,
         answered=True),
]
# fmt: on
