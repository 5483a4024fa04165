"""What readers of a session hold: its events, from an id on."""

from __future__ import annotations

import copy
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Self

import msgspec

from rtsync.bus import notices
from rtsync.bus.engine import Bus, Entry
from rtsync.bus.watch import Feed, Watcher
from rtsync.vocabulary.errors import BusUnavailable, UsageError
from rtsync.vocabulary.events import Event, decode_object

__all__ = ["EventStream", "Posted"]

_PAGE = 200  # events
_PAUSE = 0.5  # seconds between two looks at a bus that is out of reach, or that does not know the session
_PATIENCE = 30.0  # seconds without the bus after which a reader is told


class _Kind(msgspec.Struct):
    type: Any = ""


_kind = msgspec.json.Decoder(_Kind)


class Posted(msgspec.Struct, frozen=True):
    """An event as it stands on the bus, or a heartbeat. ``for id, event in stream`` takes it apart.

    Attributes:
        id: what another stream goes on from, ``after=id``; that of the last event for a heartbeat.
        data: the event's JSON, as it goes into a server-sent event; None for a heartbeat.
    """

    id: str
    data: bytes | None

    @property
    def event(self) -> Event | None:
        """The event, or None for a heartbeat."""
        return None if self.data is None else Event(decode_object(self.data))

    @property
    def type(self) -> str:
        """The event's type; ``""`` for a heartbeat."""
        kind = "" if self.data is None else _kind.decode(self.data).type
        return kind if isinstance(kind, str) else ""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.id, self.event))

    def __repr__(self) -> str:
        return f"<Posted {self.id} {self.type or 'heartbeat'!r}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("type", self.type)]


class EventStream:
    """An iterator over the events of one session, made by ``SessionDirectory.stream``.

    It ends behind ``rtsync.session.closed``, with ``close()``, and when the directory stops. Where the bus is out of
    reach it goes on as soon as that is back, without missing or doubling anything, or raises ``BusUnavailable`` after
    30 s.

    Attributes:
        last_id: of the last event that was taken.
        session_ended: whether the iteration ended with the session, and not because nobody reads on in this process.

    Threads: iterated by one thread at a time; ``close()`` from any.
    """

    def __init__(
        self,
        bus: Bus,
        watcher: Watcher,
        session_id: str,
        owner: str,
        after: str | None,
        *,
        heartbeat: float,
        revival: float,
    ) -> None:
        self.last_id = after or "0"
        self.session_ended = False
        self._bus = bus
        self._session_id, self._owner = session_id, owner
        self._heartbeat, self._revival = heartbeat, revival
        self._ready: deque[Entry] = deque()
        self._feed = feed = Feed(session_id)
        self._detach = weakref.finalize(self, _leave, feed)
        self._detach.atexit = False
        self._missed = -1  # So that it looks after the session when there is nothing to read.
        self._gap = False
        self._gap_at = "0"  # Where one was told of, or where there cannot be one.
        self._unknown_since: float | None = None
        self._trouble_since: float | None = None
        self._ended = False
        watcher.attach(feed, bus.last_id(session_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def close(self) -> None:
        """Read no more; a thread that waits in the iteration comes back. May be called twice."""
        self._ended = True
        self._detach()

    def __next__(self) -> Posted:
        """The next event, or a heartbeat where none came for so long.

        Raises:
            StopIteration: the session has ended, or the stream was closed.
            BusUnavailable: the bus is out of reach for too long. A new stream may go on from ``last_id``.
        """
        feed = self._feed
        feed.taken_at = time.monotonic()
        due = time.monotonic() + self._heartbeat
        while True:
            if self._ended or feed.over:
                raise StopIteration
            if feed.behind and not self._ready:
                self._catch_up()
            if self._gap:
                self._gap, self._gap_at = False, self.last_id
                return Posted(self.last_id, notices.gap(self.last_id))
            if (entry := self._next_entry()) is not None:
                return self._taken(entry)
            if (lost := self._look_after(feed)) is not None:
                return lost
            left = due - time.monotonic()
            if left <= 0:
                return self._beat()
            uneasy = self._unknown_since is not None or self._trouble_since is not None
            feed.bell.wait_until(self._is_news, min(left, _PAUSE) if uneasy else left)

    def _is_news(self) -> bool:
        feed = self._feed
        calm = self._trouble_since is None
        return bool(feed.queue) or feed.over or (calm and (feed.behind or feed.trouble is not None))

    def _taken(self, entry: Entry) -> Posted:
        posted = Posted(entry.id, entry.data)
        self.last_id = entry.id
        self._unknown_since = None
        if posted.type == notices.CLOSED:
            self._end_with_session()
        return posted

    def _next_entry(self) -> Entry | None:
        """The next event that was not taken yet: of those read, then of those that came."""
        feed, last = self._feed, _place(self.last_id)
        while not feed.behind or self._ready:
            source = self._ready or feed.queue
            try:
                entry = source.popleft()
            except IndexError:  # Empty, or the watcher has just thrown it away.
                return None
            if _place(entry.id) > last:
                return entry
        return None

    def _catch_up(self) -> None:
        """Read from the bus what the feed does not have."""
        feed = self._feed
        feed.behind = False  # First: what comes from here on is put, or says again that there is more.
        try:
            page = self._bus.read(self._session_id, self.last_id, _PAGE)
            told = self.last_id in ("0", self._gap_at)
            self._gap = not told and not self._bus.has(self._session_id, self.last_id)
        except BusUnavailable as error:
            feed.behind = True
            feed.trouble = feed.trouble or error
            return
        feed.behind = feed.behind or len(page) == _PAGE
        feed.trouble = self._trouble_since = None
        self._ready.extend(page)

    def _look_after(self, feed: Feed) -> Posted | None:
        """Nothing has come: is the bus there, and does it know the session? A last notice where that is over."""
        if feed.trouble is not None:
            self._bear(feed.trouble)
        else:
            self._trouble_since = None
        if feed.missed != self._missed:
            self._missed = feed.missed
            self._look_for_session()
        elif self._unknown_since is not None:
            self._look_for_session()
        if self._unknown_since is None or time.monotonic() - self._unknown_since < self._revival:
            return None
        self._end_with_session()
        return Posted(self.last_id, notices.forgotten(self._bus.name))

    def _bear(self, trouble: BusUnavailable) -> None:
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        if now - self._trouble_since > _PATIENCE:
            self.close()
            raise copy.copy(trouble)

    def _look_for_session(self) -> None:
        try:
            info = self._bus.info(self._session_id, self._owner)
            over = info is not None and info.state == "closed"
            if over and _place(self._bus.last_id(self._session_id)) <= _place(self.last_id):
                self._end_with_session()  # Its end was read before, over another stream.
        except BusUnavailable:
            self._missed -= 1  # Look again.
            return
        self._unknown_since = None if info is not None else self._unknown_since or time.monotonic()

    def _end_with_session(self) -> None:
        self.session_ended = True
        self.close()

    def _beat(self) -> Posted:
        self._missed -= 1  # A look at the session now and then: it may have expired in silence.
        return Posted(self.last_id, None)


def _leave(feed: Feed) -> None:
    """The reader is done, or was collected: no lock may be taken here."""
    feed.over = True
    feed.bell.ring()


def _place(entry_id: str) -> tuple[int, int]:
    moment, _, number = entry_id.partition("-")
    return int(moment), int(number or 0)


def checked_id(after: object) -> str | None:
    """``after`` as an id of the bus.

    Raises:
        UsageError: it is none.
    """
    if after is None:
        return None
    if isinstance(after, str) and len(after) <= 41:
        moment, _, number = after.partition("-")
        if moment.isascii() and moment.isdecimal() and (not number or (number.isascii() and number.isdecimal())):
            return after
    raise UsageError("after must be the id of an event of this session, as the stream gave it")
