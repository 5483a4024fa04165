"""``Worker``: a process that holds sessions. Any number of them, on any host, share the sessions of a bus.

One thread, ``rtsync-bus-worker``, does all that must not wait for a conversation:

1. It claims what nobody holds: new sessions when the lobby rings, those of the dead when it looks, twice a second.
2. It renews the lease of what this process holds, three times within each, and leaves what was lost.
3. It hands out commands: one blocking read for all sessions.
4. It closes what is idle, anybody's.

Each session has a thread of its own (``owner``), and what they say leaves by one more (``outflow``). ``stop`` hands
over: what is on its way is said, the sessions are free at once, and only then the lines are closed.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rtsync.bus import notices
from rtsync.bus.engine import LOBBY, Bus, Claim, Entry, Outcome, commands_of
from rtsync.bus.outflow import Outflow
from rtsync.bus.owner import Holding, Owner, Prepare
from rtsync.edges import forks
from rtsync.edges.latch import Latch
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import BusUnavailable
from rtsync.vocabulary.targets import Target

__all__ = ["Prepare", "Worker"]

logger = logging.getLogger("rtsync.bus")

_SCAN = 0.5  # seconds between two looks for sessions that nobody holds
_IDLE_SCAN = 2.0  # seconds between two looks for idle ones
_RENEWALS = 3  # within a lease
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to reach the bus
_AT_EXIT = 1.0  # seconds


class Worker:
    """Holds sessions of a bus in this process. A ``SessionDirectory`` with ``run_owners`` makes one, as does ``rtsync
    worker``.

    Args:
        bus: the engine.
        target: where sessions connect to.
        session_options: keyword arguments of each ``RealtimeSession``, but for ``config`` and ``reconnect``.
        prepare: called with each before it is opened.
        lease: seconds after which others may take this process's sessions when it says nothing.
        max_held: most sessions at once.

    Threads: any. It belongs to the process that starts it.
    """

    def __init__(
        self,
        bus: Bus,
        target: Target,
        *,
        session_options: Mapping[str, Any] | None = None,
        prepare: Prepare | None = None,
        lease: float = 2.5,
        max_held: int = 500,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"
        self._bus = bus
        self._lease = lease
        self._max_held = max_held
        self._outflow = Outflow(bus, lease)
        self._holding = Holding(bus, self._outflow, target, dict(session_options or {}), prepare)
        self._owners_lock = threading.RLock()  # Guards owners and cursors.
        self._owners: dict[str, Owner] = {}
        self._cursors: dict[str, str] = {}
        self._numbers = 0
        self._lobby = "0"
        self._interruptions = bus.interruptions
        self._claim_at = self._renew_at = self._idle_at = 0.0
        self._leaving = Latch()
        self._process: int | None = None
        self._thread = threading.Thread(target=self._run, name="rtsync-bus-worker", daemon=True)

    @property
    def held(self) -> int:
        """How many sessions this process holds. Threads: any."""
        return len(self._owners)

    def start(self) -> Self:
        """Begin to hold sessions. Once."""
        self._process = os.getpid()
        self._outflow.start()
        with forks.whole():
            self._thread.start()
        _running.add(self)
        return self

    def stop(self, *, timeout: float = 5.0) -> None:
        """Hand over: others may take the sessions of this process at once; then their lines are closed.

        On a bus that nobody else reaches, the sessions end. May be called twice.

        Threads: blocks up to ``timeout`` seconds.
        """
        if self._process != os.getpid():
            return
        deadline = Deadline(timeout)
        _running.discard(self)
        self._leaving.set()
        self._bus_wakes()
        if self._thread is not threading.current_thread():
            self._thread.join(deadline.remaining(2.0))
        with self._owners_lock:
            owners = list(self._owners.values())
        self._give_up(owners, deadline)
        self._outflow.stop(deadline.remaining() or 0.0)
        for owner in owners:
            owner.join(deadline.remaining() or 0.0)

    def _give_up(self, owners: Sequence[Owner], deadline: Deadline) -> None:
        for owner in owners:
            owner.leave("handover")
        self._outflow.flush(deadline.remaining(1.0) or 0.0)
        try:
            if self._bus.shared:
                self._bus.release([owner.claim for owner in owners])
            else:
                for owner in owners:
                    self._bus.finish(owner.session_id, "stopped", notices.closed("stopped", "the process has stopped"))
        except BusUnavailable:
            logger.warning("the sessions of this process are free when its lease is over: the bus is out of reach")

    def _bus_wakes(self) -> None:
        try:
            self._bus.ring(f"wake:{self.name}")
        except BusUnavailable:
            logger.debug("the bus is out of reach while this worker leaves")

    # -- its thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause, failing = _SHORTEST_PAUSE, False
        while not self._leaving:
            try:
                self._turn()
                self._recover()
                pause, failing = _SHORTEST_PAUSE, False
            except BusUnavailable as error:
                if not failing:
                    logger.warning("%s", error)
                failing, self._renew_at = True, 0.0  # First of all it renews, then: before it claims its own.
                self._leaving.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:
                logger.exception("the worker stumbled")
                self._leaving.wait(_LONGEST_PAUSE)

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._renew_at:
            self._renew()
            self._renew_at = now + self._lease / _RENEWALS
        if now >= self._claim_at:
            self._claim()
            self._claim_at = now + _SCAN
        if now >= self._idle_at:
            self._bus.close_idle()
            self._idle_at = now + _IDLE_SCAN
        self._hand_out(max(0.01, min(self._renew_at, self._claim_at, self._idle_at) - time.monotonic()))

    def _claim(self) -> None:
        room = self._max_held - self.held
        for claim in self._bus.claim(self.name, most=room, lease=self._lease) if room > 0 else ():
            self._hold(claim)

    def _hold(self, claim: Claim) -> None:
        session_id = claim.card.session_id
        with self._owners_lock:
            self._numbers += 1
            owner = Owner(claim, self._holding, self._numbers, self._over)
            former = self._owners.get(session_id)
            self._owners[session_id] = owner
            self._cursors[commands_of(session_id)] = "0"
        if former is not None:  # Its lease ran out, and it does not know yet.
            former.leave("claimed anew")
        owner.start()

    def _over(self, owner: Owner) -> None:
        with self._owners_lock:
            if self._owners.get(owner.session_id) is owner:
                del self._owners[owner.session_id]
                self._cursors.pop(commands_of(owner.session_id), None)

    def _renew(self) -> None:
        with self._owners_lock:
            owners = dict(self._owners)
        if not owners:
            return
        interruptions = self._bus.interruptions  # Before: one that comes meanwhile is still to be noticed.
        for session_id, outcome in self._bus.renew([owner.claim for owner in owners.values()], self._lease).items():
            if outcome is Outcome.GONE:
                owners[session_id].look()  # The outflow brings it back, or leaves it.
            elif outcome is not Outcome.DONE:
                owners[session_id].leave(str(outcome))
            else:
                owners[session_id].seen = interruptions
        self._outflow.note_contact()

    def _recover(self) -> None:
        """Where the bus was lost sight of, have everything written anew: it may be old, or gone."""
        if self._interruptions == self._bus.interruptions:
            return
        self._interruptions, self._renew_at = self._bus.interruptions, 0.0
        with self._owners_lock:
            owners = list(self._owners.values())
        for owner in owners:
            self._outflow.poke(owner)

    def _hand_out(self, timeout: float) -> None:
        with self._owners_lock:
            cursors = {**self._cursors, LOBBY: self._lobby, f"wake:{self.name}": "0"}
        found = self._bus.follow(cursors, timeout)
        rings = found.pop(LOBBY, None)
        if rings:
            self._lobby = rings[-1].id
            self._claim_at = 0.0
        for channel, entries in found.items():
            self._hand_to(channel, entries)

    def _hand_to(self, channel: str, entries: Sequence[Entry]) -> None:
        with self._owners_lock:
            owner = self._owners.get(channel.partition(":")[2])
            if channel in self._cursors:
                self._cursors[channel] = entries[-1].id
        if any(not entry.data for entry in entries):  # Something has happened to the session.
            self._renew_at = 0.0
        if owner is not None:
            owner.take([entry for entry in entries if entry.data])


# At the end of the program, others shall not have to wait for the lease.
_running: weakref.WeakSet[Worker] = weakref.WeakSet()


def _hand_over_all() -> None:
    for worker in list(_running):
        worker.stop(timeout=_AT_EXIT)


atexit.register(_hand_over_all)
