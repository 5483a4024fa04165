"""The log of what goes over the line, for those who ask for it: nothing else in rtsync logs an event.

It stands on the signals that any tool may use, so a program that does not ask pays nothing for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import msgspec

from rtsync.edges import signals
from rtsync.session.session import RealtimeSession
from rtsync.vocabulary.discretion import disclosed
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.events import encode
from rtsync.vocabulary.foreign import one_line

__all__ = ["TrafficLog", "log_events"]

_LONGEST_NAME = 80  # characters of a type or an id; the wire sets no limit
_IDS = ("event_id", "previous_item_id", "item_id", "response_id", "call_id")
_INNER = ("item", "response", "session")  # objects whose own id names what the event is about
_compact = msgspec.json.Encoder().encode


def log_events(
    logger: logging.Logger | str | None = None,
    *,
    level: int = logging.DEBUG,
    content: bool = False,
    session: RealtimeSession | None = None,
) -> TrafficLog:
    """Log every event that is sent and received, one line each, until it is told to stop.

    ::

        logging.basicConfig(level=logging.DEBUG)
        log = rtsync.log_events()                       # all sessions, until log.close()
        with rtsync.log_events(session=session):        # one session, in a block
            session.ask("Hello")

    A line says the session's number, the direction (``->`` sent, ``<-`` received), type, ids and size::

        session 1 -> response.create event_id=event_5f 96 bytes
        session 1 <- response.done event_id=event_21 response.id=resp_7 status=completed 913 bytes

    Sizes are those of the event as JSON in GA terms; a preview endpoint's differ. How a session opened, ended and
    reconnected, and handlers that failed, are logged too.

    Args:
        logger: a logger or its name; ``"rtsync.events"`` where None.
        level: of the lines. That level must be on for the logger: without configuration Python's loggers are at
            WARNING.
        content: also log what the events say, as JSON: words, transcripts, instructions, arguments. Still without
            credentials, and with audio and images as their lengths.
        session: the session to log; None for all, present and future.

    Returns:
        What ends it: ``close()``, or the end of a ``with`` block. It need not be kept.

    Raises:
        ConfigurationError: an argument is not what it must be.

    Threads: any. What is sent is logged in the thread that sends, what is received where handlers run, behind the
    session's own handlers.
    """
    _check(logger, level, session)
    chosen = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger or "rtsync.events")
    return TrafficLog(chosen, level, content, session)


def _check(logger: object, level: object, session: object) -> None:
    if not (logger is None or isinstance(logger, logging.Logger | str)):
        raise ConfigurationError(f"logger must be a logging.Logger or the name of one, not {type(logger).__name__}")
    if isinstance(level, bool) or not isinstance(level, int):
        raise ConfigurationError("level must be a level of logging, e.g. logging.DEBUG")
    if not (session is None or isinstance(session, RealtimeSession)):
        raise ConfigurationError(f"session must be a RealtimeSession, not {type(session).__name__}")


class TrafficLog:
    """A running log of events. Made by ``log_events()``; a context manager that ends it.

    Threads: any.
    """

    def __init__(self, logger: logging.Logger, level: int, content: bool, session: RealtimeSession | None) -> None:
        self._logger = logger
        self._level = level
        self._content = content
        self._closing = threading.Lock()  # Guards the list of connections.
        self._connected: list[tuple[signals.SafeSignal, Callable[..., None]]] = []
        sender = signals.ANY if session is None else session
        for signal, receiver in self._receivers():
            signal.connect(receiver, sender, weak=False)
            self._connected.append((signal, receiver))

    def __repr__(self) -> str:
        state = "running" if self._connected else "closed"
        return f"<TrafficLog to {self._logger.name}, {'with' if self._content else 'without'} content, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Log no more. May be called twice; a line that is just being written in another thread may still come."""
        with self._closing:
            connected, self._connected = self._connected, []
        for signal, receiver in connected:
            signal.disconnect(receiver)

    def _receivers(self) -> list[tuple[signals.SafeSignal, Callable[..., None]]]:
        return [
            (signals.event_sent, self._sent),
            (signals.event_received, self._received),
            (signals.message_refused, self._refused),
            (signals.session_opened, self._opened),
            (signals.session_closed, self._closed),
            (signals.reconnecting, self._reconnecting),
            (signals.reconnected, self._reconnected),
            (signals.handler_failed, self._failed),
        ]

    # -- what is said ----------------------------------------------------------------------------------------------

    def _sent(self, session: RealtimeSession, event: Mapping[str, Any]) -> None:
        self._event(session, "->", event)

    def _received(self, session: RealtimeSession, event: Mapping[str, Any]) -> None:
        self._event(session, "<-", event)

    def _event(self, session: RealtimeSession, arrow: str, event: Mapping[str, Any]) -> None:
        if not self._logger.isEnabledFor(self._level):
            return
        written = encode(event)
        words = [arrow, _name(event.get("type")), *_subjects(event), f"{len(written)} bytes"]
        if self._content:
            words.append(one_line(_compact(disclosed(_read(written))).decode()))
        self._say(session, " ".join(words))

    def _refused(self, session: RealtimeSession, error: Exception) -> None:
        self._say(session, f"<- {error}")

    def _opened(self, session: RealtimeSession, **_: Any) -> None:
        self._say(session, f"opened: {session.target.describe()}")

    def _closed(self, session: RealtimeSession, error: Exception, **_: Any) -> None:
        self._say(session, f"ended: {error}")

    def _reconnecting(self, session: RealtimeSession, attempt: int = 0, delay: float = 0.0, **data: Any) -> None:
        self._say(session, f"is reconnected in {delay:g} s (attempt {attempt}, {data.get('cause')})")

    def _reconnected(self, session: RealtimeSession, attempt: int = 0, lost: Any = (), **data: Any) -> None:
        self._say(session, f"is open again (attempt {attempt}, {data.get('cause')}); lost: {len(lost)}")

    def _failed(self, session: RealtimeSession, handler: Callable[..., Any], error: Exception, **_: Any) -> None:
        self._say(session, f"the handler {signals.name_of(handler)} raised {type(error).__name__}")

    def _say(self, session: RealtimeSession, what: str) -> None:
        self._logger.log(self._level, "session %d %s", session._core.number, what)


_read = msgspec.json.Decoder().decode


def _subjects(event: Mapping[str, Any]) -> list[str]:
    """``name=value`` of what the event is about: ids, how a response stands, the code of an error."""
    found = [(name, event.get(name)) for name in _IDS]
    for name in _INNER:
        inner = event.get(name)
        if isinstance(inner, Mapping):
            found += [(f"{name}.id", inner.get("id")), ("status", inner.get("status"))]
    error = event.get("error")
    if isinstance(error, Mapping):
        found += [("code", error.get("code")), ("error.event_id", error.get("event_id"))]
    return [f"{name}={_name(value)}" for name, value in found if isinstance(value, str) and value]


def _name(value: object) -> str:
    return one_line(value, _LONGEST_NAME).replace(" ", "_") if isinstance(value, str) else "?"
