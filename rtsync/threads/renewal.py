"""Renewal: moving a session that is well to another connection, before the service ends it.

1. The next connection is opened and restored by a second reader thread while the current one goes on; ``recovery`` does
   that as after a loss.
2. The reader of the current connection looks, a few times a second, for a moment in which nothing is going on, has
   the other one brought up to date, and hands over. From then on its own line carries nothing.
3. Where no such moment comes, sends are held back for the last seconds, so that one does. What is still going on at
   the end of that is lost, and told.
4. A next connection that fails is followed by another, later; meanwhile the session goes on as it is.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rtsync.threads.connection import Connection, Expiry
from rtsync.vocabulary.errors import RealtimeError

if TYPE_CHECKING:
    from rtsync.threads.reader import Core
    from rtsync.threads.recovery import Recovery

__all__ = ["Renewal", "chance", "expiry_of"]

logger = logging.getLogger("rtsync.session")

_LEAD = 60.0  # seconds before the end of a session at which its renewal begins; of a short session, a third of it
_LOOK = 0.25  # seconds between two looks for a calm moment
_LOOK_HELD = 0.01  # the same while sends are held back for it
_LONGEST_HOLD = 2.0  # seconds for which they are
_LONGEST_LIFE = 86400.0  # seconds; an expiry beyond that is no expiry
_SAME_TIME = 2.0  # seconds by which two clocks may differ that are set


class Renewal:
    """One move to a new connection before the current one expires.

    Threads: ``look`` and ``give_up`` in the reader of the current connection, ``failed`` in that of the next.
    """

    def __init__(self, core: Core, recovery: Recovery, expiry: Expiry) -> None:
        lead = min(_LEAD, expiry.life / 3)
        self.begins = expiry.at - lead
        self._patient_until = expiry.at - lead / 2
        self._force_at = expiry.at - lead / 4
        self._hold = min(_LONGEST_HOLD, lead / 8)
        self._held_since: float | None = None
        self._look_every = min(_LOOK, lead / 16)
        self._pause = min(1.0, lead / 8)
        self._core = core
        self._recovery = recovery
        self._next: Connection | None = None
        self._not_before = self.begins
        self._calm_at: int | None = None
        self._met_at: tuple[int, int] | None = None

    def is_next(self, connection: Connection) -> bool:
        """Whether ``connection`` is the one that shall take over."""
        return connection is self._next

    def look(self) -> None:
        """Is it time for the next step? In the reader of the current connection."""
        core, now, following = self._core, time.monotonic(), self._next
        calm_at = core.is_calm()
        calm = calm_at is not None and calm_at == self._calm_at
        self._calm_at = calm_at
        if following is None:
            self._let_go()
            if now >= self._not_before and (calm or now >= self._patient_until):
                self._next = self._recovery.open_another(renews=True)
                core.run(self._next)
        elif following.ready and self._hand_over(following, now, calm=calm):
            return
        elif self._held_for(now) >= 2 * _LONGEST_HOLD:  # The other one is being brought up to date, and is slow.
            self._let_go()
        if core.current is not None:
            core.current.line.call_at(now + (_LOOK_HELD if core.holds_back else self._look_every), self.look)

    def _hand_over(self, following: Connection, now: float, *, calm: bool) -> bool:
        if now >= self._force_at - self._hold and self._held_since is None:
            self._held_since = now
            self._core.hold_back(True)
        if not calm and self._held_since is None:
            return False
        held = self._held_for(now)
        last = held >= _LONGEST_HOLD
        if not last and not self._has_all(following):
            following.ready = False
            following.line.post(lambda: self._recovery.catch_up(following))
            return False
        # A response may go on for long, an answer comes soon.
        force = last or (self._held_since is not None and held >= self._hold and self._core.is_answered())
        return self._recovery.move_to(following, force=force)

    def _has_all(self, following: Connection) -> bool:
        """Whether the next connection is up to date. Costs time in proportion to the conversation, once for a news."""
        newest = self._core.hub.newest
        if self._met_at != (following.number, newest):
            if not self._recovery.is_up_to_date(following):
                return False
            self._met_at = following.number, newest
        return True

    def _held_for(self, now: float) -> float:
        """Seconds for which sends have been held back."""
        return 0.0 if self._held_since is None else now - self._held_since

    def _let_go(self) -> None:
        if self._held_since is not None:
            self._held_since = None
            self._core.hold_back(False)

    def failed(self, error: RealtimeError) -> None:
        """The next connection has ended before it took over. In its reader."""
        logger.info("the session could not be renewed yet: %s", error)
        self._pause *= 2.0
        asked = getattr(error, "retry_after", None) or 0.0
        later = max(asked, self._pause * (0.5 + chance() / 2)) if getattr(error, "retryable", False) else float("inf")
        self._not_before = time.monotonic() + later
        self._next = None

    def give_up(self) -> None:
        """The current connection has ended first."""
        following = self._next
        if following is not None and self._core.discard(following):
            following.line.abort("the connection that it should have replaced has ended")


def expiry_of(connection: Connection) -> Expiry | None:
    """When the service ends the session (``expires_at``, protocol 4.1); None where it did not say.

    Asked when it greets: its own clock is the ``Date`` of its answer to the upgrade, which tells whole seconds.
    """
    expires_at = connection.conversation.config.get("expires_at")
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        return None
    here, there = time.time(), _date_in(connection.line.response_headers)
    life = expires_at - (here if there is None or abs(there - here) < _SAME_TIME else there)
    return Expiry(time.monotonic() + life, life) if 0 < life <= _LONGEST_LIFE else None


def _date_in(headers: Mapping[str, str]) -> float | None:
    said = headers.get("date")
    if said is None:
        return None
    import email.utils  # Costly, and only wanted here.

    try:
        return email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def chance() -> float:
    """A random number from 0 to 1."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
