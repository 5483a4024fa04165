"""What the sessions of this process say, on its way to the bus: one thread for all of them.

1. Who has something to say is ``poked``; the thread takes one batch of each, and brings all of them in one go. What is
   said meanwhile goes with the next, so that batches grow as the bus gets slower.
2. A batch is repeated as it is until the bus has answered: it is known there by its number, and done once.
3. When the bus was lost sight of, everything that stands there is written anew: it may have lost some of it, or all.
4. What somebody else has claimed, or what was closed, is left, without another word.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from rtsync.bus.engine import Batch, Bus, Claim, Outcome, Revival
from rtsync.edges import forks
from rtsync.edges.latch import Bell
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import BusUnavailable

__all__ = ["Outflow", "Speaker"]

logger = logging.getLogger("rtsync.bus")

_PACE = 0.003  # seconds from one journey to the next: what is said meanwhile goes together, at half the cost
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between attempts
_MEMORY = 60.0  # seconds without contact after which what the bus has forgotten is not brought back


class Speaker(Protocol):
    """A session that this process holds."""

    claim: Claim
    seen: int
    """How many interruptions of the bus there had been when the session was last seen there."""

    def batch(self, interruptions: int) -> Batch | None:
        """What it has to say, if anything; with everything, where there were ``interruptions`` it does not know of."""

    def published(self) -> None:
        """Its last batch stands on the bus."""

    def everything(self) -> Mapping[str, bytes]:
        """All that shall stand on the bus."""

    def leave(self, why: str) -> None:
        """It is not this process's any more."""


class Outflow:
    """See above. Threads: any."""

    def __init__(self, bus: Bus, lease: float) -> None:
        self._bus = bus
        self._lease = lease
        self._poked_lock = threading.RLock()  # Guards who was poked.
        self._poked: dict[Speaker, None] = {}
        self._bell = Bell()
        self._busy = False
        self._leaving = False
        self._contact = time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        with forks.whole():
            self._thread = threading.Thread(target=self._run, name="rtsync-bus-outflow", daemon=True)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, without what was not said so far."""
        self._leaving = True
        self._bell.ring()
        if self._thread is not None:
            self._thread.join(timeout)

    def flush(self, timeout: float) -> bool:
        """Block until nobody has anything to say, at most ``timeout`` seconds. Returns whether that is so."""
        return self._bell.wait_until(self._is_quiet, timeout)

    def poke(self, speaker: Speaker) -> None:
        """It has something to say."""
        with self._poked_lock:
            self._poked[speaker] = None
        self._bell.ring()

    def note_contact(self) -> None:
        """The bus has answered this process."""
        self._contact = time.monotonic()

    def _is_quiet(self) -> bool:
        with self._poked_lock:
            return not self._poked and not self._busy

    def _run(self) -> None:
        while not self._leaving:
            self._bell.wait_until(lambda: bool(self._poked) or self._leaving, None)
            with self._poked_lock:
                speakers, self._poked = list(self._poked), {}
                self._busy = True
            began = time.monotonic()
            try:
                self._speak(speakers)
            except Exception:
                logger.exception("events could not be brought to the bus")
            finally:
                self._busy = False
                self._bell.ring()
            time.sleep(max(0.0, began + _PACE - time.monotonic()))

    def _speak(self, speakers: Sequence[Speaker]) -> None:
        found = [(speaker, speaker.batch(self._bus.interruptions)) for speaker in speakers]
        left = [(speaker, batch) for speaker, batch in found if batch is not None]
        pause = _SHORTEST_PAUSE
        while left and not self._leaving:
            seen = self._bus.interruptions  # Before: one that comes meanwhile is still to be noticed.
            try:
                outcomes = self._bus.publish([batch for _, batch in left])
                again = [
                    (speaker, batch)
                    for (speaker, batch), outcome in zip(left, outcomes, strict=True)
                    if self._goes_again(speaker, outcome, seen)
                ]
            except BusUnavailable as error:
                logger.warning("events wait: %s", error)
                self._pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            self.note_contact()
            left = again

    def _goes_again(self, speaker: Speaker, outcome: Outcome, seen: int) -> bool:
        """Whether the batch is to be brought once more; tells ``speaker`` what came of it, if not."""
        if outcome is Outcome.DONE:
            speaker.seen = seen
            speaker.published()
            return False
        if (
            outcome is Outcome.GONE
            and self._bus.interruptions != speaker.seen
            and time.monotonic() - self._contact < _MEMORY
        ):
            outcome = self._bus.revive([Revival(speaker.claim, speaker.everything())], self._lease)[0]
            if outcome is Outcome.DONE:
                logger.info("the bus had lost a session, and has it again")
                return True
        speaker.leave(str(outcome))
        return False

    def _pause(self, seconds: float) -> None:
        Bell().wait_until(lambda: self._leaving, Deadline(seconds).remaining())
