"""One thread that reads the events of all sessions that somebody in this process reads.

1. A ``Feed`` belongs to one reader. The thread puts what comes into it, and never waits for a reader: what does not fit
   is thrown away and the reader told (``behind``), who then reads it from the bus by itself.
2. A feed is watched from an id that the bus knows already, so whatever is older a reader can read, and whatever is
   newer is put. What is both, the reader passes over by its id.
   The thread may be too late itself, for more than the bus keeps: then the readers are behind, too, and see the gap.
3. The bus may be out of reach for a while. Readers are told (``trouble``), and that they are behind once it is back.
4. Sessions whose readers do read are touched now and then, so that they do not count as idle.
5. The thread starts with the first feed and ends behind the last one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence

from rtsync.bus.engine import Bus, Entry, events_of
from rtsync.edges import forks
from rtsync.edges.latch import Bell, Latch
from rtsync.vocabulary.errors import BusUnavailable

__all__ = ["Feed", "Watcher"]

logger = logging.getLogger("rtsync.bus")

_MOST_QUEUED = 1000  # events of a reader
_PAUSE = 0.5  # seconds between two attempts to reach the bus
_PACE = 0.003  # seconds from what came to the next look: what comes meanwhile is read together
_FEW = 8  # events that come at once without a look back; nobody keeps so few that they are all there is
_LONGEST_WAIT = 1.0  # seconds
_TOUCH_EVERY = 5.0  # seconds
_READING = 60.0  # seconds after which a reader that took nothing, and waits for nothing, does not read


class Feed:
    """What has come for one reader.

    Attributes:
        session_id: whose events.
        bell: rings when there is something new here.
        behind: more has come than is here.
        trouble: why the bus is out of reach, while it is.
        missed: how often the bus has been out of reach.
        taken_at: when the reader last came for something.
        over: nobody reads any more.
    """

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.bell = Bell()
        self.queue: deque[Entry] = deque()
        self.behind = True
        self.trouble: BusUnavailable | None = None
        self.missed = 0
        self.taken_at = time.monotonic()
        self.over = False

    def put(self, entries: Sequence[Entry]) -> None:
        """Events have come. Called by the watcher.

        Nothing is put behind what was thrown away, until the reader has begun to read that by itself.
        """
        if self.behind:
            pass
        elif len(self.queue) + len(entries) > _MOST_QUEUED:
            self.lose()
        else:
            self.queue.extend(entries)
        self.bell.ring()

    def lose(self) -> None:
        """Events have come and gone, unseen. Called by the watcher."""
        self.behind = True
        self.queue.clear()
        self.bell.ring()

    def fail(self, error: BusUnavailable) -> None:
        """The bus is out of reach."""
        self.trouble = error
        self.bell.ring()

    def recover(self) -> None:
        """It is back."""
        self.trouble = None
        self.missed += 1
        self.behind = True
        self.bell.ring()

    @property
    def is_read(self) -> bool:
        """Whether there is somebody who reads."""
        return not self.over and (self.bell.waiting > 0 or time.monotonic() - self.taken_at < _READING)


class Watcher:
    """Reads for the feeds of one process. Threads: any."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._feeds_lock = threading.RLock()  # Guards feeds, cursors and the thread.
        self._feeds: dict[str, list[Feed]] = {}
        self._cursors: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._leaving = Latch()
        self._wake = f"wake:{os.urandom(8).hex()}"
        self._touched_at = time.monotonic()

    def attach(self, feed: Feed, last_id: str) -> None:
        """Put what comes behind ``last_id`` into ``feed``, too."""
        with forks.whole(), self._feeds_lock:
            channel = events_of(feed.session_id)
            self._feeds.setdefault(channel, []).append(feed)
            self._cursors.setdefault(channel, last_id)
            if self._thread is None:
                self._leaving = Latch()
                self._thread = threading.Thread(target=self._run, name="rtsync-bus-watcher", daemon=True)
                self._thread.start()
        self._bus.ring(self._wake)

    def detach(self, feed: Feed) -> None:
        """Its reader is done."""
        feed.over = True
        feed.bell.ring()

    def stop(self, timeout: float) -> None:
        """Let every reader know that this process reads no more, and end the thread."""
        with self._feeds_lock:
            thread = self._thread
            feeds = [feed for watched in self._feeds.values() for feed in watched]
        self._leaving.set()
        for feed in feeds:
            self.detach(feed)
        if thread is None:
            return
        try:
            self._bus.ring(self._wake)
        except BusUnavailable:
            logger.debug("the bus is out of reach while its readers leave")
        thread.join(timeout)

    def _run(self) -> None:
        wake, failing = "0", False
        while cursors := self._watched():
            try:
                found = self._bus.follow({**cursors, self._wake: wake}, _LONGEST_WAIT)
                if failing:
                    failing = self._tell_recovered()
                rings = found.pop(self._wake, None)
                wake = rings[-1].id if rings else wake
                self._hand_out(found)
                self._touch()
                if found:
                    time.sleep(_PACE)
            except BusUnavailable as error:
                failing = True
                self._tell_failed(error)
                self._leaving.wait(_PAUSE)

    def _watched(self) -> dict[str, str]:
        """The cursors; none where the thread has ended with this call."""
        with self._feeds_lock:
            for channel in list(self._feeds):
                self._feeds[channel] = [feed for feed in self._feeds[channel] if not feed.over]
                if not self._feeds[channel]:
                    del self._feeds[channel], self._cursors[channel]
            if not self._cursors or self._leaving:
                self._thread = None
                return {}
            return dict(self._cursors)

    def _hand_out(self, found: dict[str, list[Entry]]) -> None:
        for channel, entries in found.items():
            whole = self._are_whole(channel, entries)
            with self._feeds_lock:
                feeds = tuple(self._feeds.get(channel, ()))
                if channel in self._cursors:
                    self._cursors[channel] = entries[-1].id
            for feed in feeds:
                if whole:
                    feed.put(entries)
                else:
                    feed.lose()

    def _are_whole(self, channel: str, entries: Sequence[Entry]) -> bool:
        """Whether nothing that came before them was dropped unseen: what was seen last is still kept."""
        seen = self._cursors.get(channel, "0")
        return len(entries) < _FEW or seen == "0" or self._bus.has(channel.partition(":")[2], seen)

    def _touch(self) -> None:
        if time.monotonic() - self._touched_at < _TOUCH_EVERY:
            return
        self._touched_at = time.monotonic()
        read = {feed.session_id for feed in self._all_feeds() if feed.is_read}
        if read:
            self._bus.touch(sorted(read))

    def _tell_failed(self, error: BusUnavailable) -> None:
        for feed in self._all_feeds():
            feed.fail(error)

    def _tell_recovered(self) -> bool:
        for feed in self._all_feeds():
            feed.recover()
        return False

    def _all_feeds(self) -> list[Feed]:
        with self._feeds_lock:
            return [feed for watched in self._feeds.values() for feed in watched]
