"""Signals: blinker's, made ordered, isolated and safe for threads. The only module that knows blinker.

Stock ``blinker.Signal`` calls receivers in no order, stops at the first that raises, and loses or leaks receivers
when threads connect and disconnect at once. ``SafeSignal`` is a ``blinker.Signal`` (``connect``, ``connect_via``,
``disconnect``, ``receivers_for``, ``muted``) without these faults.

The signals of this module have the session as sender and serve cross-cutting tools: logging, tracing, metrics. A
receiver has blinker's shape: ``receiver(session, event)`` or ``receiver(session, **data)``.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import blinker
from blinker import ANY
from blinker.base import ANY_ID

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.names import known_server_types

__all__ = [
    "ANY",
    "Board",
    "SafeSignal",
    "budget_spent",
    "check_receiver",
    "event_received",
    "event_sent",
    "handler_failed",
    "message_refused",
    "name_of",
    "reconnected",
    "reconnecting",
    "response_guarded",
    "session_closed",
    "session_opened",
    "tool_finished",
    "tool_progress",
    "tool_started",
    "turn_finished",
]

logger = logging.getLogger("rtsync.handlers")

Receiver = TypeVar("Receiver", bound=Callable[..., Any])
OnError = Callable[[Callable[..., Any], Exception], None]
OnCall = Callable[[Callable[..., Any]], None]
Call = tuple[Callable[..., Any], bool]


class _OrderedSet(dict[Any, None]):
    """The operations that blinker uses of a set, in order of insertion."""

    def add(self, member: Any) -> None:
        self[member] = None

    def discard(self, member: Any) -> None:
        self.pop(member, None)

    def remove(self, member: Any) -> None:
        del self[member]

    def copy(self) -> _OrderedSet:
        return _OrderedSet(self)

    def __or__(self, other: Any) -> _OrderedSet:  # type: ignore[override]
        return _OrderedSet({**self, **dict.fromkeys(other)})


class SafeSignal(blinker.Signal):
    """A ``blinker.Signal`` that calls its receivers in the order of their connection, each whatever the others do.

    Args:
        doc: for people.
        on_change: called whenever it may have other receivers than before.

    Threads: connect, disconnect and send from any thread.
    """

    set_class = _OrderedSet  # type: ignore[assignment]
    version = object()
    """Another one whenever anything that decides who is called has changed, in any signal."""

    def __init__(self, doc: str | None = None, on_change: Callable[[], object] = lambda: None) -> None:
        self._muted = False
        self._on_change = on_change
        super().__init__(doc)
        self._registry = threading.RLock()  # Guards blinker's four dictionaries, which it changes in several steps.
        self._by_keyword: set[Any] = set()
        self._plan: tuple[Call, ...] | None = None  # Whom to call, where that is the same at every send.

    def connect(self, receiver: Receiver, sender: Any = ANY, weak: bool = True) -> Receiver:
        """Have ``receiver`` called on every send, or only for ``sender``.

        Args:
            receiver: called as ``receiver(session, event)``.
            sender: the session to listen to; any by default.
            weak: hold the receiver weakly, as blinker does: it vanishes with its last other reference. A lambda
                would vanish at once, so one gets a warning; ``session.on`` holds strongly.

        Raises:
            ConfigurationError: the receiver is a coroutine function.
        """
        check_receiver(receiver, weak)
        with self._registry:
            self._changed()
            if not _takes_position(receiver):
                self._by_keyword.add(_identity(receiver))
            try:
                return super().connect(receiver, sender, weak)
            finally:
                self._changed()

    def disconnect(self, receiver: Callable[..., Any], sender: Any = ANY) -> None:
        """Call ``receiver`` no more."""
        with self._registry:
            super().disconnect(receiver, sender)

    def _changed(self) -> None:
        self._plan = None
        SafeSignal.version = object()
        self._on_change()

    @property
    def is_muted(self) -> bool:
        """Whether nobody is called: inside ``muted()``."""
        return self._muted

    @is_muted.setter
    def is_muted(self, muted: bool) -> None:
        self._muted = muted
        SafeSignal.version = object()

    @property
    def has_plan(self) -> bool:
        """Whether ``calls`` gives the same for every sender until ``version`` changes."""
        return self._plan is not None

    def receivers_for(self, sender: Any) -> Generator[Callable[..., Any], None, None]:
        """The receivers to call for ``sender``, in the order of their connection."""
        with self._registry:
            receivers = list(super().receivers_for(sender))
        yield from receivers

    def calls(self, sender: Any) -> tuple[Call, ...]:
        """Whom to call for ``sender``, in order, each with whether it takes its second argument by position."""
        plan = self._plan
        if plan is not None:
            return plan
        with self._registry:
            found = tuple((receiver, self._by_position(receiver)) for receiver in self.receivers_for(sender))
            if self._always_the_same():
                self._plan = found
        return found

    def _by_position(self, receiver: Callable[..., Any]) -> bool:
        return _identity(receiver) not in self._by_keyword

    def _always_the_same(self) -> bool:
        """Whether every receiver is held strongly and listens to every sender."""
        to_any = self._by_sender.get(ANY_ID, ())
        strong = not any(isinstance(receiver, weakref.ref) for receiver in self.receivers.values())
        return strong and len(to_any) == len(self.receivers)

    def emit(self, sender: Any, on_error: OnError, on_call: OnCall | None = None, **data: Any) -> None:
        """Call every receiver; a failing one is handed to ``on_error`` and does not stop the others.

        Args:
            sender: the session.
            on_error: called with receiver and exception.
            on_call: called with each receiver before it.
            data: given to the receivers; a single value by position where they take it so.
        """
        if not self.receivers or self.is_muted:
            return
        for receiver, by_position in self.calls(sender):
            if on_call is not None:
                on_call(receiver)
            try:
                if by_position and len(data) == 1:
                    receiver(sender, *data.values())
                else:
                    receiver(sender, **data)
            except Exception as error:
                on_error(receiver, error)

    def renew_lock(self) -> None:
        """In a forked child: forget who held the lock."""
        self._registry = threading.RLock()

    def _disconnect(self, receiver_id: Any, sender_id: Any) -> None:
        with self._registry:
            self._changed()
            super()._disconnect(receiver_id, sender_id)
            self._forget_unused(receiver_id)

    def _make_cleanup_sender(self, sender_id: Any) -> Callable[[Any], None]:
        stock = super()._make_cleanup_sender(sender_id)

        def cleanup(reference: Any) -> None:
            with self._registry:
                self._changed()
                concerned = list(self._by_sender.get(sender_id, ()))
                stock(reference)
                for receiver_id in concerned:
                    self._forget_unused(receiver_id)

        return cleanup

    def _make_cleanup_receiver(self, receiver_id: Any) -> Callable[[Any], None]:
        stock = super()._make_cleanup_receiver(receiver_id)

        def cleanup(reference: Any) -> None:
            with self._registry:
                self._changed()
                stock(reference)

        return cleanup

    def _forget_unused(self, receiver_id: Any) -> None:
        """Stock blinker keeps a receiver that was connected for one sender, even when that connection is gone."""
        if not self._by_receiver.get(receiver_id):
            self._by_receiver.pop(receiver_id, None)
            self.receivers.pop(receiver_id, None)
            self._by_keyword.discard(receiver_id)


class Place(Protocol):
    """Where receivers run."""

    current: Callable[..., Any] | None
    """The receiver that is being called."""

    @property
    def handling(self) -> tuple[int, object]:
        """The number of the event that it is called for, and the receiver."""


class Board:
    """The signals of one session, one per event type that somebody asked for, and ``"*"`` for all events.

    Signals are made when a program asks for one, never from what comes over the wire.

    Threads: any.
    """

    ALL = "*"

    def __init__(self) -> None:
        self._making = threading.Lock()  # One signal per type, also when two threads ask at once.
        self._signals: dict[str, SafeSignal] = {}
        self._concerned: dict[str, tuple[SafeSignal, ...]] = {}  # By type, of those that somebody asked for.
        # By type, whom to call in which version: of this session's own signals alone, and only until one changes,
        # so that a handler that was disconnected is let go of.
        self._plans: dict[str, tuple[object, Sequence[Call]]] = {}

    @property
    def in_use(self) -> bool:
        """Whether anybody has asked for a signal."""
        return bool(self._signals)

    def signal(self, event_type: str) -> SafeSignal:
        """The signal of ``event_type``."""
        with self._making:
            found = self._signals.get(event_type)
            if found is None:
                doc = f"{event_type} events of one session. Data: event."
                found = self._signals[event_type] = SafeSignal(doc, self._plans.clear)
                self._concerned = {}
                self._plans.clear()
            return found

    def wants(self, event_type: str) -> bool:
        """Whether anybody is to be called for ``event_type``."""
        if event_received.receivers:
            return True
        for signal in self._concerned.get(event_type) or self._find(event_type):  # noqa: SIM110 - every event asks
            if signal.receivers:
                return True
        return False

    def emit(
        self,
        session: Any,
        events: Iterable[Any],
        on_error: Callable[[Any, Callable[..., Any], Exception], None],
        place: Place,
        traces: dict[int, Any],
    ) -> None:
        """Call who listens to each event: the session's handlers for its type, those for all, then the module's.

        Every event of a stream comes this way, so it is one loop, and asks as little as it can.

        Args:
            session: given to the receivers.
            events: given to the receivers, one after the other.
            on_error: called with the event, the receiver that failed, and the exception.
            place: where they run; told of each receiver before it is called.
            traces: what receivers leave behind under the number of their event; taken out behind them.
        """
        kind, version = None, None
        calls: Sequence[Call] = ()
        for event in events:
            if event.type is not kind or SafeSignal.version is not version:
                planned = self._plans.get(event.type)
                if planned is not None and planned[0] is SafeSignal.version:
                    kind = event.type  # For the next ones as well, most of which are like it.
                    version, calls = planned
                else:
                    kind, calls = None, self._calls(session, event.type)
            try:
                for receiver, by_position in calls:
                    place.current = receiver
                    try:
                        if by_position:
                            receiver(session, event)
                        else:
                            receiver(session, event=event)
                    except Exception as error:
                        on_error(event, receiver, error)
            finally:
                if traces:
                    traces.pop(place.handling[0], None)

    def _calls(self, session: Any, event_type: str) -> Sequence[Call]:
        """Whom to call for an event; remembered where that is the same for the next one of its type."""
        version = SafeSignal.version  # Read first: who changes something meanwhile makes another one.
        concerned = self._concerned.get(event_type) or self._find(event_type)
        asked = [signal for signal in concerned if signal.receivers and not signal.is_muted]
        calls = [call for signal in asked for call in signal.calls(session)]
        if event_type in self._concerned and event_received not in asked and all(signal.has_plan for signal in asked):
            self._plans[event_type] = version, calls
        return calls

    def _find(self, event_type: str) -> tuple[SafeSignal, ...]:
        """Who is concerned; remembered for types that the program or the protocol names, not for any on the wire."""
        known = self._concerned  # Read first: who makes a signal meanwhile makes a new one.
        found = (self._signals.get(event_type), self._signals.get(self.ALL), event_received)
        concerned = tuple(signal for signal in found if signal is not None)
        if event_type in self._signals or event_type in known_server_types():
            known[event_type] = concerned
        return concerned


def _identity(receiver: Callable[..., Any]) -> Any:
    function = getattr(receiver, "__func__", None)
    return id(receiver) if function is None else (id(function), id(receiver.__self__))  # type: ignore[attr-defined]


def check_receiver(receiver: Callable[..., Any], weak: bool = False) -> None:
    """Refuse what cannot be called plainly, and warn of what would vanish at once.

    Raises:
        ConfigurationError: not callable, or a coroutine function.
    """
    if not callable(receiver):
        raise ConfigurationError(f"a handler must be callable, not {type(receiver).__name__}")
    if inspect.iscoroutinefunction(receiver) or inspect.iscoroutinefunction(getattr(receiver, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            f"{name_of(receiver)} is a coroutine function; rtsync calls plain functions. Wrap it:"
            " lambda session, event: asyncio.run_coroutine_threadsafe(f(session, event), loop)"
        )
    if weak and (isinstance(receiver, functools.partial) or getattr(receiver, "__name__", "") == "<lambda>"):
        warnings.warn(
            f"{name_of(receiver)} is connected weakly, so it is gone when nothing else refers to it; use"
            " session.on(...), or connect(..., weak=False)",
            RuntimeWarning,
            stacklevel=3,
        )


def _takes_position(receiver: Callable[..., Any]) -> bool:
    """Whether the second argument can be given by position, whatever its name."""
    try:
        inspect.signature(receiver).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def name_of(receiver: Callable[..., Any]) -> str:
    """A handler's name for people."""
    name = getattr(receiver, "__qualname__", None) or getattr(receiver, "__name__", None)
    if name is None:
        inner = getattr(receiver, "func", None)  # functools.partial
        return name_of(inner) if callable(inner) else type(receiver).__name__
    return f"{getattr(receiver, '__module__', '?')}.{name}"


session_opened = SafeSignal("A session is open. Data: none.")
session_closed = SafeSignal("A session has ended. Data: error (SessionClosed).")
event_received = SafeSignal("An event arrived; sent after the session's own handlers. Data: event (Event).")
event_sent = SafeSignal("An event was handed to the kernel; called in the sending thread. Data: event (dict).")
message_refused = SafeSignal("A message was not a JSON object and was ignored. Data: error (ProtocolError).")
reconnecting = SafeSignal("A lost session is being reconnected. Data: attempt, cause, delay.")
reconnected = SafeSignal("A lost session is open again. Data: attempt, lost.")
turn_finished = SafeSignal("A turn has ended: its response, or the user's next one began. Data: turn (Turn).")
response_guarded = SafeSignal("A guard has stopped a response. Data: response (Response), verdict (Verdict).")
budget_spent = SafeSignal("A limit of the budget is reached, and the session will end. Data: spending (Spending).")
tool_started = SafeSignal("A tool that the model called begins to run. Data: call (ToolCall).")
tool_progress = SafeSignal("A tool has reported its progress. Data: call (ToolCall), progress.")
tool_finished = SafeSignal("A call of a tool is over: it ran, failed or was not run at all. Data: call (ToolCall).")
handler_failed = SafeSignal("A handler raised. Data: event, handler, error.")


_OF_ALL_SESSIONS = (
    session_opened,
    session_closed,
    event_received,
    event_sent,
    message_refused,
    reconnecting,
    reconnected,
    turn_finished,
    response_guarded,
    budget_spent,
    tool_started,
    tool_progress,
    tool_finished,
    handler_failed,
)


def _start_anew() -> None:
    """In a forked child: a thread that is not there may hold the lock of a signal."""
    for signal in _OF_ALL_SESSIONS:
        signal.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
