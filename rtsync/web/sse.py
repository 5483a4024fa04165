"""Server-sent events (WHATWG HTML, 9.2) of a session: what browsers read with ``EventSource``.

1. Whatever is wrong with the request is raised before the first byte, while there is a status to answer with. Later
   trouble is an event.
2. ``id:`` is the id on the bus, so that a browser that was cut goes on where it was, in any process.
3. A stream that ends by itself says so in a last event, ``rtsync.stream.end``: ``EventSource`` cannot tell an end from
   a cut, and would come again for ever.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, Self

from rtsync.bus import EventStream, Posted, SessionDirectory
from rtsync.session.options import required_seconds
from rtsync.vocabulary.errors import BusUnavailable
from rtsync.vocabulary.events import encode
from rtsync.web.gate import Refused
from rtsync.web.showing import shown

__all__ = ["END", "HEADERS", "ServerSentEvents", "event_stream", "last_seen"]

HEADERS: Final = MappingProxyType(
    {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }
)
"""Of the answer: nothing between keeps it or waits for more of it (nginx does, without the last one)."""

END: Final = "rtsync.stream.end"
"""The last event of a stream that ends by itself: ``cause`` (``"closed"``: the session has ended; ``"stopped"``: this
process stops; ``"unavailable"``: the bus is out of reach), and ``again``, whether it is worth coming again."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TAKEN = frozenset({"error", "open", "message"})  # EventSource has events of these names of its own.
_LARGEST = 2**64 - 1  # of either half of an id


def event_stream(
    directory: SessionDirectory,
    session_id: str,
    owner: str,
    *,
    last_event_id: str | None = None,
    heartbeat: float = 15.0,
    retry: float = 2.0,
    named: bool = True,
) -> ServerSentEvents:
    """The events of a session, as the body of an answer with ``HEADERS``.

    Each has the event's id (``id``), its type (``event``) and its JSON (``data``). An event of type ``error`` is
    without a name, and comes as ``message``: ``EventSource`` calls its own troubles so. Instructions, tools and
    what the system says are left out: they are not the page's.

    Args:
        directory: where the session is.
        session_id: the session's.
        owner: whose it is, by the application's own knowledge (a login), never by what the page says.
        last_event_id: the header ``Last-Event-ID`` of the request; without one, everything that is kept.
        heartbeat: seconds without an event after which a comment is sent. A reader that has gone is noticed at the
            next write, and holds a thread of the web server until then.
        retry: seconds after which a browser that was cut comes again.
        named: whether events have names; without, all of them come as ``message``.

    Raises:
        Refused: ``last_event_id`` is none.
        UnknownSession: the owner has no such session.
        BusUnavailable: the bus is out of reach.
        ConfigurationError: ``heartbeat`` or ``retry`` is no number of seconds.

    Threads: any; the result is iterated by one thread.
    """
    again = required_seconds(retry, "retry")
    stream = directory.stream(session_id, owner, after=last_seen(last_event_id), heartbeat=heartbeat)
    return ServerSentEvents(stream, retry=again, named=named)


def last_seen(header: str | None) -> str | None:
    """The id in ``Last-Event-ID``; None where there is none.

    Raises:
        Refused: it is no id that a stream has given.
    """
    if not header:
        return None
    numbers = header.split("-")
    if len(numbers) > 2 or not all(_is_number(number) for number in numbers):
        raise Refused(
            "what is to be gone on from (Last-Event-ID, after) is no id of an event", status=400, code="malformed"
        )
    return header


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) <= _LARGEST


class ServerSentEvents:
    """An iterator of ``bytes``, one event or heartbeat each. A web server calls ``close()`` when the reader has gone.

    Threads: iterated by one thread; ``close()`` from any.
    """

    def __init__(self, stream: EventStream, *, retry: float, named: bool) -> None:
        self._stream = stream
        self._named = named
        self._first: bytes | None = b"retry: %d\n\n" % (retry * 1000)
        self._over = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next event or heartbeat. Blocks for as long as the heartbeat at most."""
        if self._first is not None:  # At once, so that the browser knows that it is connected.
            first, self._first = self._first, None
            return first
        if self._over:
            raise StopIteration
        try:
            posted = next(self._stream)
        except StopIteration:
            return self._ending("closed" if self._stream.session_ended else "stopped")
        except BusUnavailable:
            return self._ending("unavailable")
        return b":\n\n" if posted.data is None else self._framed(posted)

    def close(self) -> None:
        """Read no more. May be called twice."""
        self._over, self._first = True, None
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _framed(self, posted: Posted) -> bytes:
        assert posted.data is not None
        kind = posted.type if self._named else ""
        name = f"event: {kind}\n" if kind not in _TAKEN and _NAME.fullmatch(kind) else ""
        return f"id: {posted.id}\n{name}".encode() + _data(shown(posted.type, posted.data))

    def _ending(self, cause: str) -> bytes:
        self.close()
        name = f"event: {END}\n" if self._named else ""
        return name.encode() + _data(encode({"type": END, "cause": cause, "again": cause != "closed"}))


def _data(data: bytes) -> bytes:
    """Lines of ``data:``: every kind of line end would end the field."""
    return b"".join(b"data: %b\n" % line for line in _LINE_END.split(data)) + b"\n"
