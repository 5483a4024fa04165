"""The way back: what happens when a line has ended, and how the next one is made ready.

1. ``after`` is asked by every reader thread when its line has ended: is there a next one to read? It pauses between
   attempts, on a latch that ``close()`` sets.
2. A new connection is restored by its own events: the service's first word starts its ``Restoration``, each answer
   lets the next steps go out. The program sees none of it until the connection is adopted.
3. A renewal (``renewal``) has its next connection restored in the same way, by a reader thread of that one's own, and
   it holds what arrives until the current one hands over.
4. ``_attempt`` counts attempts since the last progress: a word of the service that the restoration did not ask for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rtsync.edges import signals
from rtsync.pure.recovery import Lost, Reconnect, cause_of, delay_before
from rtsync.threads.connection import Connection
from rtsync.threads.plan import Plan
from rtsync.threads.renewal import Renewal, chance, expiry_of
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConnectionLost,
    ConnectTimeout,
    RealtimeError,
    SessionClosed,
    SessionExpired,
)
from rtsync.vocabulary.events import Event

if TYPE_CHECKING:
    from rtsync.threads.reader import Core

__all__ = ["Recovery"]

logger = logging.getLogger("rtsync.session")


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
        self._plans: dict[int, Plan] = {}
        self._renewal: Renewal | None = None

    @property
    def wanted(self) -> bool:
        """Whether a line that ends may be followed by another one."""
        return self._policy is not None

    @property
    def asks_again(self) -> bool:
        """Whether responses that somebody holds are asked for once more when their line was lost."""
        return self._policy is not None and self._policy.responses == "again"

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
        if isinstance(error, AuthenticationFailed) and not error.retryable:  # Also of a renewal's.
            self._refused = connection.credential
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
        return self._next(error)

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

    def _next(self, error: RealtimeError) -> Connection | None:
        """Pause, and make the connection to try next."""
        core, policy, loss = self._core, self._policy, self._loss
        assert policy is not None
        assert loss is not None
        self._attempt += 1
        delay = delay_before(self._attempt, policy, error, chance())
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
        connection.expiry = expiry_of(connection)
        if self.rejoins:  # The call has kept its session.
            connection.conversation = core.rejoined(connection)
            return
        plan = self._plans[connection.number] = Plan(core, self._policy)
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
            connection.expiry = expiry_of(connection)
        if connection.expiry is not None:
            self._renewal = Renewal(self._core, self, connection.expiry)
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
            missing = plan.lost(connection) if plan is not None else ()
            lost = core.switch_to(connection, expired, force=force, again=policy.responses == "again")
            if lost is None:
                return False
            self._renewal = None
            self._plans.pop(connection.number, None)
            found = (*lost, *missing)
            core.announce(signals.reconnected, attempt=0, cause=CloseCause.EXPIRED, lost=found, renewed=True)
        finally:
            if connection is core.current:
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


def _credential_in(headers: Mapping[str, str]) -> str | None:
    return next((value for name, value in headers.items() if name.lower() in ("authorization", "api-key")), None)


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
