"""One session that this process holds: from the claim to the end, over as many lines as it takes.

1. A thread of its own opens the line, restores the conversation where it had begun elsewhere, and does the commands, in
   order. When the line ends it begins again from the plan, like another holder would: there is one way back.
2. ``_capture`` gets every event where the session's handlers run. It enters it into the ledger, and lays it out for
   the outflow together with what it changed. Nothing there waits for the bus.
3. ``_books`` guards ledger, what is to be said, and the stage; no call out happens under it, but for the session's
   own books.
4. Whoever says ``leave`` ends it, once; from then on nothing more is laid out.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from rtsync.bus import notices
from rtsync.bus.engine import Batch, Bus, Claim, Entry, Plan, SessionInfo
from rtsync.bus.ledger import Changes, Command, Cut, Ledger
from rtsync.bus.outflow import Outflow
from rtsync.bus.restoring import Restoring
from rtsync.edges import forks
from rtsync.edges.latch import Bell
from rtsync.edges.signals import session_closed
from rtsync.pure.recovery import Reconnect, delay_before
from rtsync.session import RealtimeSession
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    BusUnavailable,
    CloseCause,
    RealtimeError,
    SendTimeout,
    SessionClosed,
)
from rtsync.vocabulary.events import Event, encode, raw
from rtsync.vocabulary.targets import Target

__all__ = ["Holding", "Owner", "Prepare"]

logger = logging.getLogger("rtsync.bus")

Prepare = Callable[[RealtimeSession, SessionInfo], object]
Found = TypeVar("Found")

_POLICY = Reconnect(attempts=8, longest_delay=10.0)
_AT_FIRST = Reconnect(attempts=2)  # Somebody waits in open().
_LOOK = 1.0  # seconds between two looks at what nobody rings for
_MOST_EVENTS, _MOST_BYTES = 500, 1 << 20  # of a batch
_MOST_UNSAID = 32 << 20  # bytes that wait for the bus
_LAST_WORDS = 5.0  # seconds
_LEAD = 60.0  # seconds before the service's maximum duration; of a short session, a third of it
_MOST_TRIES = 5  # claims in a row without a word: what kills its holder shall not kill all of them
_SILENCE = 10.0  # seconds of the service's, while a session is restored


class Holding(msgspec.Struct, frozen=True):
    """How a process holds sessions.

    Attributes:
        bus: where they stand.
        outflow: the way there.
        target: where they connect to.
        session_options: of ``RealtimeSession``.
        prepare: called with each before it is opened.
    """

    bus: Bus
    outflow: Outflow
    target: Target
    session_options: Mapping[str, Any]
    prepare: Prepare | None


class _Said(msgspec.Struct):
    event: bytes | None
    changes: Changes
    cause: str | None = None


class Owner:
    """One session. Threads: any.

    Args:
        claim: by which this process holds it.
        holding: how.
        number: of its thread.
        on_over: called with it in its thread when all is over.
    """

    def __init__(self, claim: Claim, holding: Holding, number: int, on_over: Callable[[Owner], None]) -> None:
        self.claim = claim
        self.session_id = claim.card.session_id
        self.seen = holding.bus.interruptions
        self._holding = holding
        self._on_over = on_over
        self._books = threading.RLock()  # Rule 3.
        self._ledger = Ledger(claim.card, Plan({}, "0"))
        self._loaded = False
        self._bell = Bell()
        self._inbox: deque[Command] = deque()
        self._known = "0"  # Entries up to this one were taken from the backlog.
        self._restoring: Restoring | None = None
        self._opening: list[bytes] | None = None
        self._session: RealtimeSession | None = None
        self._ended_by: RealtimeError | None = None
        self._line_over = False
        self._expires_at: float | None = None
        self._attempt = 0
        self._unsaid: deque[_Said] = deque()
        self._unsaid_bytes = 0
        self._batch: Batch | None = None
        self._batches = 0
        self._interruptions = 0
        self._looks = False
        self._left: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"rtsync-bus-owner-{number}", daemon=True)

    def __repr__(self) -> str:
        return f"<Owner of {self.session_id[:8]}..., {self._left or 'holding'}>"

    def start(self) -> None:
        """Begin."""
        with forks.whole():
            self._thread.start()

    def take(self, entries: Sequence[Entry]) -> None:
        """Commands have come."""
        with self._books:
            self._inbox.extend(Command.of(entry) for entry in entries if _place(entry.id) > _place(self._known))
        self._bell.ring()

    def leave(self, why: str) -> None:
        """It is not this process's any more: the line is closed, and nothing more is said."""
        with self._books:
            if self._left is not None:
                return
            self._left = why
            restoring = self._restoring
        if restoring is not None:
            restoring.give_up()
        logger.info("a session is left: %s", why)
        self._bell.ring()

    def look(self) -> None:
        """Find out how the session stands on the bus, although there may be nothing to say."""
        with self._books:
            self._looks = True
        self._holding.outflow.poke(self)

    def join(self, timeout: float) -> None:
        """Wait until it is over; ends what it may wait for itself."""
        session = self._session
        if session is not None:
            session.close(timeout=timeout)  # An open() that is still at it comes back.
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    # -- what it says: the outflow's thread ---------------------------------------------------------------------------

    def batch(self, interruptions: int) -> Batch | None:
        """See ``rtsync.bus.outflow.Speaker``."""
        with self._books:
            if self._batch is not None:
                return self._batch
            anew = interruptions != self._interruptions
            if not self._loaded or not (self._unsaid or anew or self._looks):
                return None
            self._interruptions, self._looks = interruptions, False
            said = self._next_said(everything=anew)
            self._batches += 1
            self._batch = self._as_batch(said, anew)
            return self._batch

    def _next_said(self, *, everything: bool) -> list[_Said]:
        said: list[_Said] = []
        size = 0
        while self._unsaid and (everything or (len(said) < _MOST_EVENTS and size < _MOST_BYTES)):
            said.append(self._unsaid.popleft())
            size += len(said[-1].event or b"")
        self._unsaid_bytes -= size
        return said

    def _as_batch(self, said: list[_Said], anew: bool) -> Batch:
        fields: dict[str, bytes | None] = {}
        for each in said:
            fields.update(each.changes.fields)
        if anew:
            fields.update(self.everything())
        return Batch(
            claim=self.claim,
            number=self._batches,
            events=[each.event for each in said if each.event is not None],
            done=[entry_id for each in said for entry_id in each.changes.done],
            before=self._ledger.done_before() if anew else None,
            changes=fields,
            cause=next((each.cause for each in said if each.cause is not None), None),
        )

    def published(self) -> None:
        """See ``rtsync.bus.outflow.Speaker``."""
        with self._books:
            self._batch = None
            more = bool(self._unsaid)
        if more:
            self._holding.outflow.poke(self)
        self._bell.ring()

    def everything(self) -> Mapping[str, bytes]:
        """See ``rtsync.bus.outflow.Speaker``."""
        with self._books:
            return self._ledger.fields() if self._ledger.begun else {}

    def _say(self, event: bytes | None, changes: Changes, cause: str | None = None) -> None:
        """Lay something out for the bus. Under the books."""
        if self._left is not None or (event is None and not changes):
            return
        self._unsaid.append(_Said(event, changes, cause))
        self._unsaid_bytes += len(event or b"")
        self._holding.outflow.poke(self)
        if self._unsaid_bytes > _MOST_UNSAID:
            self.leave("the bus takes nothing, and too much waits for it")

    # -- its thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._hold()
        except RealtimeError as error:
            self._finish(error)
        except Exception as error:
            logger.exception("a session could not be held")
            self._finish(SessionClosed(f"the worker failed: {type(error).__name__}", retryable=True))
        finally:
            self._close_line()
            self._on_over(self)

    def _hold(self) -> None:
        bus = self._holding.bus
        plan = self._asked(functools.partial(bus.plan, self.session_id))
        waiting = self._asked(functools.partial(bus.backlog, self.session_id))
        if plan is None or waiting is None:
            return
        if self.claim.tries > _MOST_TRIES:
            raise SessionClosed(f"{_MOST_TRIES} workers in a row have lost this session before it could say a word")
        commands = [Command.of(entry) for entry in waiting]
        with self._books:
            self._ledger, self._loaded = Ledger(self.claim.card, plan), True
            if waiting:
                self._known = waiting[-1].id
                self._inbox = deque(each for each in self._inbox if _place(each.entry_id) > _place(self._known))
        self._holding.outflow.poke(self)
        cause = "handover" if self.claim.handed_over else "owner_lost"
        while self._left is None:
            cut = self._cut(commands)
            if not self._connected(cause, cut):
                break
            self._serve(cut.left)
            cause, commands = self._line_has_ended()

    def _asked(self, ask: Callable[[], Found]) -> Found | None:
        """What the bus says, however long it takes; None where the session was left meanwhile."""
        while self._left is None:
            try:
                return ask()
            except BusUnavailable:
                self._bell.wait_until(lambda: self._left is not None, _LOOK)
        return None

    def _cut(self, commands: list[Command]) -> Cut:
        with self._books:
            if not self._ledger.begun:
                return Cut(commands, [], [], Changes())
            return self._ledger.cut(commands)

    # -- a line --------------------------------------------------------------------------------------------------------

    def _connected(self, cause: str, cut: Cut) -> bool:
        """Have a line that stands where the conversation stands; False where the session was left meanwhile."""
        while self._left is None:
            try:
                self._connect(cause, cut)
            except RealtimeError as error:
                self._close_line()
                if self._left is not None:
                    return False
                self._pause_after(error)
            else:
                return self._left is None
        return False

    def _pause_after(self, error: RealtimeError) -> None:
        self._attempt += 1
        policy = _POLICY if self._ledger.begun else _AT_FIRST
        delay = delay_before(self._attempt, policy, error, random.random())
        if delay is None or isinstance(error, AuthenticationFailed):
            raise error
        logger.info("the service is tried again in %.1f s: %s", delay, error)
        self._bell.wait_until(lambda: self._left is not None, delay)

    def _connect(self, cause: str, cut: Cut) -> None:
        holding = self._holding
        with self._books:
            first = not self._ledger.begun
            config, items = self._ledger.config, self._ledger.items
            self._opening = [] if first else None
            self._restoring = None if first else Restoring(items)
            self._line_over, self._ended_by, self._expires_at = False, None, None
        session = RealtimeSession(holding.target, config=config, **self._options())
        self._session = session
        session.on("*", self._capture)
        if holding.prepare is not None and (info := self._asked(self._info)) is not None:
            with (holding.session_options.get("within") or contextlib.nullcontext)():
                holding.prepare(session, info)
        session_closed.connect(self._on_line_over, sender=session, weak=False)
        session.open()
        if self._restoring is None:
            self._begin()
        elif self._restoring.send_all(session, _SILENCE):
            self._go_on(cause, cut)

    def _options(self) -> dict[str, Any]:
        place = "thread" if self._holding.prepare is not None else "inline"
        return {"handlers": place, **self._holding.session_options}

    def _info(self) -> SessionInfo | None:
        return self._holding.bus.info(self.session_id, self.claim.card.owner)

    def _begin(self) -> None:
        with self._books:
            opening, self._opening = self._opening or [], None
            for event in opening:
                self._say(event, Changes())
            self._say(None, self._ledger.begin())

    def _go_on(self, cause: str, cut: Cut) -> None:
        with self._books:
            restoring = self._restoring
            assert restoring is not None
            self._quiet, self._restoring = restoring, None
            lost = [*cut.lost, *restoring.lost]
            notice = None if cause == "renewed" and not lost else notices.moved(cause, again=cut.again, lost=lost)
            self._say(notice, cut.changes)

    _quiet: Restoring | None = None

    def _serve(self, commands: list[Command]) -> None:
        """Do commands until the line ends or the session is left."""
        session = self._session
        assert session is not None
        with self._books:
            self._inbox.extendleft(reversed(commands))
        while self._left is None and not self._line_over:
            command = self._next_command()
            if command is None:
                self._bell.wait_until(self._is_due, _LOOK)
                self._look()
            elif not self._do(session, command):
                return

    def _is_due(self) -> bool:
        return bool(self._inbox) or self._left is not None or self._line_over

    def _next_command(self) -> Command | None:
        with self._books:
            return self._inbox.popleft() if self._inbox else None

    def _do(self, session: RealtimeSession, command: Command) -> bool:
        """Hand over one command. Returns False where the line has ended with it."""
        with self._books:
            event = self._ledger.hand(command)  # First: its answer may be faster than the return of send().
        try:
            session.send(event)
        except (SessionClosed, SendTimeout):
            return False
        except RealtimeError as error:
            with self._books:
                self._say(notices.failed(str(command.event["event_id"]), error), self._ledger.refuse(command))
        else:
            with self._books:
                self._say(None, self._ledger.handed(command))
        return True

    def _look(self) -> None:
        """What nobody rings for: answers that do not come, and the service's maximum duration."""
        with self._books:
            self._say(None, self._ledger.expire())
            calm = self._ledger.calm and not self._inbox
            expires_at = self._expires_at
        if calm and expires_at is not None and time.time() >= expires_at:
            self._ended_by, self._line_over = None, True

    def _line_has_ended(self) -> tuple[str, list[Command]]:
        """Why there is to be another line, and what is to be done over it.

        Raises:
            RealtimeError: there is to be none.
        """
        renewed = self._line_over and self._ended_by is None and self._left is None
        error = self._ended_by or SessionClosed("the line took nothing more", cause=CloseCause.NETWORK)
        self._close_line()  # Handlers that still have events get to run: what has come counts.
        with self._books:
            commands = self._ledger.open_commands()
        if self._left is None and not renewed:
            self._pause_after(error)
        return "renewed" if renewed else "line_lost", commands

    def _close_line(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
            session_closed.disconnect(self._on_line_over, sender=session)

    # -- where the session's handlers run -----------------------------------------------------------------------------

    def _on_line_over(self, _session: RealtimeSession, error: RealtimeError) -> None:
        with self._books:
            self._ended_by, self._line_over = error, True
            restoring = self._restoring
        if restoring is not None:
            restoring.give_up()
        self._bell.ring()

    def _capture(self, session: RealtimeSession, event: Event) -> None:
        """Every event of the line: rule 2."""
        kind = event.type
        delta = kind.endswith(".delta")
        if kind == "session.created":
            self._note_expiry(event)
        kept = event if self.claim.card.audio else notices.without_audio(event)
        said = None if kept is None else encode(kept)
        with self._books:
            if self._restoring is not None:
                self._restoring.note(event)
            elif self._opening is not None:
                if said is not None:
                    self._opening.append(said)
            elif self._quiet is None or not self._quiet.belongs(event):
                self._attempt = 0
                self._say(said, _NOTHING if delta else self._ledger.note(event, session.item))

    def _note_expiry(self, event: Event) -> None:
        session = raw(event).get("session")
        at = session.get("expires_at") if isinstance(session, Mapping) else None
        if isinstance(at, int | float) and at > time.time():
            self._expires_at = at - min(_LEAD, (at - time.time()) / 3)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _finish(self, error: RealtimeError) -> None:
        """The conversation is over, because of ``error``."""
        cause = str(error.cause) if isinstance(error, SessionClosed) else "failed"
        with self._books:
            self._loaded = True
            self._say(notices.closed(cause, str(error), error), Changes(), cause)
        self._bell.wait_until(self._is_said, _LAST_WORDS)

    def _is_said(self) -> bool:
        return self._left is not None or (not self._unsaid and self._batch is None)


_NOTHING = Changes()


def _place(entry_id: str) -> tuple[int, int]:
    moment, _, number = entry_id.partition("-")
    return int(moment), int(number or 0)
