"""Bringing a new line to where the conversation stands: the restore plan (``rtsync.pure.recovery``), over a session."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from rtsync.edges.latch import Bell
from rtsync.pure.correlation import Correlation
from rtsync.pure.recovery import Lost, Restoration
from rtsync.session import RealtimeSession
from rtsync.vocabulary.errors import ConnectTimeout
from rtsync.vocabulary.events import Event, raw

__all__ = ["Restoring"]

_ENDS = "conversation.item.done"


class Restoring:
    """One restoration. ``send_all`` runs in one thread, and ``note`` in that which gets the events."""

    def __init__(self, items: Iterable[Mapping[str, Any]]) -> None:
        self._lock = threading.RLock()  # Guards both books.
        self._restoration = Restoration()
        self._correlation = Correlation("")
        self._restoration.aim(None, items)
        self._steps = 0
        self._progress = Bell()
        self._given_up = False
        self._ending: set[str] = set()  # Items whose ``done`` is still to come.

    @property
    def lost(self) -> list[Lost]:
        """What the service refused."""
        return self._restoration.lost

    def give_up(self) -> None:
        """The line has ended, or is left. Threads: any."""
        self._given_up = True
        self._progress.ring()

    def note(self, event: Event) -> None:
        """The service has said ``event`` before all was restored."""
        with self._lock:
            if event.type == "error":
                found = event.get("error")
                error = dict(found) if isinstance(found, Mapping) else {}
                sent = self._correlation.blamed(error)
                if sent is not None:
                    self._restoration.refused(sent.event_id, error)
            else:
                sent = self._correlation.answered(raw(event))
                if sent is not None:
                    self._restoration.confirmed(sent.event_id)
                    self._ending.add(str(sent.subject))
            self.belongs(event)
            self._steps += sent is not None
        self._progress.ring()

    def belongs(self, event: Event) -> bool:
        """Whether ``event`` is the end of something that was restored, which comes behind its answer."""
        if event.type != _ENDS or not self._ending:
            return False
        item = event.get("item")
        item_id = item.get("id") if isinstance(item, Mapping) else None
        if item_id not in self._ending:
            return False
        self._ending.discard(item_id)
        return True

    def send_all(self, session: RealtimeSession, patience: float) -> bool:
        """Send everything, as it is answered. Returns False where it was given up.

        Raises:
            ConnectTimeout: the service said nothing for ``patience`` seconds.
            SessionClosed, SendTimeout: the line has ended.
        """
        while not self._given_up:
            with self._lock:
                if self._restoration.done:
                    return True
                due, steps = self._restoration.due(), self._steps
                for event in due:
                    self._correlation.sent(event, None)
            for event in due:
                session.send(event)
            if not self._progress.wait_until(functools.partial(self._has_moved, steps), patience):
                raise ConnectTimeout(
                    f"the service has said nothing for {patience:g} s while the session was being restored",
                    phase="session",
                )
        return False

    def _has_moved(self, steps: int) -> bool:
        return self._steps != steps or self._given_up
