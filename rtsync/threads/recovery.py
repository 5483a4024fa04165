"""The way back: what happens when a line has ended, and how the next one is made ready.

1. ``after`` is asked by every reader thread when its line has ended: is there a next one to read? It pauses between
   attempts, on a latch that ``close()`` sets.
2. A new connection is restored by its own events: the service's first word starts its ``Restoration``, each answer
   lets the next steps go out. The program sees none of it until the connection is adopted.
3. A renewal makes the next connection while the current one goes on: a second reader thread opens and restores it, and
   holds what arrives. The reader of the current one looks, a few times a second, for a moment in which nothing is
   going on, brings the other one up to date, and hands over. From then on its own line carries nothing. Where no such
   moment comes, sends are held back for the last seconds, so that one does.
4. ``_attempt`` counts attempts since the last progress: a word of the service that the restoration did not ask for.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rtsync.edges import signals
from rtsync.pure.conversation import Snapshot
from rtsync.pure.recovery import (
    Lost,
    Outline,
    Reconnect,
    cause_of,
    delay_before,
    outline,
)
from rtsync.threads.connection import Connection, Expiry
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConnectionLost,
    ConnectTimeout,
    RealtimeError,
    SessionClosed,
    SessionExpired,
)
from rtsync.vocabulary.events import Event, encode

if TYPE_CHECKING:
    from rtsync.threads.reader import Core

__all__ = ["Recovery"]

logger = logging.getLogger("rtsync.session")

_LEAD = 60.0  # seconds before the end of a session at which its renewal begins; of a short session, a third of it
_LOOK = 0.25  # seconds between two looks for a calm moment
_LOOK_HELD = 0.01  # the same while sends are held back for it
_LONGEST_HOLD = 2.0  # seconds for which they are
_LONGEST_LIFE = 86400.0  # seconds; an expiry beyond that is no expiry
_SAME_TIME = 2.0  # seconds by which two clocks may differ that are set


class Recovery:
    """Reconnects and renews one session.

    Args:
        core: the session's.
        policy: the user's; None: a line that ends is the session's end.

    Attributes:
        rejoins: whether a new connection comes back to the same session: that of a running call.
    """

    def __init__(self, core: Core, policy: Reconnect | None) -> None:
        self.rejoins = False
        self._core = core
        self._policy = policy
        self._attempt = 0
        self._loss: SessionClosed | None = None
        self._lost: list[Lost] = []
        self._refused: str | None = None  # The credential that the service has refused.
        self._plans: dict[int, _Plan] = {}
        self._renewal: _Renewal | None = None

    @property
    def wanted(self) -> bool:
        """Whether a line that ends may be followed by another one."""
        return self._policy is not None

    # -- from line to line ---------------------------------------------------------------------------------------------

    def after(self, connection: Connection) -> Connection | None:
        """The connection to read after ``connection``, whose line has ended; None where there is none.

        Threads: the reader of ``connection``; it pauses here.
        """
        try:
            return self._after(connection)
        except BaseException as error:  # Nobody may wait for ever, whatever went wrong.
            logger.exception("reconnecting failed")
            lost = ConnectionLost(f"reconnecting failed: {type(error).__name__}", code=1006, cause=CloseCause.NETWORK)
            self._core.end(lost)
            raise

    def _after(self, connection: Connection) -> Connection | None:
        core = self._core
        error = core.why_ended(connection)
        self._plans.pop(connection.number, None)
        was_over, renewal = connection.over, self._renewal
        if core.discard(connection) and (was_over or connection.renews):
            if renewal is not None and renewal.is_next(connection):
                renewal.failed(error)
            return None  # Another one has taken its place, or has kept it.
        if connection.route == self._hold:  # It had just become the current one.
            connection.handed.wait()
            self._take_over(connection)
        self._give_up_renewal()
        if connection is core.current and not self._goes_on(connection, error):
            core.end(error)
            return None
        return self._next(connection, error)

    def _goes_on(self, connection: Connection, error: RealtimeError) -> bool:
        """Whether the session outlives its current line; tells those who depended on that, if so."""
        if (
            self._policy is None
            or not isinstance(error, SessionClosed)
            or not error.retryable
            or not connection.greeted
            or self._core.settings.awaited
        ):
            return False
        lost = self._core.lose(connection, error, again=self._policy.responses == "again")
        if lost is None:
            return False
        self._loss, self._lost = error, lost
        return True

    def _next(self, failed: Connection, error: RealtimeError) -> Connection | None:
        """Pause, and make the connection to try next."""
        core, policy, loss = self._core, self._policy, self._loss
        assert policy is not None
        assert loss is not None
        self._attempt += 1
        delay = delay_before(self._attempt, policy, error, _chance())
        if isinstance(error, AuthenticationFailed) and not error.retryable:
            self._refused = failed.credential
        if core.leaving:
            core.end(core.left())
        elif delay is None:
            core.end(_given_up(loss, error, self._attempt - 1))
        else:
            core.announce(signals.reconnecting, attempt=self._attempt, cause=loss.cause, delay=delay, error=error)
            if not core.leaving.wait(delay):
                return self.open_another()
            core.end(core.left())
        return None

    def open_another(self, *, renews: bool = False) -> Connection:
        """A connection that will be restored; given up where the service does not greet in time."""
        connection = self._core.new_connection(self.rebuild)
        connection.renews = renews
        self._await_answers(connection)
        return connection

    def fresh(
        self, connection: Connection, headers: Callable[[], Mapping[str, str]]
    ) -> Callable[[], Mapping[str, str]]:
        """``headers``, asked anew at the connect of ``connection``; a token that was refused is not sent again."""

        def asked() -> Mapping[str, str]:
            found = headers()
            connection.credential = _credential_in(found)
            if connection.credential is not None and connection.credential == self._refused:
                raise AuthenticationFailed(
                    "the service refused the credential, and there is no other: the token source gave the same one"
                    " again",
                    phase="credential",
                    retryable=False,
                )
            return found

        return asked

    def first_take(self, connection: Connection, event: Event, size: int) -> None:
        """The route of a connection that has just been adopted: its first word for the program is progress.

        Not for the program is the end of what was restored: ``conversation.item.done`` comes behind the answer.
        """
        if event.type == "conversation.item.done" and connection.restoration.made(_item_id(event)):
            self._core.note_quietly(connection, event)
            return
        if event.type != "error":
            self._attempt, self._refused = 0, None
            connection.route = self._core.take
        self._core.take(connection, event, size)

    # -- restoring: the reader of the new connection -------------------------------------------------------------------

    def rebuild(self, connection: Connection, event: Event, _size: int) -> None:
        """The route of a connection that is being restored."""
        sent = connection.note(event)
        error = connection.last_error
        if error is None and not connection.greeted:
            connection.greeted = True
            self._begin(connection)
        elif sent is not None and error is not None:
            connection.restoration.refused(sent.event_id, error)
        elif sent is not None:
            connection.restoration.confirmed(sent.event_id)
        if connection.greeted:
            self._go_on(connection)

    def _begin(self, connection: Connection) -> None:
        core = self._core
        connection.expiry = _expiry(connection)
        if self.rejoins:  # The call has kept its session.
            connection.conversation = core.rejoined(connection)
            return
        plan = self._plans[connection.number] = _Plan(core, self._policy)
        connection.occupied = True
        plan.aim(connection)
        connection.occupied = False

    def _go_on(self, connection: Connection) -> None:
        """Send what is due; once all is done, put the connection to use."""
        restoration = connection.restoration
        for event in restoration.due():
            self._core.say(connection, event, restoration)
        if restoration.updates_refused:
            connection.give_up(_not_configured(restoration.updates_refused[0]))
        elif not restoration.done:
            self._await_answers(connection)
        elif connection.renews:
            connection.line.call_at(None)
            connection.route = self._hold
            connection.ready = True
        else:
            self._put_to_use(connection)

    def _await_answers(self, connection: Connection) -> None:
        """Give the connection up where the service falls silent in the middle of it."""
        patience = connection.line.options.connect_timeout
        silent = ConnectTimeout(
            f"the service has said nothing for {patience:g} s while the session was being restored", phase="session"
        )
        connection.line.call_at(time.monotonic() + patience, lambda: connection.give_up(silent))

    def _put_to_use(self, connection: Connection) -> None:
        core, loss = self._core, self._loss
        assert loss is not None
        plan = self._plans.pop(connection.number, None)
        lost = tuple(self._lost) + (plan.lost(connection) if plan is not None else ())
        attempt = self._attempt

        def told() -> None:
            core.announce(signals.reconnected, attempt=attempt, cause=loss.cause, lost=lost, renewed=False)

        connection.line.call_at(None)
        if core.continue_on(connection, told):
            self.watch(connection)

    # -- renewing: the reader of the current connection, until the other one takes over --------------------------------

    def watch(self, connection: Connection) -> None:
        """See to it that ``connection``, which is the session's now, is replaced before the service ends it."""
        if self._policy is None or not self._policy.renew or self.rejoins:
            return
        if connection.expiry is None:
            connection.expiry = _expiry(connection)
        if connection.expiry is not None:
            self._renewal = _Renewal(self._core, self, connection.expiry)
            connection.line.call_at(self._renewal.begins, self._renewal.look)

    def _give_up_renewal(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.give_up()

    def catch_up(self, connection: Connection) -> None:
        """Bring a connection that is ready up to what has changed since. In its reader."""
        plan = self._plans.get(connection.number)
        if plan is not None:
            connection.route = self.rebuild
            plan.aim(connection)
            self._go_on(connection)

    def _hold(self, connection: Connection, event: Event, size: int) -> None:
        """The route of a connection that is ready, and whose reader does not yet know that it is in use."""
        connection.held.append((event, size))

    def is_up_to_date(self, connection: Connection) -> bool:
        """Whether a connection that is ready has all that it shall have."""
        plan = self._plans.get(connection.number)
        return plan is None or plan.is_met(connection)

    def move_to(self, connection: Connection, *, force: bool) -> bool:
        """Hand over from the current connection to ``connection``; False where something is going on."""
        core, policy, plan = self._core, self._policy, self._plans.get(connection.number)
        old = core.current
        assert old is not None
        assert policy is not None
        expired = SessionExpired(
            "the connection was renewed before the service's maximum duration", code=1000, cause=CloseCause.EXPIRED
        )
        try:
            missing = [*plan.lost(connection), *plan.late(connection)] if plan is not None else []
            lost = core.switch_to(connection, expired, force=force, again=policy.responses == "again")
            if lost is None:
                return False
            self._renewal = None
            self._plans.pop(connection.number, None)
            found = (*lost, *missing)
            core.announce(signals.reconnected, attempt=0, cause=CloseCause.EXPIRED, lost=found, renewed=True)
        finally:
            connection.handed.set()
        connection.line.post(lambda: self._take_over(connection))
        old.line.close(wait=False)
        return True

    def _take_over(self, connection: Connection) -> None:
        if connection.route != self._hold:  # Its line has ended meanwhile, and that was done then.
            return
        held, connection.held = connection.held, []
        self._core.take_over(connection)
        for event, size in held:
            connection.route(connection, event, size)
        self.watch(connection)


class _Plan:
    """What one new connection shall have, by the user's choice."""

    def __init__(self, core: Core, policy: Reconnect | None) -> None:
        assert policy is not None
        self._core = core
        self._restore = policy.restore
        self._chosen: list[dict[str, Any]] | None = None  # What a callable has chosen, and from what.
        self._chosen_from: frozenset[str] = frozenset()
        self._outline = Outline([], ())

    def aim(self, connection: Connection) -> None:
        """Tell the restoration of ``connection`` what there shall be now."""
        self._outline = self._outlined(self._core.snapshot())
        connection.restoration.aim(self._core.settings.event, self._outline.items)

    def is_met(self, connection: Connection) -> bool:
        """Whether the connection has that already."""
        return connection.restoration.has(self._core.settings.event, self._outlined(self._core.snapshot()).items)

    def lost(self, connection: Connection) -> tuple[Lost, ...]:
        """What could not be rebuilt."""
        return (*self._outline.lost, *connection.restoration.lost)

    def late(self, connection: Connection) -> list[Lost]:
        """What has come too late for ``connection``."""
        lacking = connection.restoration.lacks(self._outlined(self._core.snapshot()).items)
        return [Lost("item", item_id, "it came while the session was being renewed") for item_id in lacking]

    def _outlined(self, snapshot: Snapshot) -> Outline:
        if self._restore == "conversation":
            return outline(snapshot)
        if self._restore == "config":
            why = "restore='config' brings back no items"
            return Outline([], tuple(Lost("item", item.id, why) for item in snapshot.items))
        if self._chosen is None:
            self._chosen_from = frozenset(item.id for item in snapshot.items)
            self._chosen = self._choose(snapshot)
        deleted = self._chosen_from.difference(item.id for item in snapshot.items)
        chosen = [item for item in self._chosen if item["id"] not in deleted]
        later = [item for item in outline(snapshot).items if item["id"] not in self._chosen_from]
        return Outline([*chosen, *later], ())

    def _choose(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """What the user's callable returns; nothing where it fails, which is reported."""
        assert callable(self._restore)
        try:
            chosen = [_named(item) for item in self._restore(snapshot)]
            encode({"items": chosen})  # What cannot be written would break the line that it is to go over.
        except (Exception, SystemExit) as error:  # sys.exit() ends no thread of rtsync's.
            self._core.report(self._restore, error)
            return []
        return chosen


class _Renewal:
    """One move to a new connection before the old one expires. See rule 3 of this module."""

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
        later = max(asked, self._pause * (0.5 + _chance() / 2)) if getattr(error, "retryable", False) else float("inf")
        self._not_before = time.monotonic() + later
        self._next = None

    def give_up(self) -> None:
        """The current connection has ended first."""
        following = self._next
        if following is not None and self._core.discard(following):
            following.line.abort("the connection that it should have replaced has ended")


def _expiry(connection: Connection) -> Expiry | None:
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


def _chance() -> float:
    """A random number from 0 to 1."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _credential_in(headers: Mapping[str, str]) -> str | None:
    return next((value for name, value in headers.items() if name.lower() in ("authorization", "api-key")), None)


def _named(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the user's, with an id, by which its answer is told from others'."""
    known = item.get("id")
    return {**item, "id": known if isinstance(known, str) and known else "item_" + os.urandom(10).hex()}


def _given_up(loss: SessionClosed, error: RealtimeError, attempts: int) -> RealtimeError:
    """Why the session ends when no further attempt is made."""
    if attempts == 0:
        return error
    said = f"{loss}; reconnecting was given up after {attempts} attempt{'s' if attempts > 1 else ''}: {error}"
    cause = cause_of(error, loss.cause)
    kind = type(loss) if cause is loss.cause else SessionClosed
    ended = kind(
        said,
        code=loss.code,
        reason=loss.reason,
        cause=cause,
        in_flight=loss.in_flight,
        retryable=getattr(error, "retryable", False),
    )
    ended.__cause__ = error
    return ended


def _not_configured(error: Mapping[str, Any]) -> SessionClosed:
    said = error.get("message") or error.get("code") or "no reason given"
    return SessionClosed(
        f"the service refused on a new connection what it had confirmed on the last one (session.update): {said}",
        cause=CloseCause.SERVER,
        retryable=False,
    )


def _item_id(event: Event) -> object:
    item = event.get("item")
    return item.get("id") if isinstance(item, Mapping) else None
