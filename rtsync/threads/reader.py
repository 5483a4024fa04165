"""The core of a session: everything that its threads need, and not the session itself.

The reader thread runs the line and takes every event along one way, without return::

    line -> decode -> responses and correlation (who is answered) -> delivery (handlers) -> waits -> subscriptions

Rules:

1. ``_books`` guards state, correlation, conversation, responses (``floor``) and subscriptions. It is held for a few
   lines; no user code and no socket call runs under it. It is reentrant so that ``close()`` in a signal handler cannot
   lock itself out.
2. Handlers are queued before waiters are woken, so that a wait can be sure that what it must see run is known.
3. The session is referred to weakly: a forgotten session is collected although its threads run, and its finalizer
   calls ``abandon``, which takes no lock.
4. Every end, however it comes, passes through ``end`` once: it names the cause, wakes everybody, and lets the handlers'
   thread finish. A reader thread calls it, or ``close`` where that thread stands in a token callable.
5. ``current`` is the connection that the program speaks through. How threads send over it while it may change stands
   in ``sending``.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rtsync.edges import signals
from rtsync.edges.guard import LineBroken
from rtsync.edges.latch import Bell, Latch
from rtsync.edges.signals import Board
from rtsync.edges.transport import Line
from rtsync.pure import verdict
from rtsync.pure.conversation import COUNTED, Conversation, Item, Snapshot, Usage
from rtsync.pure.correlation import Sent
from rtsync.pure.recovery import UPDATES, Lost, Reconnect, Settings
from rtsync.pure.responses import Record
from rtsync.pure.runs import Run
from rtsync.pure.state import State, Trigger, after
from rtsync.pure.stats import SessionStats
from rtsync.pure.turns import Turn, Turns
from rtsync.threads import process
from rtsync.threads.connection import Connection, Route, nowhere
from rtsync.threads.delivery import Delivery
from rtsync.threads.floor import MARK, Floor
from rtsync.threads.following import Follower, Request, Subscription
from rtsync.threads.loan import Loan
from rtsync.threads.losses import Losses, collect
from rtsync.threads.recovery import Recovery
from rtsync.threads.sending import Sender
from rtsync.threads.surroundings import Surroundings, Within, plainly
from rtsync.threads.waiting import Hub
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    ProtocolError,
    RealtimeError,
    SendTimeout,
    ServerError,
    SessionClosed,
    UsageError,
    WaitTimeout,
)
from rtsync.vocabulary.events import Event, new_event_id, raw

if TYPE_CHECKING:
    from rtsync.threads.tool_desk import Desk

__all__ = ["Core"]

logger = logging.getLogger("rtsync.session")

# A server that skips response.created still ends what was asked for.
_BEGINNINGS = ("response.created", "response.done")
# Events after which nothing waits in the input buffer.
_HEARD = frozenset({"input_audio_buffer.committed", "input_audio_buffer.cleared"})
_MOMENT = 0.2  # seconds in which a thread that is done surely ends
_VERDICT_PATIENCE = 1.0  # seconds that a thread waits for one that is about to end
_CANNOT_COPE = 1008  # Close code of an overflow; RFC 6455 7.4.1 has none that fits better.


class Core:
    """The inside of one session.

    Attributes:
        state: where the session is in its life.
        current: the connection that the program speaks through, or spoke through last, while the session reconnects.
    """

    within: Within | None = None
    around: Callable[[Callable[[], None]], None] = staticmethod(plainly)  # Does a job in the program's surroundings.
    refusal: SessionClosed | None = None  # Why nothing is asked for any more, although the session is open.
    # Called in the reader when more was used, under the books; what it gives is called once that is delivered.
    count: Callable[[], Callable[[], None] | None] | None = None
    _due: Callable[[], None] | None = None
    at_end: tuple[Callable[[], None], ...] = ()  # Called when all is over.
    _dismissal: SessionClosed | None = None  # Why it ends where we end it.

    def __init__(
        self, number: int, delivery: Delivery, board: Board, *, reconnect: Reconnect | None, send_timeout: float
    ) -> None:
        self.number = number
        self.delivery = delivery
        delivery.handle = self._handle
        self.hub = Hub(delivery)
        self.ready = Latch()
        self.leaving = Latch()
        self.finished = Latch()
        self.error: RealtimeError | None = None
        self.process: int | None = None
        self.settings = Settings()
        self._books = threading.RLock()  # Rule 1.
        self.turns = Turns()  # Under the books, too.
        self.floor = Floor(self._books, lambda: self.error is not None)
        self._recovery = Recovery(self, reconnect)
        self.state = State.NEW
        self._moved = Bell()
        self._sender = Sender(self, self._books, self._moved, send_timeout)
        self.tools: Desk | None = None  # Where the program has declared any.
        self._dialect, self._kind = "ga", "realtime"
        self._requests: set[Request] = set()
        self._subscriptions: list[Subscription] = []
        self._board = weakref.ref(board)
        self._session: Callable[[], Any] = lambda: None
        self._connect: Callable[..., Line] | None = None
        self._headers: Callable[[], Mapping[str, str]] = dict
        self._tries = 0
        self._lines = 0
        self._past_bytes = 0, 0
        self.current: Connection | None = None
        self._connections: tuple[Connection, ...] = ()  # Those whose lines may be alive.
        self._readers: list[threading.Thread] = []
        self._release: Callable[[], None] = lambda: None
        self._established = False
        self._abandoned = False
        self._again: list[Follower] = []
        self.holds_back = False
        self._unheard = 0  # Audio appended and not yet part of an item, in events.
        self.audio_losses = 0  # How often a line took some of that along, see _lost_audio.
        self._opened_at: float | None = None
        self._closed_at: float | None = None

    def __repr__(self) -> str:
        return f"Core({self.number}, {self.state})"

    # -- life ---------------------------------------------------------------------------------------------------------

    def move(self, trigger: Trigger) -> State:
        """Follow ``trigger``; returns the state before.

        Raises:
            UsageError: see ``rtsync.pure.state``.
        """
        with self._books:
            before = self.state
            self.state = after(before, trigger)
        self._moved.ring()
        return before

    def surround(self, within: Within) -> None:
        """Have handlers run in what ``within`` gives. Before anything is handled."""
        self.within = within
        self.around = Surroundings(within, partial(self._cannot_surround, within))
        self.delivery.handle = self._handle_within

    def speak(self, dialect: str, kind: str, *, echoes: bool, rejoins: bool) -> None:
        """Say what is known of the endpoint before it is reached.

        Args:
            dialect: ``"preview"`` for one that is to be translated.
            kind: what a session is that does not say: ``"realtime"`` or ``"transcription"``.
            echoes: whether it surely returns the metadata of a response, by which ours are told from others'.
            rejoins: whether a new connection comes back to the same session: that of a running call.
        """
        self._dialect, self._kind = dialect, kind
        self._sender.translates = dialect == "preview"
        self._recovery.rejoins = rejoins
        if echoes:
            self.floor.expect_echo()

    def start(
        self,
        session: Any,
        connect: Callable[..., Line],
        headers: Callable[[], Mapping[str, str]],
        release: Callable[[], None],
    ) -> None:
        """Start the reader thread on a first line.

        Args:
            session: whose core this is.
            connect: makes a line from a callable that gives the headers, and ``on_messages``.
            headers: those of the upgrade, the credential among them; asked for at each connect.
            release: called when all is over.
        """
        self._session = weakref.ref(session)
        self._connect, self._headers, self._release = connect, headers, release
        self.current = first = self.new_connection(self.take)
        process.register(self)
        self.run(first)
        board = self._board()
        if board is not None and board.in_use:
            self.delivery.prepare()

    def new_connection(self, route: Route) -> Connection:
        """Another line, not yet opened, whose events go along ``route``."""
        assert self._connect is not None
        self._tries += 1
        connection = Connection(
            self._tries, dialect=self._dialect, kind=self._kind, mark=MARK, route=route, take_run=self.take_run,
            refuse=self._refuse, loan=Loan(self.delivery),
        )  # fmt: skip
        connection.line = self._connect(
            self._recovery.fresh(connection, self._headers),
            on_messages=connection.on_messages,
            on_lull=self.delivery.flush,
            on_idle=partial(self._lend, connection),
            on_wanted=connection.loan.recall,
        )
        connection.loan.line = connection.line
        with self._books:
            alive = [known for known in self._connections if known.line.ending is None]
            counted = [self._past_bytes, *(known.line.counters for known in self._connections if known not in alive)]
            self._past_bytes = sum(received for received, _ in counted), sum(sent for _, sent in counted)
            self._connections = (*alive, connection)
        if self.leaving:  # close() looks at the lines behind setting it, and may have looked before there was this one.
            connection.line.close(wait=False)
        return connection

    def expect_handlers(self) -> None:
        """Somebody connects handlers."""
        if self._readers:  # Else ``start`` sees to it.
            self.delivery.prepare()

    def run(self, connection: Connection) -> None:
        """Start a reader thread on ``connection``."""
        thread = threading.Thread(
            target=self._read, args=(connection,), name=f"rtsync-reader-{self.number}", daemon=True
        )
        self._readers = [*(known for known in self._readers if known.is_alive()), thread]
        thread.start()

    def fail(self, error: RealtimeError) -> None:
        """The session could not even be started."""
        with self._books:
            self.error = error
            self.state = after(self.state, Trigger.ENDED)
        self.hub.end(error)
        self.delivery.end()
        self.finished.set()
        self.ready.set()
        for tell in self.at_end:
            tell()

    def await_greeting(self, deadline: Deadline) -> None:
        """Block until the service has greeted.

        Raises:
            ConnectFailed: and its kinds: why it never did.
        """
        connection = self.current
        assert connection is not None
        line = connection.line
        in_time = self.ready.wait(deadline.remaining())
        if not in_time and line.phase not in ("credential", "session"):
            in_time = self.ready.wait(_VERDICT_PATIENCE)  # The line watches over these phases itself and knows more.
        if self.error is not None:
            raise self.error
        if not self._established and self.state is State.CLOSING:
            raise SessionClosed("close() was called before the session was open", cause=CloseCause.USER)
        if not in_time:
            phase = line.phase
            raise _too_late(phase, deadline, connection.last_error)

    def blame(self, error: BaseException) -> None:
        """``open()`` gives up because of ``error``, and whoever else waits shall hear of that."""
        connection = self.current
        if connection is None or self.finished or not isinstance(error, RealtimeError):
            return
        if not isinstance(error, ConnectFailed | SessionClosed):
            error = SessionClosed(f"the session could not be opened: {error}", cause=CloseCause.SERVER)
        connection.failure = error

    def close_line(self, *, timeout: float | None = None, wait: bool = True) -> None:
        """End the lines, see ``Line.close``, and whatever would open another one."""
        self.leaving.set()
        deadline = Deadline(timeout)
        connections = [(known.line, known is self.current) for known in reversed(self._connections)]
        for line, in_use in connections:  # All of them first: the one in use shall not wait behind one that is stuck.
            line.close(timeout=deadline.remaining(None if in_use else _MOMENT), wait=False)
        if wait:
            for line, in_use in connections:
                if line.phase == "credential":  # Nothing can end a token callable; nobody waits for it.
                    continue
                line.close(timeout=deadline.remaining(None if in_use else _MOMENT))

    def abort_line(self, why: str) -> None:
        """End the lines at once, without a word to the peer. Takes no lock."""
        self.leaving.set()
        for connection in self._connections:
            connection.line.abort(why)

    def close(self, deadline: Deadline) -> None:
        """End the session within ``deadline``: the line first, then the handlers that still have events.

        From inside a handler it returns when the close frame is out; the rest follows when the handler has returned.
        """
        inside = self.delivery.in_handler()
        established = self._established
        if self.tools is not None:
            self.tools.leave()
        self.close_line(timeout=deadline.remaining(), wait=established and not inside)
        if not established:
            self.ready.set()  # open() need not wait for a credential that does not come.
        asking = self._leave_asking()
        if inside or self.delivery.reader == threading.get_ident() or threading.current_thread() in self._readers:
            return
        ended = self.finished.wait(_at_least(_MOMENT, deadline))
        if ended and not asking:
            for thread in self._readers:
                thread.join(_VERDICT_PATIENCE)  # It has nothing left to do.
        if not (ended and self.delivery.join(_at_least(_MOMENT, deadline))) and (stuck := self.delivery.stuck()):
            signals.logger.warning("close() did not wait any longer for the handlers: %s", stuck)
        if running := self.join_tools(_at_least(_MOMENT, deadline)):
            signals.logger.warning("close() did not wait any longer for the tools: %s", ", ".join(running))

    def join_tools(self, timeout: float | None) -> list[str]:
        """Block until the tools that run have ended, at most ``timeout`` seconds. Returns the names of the others."""
        return [] if self.tools is None else self.tools.join(timeout)

    def _leave_asking(self) -> bool:
        """End the session where its reader stands in a callable of the program's, which nothing can interrupt.

        Returns whether it did; the reader then finds the session over when the callable has returned.
        """

        def stands(known: Connection) -> bool:
            return known.line.ending is None and (known.occupied or known.line.phase == "credential")

        newest = self._connections[-1] if self._connections else None
        alive = any(known.line.ending is None and not stands(known) for known in self._connections)
        if newest is None or alive or not stands(newest):
            return False
        self.end(newest.failure or self.left())
        return True

    def dismiss(self, error: SessionClosed, deadline: Deadline) -> None:
        """End the session because of ``error``, which is what everybody is told, as ``close`` does."""
        with self._books:
            if self.state in (State.OPEN, State.RECONNECTING):
                self._dismissal = error
        self.move(Trigger.CLOSE)
        self.close(deadline)

    def abandon(self, number: int) -> None:
        """The session object was collected while open. Takes no lock."""
        if self.current is not None and not self.finished and os.getpid() == self.process:
            self._abandoned = True
            self.abort_line("the session was garbage-collected")
            import warnings

            warnings.warn(
                f"RealtimeSession {number} was dropped while open; close it, or use it in a with block",
                ResourceWarning,
                stacklevel=2,
            )

    def disown(self) -> None:
        """In a forked child: the connection belongs to the parent."""
        self.state = State.CLOSED
        self.delivery.disown()
        if self.tools is not None:
            self.tools.disown()
        for connection in self._connections:
            connection.line.abandon()

    def _read(self, connection: Connection) -> None:
        """The reader thread: one line after the other, until there is no next one."""
        following: Connection | None = connection
        while following is not None:
            connection = following
            if connection is self.current:
                self.delivery.reader = threading.get_ident()
            try:
                connection.line.run_forever()
            finally:
                connection.loan.end()
                # Inherited by a fork in a handler, or under gevent, where a fork copies the greenlets.
                following = None if self.inherited else self._recovery.after(connection)

    def why_ended(self, connection: Connection) -> RealtimeError:
        """Why the line of ``connection`` has ended."""
        with self._books:
            return self._dismissal or connection.why_ended(abandoned=self._abandoned)

    # -- arrivals: the thread that reads ------------------------------------------------------------------------------

    def take(self, connection: Connection, event: Event, size: int) -> None:
        """The program's route: an event of the current connection."""
        sequence = self.hub.history.newest + 1
        sent, record = self._note(connection, event)
        fault = None if connection.last_error is None else _server_error(connection.last_error, sent)
        greeted = not self._established and fault is None
        if greeted:  # Before the handlers, which may send at once.
            self._establish(connection)
        kind = event.type
        board = self._board()
        if board is not None and board.wants(kind):
            self.delivery.put(sequence, partial(self.delivery.handle, (event,)), size, kind.endswith(".delta"))
        if self.turns.ended or self._due is not None:
            self._tell_of_use(sequence)
        if self.tools is not None:  # Before anybody is told that a response is done.
            self.tools.take(event, record)
        owner = None if sent is None else sent.owner
        # Whose it is matters to waits for a fault alone; a response that is done must not be kept with its answer.
        kept = self.hub.keep(event, size, fault, None if fault is None else owner)
        if record is not None and record.done:  # Between the two: who is woken may ask, and who asks may speak next.
            self.floor.conclude(sequence, record)
        self.hub.offer(*kept)
        for subscription in tuple(self._subscriptions):
            subscription.put(event, size)
        if owner is not None:
            self._answer(sequence, event, fault, owner)
        self.floor.advance(sequence, kind, record)
        if greeted:
            self._greeted(connection)
        if self.delivery.overflow is not None:
            self._overflow(self.delivery.overflow)

    def take_run(self, connection: Connection, run: Run) -> None:
        """Deltas that arrived together: the steps of ``take``, each for all of them.

        One after the other where another route has them, or where something is to come between them: the greeting, an
        overflow.
        """
        board = self._board()
        run.number(self.hub.newest + 1)
        wanted = None if board is None else run.of(set(filter(board.wants, run.types)))
        room = wanted is None or self.delivery.has_room(len(wanted.data), wanted.size)
        if not (room and self._established and connection.route == self.take):
            for _, event, size in run:
                connection.route(connection, event, size)
            return
        subscriptions = tuple(self._subscriptions)  # One made in a handler of these is for what comes later.
        grown = self._note_run(connection, run)
        if wanted is not None:
            self.delivery.put_run(wanted)
        self.hub.publish_run(run)
        for subscription in subscriptions:
            subscription.put_run(run)
        for record in grown:
            self.floor.advance(self.hub.newest, run.kinds[-1], record)

    def _establish(self, connection: Connection) -> None:
        self._established = connection.greeted = True
        self._lines += 1
        self._opened_at = time.monotonic()
        self.move(Trigger.ESTABLISHED)

    def _greeted(self, connection: Connection) -> None:
        self._recovery.watch(connection)
        self.announce(signals.session_opened)
        self.ready.set()

    def _overflow(self, said: str) -> None:
        """The handlers have fallen too far behind: end the session, out of the line's callback."""
        raise SessionClosed(said, code=_CANNOT_COPE, cause=CloseCause.OVERFLOW)

    def _note(self, connection: Connection, event: Event) -> tuple[Sent | None, Record | None]:
        """Enter ``event`` into the books: what it answers, and the response that it belongs to."""
        kind = event.type
        with self._books:
            sent = connection.note(event)
            if self.count is not None and kind in COUNTED:  # Before anybody hears of it, who might ask for more.
                self._due = self.count()
            if kind in self.turns.heeds:
                self.turns.take(kind, raw(event), time.monotonic())
            if kind == "error":
                return sent, None
            if kind in _HEARD:
                self._unheard = 0
            record = self.floor.note(event) if kind.startswith("response.") else None
            if sent is not None:
                if sent.type in UPDATES or record is not None:
                    self._note_answer(sent, record)
            elif record is not None and record.mark is not None and kind in _BEGINNINGS:
                connection.correlation.begun(record.mark)
        return sent, record

    def _note_run(self, connection: Connection, run: Run) -> Sequence[Record]:
        """The same for deltas, which answer nothing: the responses that somebody holds and that they belong to."""
        with self._books:
            connection.last_error = None
            connection.conversation.apply_run(run)
            if not self.turns.awaited.isdisjoint(run.types):
                self.turns.take_run(run, time.monotonic())
            return self.floor.note_run(run) if self.floor.is_followed else ()

    def _note_answer(self, sent: Sent, record: Record | None) -> None:
        if sent.type in UPDATES:
            self.settings.confirmed(sent.event_id)
        elif record is not None and sent.type == "response.create":
            record.owner = sent.owner

    def _handle(self, events: Iterable[Event]) -> None:
        """Call the handlers of events. Runs where handlers run."""
        session, board = self._session(), self._board()
        if session is not None and board is not None:
            board.emit(session, events, self._failed, self.delivery, self.hub.visits)

    def _handle_within(self, events: Iterable[Event]) -> None:
        """The same, in the program's surroundings."""
        self.delivery.current = self.within
        try:
            self.around(partial(self._handle, events))
        finally:
            if self.hub.visits:  # Of the surroundings themselves, behind the last handler.
                self.hub.visits.pop(self.delivery.handling[0], None)

    def _cannot_surround(self, within: Within, error: BaseException) -> None:
        """The program's surroundings have failed."""
        session = self._session()
        if session is not None:
            self._report(session, None, within, error)

    def _failed(self, event: Event, handler: Callable[..., Any], error: Exception) -> None:
        session = self._session()
        if session is not None:
            self._report(session, event, handler, error)

    def _mark_current(self, handler: Callable[..., Any]) -> None:
        """``handler`` is about to be called."""
        self.delivery.current = handler

    def report(self, hook: Callable[..., Any], error: BaseException) -> None:
        """A callable of the program's, called outside any event, has raised."""
        session = self._session()
        if session is not None:
            self.around(partial(self._report, session, None, hook, error))

    def _report(self, session: Any, event: Event | None, handler: Callable[..., Any], error: BaseException) -> None:
        where = f" for {event.type!r}" if event is not None else ""
        name = signals.name_of(handler)
        signals.logger.error("the handler %s%s raised %s", name, where, type(error).__name__, exc_info=error)

        def also_failed(receiver: Callable[..., Any], second: Exception) -> None:
            signals.logger.error("%s, called for the failure, raised", signals.name_of(receiver), exc_info=second)

        signals.handler_failed.emit(session, also_failed, event=event, handler=handler, error=error)

    def _refuse(self, error: ProtocolError, size: int) -> None:
        logger.warning("%s", error)
        self.announce(signals.message_refused, size, error=error)
        if self.delivery.overflow is not None:
            self._overflow(self.delivery.overflow)

    def _tell_of_use(self, sequence: int) -> None:
        """What an event has ended and used up, behind its handlers."""
        if self.turns.ended:
            self._tell_turns(sequence)
        due, self._due = self._due, None
        if due is not None:
            due()

    def _tell_turns(self, sequence: int) -> None:
        """Turns have ended, with the event of that number."""
        with self._books:
            ended = self.turns.told(wanted=bool(signals.turn_finished.receivers))
        for turn in ended:
            self.announce(signals.turn_finished, 0, sequence, turn=turn)

    def announce_later(self, signal: signals.SafeSignal, **data: Any) -> None:
        """``announce`` from a thread that is no reader."""
        current = self.current
        if self.delivery.runs_in_reader and current is not None and current.line.ending is None:
            current.line.post(partial(self.announce, signal, **data))
        else:
            self.announce(signal, **data)

    def announce(
        self, signal: signals.SafeSignal, size: int | None = None, sequence: int | None = None, **data: Any
    ) -> None:
        """Send a signal of the module, where handlers run, behind what was delivered before.

        ``size`` is that of the message that a server can provoke it with; None for a step in the session's life.
        ``sequence`` is the number of the event that it belongs to; the newest where None.
        """
        if signal.receivers:
            send = partial(self.announce_here, signal, **data)
            self.delivery.put(self.hub.newest if sequence is None else sequence, send, size)

    def announce_here(self, signal: signals.SafeSignal, **data: Any) -> None:
        """The same, at once. Runs where handlers run."""
        session = self._session()
        if session is not None:
            on_error = partial(self._report, session, None)
            self.around(partial(signal.emit, session, on_error, self._mark_current, **data))

    def run_with_handlers(self, job: Callable[[], None]) -> None:
        """Run ``job`` where handlers run, behind what was delivered before. Threads: one that runs no handlers."""
        self.delivery.put(self.hub.newest, job)

    def _answer(self, sequence: int, event: Event, fault: ServerError | None, owner: object) -> None:
        if isinstance(owner, Request):
            with self._books:
                self._requests.discard(owner)
            owner.resolve(sequence, None if fault else event, fault)
        elif isinstance(owner, Follower) and fault is not None:
            self.floor.refuse(sequence, owner, fault)

    def _lend(self, connection: Connection) -> bool:
        """Lend the reading of ``connection`` to the handlers' thread, where it is the program's. See ``loan``."""
        if not (self.delivery.asleep and connection is self.current and connection.line.at_rest):
            return False
        return connection.route == self.take and connection.loan.lend()

    # -- from one line to the next: reader threads -------------------------------------------------------------------

    def lose(self, connection: Connection, error: SessionClosed, *, again: bool) -> list[Lost] | None:
        """The current line has ended, and the session goes on: tell everyone who waits for what it took along.

        Args:
            connection: the current one.
            error: why it ended.
            again: whether responses that somebody holds shall be asked for once more.

        Returns:
            What is lost with it; None where ``close()`` was faster, and the session ends.
        """
        with self._books:
            if self.state is not State.OPEN:
                return None
            self.state = after(self.state, Trigger.LOST)
            losses = self._part_with(connection, again)
            lost = losses.listed() + self._lost_audio(connection)
        self.hold_back(False)
        self._moved.ring()
        losses.tell(error, self.hub, self._requests)
        if self.tools is not None:
            self.tools.lost()
        self.floor.turns.ring()
        self._tell_turns(self.hub.newest)
        return lost

    def _part_with(self, connection: Connection, again: bool) -> Losses:
        """Under the books."""
        connection.over = True
        self.turns.lose(time.monotonic())
        self.settings.dropped()
        losses = collect(connection, self.floor, again=again)
        self._again += losses.kept
        return losses

    def _lost_audio(self, connection: Connection) -> list[Lost]:
        """What was appended and is in no item. With voice detection on and nobody speaking that was silence."""
        heard = connection.conversation
        lost, self._unheard = bool(self._unheard) and (heard.speaking or not heard.detects_voice), 0
        self.audio_losses += lost
        return [Lost("input_audio", None, "it was not committed yet")] if lost else []

    def continue_on(self, connection: Connection, told: Callable[[], None]) -> bool:
        """Make ``connection``, which is restored, the current one after a loss; False where ``close()`` was faster.

        ``told`` is called when the program can use it, and before anything that arrives on it; not under a lock.
        """
        with self._books:
            if self.state is not State.RECONNECTING:
                return False
            self._adopt(connection)
        self.delivery.reader = threading.get_ident()
        connection.route = self._recovery.first_take
        if self.tools is not None:
            self.tools.restored(*connection.conversation.function_calls())
        self._ask_again(connection)  # Before the sends that wait, so that nobody else's request takes the turn.
        with self._books:
            if self.state is State.RECONNECTING:
                self.state = after(self.state, Trigger.ESTABLISHED)
        told()
        self._moved.ring()
        self.floor.turns.ring()
        return True

    def discard(self, connection: Connection) -> bool:
        """``connection`` will not be used, or not any more; returns False where it is the current one."""
        with self._books:
            if connection is self.current:
                return False
            connection.over = True
            return True

    def hold_back(self, held: bool) -> None:
        """Have senders wait: another connection is about to take over. Or let them go on."""
        self.holds_back = held
        if not held:
            self._moved.ring()
            self.floor.turns.ring()

    def switch_to(self, connection: Connection, error: SessionClosed, *, force: bool, again: bool) -> list[Lost] | None:
        """Move from the current connection, which is well, to ``connection``. Called by the reader of the current one.

        Args:
            connection: the next one; its reader calls ``take_over`` then.
            error: what is told to those who lose something.
            force: whether to do it although something is going on.
            again: whether responses that somebody holds shall be asked for once more.

        Returns:
            What is lost by it; None where something is going on, or either of the two has ended.
        """
        with self._books:
            old = self.current
            assert old is not None
            if connection.over or self.state is not State.OPEN or not (force or self._is_calm(old)):
                return None
            old.route = nowhere
            losses = self._part_with(old, again)
            lost = losses.listed() + self._lost_audio(old)
            self._adopt(connection)
        self._moved.ring()
        losses.tell(error, self.hub, self._requests)
        if self.tools is not None:
            self.tools.lost()
            self.tools.restored(*connection.conversation.function_calls())
        self.floor.turns.ring()
        self._tell_turns(self.hub.newest)
        return lost

    def take_over(self, connection: Connection) -> None:
        """The reader of ``connection`` is the session's from here on. Called in it."""
        self.delivery.reader = threading.get_ident()
        connection.route = self._recovery.first_take
        self._ask_again(connection)
        self.hold_back(False)

    def rejoined(self, connection: Connection) -> Conversation:
        """The conversation of a session that has gone on while we were away, with what ``connection`` tells of it."""
        with self._books:
            assert self.current is not None
            kept = self.current.conversation
            kept.reconfigure(connection.conversation)
            return kept

    def left(self) -> SessionClosed:
        """How a session ends that is left while it has no line."""
        if self._dismissal is not None:
            return self._dismissal
        if self._abandoned:
            return SessionClosed("the session object was garbage-collected while open", cause=CloseCause.ABANDONED)
        when = "" if self._established else " before the session was open"
        return SessionClosed(f"close() was called{when}", cause=CloseCause.USER)

    def note_quietly(self, connection: Connection, event: Event) -> None:
        """Enter ``event`` of the current connection, which is nobody's news."""
        with self._books:
            connection.note(event)

    def _adopt(self, connection: Connection) -> None:
        """Under the books."""
        assert self.current is not None
        if connection.conversation is not self.current.conversation:
            connection.conversation.follow(self.current.conversation)
        self.current = connection
        self._lines += 1

    def is_calm(self) -> int | None:
        """The number of the newest event where nothing is going on, else None: no response, nobody speaking, nothing
        unanswered, no audio waiting to be committed or transcribed.
        """
        with self._books:
            current = self.current
            calm = current is not None and self.state is State.OPEN and self._is_calm(current)
            return self.hub.newest if calm else None

    def is_answered(self) -> bool:
        """Whether everything that was sent is answered."""
        with self._books:
            return self.current is not None and self._is_answered(self.current)

    def _is_answered(self, connection: Connection) -> bool:
        return not connection.sending and not connection.correlation.outstanding()

    def _is_calm(self, connection: Connection) -> bool:
        heard = connection.conversation
        return (
            self._is_answered(connection)
            and self.floor.idle
            and (self.tools is None or self.tools.idle)
            and not heard.speaking
            and not heard.transcribing
            and (not self._unheard or heard.detects_voice)
        )

    def _ask_again(self, connection: Connection) -> None:
        """Ask once more for the responses that shall be, over the new line. In its reader thread."""
        again, self._again = self._again, []
        for follower in again:
            if follower.cancelled:
                self.floor.cancel(self.hub.newest, follower)
            elif self.floor.is_held(follower):
                event = {"type": "response.create", "event_id": new_event_id(), "response": follower.options}
                if not self.say(connection, event, follower):
                    self._again.append(follower)

    def say(self, connection: Connection, event: dict[str, Any], owner: object) -> bool:
        """Send ``event`` over ``connection`` from its own reader thread.

        Returns False where the line broke, and will end soon, or is given up.
        """
        try:
            self._sender.hand_over(connection, event, owner, None)
        except (LineBroken, SendTimeout, WaitTimeout, ConnectionLost):
            logger.debug("the line broke while something was sent from its reader")
            return False
        return True

    # -- the end: the reader thread -----------------------------------------------------------------------------------

    def end(self, error: RealtimeError) -> None:
        """The session is over, because of ``error``. Only the first call counts."""
        with self._books:
            if self.error is not None:
                return
            self.error = error
            self._closed_at = time.monotonic()
            self.turns.lose(self._closed_at)
            self.state = after(self.state, Trigger.ENDED)
            lost = self._end_responses()
            requests, self._requests = self._requests, set()
            subscriptions, self._subscriptions = self._subscriptions, []
        self.ready.set()
        self._moved.ring()
        self.hub.end(error)
        for request in requests:
            request.resolve(0, None, error)
        for follower in lost:
            follower.notify(0, error)
        self.floor.turns.ring()
        if self.tools is not None:
            self.tools.end(error)
        quiet = isinstance(error, SessionClosed) and (error.cause is CloseCause.USER or error.code == 1000)
        for subscription in subscriptions:
            subscription.end(None if quiet else error)
        self._tell_turns(self.hub.newest)
        if self._established:
            self.announce(signals.session_closed, error=error)
        self.delivery.end()
        self._let_go()

    def _end_responses(self) -> list[Follower]:
        """Under the books."""
        held = self.floor.lose()
        for record, _ in held:
            record.lose()
        return [follower for _, follower in held if follower is not None]

    def _let_go(self) -> None:
        try:
            self._release()
        except Exception:
            logger.exception("the embedded server could not be stopped")
        process.discard(self)
        self.finished.set()
        for tell in self.at_end:
            tell()

    # -- commands: user threads ---------------------------------------------------------------------------------------

    @property
    def inherited(self) -> bool:
        """Whether this process is a fork of the one that opened the session."""
        return self.process is not None and os.getpid() != self.process

    def check_process(self) -> None:
        """Raise ``UsageError`` in a process that inherited the session by a fork. Takes no lock."""
        if self.process != os.getpid() and self.inherited:
            raise UsageError(
                f"this session was opened in process {self.process}, of which this one is a fork; the connection stays"
                " there. Open sessions after the fork: in gunicorn's post_fork, in Celery's worker_process_init, or in"
                " the task or view itself"
            )

    def send_over(self, connection: Connection, event: dict[str, Any], owner: object) -> bool:
        """Send ``event`` over ``connection`` and over no other; False where it did not go out whole. Threads: any."""
        if not self.say(connection, event, owner):
            return False
        self._tell_sent(event)
        return True

    def check_may_wait(self, settled: bool) -> None:
        """Raise ``UsageError`` where the calling thread would wait for itself, or for another process."""
        self.check_process()
        self.delivery.check_may_wait(settled)

    def send(self, event: dict[str, Any], owner: object, timeout: float | None) -> None:
        """Hand ``event``, which has its id, to the kernel (``Sender.send``), and tell who listens to what is sent."""
        self._sender.send(event, owner, timeout)
        self._tell_sent(event)

    def _tell_sent(self, event: dict[str, Any]) -> None:
        if signals.event_sent.receivers and (session := self._session()) is not None:
            signals.event_sent.emit(
                session, lambda handler, error: self._report(session, None, handler, error), event=event
            )

    def note_append(self, audio: object) -> None:
        """Audio goes out that is in no item yet. Under the books."""
        self._unheard += 1
        self.turns.append(audio, time.monotonic())

    def note_played(self, item_id: str, moment: float, *, ended: bool) -> None:
        """A speaker begins to play an item, or plays no more of it."""
        with self._books:
            self.turns.played(item_id, moment, ended=ended)

    def list_turns(self) -> tuple[Turn, ...]:
        """The newest turns, oldest first."""
        with self._books:
            return self.turns.listed()

    def check_may_ask(self) -> None:
        """Raise ``SessionClosed`` where no response may be asked for any more."""
        if self.refusal is not None:
            raise copy.copy(self.error or self.refusal)

    @property
    def is_spoken_to(self) -> bool:
        """Whether voice detection hears somebody, to whom it will have the model answer."""
        with self._books:
            return self._conversation.speaking and self._conversation.detects_voice

    @property
    def asks_again(self) -> bool:
        """Whether what a lost line was asked for is asked for on the next one."""
        return self._recovery.asks_again

    @property
    def rejoins(self) -> bool:
        """Whether a new line comes back to the same session."""
        return self._recovery.rejoins

    @property
    def recovers(self) -> bool:
        """Whether a line that ends may be followed by another one."""
        return self._recovery.wanted

    def ask(self, event: dict[str, Any], deadline: Deadline, *, settled: bool = True) -> Event:
        """Send ``event`` and block until the service has answered it, and the handlers of the answer have run.

        Args:
            event: with its id.
            deadline: for both.
            settled: False for whoever must not wait for handlers.

        Raises:
            ServerError: it answered with an error.
            WaitTimeout: it did not answer in time.
            SessionClosed: the session ended.
        """
        self.delivery.check_may_wait(settled=False)
        request = Request()
        try:
            with self._books:
                self._requests.add(request)
            self.send(event, request, deadline.remaining())
            answered = request.arrived.wait(deadline.remaining())
        finally:
            with self._books:
                self._requests.discard(request)
        if request.error is not None:
            raise copy.copy(request.error)
        if not answered or request.answer is None:
            stuck = self.delivery.stuck()
            raise WaitTimeout(
                f"no answer to {event['type']!r} within {deadline.timeout:g} s" + (f" ({stuck})" if stuck else "")
            )
        if settled:
            self.settle(request.sequence, deadline)
        return request.answer

    def settle(self, sequence: int, deadline: Deadline) -> None:
        """Block until the handlers of everything up to ``sequence`` have run, except in the thread that runs them."""
        if self.delivery.runs_here():
            return
        settled = Latch()
        try:
            self.delivery.when_settled(sequence, settled.set)
            in_time = settled.wait(deadline.remaining())
        finally:
            self.delivery.forget(settled.set)
        if not in_time:
            raise WaitTimeout(
                f"the answer came, but the handlers before it have not finished within {deadline.timeout:g} s"
                f" ({self.delivery.stuck() or 'none is running'})"
            )
        if self.error is not None and self.delivery.gave_up(sequence):
            raise copy.copy(self.error)

    def subscribe(self, types: frozenset[str] | None, timeout: float | None) -> Subscription:
        """A live iterator over events of ``types``, or of all."""
        subscription = Subscription(
            types, timeout, lambda: self.check_may_wait(settled=False), self.unsubscribe, self.delivery.limits
        )
        with self._books:
            ended = self.error
            if ended is None:
                self._subscriptions.append(subscription)
        if ended is not None:
            raise copy.copy(ended)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more events for ``subscription``."""
        if self.inherited:
            return
        with self._books:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    # -- what is known ------------------------------------------------------------------------------------------------

    def stats(self) -> SessionStats:
        """The session in numbers."""
        queue, now = self.delivery.queue, time.monotonic()
        queued_events, queued_bytes = self.delivery.queued()
        received, sent = self._bytes_over_all_lines()
        last = None if self.current is None else self.current.line.last_received
        return SessionStats(
            events_received=self.hub.newest,
            events_sent=self._sender.events_sent,
            bytes_received=received,
            bytes_sent=sent,
            events_dropped=queue.dropped,
            queued_events=queued_events,
            queued_bytes=queued_bytes,
            most_queued_events=queue.most_events,
            most_queued_bytes=queue.most_size,
            handler_lag=self.delivery.lag(),
            lines=self._lines,
            waiting=self._waiting(),
            open_for=self.open_for,
            silent_for=None if last is None else now - last,
            last_turn=self._last_turn(),
        )

    def _last_turn(self) -> Turn | None:
        with self._books:
            return self.turns.last

    def _bytes_over_all_lines(self) -> tuple[int, int]:
        """Bytes received and sent so far."""
        with self._books:
            counted = [self._past_bytes, *(connection.line.counters for connection in self._connections)]
        return sum(received for received, _ in counted), sum(sent for _, sent in counted)

    def _waiting(self) -> int:
        """Threads that wait for something of this session."""
        with self._books:
            bells = [self.floor.waiting, *(subscription.waiting for subscription in self._subscriptions)]
            requests = len(self._requests)
        return self.hub.waiting + self.delivery.awaiting + requests + sum(bells)

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        with self._books:
            return self._conversation.usage

    @property
    def open_for(self) -> float:
        """Seconds since the service greeted first, until now or the end; 0 before."""
        until = time.monotonic() if self._closed_at is None else self._closed_at
        return 0.0 if self._opened_at is None else until - self._opened_at

    def snapshot(self) -> Snapshot:
        """The conversation as it is now."""
        with self._books:
            return self._conversation.snapshot()

    @property
    def config(self) -> dict[str, Any]:
        """The session as last confirmed, a copy."""
        with self._books:
            return self._conversation.config

    def confirmed_tools(self) -> list[Any]:
        """The tools that the program has set and the service has taken, in the program's own words."""
        with self._books:
            update = self.settings.event
        tools = None if update is None else update["session"].get("tools")
        return tools if isinstance(tools, list) else []

    def item(self, item_id: str) -> Item | None:
        """One item of the conversation as it is now."""
        with self._books:
            return self._conversation.item(item_id)

    @property
    def _conversation(self) -> Conversation:
        return Conversation() if self.current is None else self.current.conversation


def _at_least(moment: float, deadline: Deadline) -> float | None:
    """What is left, but never less than a thread needs that has nothing more to do than to end."""
    left = deadline.remaining()
    return None if left is None else max(moment, left)


def _too_late(phase: str, deadline: Deadline, error: Mapping[str, Any] | None) -> ConnectFailed:
    if phase == "credential":
        return ConnectTimeout(
            f"the credential gave no token within connect_timeout={deadline.timeout:g} s; raise connect_timeout, or"
            " check what it waits for (a metadata service, a login)",
            phase=phase,
        )
    if error is not None:
        return verdict.refused(error, None, "")
    return ConnectTimeout(
        f"the server accepted the WebSocket and then said nothing for the rest of {deadline.timeout:g} s; a Realtime"
        " service greets with session.created at once. Is the path right?",
        phase=phase,
    )


def _server_error(details: Mapping[str, Any], sent: Sent | None) -> ServerError:
    def text(name: str) -> str | None:
        value = details.get(name)
        return value if isinstance(value, str) else None

    message = text("message") or text("code") or "the service reported an error without a message"
    what = f"{sent.type} was refused: {message}" if sent is not None else message
    return ServerError(
        what,
        type=text("type"),
        code=text("code"),
        param=text("param"),
        event_id=text("event_id") or (sent.event_id if sent is not None else None),
        request=sent.type if sent is not None else None,
    )
