"""``memory://``: a bus within one process, for one web worker with threads, tests and small programs.

It keeps the rules of ``rtsync.bus.engine`` with one lock, ``_sessions_lock``, held for a few lines each time. A bell
wakes those who follow channels. Nothing survives the process, and a forked child begins with nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from rtsync.bus.engine import (
    LOBBY,
    Batch,
    Card,
    Claim,
    Entry,
    Outcome,
    Plan,
    Posting,
    Revival,
    SessionInfo,
    commands_of,
    events_of,
)
from rtsync.bus.notices import idle
from rtsync.edges.latch import Bell

__all__ = ["MemoryBus"]

_MOST_SEEN = 1024  # ids of commands by which one that comes again is known
_MOST_RINGS = 16


class _Channel:
    """Entries in order of their ids."""

    def __init__(self, most: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=most)
        self.last = "0"

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.last = entry.id

    def behind(self, after: str, count: int | None = None) -> list[Entry]:
        start = _place(after)
        found: list[Entry] = []
        for entry in reversed(self.entries):
            if _place(entry.id) <= start:
                break
            found.append(entry)
        found.reverse()
        return found if count is None else found[:count]


class _Session:
    def __init__(self, card: Card, events: _Channel) -> None:
        self.card = card
        self.created = time.time()
        self.events = events
        self.commands: dict[str, bytes] = {}
        self.seen: dict[str, None] = {}
        self.plan: dict[str, bytes] = {}
        self.cause: str | None = None
        self.gone_at: float | None = None
        self.holder: str | None = None
        self.token: str | None = None
        self.held_until = 0.0
        self.handed_over = False
        self.claims = self.tries = 0
        self.batch = 0
        self.touch()

    def touch(self) -> None:
        self.idle_at = time.monotonic() + self.card.idle_timeout

    @property
    def open(self) -> bool:
        return self.cause is None


class MemoryBus:
    """See ``rtsync.bus.engine.Bus``. Threads: any."""

    name = "memory://"
    shared = False
    interruptions = 0

    def __init__(self) -> None:
        self._sessions_lock = threading.RLock()
        self._sessions: dict[str, _Session] = {}
        self._channels: dict[str, _Channel] = {}
        self._news = Bell()
        self._last_place = (0, 0)
        self._marks: dict[str, tuple[str, float]] = {}

    # -- users --------------------------------------------------------------------------------------------------------

    def register(self, card: Card, *, most: int, most_of_owner: int) -> str | None:
        with self._sessions_lock:
            self._forget_gone()
            if card.session_id in self._sessions:
                return None
            held = [session for session in self._sessions.values() if session.open]
            if len(held) >= most:
                return "all"
            if sum(session.card.owner == card.owner for session in held) >= most_of_owner:
                return "owner"
            self._sessions[card.session_id] = _Session(card, self._channel(events_of(card.session_id), card.max_events))
        self.ring(LOBBY)
        return None

    def post(self, session_id: str, owner: str, command_id: str, command: bytes) -> Posting:
        with self._sessions_lock:
            session = self._of(session_id, owner)
            if session is None:
                return Posting.UNKNOWN
            if not session.open:
                return Posting.CLOSED
            if command_id in session.seen:
                return Posting.DONE
            if len(session.commands) >= session.card.max_backlog:
                return Posting.FULL
            session.seen[command_id] = None
            if len(session.seen) > _MOST_SEEN:
                del session.seen[next(iter(session.seen))]
            entry = Entry(self._new_id(), command)
            session.commands[entry.id] = command
            self._channel(commands_of(session_id), session.card.max_backlog).add(entry)
            session.touch()
        self._news.ring()
        return Posting.DONE

    def touch(self, session_ids: Sequence[str]) -> None:
        with self._sessions_lock:
            for session_id in session_ids:
                if session_id in self._sessions:
                    self._sessions[session_id].touch()

    def finish(self, session_id: str, cause: str, notice: bytes, *, owner: str | None = None) -> Posting:
        with self._sessions_lock:
            session = self._sessions.get(session_id)
            if session is None or (owner is not None and session.card.owner != owner):
                return Posting.UNKNOWN
            if not session.open:
                return Posting.CLOSED
            self._end(session, cause, notice)
        self.ring(commands_of(session_id))  # Its holder looks what is the matter.
        return Posting.DONE

    def info(self, session_id: str, owner: str) -> SessionInfo | None:
        with self._sessions_lock:
            session = self._of(session_id, owner)
            return None if session is None else _info(session)

    def sessions(self, owner: str) -> list[str]:
        with self._sessions_lock:
            held = [session for session in self._sessions.values() if session.open]
            return [session.card.session_id for session in held if session.card.owner == owner]

    def plan(self, session_id: str) -> Plan:
        with self._sessions_lock:
            session = self._sessions.get(session_id)
            return Plan({}, "0") if session is None else Plan(dict(session.plan), session.events.last)

    def backlog(self, session_id: str) -> list[Entry]:
        with self._sessions_lock:
            session = self._sessions.get(session_id)
            return [] if session is None else [Entry(*each) for each in session.commands.items()]

    def read(self, session_id: str, after: str, count: int) -> list[Entry]:
        with self._sessions_lock:
            session = self._sessions.get(session_id)
            return [] if session is None else session.events.behind(after, count)

    def has(self, session_id: str, event_id: str) -> bool:
        with self._sessions_lock:
            session = self._sessions.get(session_id)
            return session is not None and any(entry.id == event_id for entry in session.events.entries)

    def last_id(self, session_id: str) -> str:
        with self._sessions_lock:
            session = self._sessions.get(session_id)
            return "0" if session is None else session.events.last

    # -- channels -----------------------------------------------------------------------------------------------------

    def follow(self, cursors: Mapping[str, str], timeout: float) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}

        def news() -> bool:
            with self._sessions_lock:
                for name, after in cursors.items():
                    channel = self._channels.get(name)
                    if channel is not None and channel.last != after and (entries := channel.behind(after)):
                        found[name] = entries
            return bool(found)

        self._news.wait_until(news, timeout)
        return found

    def ring(self, channel: str) -> None:
        with self._sessions_lock:
            self._channel(channel, _MOST_RINGS).add(Entry(self._new_id(), b""))
        self._news.ring()

    def _channel(self, name: str, most: int) -> _Channel:
        if name not in self._channels:
            self._channels[name] = _Channel(most)
        return self._channels[name]

    # -- holders ------------------------------------------------------------------------------------------------------

    def claim(self, holder: str, *, most: int, lease: float) -> list[Claim]:
        with self._sessions_lock:
            now = time.monotonic()
            free = [each for each in self._sessions.values() if each.open and each.held_until <= now][:most]
            return [self._claim(session, holder, now + lease) for session in free]

    def _claim(self, session: _Session, holder: str, until: float) -> Claim:
        session.claims += 1
        session.tries += 1
        session.holder, session.held_until, session.batch = holder, until, 0
        session.token = f"{holder}:{session.claims}"
        handed_over, session.handed_over = session.handed_over, False
        return Claim(session.card, session.token, session.claims, session.tries, handed_over)

    def renew(self, claims: Sequence[Claim], lease: float) -> dict[str, Outcome]:
        with self._sessions_lock:
            return {claim.card.session_id: self._renew(claim, lease) for claim in claims}

    def _renew(self, claim: Claim, lease: float) -> Outcome:
        stands = self._stands(claim)
        if stands is Outcome.DONE:
            self._sessions[claim.card.session_id].held_until = time.monotonic() + lease
        return stands

    def release(self, claims: Sequence[Claim]) -> None:
        with self._sessions_lock:
            for claim in claims:
                if self._stands(claim) is Outcome.DONE:
                    session = self._sessions[claim.card.session_id]
                    session.token, session.holder, session.held_until = None, None, 0.0
                    session.handed_over = True
        self.ring(LOBBY)

    def publish(self, batches: Sequence[Batch]) -> list[Outcome]:
        with self._sessions_lock:
            outcomes = [self._publish(batch) for batch in batches]
        self._news.ring()
        return outcomes

    def _publish(self, batch: Batch) -> Outcome:
        stands = self._stands(batch.claim)
        if stands is not Outcome.DONE:
            return stands
        session = self._sessions[batch.claim.card.session_id]
        if session.batch == batch.number:
            return Outcome.DONE
        session.batch = batch.number
        session.tries = 0 if batch.events else session.tries
        for name, value in batch.changes.items():
            if value is None:
                session.plan.pop(name, None)
            else:
                session.plan[name] = value
        self._take_done(session, batch)
        if batch.cause is not None:
            self._end(session, batch.cause, *batch.events)
        else:
            self._add(session, batch.events)
        return Outcome.DONE

    def _take_done(self, session: _Session, batch: Batch) -> None:
        for entry_id in batch.done:
            session.commands.pop(entry_id, None)
        if batch.before is not None:
            first = _place(batch.before)
            for entry_id in [known for known in session.commands if _place(known) < first]:
                del session.commands[entry_id]

    def revive(self, revivals: Sequence[Revival], lease: float) -> list[Outcome]:
        return [Outcome.GONE for _ in revivals]  # What this process has forgotten it forgot on purpose.

    def close_idle(self) -> int:
        with self._sessions_lock:
            now = time.monotonic()
            found = [session for session in self._sessions.values() if session.open and session.idle_at <= now]
            for session in found:
                self._end(session, "idle", idle(session.card.idle_timeout))
            self._forget_gone()
        for session in found:
            self.ring(commands_of(session.card.session_id))
        return len(found)

    def mark(self, name: str, token: str, seconds: float) -> bool:
        now = time.monotonic()
        with self._sessions_lock:
            for known in [each for each, (_, until) in self._marks.items() if until <= now]:
                del self._marks[known]
            return self._marks.setdefault(name, (token, now + seconds))[0] == token

    def unmark(self, name: str) -> None:
        with self._sessions_lock:
            self._marks.pop(name, None)

    def close(self) -> None:
        """Nothing to give back."""

    # -- under the lock -----------------------------------------------------------------------------------------------

    def _of(self, session_id: str, owner: str) -> _Session | None:
        session = self._sessions.get(session_id)
        return session if session is not None and session.card.owner == owner else None

    def _stands(self, claim: Claim) -> Outcome:
        session = self._sessions.get(claim.card.session_id)
        if session is None:
            return Outcome.GONE
        if not session.open:
            return Outcome.CLOSED
        return Outcome.DONE if session.token == claim.token else Outcome.STALE

    def _end(self, session: _Session, cause: str, *notices: bytes) -> None:
        self._add(session, notices)
        session.cause, session.token, session.holder = cause, None, None
        session.gone_at = time.monotonic() + session.card.keep_closed
        session.commands.clear()

    def _add(self, session: _Session, events: Sequence[bytes]) -> None:
        for event in events:
            session.events.add(Entry(self._new_id(), event))

    def _new_id(self) -> str:
        moment, number = max((time.time_ns() // 1_000_000, -1), self._last_place)
        self._last_place = moment, number + 1
        return f"{moment}-{number + 1}"

    def _forget_gone(self) -> None:
        now = time.monotonic()
        for session_id in [known for known, each in self._sessions.items() if (each.gone_at or now) < now]:
            del self._sessions[session_id]
            for channel in _channels_of(session_id):
                self._channels.pop(channel, None)


def _channels_of(session_id: str) -> Iterator[str]:
    yield commands_of(session_id)
    yield events_of(session_id)


def _place(entry_id: str) -> tuple[int, int]:
    moment, _, number = entry_id.partition("-")
    return int(moment), int(number or 0)


def _info(session: _Session) -> SessionInfo:
    held = session.token is not None
    return SessionInfo(
        session_id=session.card.session_id,
        owner=session.card.owner,
        state="closed" if not session.open else "open" if held else "waiting",
        cause=session.cause,
        created=session.created,
        backlog=len(session.commands),
        holder=session.holder,
        claims=session.claims,
    )
