"""A WebSocket between a browser and a session: the page's frames through a gate, the session's events as they come.

1. Two threads: the caller's takes what the browser sends, one of ours brings it what the session says. Either may send;
   ``_send_lock`` keeps their frames apart, and each looks whether the other is stuck in a send.
2. Nothing is queued here. What a slow browser has not read waits where it is bounded: on the bus, or in the
   session's subscription. Who falls behind that is closed with 1013; nobody else notices.
3. A browser that does not read at all, for ``patience``, cannot be told anything: its connection is cut, with a reset.
4. The session stays: what becomes of it when the browser has gone is the application's to say.
"""

from __future__ import annotations

import logging
import socket as sockets
import struct
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from rtsync.bus import GAP, SessionDirectory
from rtsync.edges import forks
from rtsync.edges.guard import shut_down
from rtsync.session.options import required_seconds
from rtsync.session.session import RealtimeSession
from rtsync.vocabulary.errors import BusUnavailable, ConfigurationError, FellBehind, RealtimeError, WaitTimeout
from rtsync.vocabulary.events import encode
from rtsync.web.answers import error_event
from rtsync.web.gate import Gate, Refused
from rtsync.web.showing import shown
from rtsync.web.sse import last_seen

__all__ = ["WebSocket", "relay", "relay_live"]

logger = logging.getLogger("rtsync.web")

_TICK = 1.0  # seconds after which each thread looks after the other
_MOST_REFUSED = 50  # in a row
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # of SO_LINGER

# Close codes of RFC 6455 7.4.1 and the registry behind it.
_DONE, _POLICY, _FAILED, _RESTART, _LATER = 1000, 1008, 1011, 1012, 1013


class WebSocket(Protocol):
    """What simple-websocket, and with it Flask-Sock, calls a ``Server``.

    One that is stuck in ``send`` is cut by its ``sock``, if it has one; so is one whose ``send`` raises, unless it says
    that it is not ``connected`` any more.
    """

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """The next frame; None where none came in time. Raises when the connection has ended."""

    def send(self, data: str) -> None:
        """Send one text frame."""

    def close(self, reason: int | None = None, message: str | None = None) -> None:
        """Send a close frame."""


def relay(
    websocket: WebSocket,
    directory: SessionDirectory,
    session_id: str,
    owner: str,
    *,
    gate: Gate,
    after: str | None = None,
    patience: float = 10.0,
) -> None:
    """Connect a browser with a session of the directory, until either ends. The session stays open.

    What the gate or the session refuses is answered with an ``error`` event; 50 refusals in a row close with 1008. The
    end of the session closes with 1000, that of this process with 1012, a bus out of reach or a browser that
    falls behind with 1013. With sound, the directory must be one with ``audio=True``. Each event of the session has its
    id on the bus as ``rtsync_id``; a page that comes again ``after`` the last one misses and doubles nothing. What is
    not the page's is left out, as in ``event_stream``.

    Args:
        websocket: the browser's, accepted already.
        directory: where the session is.
        session_id: the session's.
        owner: whose it is, by the application's own knowledge (a login), never by what the page says.
        gate: what the page may send. Its rates count for the session, over all its connections in this process.
        after: id of the last event that the page knows, e.g. of its snapshot; None for everything that is kept.
        patience: seconds for which one send may take; then the connection is cut.

    Raises:
        UnknownSession: the owner has no such session.
        Refused: ``after`` is no id.
        BusUnavailable: the bus is out of reach.

    Threads: blocks the calling thread, that of the view.
    """
    wait = required_seconds(patience, "patience")
    kept = _Kept(directory, session_id, owner, after)
    _Relay(websocket, kept, _gate(gate), session_id, wait).run()


def relay_live(websocket: WebSocket, session: RealtimeSession, *, gate: Gate, patience: float = 10.0) -> None:
    """Connect a browser with a session that this process holds itself, until either ends.

    As ``relay``, with the events from now on. A session that is lost closes with 1011. The session is not closed: do
    that with a ``with`` block around this.

    Raises:
        UsageError: the session is not open.
        SessionClosed: it has ended.

    Threads: blocks the calling thread, that of the view; not in a handler of the session's.
    """
    wait = required_seconds(patience, "patience")
    _Relay(websocket, _Live(session), _gate(gate), f"live {id(session)}", wait).run()


def _gate(gate: object) -> Gate:
    if not isinstance(gate, Gate):
        raise ConfigurationError(f"gate must be a Gate, which says what the page may send, not {type(gate).__name__}")
    return gate


class _Over(Exception):
    """The session has no more to say: how the connection is closed, and what is said before."""

    def __init__(self, code: int, reason: str, error: RealtimeError | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.error = code, reason, error


class _Gone(Exception):
    """The browser does not read, or is there no more."""


class _Source(Protocol):
    """A session, as the relay sees it."""

    def read(self) -> bytes | None:
        """The next event's JSON; None where none came for a while. Raises ``_Over``."""

    def send(self, event: Mapping[str, Any]) -> object:
        """Give it what the page sent."""

    def close(self) -> None:
        """Read no more, and let who does come back."""


class _Kept:
    """A session of a directory."""

    def __init__(self, directory: SessionDirectory, session_id: str, owner: str, after: str | None) -> None:
        self._directory, self._session_id, self._owner = directory, session_id, owner
        self._stream = directory.stream(session_id, owner, after=last_seen(after), heartbeat=_TICK)
        self._begun = False

    def read(self) -> bytes | None:
        try:
            posted = next(self._stream)
        except StopIteration:
            if self._stream.session_ended:
                raise _Over(_DONE, "the session has ended") from None
            raise _Over(_RESTART, "the server stops; come again") from None
        except BusUnavailable as error:
            raise _Over(_LATER, "try again later", error) from None
        if posted.data is not None:
            if posted.type == GAP and self._begun:  # At the beginning it is the page's to know.
                raise _Over(_LATER, "the page fell behind")
            self._begun = True
        return None if posted.data is None else _with_id(shown(posted.type, posted.data), posted.id)

    def send(self, event: Mapping[str, Any]) -> object:
        return self._directory.send(self._session_id, self._owner, event)

    def close(self) -> None:
        self._stream.close()


def _with_id(data: bytes, posted_id: str) -> bytes:
    """The event with ``rtsync_id``: a frame has no place beside its data, as server-sent events have."""
    return b'{"rtsync_id":"%b",%b' % (posted_id.encode(), data[data.index(b"{") + 1 :])


class _Live:
    """A session of this process."""

    def __init__(self, session: RealtimeSession) -> None:
        self.send = session.send
        self._events = session.events(timeout=_TICK)

    def read(self) -> bytes | None:
        try:
            event = next(self._events)
            return shown(event.type, encode(event))
        except WaitTimeout:
            return None
        except StopIteration:
            raise _Over(_DONE, "the session has ended") from None
        except FellBehind:
            raise _Over(_LATER, "the page fell behind") from None
        except RealtimeError as error:
            raise _Over(_FAILED, "the session was lost", error) from None

    def close(self) -> None:
        self._events.close()


class _Relay:
    """See above."""

    def __init__(self, websocket: WebSocket, source: _Source, gate: Gate, key: str, patience: float) -> None:
        self._websocket, self._source = websocket, source
        self._gate, self._key = gate, key
        self._patience = patience
        self._send_lock = threading.Lock()  # Keeps frames apart.
        self._sending_since: float | None = None
        self._ending: tuple[int, str] | None = None
        self._gone = False
        self._refused = 0

    def run(self) -> None:
        """Until either side ends."""
        pump = threading.Thread(target=self._pump, name="rtsync-relay", daemon=True)
        try:
            with forks.whole():
                pump.start()
            self._take_frames()
        finally:
            self._source.close()
            self._say_goodbye()
            pump.join(self._patience)

    # -- from the browser ---------------------------------------------------------------------------------------------

    def _take_frames(self) -> None:
        while not self._ending and not self._gone:
            try:
                frame = self._websocket.receive(timeout=min(_TICK, self._patience))
            except Exception:  # Whatever the library says when the connection has ended.
                self._gone = True
                return
            if frame is None:
                self._look_after_sends()
                continue
            try:
                self._forward(frame)
            except _Gone:
                self._cut()

    def _forward(self, frame: str | bytes) -> None:
        try:
            self._source.send(self._gate.checked(frame, self._key))
            self._refused = 0
        except Refused as error:
            self._refused += 1
            self._send(encode(error_event(error)))
            if self._refused >= _MOST_REFUSED:
                self._ending = self._ending or (_POLICY, "too much was refused")
        except RealtimeError as error:
            self._send(encode(error_event(error)))

    # -- to the browser -----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        try:
            while not self._ending and not self._gone:
                data = self._source.read()
                if data is None:
                    self._look_after_sends()
                else:
                    self._send(data)
        except _Over as over:
            self._tell_of(over)
        except _Gone:
            self._cut()
        except Exception:
            logger.exception("a relay has failed")
            self._ending = self._ending or (_FAILED, "the relay has failed")

    def _tell_of(self, over: _Over) -> None:
        try:
            if over.error is not None:
                self._send(encode(error_event(over.error)))
        except _Gone:
            self._cut()
        self._ending = self._ending or (over.code, over.reason)
        self._say_goodbye()  # At once: the other thread may sleep for a while.

    def _send(self, data: bytes) -> None:
        if not self._send_lock.acquire(timeout=self._patience):
            raise _Gone
        try:
            if self._gone:
                return
            self._sending_since = time.monotonic()
            self._websocket.send(data.decode())
        except Exception:
            if getattr(self._websocket, "connected", True):
                raise _Gone from None
            self._gone = True  # It has ended, and the library has told the browser why.
        finally:
            self._sending_since = None
            self._send_lock.release()

    # -- the end ------------------------------------------------------------------------------------------------------

    def _look_after_sends(self) -> None:
        since = self._sending_since
        if since is not None and time.monotonic() - since > self._patience:
            self._cut()

    def _say_goodbye(self) -> None:
        """Close with a code, once, where the browser is still there."""
        if not self._send_lock.acquire(timeout=self._patience):
            self._cut()
            return
        try:
            if not self._gone:
                self._gone = True
                self._websocket.close(*(self._ending or (_DONE, "")))
        except Exception:  # It has gone meanwhile.
            logger.debug("a relay's browser had gone before it was closed")
        finally:
            self._send_lock.release()

    def _cut(self) -> None:
        """End the connection below the WebSocket: a close frame would wait behind what is not read."""
        self._gone = True
        sock = getattr(self._websocket, "sock", None)
        try:
            if sock is None:
                self._websocket.close(_LATER, "the page does not read")
                return
            # With a reset, when the server closes it: a browser that is sending is told of no room from now on, and
            # would go on asking for some, for a minute.
            sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _RESET)
            shut_down(sock)
        except Exception:
            logger.debug("a relay's connection had ended before it was cut")
