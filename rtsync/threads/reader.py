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
4. Every end, however it comes, passes through ``_ended`` exactly once, in the reader thread: it names the cause, wakes
   everybody, and lets the handlers' thread finish.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from rtsync.edges import forks, signals
from rtsync.edges.guard import LineBroken
from rtsync.edges.latch import Latch, stay_asleep
from rtsync.edges.signals import Board
from rtsync.edges.transport import Ending, Line
from rtsync.pure import verdict
from rtsync.pure.conversation import Conversation, Item, Snapshot
from rtsync.pure.correlation import Correlation, Sent
from rtsync.pure.dialect import PREVIEW_NAMES, Arrival, Preview
from rtsync.pure.responses import Record
from rtsync.pure.state import State, Trigger, after
from rtsync.threads import process
from rtsync.threads.delivery import Delivery
from rtsync.threads.floor import MARK, Floor
from rtsync.threads.following import Follower, Request, Subscription
from rtsync.threads.waiting import Hub
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    ProtocolError,
    RealtimeError,
    ServerError,
    SessionClosed,
    UsageError,
    WaitTimeout,
)
from rtsync.vocabulary.events import Event, decode_object, encode

__all__ = ["Core"]

logger = logging.getLogger("rtsync.session")

# A server that skips response.created still ends what was asked for.
_BEGINNINGS = ("response.created", "response.done")
_MOMENT = 0.2  # seconds in which a thread that is done surely ends
_VERDICT_PATIENCE = 1.0  # seconds that a failed send waits for the reader to say why the line ended


class Core:
    """The inside of one session."""

    def __init__(self, number: int, delivery: Delivery, board: Board) -> None:
        self.number = number
        self.delivery = delivery
        self.hub = Hub(delivery)
        self.ready = Latch()
        self.finished = Latch()
        self.error: RealtimeError | None = None
        self.process: int | None = None
        self._books = threading.RLock()  # Rule 1.
        self.floor = Floor(self._books, lambda: self.error is not None)
        self._state = State.NEW
        self._correlation = Correlation(MARK)
        self._conversation = Conversation()
        self._typed: Callable[..., Event] = Event
        self._kind = "realtime"
        self._translator: Preview | None = None
        self._speaks_preview = False
        self._requests: set[Request] = set()
        self._subscriptions: list[Subscription] = []
        self._board = weakref.ref(board)
        self._session: Callable[[], Any] = lambda: None
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._release: Callable[[], None] = lambda: None
        self._established = False
        self._abandoned = False
        self._last_error: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Core({self.number}, {self._state})"

    # -- life ---------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the session is in its life."""
        return self._state

    def move(self, trigger: Trigger) -> State:
        """Follow ``trigger``; returns the state before.

        Raises:
            UsageError: see ``rtsync.pure.state``.
        """
        with self._books:
            before = self._state
            self._state = after(before, trigger)
            return before

    def speak(self, dialect: str, kind: str, echoes: bool) -> None:
        """Say what is known of the endpoint before it is reached.

        Args:
            dialect: ``"preview"`` for one that is to be translated.
            kind: what a session is that does not say: ``"realtime"`` or ``"transcription"``.
            echoes: whether it surely returns the metadata of a response, by which ours are told from others'.
        """
        self._kind = kind
        self._speaks_preview = dialect == "preview"
        self._translator = Preview(kind) if self._speaks_preview else None
        if echoes:
            self.floor.expect_echo()

    def start(self, session: Any, line: Line, release: Callable[[], None]) -> None:
        """Start the reader thread on ``line``; ``release`` is called when it has ended."""
        with forks.whole():
            from rtsync.vocabulary.server_events import typed  # A class for every type: not before there are events.

        self._typed = typed
        self.process = os.getpid()
        self._session = weakref.ref(session)
        self._release = release
        self._line = line
        process.register(self)
        self._thread = threading.Thread(target=self._run, name=f"rtsync-reader-{self.number}", daemon=True)
        self._thread.start()
        if self._state is State.CLOSING:  # close() came when there was no line yet.
            line.close(wait=False)

    def fail(self, error: RealtimeError) -> None:
        """The session could not even be started."""
        with self._books:
            self.error = error
            self._state = after(self._state, Trigger.ENDED)
        self.hub.end(error)
        self.delivery.end()
        self.finished.set()
        self.ready.set()

    def await_greeting(self, deadline: Deadline) -> None:
        """Block until the service has greeted.

        Raises:
            ConnectFailed: and its kinds: why it never did.
        """
        line = self._line
        assert line is not None
        in_time = self.ready.wait(deadline.remaining())
        if not in_time and line.phase not in ("credential", "session"):
            in_time = self.ready.wait(_VERDICT_PATIENCE)  # The line watches over these phases itself and knows more.
        if self.error is not None:
            raise self.error
        if not self._established and self._state is State.CLOSING:
            raise SessionClosed("close() was called before the session was open", cause=CloseCause.USER)
        if not in_time:
            phase = line.phase
            raise _too_late(phase, deadline, self._last_error)

    def close_line(self, *, timeout: float | None = None, wait: bool = True) -> None:
        """End the line, see ``Line.close``."""
        if self._line is not None:
            self._line.close(timeout=timeout, wait=wait)

    def abort_line(self, why: str) -> None:
        """End the line at once, without a word to the peer. Takes no lock."""
        if self._line is not None:
            self._line.abort(why)

    def close(self, deadline: Deadline) -> None:
        """End the session within ``deadline``: the line first, then the handlers that still have events.

        From inside a handler it returns when the close frame is out; the rest follows when the handler has returned.
        """
        inside = self.delivery.in_handler()
        established = self._established
        self.close_line(timeout=deadline.remaining(), wait=established and not inside)
        if not established:
            self.ready.set()  # open() need not wait for a credential that does not come.
        if inside:
            self.delivery.afterwards(self.close_line)
            return
        if self._thread is threading.current_thread():
            return
        ended = self.finished.wait(_at_least(_MOMENT, deadline))
        if ended and self._thread is not None:
            self._thread.join(_VERDICT_PATIENCE)  # It has nothing left to do.
        if not (ended and self.delivery.join(_at_least(_MOMENT, deadline))) and (stuck := self.delivery.stuck()):
            signals.logger.warning("close() did not wait any longer for the handlers: %s", stuck)

    def abandon(self, number: int) -> None:
        """The session object was collected while open. Takes no lock."""
        if self._line is not None and not self.finished and os.getpid() == self.process:
            self._abandoned = True
            self._line.abort("the session was garbage-collected")
            import warnings

            warnings.warn(
                f"RealtimeSession {number} was dropped while open; close it, or use it in a with block",
                ResourceWarning,
                stacklevel=2,
            )

    def disown(self) -> None:
        """In a forked child: the connection belongs to the parent."""
        self._state = State.CLOSED
        self.delivery.disown()
        if self._line is not None:
            self._line.abandon()

    def _run(self) -> None:
        assert self._line is not None
        self.delivery.reader = threading.get_ident()
        try:
            self._line.run_forever()
        finally:
            if not self.inherited:  # A fork in a handler, or under gevent, where a fork copies the greenlets.
                self._ended()

    # -- arrivals: the reader thread ----------------------------------------------------------------------------------

    def on_message(self, _line: Line, message: bytes) -> None:
        """A message arrived: the line's callback.

        Raises:
            UnicodeDecodeError: it is not UTF-8; the line answers that with close code 1007.
        """
        try:
            data = decode_object(message)
        except ProtocolError as error:
            self._refuse(error)
            return
        named = data.get("type")
        if self._translator is None and not (isinstance(named, str) and named in PREVIEW_NAMES):
            self._take(self._typed(data), len(message))
            return
        size = len(message)
        for arrival in self._translated(data):
            self._take(self._typed(arrival.event, arrival.wire_type), size)
            size = 0  # Counted once.

    def _translated(self, data: dict[str, Any]) -> list[Arrival]:
        """The events in GA terms that ``data`` stands for. Some servers on a GA path speak the preview's names too."""
        if self._translator is None:
            self._translator = Preview(self._kind)
            self._speaks_preview = False
        return self._translator.incoming(data)

    def _take(self, event: Event, size: int) -> None:
        sequence = self.hub.newest + 1
        sent, record = self._note(event)
        fault = None if self._last_error is None else _server_error(self._last_error, sent)
        greeted = not self._established and fault is None
        if greeted:  # Before the handlers, which may send at once.
            self._established = True
            self.move(Trigger.ESTABLISHED)
        self._deliver(sequence, event)
        owner = sent.owner if sent is not None else None
        self.hub.publish(event, size, fault, owner)
        for subscription in tuple(self._subscriptions):
            subscription.put(event)
        self._answer(sequence, event, fault, owner)
        self.floor.advance(sequence, event, record)
        if greeted:
            self._announce(signals.session_opened)
            self.ready.set()

    def _note(self, event: Event) -> tuple[Sent | None, Record | None]:
        """Enter ``event`` into the books: what it answers, and the response that it belongs to."""
        with self._books:
            if event.type == "error":
                self._last_error = self._details(event)
                return self._correlation.blamed(self._last_error), None
            self._last_error = None
            self._conversation.apply(event)
            sent, record = self._correlation.answered(event), self.floor.note(event)
            if sent is None and record is not None and record.mark is not None and event.type in _BEGINNINGS:
                self._correlation.begun(record.mark)
            return sent, record

    def _details(self, event: Event) -> dict[str, Any]:
        """The ``error`` object of an error event, its message fit for an exception: some servers echo the key."""
        found = event.get("error")
        details = dict(found) if isinstance(found, Mapping) else {}
        if isinstance(details.get("message"), str) and self._line is not None:
            details["message"] = self._line.redact(details["message"])
        return details

    def _deliver(self, sequence: int, event: Event) -> None:
        board = self._board()
        if board is not None and board.wants(event.type):
            self.delivery.put(sequence, lambda: self._handle(sequence, event))

    def _handle(self, sequence: int, event: Event) -> None:
        """Call the handlers of ``event``. Runs where handlers run."""
        session, board = self._session(), self._board()
        if session is None or board is None:
            return

        def failed(handler: Callable[..., Any], error: Exception) -> None:
            self._report(session, event, handler, error)

        def begin(handler: Callable[..., Any]) -> None:
            self._mark_current(handler)
            self.hub.enter_handler(sequence)

        own = self.hub.window()
        try:
            board.emit(session, event, failed, begin)
        finally:
            self.hub.leave_handler(own)

    def _mark_current(self, handler: Callable[..., Any]) -> None:
        self.delivery.current = handler

    def _report(self, session: Any, event: Event | None, handler: Callable[..., Any], error: Exception) -> None:
        where = f" for {event.type!r}" if event is not None else ""
        name = signals.name_of(handler)
        signals.logger.error("the handler %s%s raised %s", name, where, type(error).__name__, exc_info=error)

        def also_failed(receiver: Callable[..., Any], second: Exception) -> None:
            signals.logger.error("%s, called for the failure, raised", signals.name_of(receiver), exc_info=second)

        signals.handler_failed.emit(session, also_failed, event=event, handler=handler, error=error)

    def _refuse(self, error: ProtocolError) -> None:
        logger.warning("%s", error)
        self._announce(signals.message_refused, error=error)

    def _announce(self, signal: signals.SafeSignal, **data: Any) -> None:
        """Send a signal of the module, where handlers run, behind what was delivered before."""
        if not signal.receivers:
            return

        def send() -> None:
            session = self._session()
            if session is not None:
                signal.emit(
                    session,
                    lambda handler, error: self._report(session, None, handler, error),
                    self._mark_current,
                    **data,
                )

        self.delivery.put(self.hub.newest, send)

    def _answer(self, sequence: int, event: Event, fault: ServerError | None, owner: object) -> None:
        if isinstance(owner, Request):
            with self._books:
                self._requests.discard(owner)
            owner.resolve(sequence, None if fault else event, fault)
        elif isinstance(owner, Follower) and fault is not None:
            self.floor.refuse(sequence, owner, fault)

    # -- the end: the reader thread -----------------------------------------------------------------------------------

    def _ended(self) -> None:
        assert self._line is not None
        assert self._line.ending is not None
        ending = self._line.ending
        with self._books:
            in_flight = self._correlation.in_flight()
        error = self._closing_error(ending, in_flight) if self._established else self._opening_error(ending)
        with self._books:
            self.error = error
            self._state = after(self._state, Trigger.ENDED)
            lost = self.floor.lose_all()
            requests, self._requests = self._requests, set()
            subscriptions, self._subscriptions = self._subscriptions, []
        self.ready.set()
        self.hub.end(error)
        for request in requests:
            request.resolve(0, None, error)
        for follower in lost:
            follower.notify(0, error)
        self.floor.turns.ring()
        quiet = isinstance(error, SessionClosed) and (error.cause is CloseCause.USER or error.code == 1000)
        for subscription in subscriptions:
            subscription.end(None if quiet else error)
        if self._established:
            self._announce(signals.session_closed, error=error)
        self.delivery.end()
        self._let_go()

    def _let_go(self) -> None:
        try:
            self._release()
        except Exception:
            logger.exception("the embedded server could not be stopped")
        process.discard(self)
        self.finished.set()

    def _opening_error(self, ending: Ending) -> RealtimeError:
        if isinstance(ending.error, RealtimeError) and not isinstance(ending.error, ProtocolError):
            return ending.error
        assert self._line is not None
        if ending.cause is CloseCause.USER:
            return SessionClosed("close() was called before the session was open", cause=CloseCause.USER)
        if ending.cause is CloseCause.SERVER or self._last_error is not None:
            return verdict.refused(self._last_error, ending.code, ending.reason, self._line.response_headers)
        phase = self._line.phase
        failure = ConnectFailed(f"{ending.message}, before the service had greeted", phase=phase)
        failure.__cause__ = ending.error
        return failure

    def _closing_error(self, ending: Ending, in_flight: tuple[str, ...]) -> SessionClosed:
        cause, message = ending.cause, ending.message
        if self._abandoned:
            cause, message = CloseCause.ABANDONED, "the session object was garbage-collected while open"
        error = verdict.closed(
            code=ending.code,
            reason=ending.reason,
            cause=cause,
            message=message,
            error=self._last_error,
            in_flight=in_flight,
        )
        error.__cause__ = ending.error
        return error

    # -- commands: user threads ---------------------------------------------------------------------------------------

    @property
    def inherited(self) -> bool:
        """Whether this process is a fork of the one that opened the session."""
        return self.process is not None and os.getpid() != self.process

    def check_process(self) -> None:
        """Raise ``UsageError`` in a process that inherited the session by a fork. Takes no lock."""
        if self.inherited:
            raise UsageError(
                f"this session was opened in process {self.process}, of which this one is a fork; the connection stays"
                " there. Open sessions after the fork: in gunicorn's post_fork, in Celery's worker_process_init, or in"
                " the task or view itself"
            )

    def check_may_wait(self, settled: bool) -> None:
        """Raise ``UsageError`` where the calling thread would wait for itself, or for another process."""
        self.check_process()
        self.delivery.check_may_wait(settled)

    def check_open(self) -> None:
        """Raise what stands in the way of sending."""
        if self._state is State.OPEN:
            return
        stay_asleep()
        if self.error is not None:
            raise copy.copy(self.error)
        if self._state is State.NEW:
            raise UsageError("the session is not open; use it in a with block, or call open() first")
        if self._state is State.CONNECTING:
            raise UsageError("the session is still being opened; send after open() has returned")
        raise SessionClosed("close() was called", cause=CloseCause.USER)

    def send(self, event: dict[str, Any], owner: object, timeout: float | None) -> None:
        """Hand ``event``, which has its id, to the kernel. Answers and errors go to ``owner``."""
        self.check_open()
        try:
            data = encode(self._for_the_wire(event))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the event {event['type']!r} cannot be written as JSON: {error}") from error
        try:  # Around the note too: one that stays behind Ctrl+C would be given the answers of all that follow.
            with self._books:
                self._correlation.sent(event, owner)
            assert self._line is not None
            self._line.send(data, timeout=timeout)
        except BaseException as error:
            with self._books:
                self._correlation.withdraw(event["event_id"])
            if isinstance(error, LineBroken):
                raise self._verdict(error) from error
            raise
        if signals.event_sent.receivers and (session := self._session()) is not None:
            signals.event_sent.emit(
                session, lambda handler, error: self._report(session, None, handler, error), event=event
            )

    def _for_the_wire(self, event: dict[str, Any]) -> dict[str, Any]:
        """``event`` in the dialect of the endpoint; what that does not know is said once."""
        if self._translator is None or not self._speaks_preview:
            return event
        with self._books:  # It remembers what it has said.
            translated, notes = self._translator.outgoing(event)
        for note in notes:
            logger.warning("%s", note)
        return translated

    def _verdict(self, broken: LineBroken) -> RealtimeError:
        """Why the line ended, as the reader knows it, or will in a moment."""
        if self._thread is not threading.current_thread():
            self.finished.wait(_VERDICT_PATIENCE)
        if self.error is not None:
            return copy.copy(self.error)
        return ConnectionLost(f"the event was not sent: {broken}", code=1006, cause=CloseCause.NETWORK)

    def ask(self, event: dict[str, Any], deadline: Deadline) -> Event:
        """Send ``event`` and block until the service has answered it.

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
        self.settle(request.sequence, deadline)
        return request.answer

    def settle(self, sequence: int, deadline: Deadline) -> None:
        """Block until the handlers of everything up to ``sequence`` have run, except inside one of them."""
        if self.delivery.in_handler():
            return
        settled = Latch()
        self.delivery.when_settled(sequence, settled.set)
        if not settled.wait(deadline.remaining()):
            raise WaitTimeout(
                f"the answer came, but the handlers before it have not finished within {deadline.timeout:g} s"
                f" ({self.delivery.stuck() or 'none is running'})"
            )

    def subscribe(self, types: frozenset[str] | None, timeout: float | None) -> Subscription:
        """A live iterator over events of ``types``, or of all."""
        subscription = Subscription(types, timeout, lambda: self.check_may_wait(settled=False), self.unsubscribe)
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

    def snapshot(self) -> Snapshot:
        """The conversation as it is now."""
        with self._books:
            return self._conversation.snapshot()

    def item(self, item_id: str) -> Item | None:
        """One item of the conversation as it is now."""
        with self._books:
            return self._conversation.item(item_id)


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
