"""One line of a session, and what is known of that line alone.

A session that reconnects has several, one after another, and for a moment two. What must not be carried from one to
the next lives here: who waits for which answer, the dialect that the server turned out to speak, the mirror of the
conversation, the last error. ``route`` is where its events go: to the program, to its restoration, or nowhere.

Everything here belongs to the thread that runs the line, except what the core changes under its lock: ``correlation``,
``conversation``, ``sending`` and ``over``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from rtsync.edges import forks
from rtsync.edges.latch import Latch
from rtsync.edges.transport import Ending, Line
from rtsync.pure import verdict
from rtsync.pure.conversation import Conversation
from rtsync.pure.correlation import Correlation, Sent
from rtsync.pure.dialect import PREVIEW_NAMES, Arrival, Preview
from rtsync.pure.failures import tells_of_failure
from rtsync.pure.recovery import Restoration
from rtsync.pure.runs import Run
from rtsync.threads.loan import Loan
from rtsync.vocabulary.errors import (
    CloseCause,
    ConnectFailed,
    ProtocolError,
    RealtimeError,
    SessionClosed,
)
from rtsync.vocabulary.events import Event, decode_object, made_of, parse, raw

__all__ = ["Connection", "Expiry", "Route", "RunRoute", "nowhere"]

_MORE = frozenset({"error", "item", "response"})

Route = Callable[["Connection", Event, int], None]
RunRoute = Callable[["Connection", Run], None]


def nowhere(_connection: Connection, _event: Event, _size: int) -> None:
    """The route of a line that another one has replaced."""


class Expiry(msgspec.Struct, frozen=True):
    """When a service ends a session: ``at``, in monotonic seconds, after a ``life`` of so many seconds."""

    at: float
    life: float


@functools.cache
def _plain_classes() -> dict[str, type[Event]]:
    """The classes of the types that need no translation on a GA endpoint."""
    from rtsync.vocabulary.server_events import SERVER_EVENTS

    return {name: cls for name, cls in SERVER_EVENTS.items() if name not in PREVIEW_NAMES}


@functools.cache
def _delta_classes() -> dict[str, type[Event]]:
    """Those of them that are deltas."""
    return {name: cls for name, cls in _plain_classes().items() if name.endswith(".delta")}


def _by_themselves(parsed: list[dict[str, Any]], classes: Sequence[object]) -> list[int]:
    """The positions of those that are no deltas, or hold what changes more than a delta does."""
    if not (None in classes or [1 for data in parsed if "error" in data or "item" in data or "response" in data]):
        return []
    return [
        position
        for position, (data, cls) in enumerate(zip(parsed, classes, strict=True))
        if cls is None or not _MORE.isdisjoint(data)
    ]


class Connection:
    """A line and its books.

    Args:
        number: 1 for the session's first.
        dialect: ``"preview"`` for an endpoint that is to be translated.
        kind: what a session is that does not say: ``"realtime"`` or ``"transcription"``.
        mark: key of our marks in the metadata of responses.
        route: takes each event, with the size of its message in bytes.
        take_run: takes deltas that arrived together; where they are not to be taken together, it gives them to
            ``route``.
        refuse: told of a message that is no event, and of its size in bytes.
        loan: of the reading of its line.

    Attributes:
        line: set before anything else happens.
        greeted: the service has said its first word.
        restoration: what it has been given back; unused by a session's first.
        sending: ids of the events that threads are handing over right now.
        over: what depended on it has been told of its end, or moved to another; or it will never be used.
        renews: it was made to take the place of one that is well.
        ready: it has been given everything, and may take that place.
        occupied: its reader stands in a callable of the program's that plans what it shall have.
        held: what arrived since, until its reader knows that it has taken it.
        handed: set once whoever handed over to it has done all that belongs to that.
        expiry: when the service will end it; None where it did not say.
        failure: why it was given up, where that was decided here.
        credential: what it authenticated with; None before.
    """

    def __init__(
        self,
        number: int,
        *,
        dialect: str,
        kind: str,
        mark: str,
        route: Route,
        take_run: RunRoute,
        refuse: Callable[[ProtocolError, int], None],
        loan: Loan,
    ) -> None:
        with forks.whole():
            from rtsync.vocabulary.server_events import typed  # A class for every type: not before there are events.

        self.number = number
        self.line: Line
        self.route = route
        self.loan = loan
        self.correlation = Correlation(mark)
        self.conversation = Conversation()
        self.restoration = Restoration()
        self.sending: set[str] = set()
        self.greeted = False
        self.over = False
        self.renews = False
        self.ready = False
        self.occupied = False
        self.held: list[tuple[Event, int]] = []
        self.handed = Latch()
        self.expiry: Expiry | None = None
        self.failure: RealtimeError | None = None
        self.last_error: Mapping[str, Any] | None = None
        self.credential: str | None = None
        self._typed: Callable[..., Event] = typed
        self._plain = _plain_classes()
        self._take_run = take_run
        self._refuse = refuse
        self._kind = kind
        self._speaks_preview = dialect == "preview"
        self._translator = Preview(kind) if self._speaks_preview else None
        self._deltas = _delta_classes() if self._translator is None else {}  # Of those that may go on as a run.

    def __repr__(self) -> str:
        return f"Connection({self.number})"

    # -- in ----------------------------------------------------------------------------------------------------------

    def on_messages(self, _line: Line, messages: Sequence[bytes | memoryview]) -> None:
        """Messages arrived together, or one by itself, as most do: the line's callback.

        Raises:
            UnicodeDecodeError: one is not UTF-8; the line answers that with close code 1007.
        """
        if len(messages) > 1:
            self._take_many(messages)
            return
        message = messages[0]
        try:
            data = parse(message)
            kind = data["type"]
            delta = self._deltas.get(kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, LookupError):
            self._take_unusual(message)
            return
        if not _MORE.isdisjoint(data):
            self._take_in(data, len(message))
        elif delta is not None:
            self._take_together(messages, [delta.type], [data])
        elif self._translator is None and (cls := self._plain.get(kind)) is not None:
            self.route(self, made_of(cls, data), len(message))
        else:
            self._take_in(data, len(message))

    def _take_many(self, messages: Sequence[bytes | memoryview]) -> None:
        """Several: deltas that stand side by side go on as one run, everything else by itself."""
        deltas = self._deltas
        try:  # All of them in each step: the interpreter's own loops take half of the time.
            parsed = list(map(parse, messages))
            kinds = [data["type"] for data in parsed]
            classes = list(map(deltas.get, kinds))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, LookupError):
            self._take_each(messages)
            return
        start = 0
        for alone in _by_themselves(parsed, classes):
            if start < alone:
                run = slice(start, alone)
                self._take_together(messages[run], kinds[run], parsed[run])
            self._take_in(parsed[alone], len(messages[alone]))
            start = alone + 1
            if self._deltas is not deltas:  # The server has turned out to speak the preview's names.
                self._take_each(messages[start:])
                return
        if start:
            messages, kinds, parsed = messages[start:], kinds[start:], parsed[start:]
        if kinds:
            self._take_together(messages, kinds, parsed)

    def _take_each(self, messages: Sequence[bytes | memoryview]) -> None:
        """Messages of which one is no event, or unusual: each by itself."""
        for message in messages:
            self.on_messages(self.line, (message,))

    def _take_unusual(self, message: bytes | memoryview) -> None:
        """One that is no event, or unusual."""
        try:
            data = decode_object(message)
        except ProtocolError as error:
            self._refuse(error, len(message))
            return
        self._take_in(data, len(message))

    def _take_together(
        self,
        messages: Sequence[bytes | memoryview],
        kinds: list[str],
        parsed: list[dict[str, Any]],
    ) -> None:
        """Deltas with nothing between them."""
        self._take_run(self, Run(parsed, kinds, list(map(len, messages)), messages))

    def _take_in(self, data: dict[str, Any], size: int) -> None:
        """An event that goes by itself."""
        if not _MORE.isdisjoint(data) and tells_of_failure(data):
            data = self.line.cleaned(data)
        kind = data.get("type")
        cls = self._plain.get(kind) if self._translator is None and type(kind) is str else None
        if cls is not None:
            self.route(self, made_of(cls, data), size)
        elif self._translator is not None or (type(kind) is str and kind in PREVIEW_NAMES):
            self._take_translated(data, size)
        else:
            self.route(self, Event(data), size)

    def _take_translated(self, data: dict[str, Any], size: int) -> None:
        for arrival in self._translated(data):
            self.route(self, self._typed(arrival.event, arrival.wire_type), size)
            size = 0  # Counted once.

    def _translated(self, data: dict[str, Any]) -> list[Arrival]:
        """The events in GA terms that ``data`` stands for. Some servers on a GA path speak the preview's names too."""
        if self._translator is None:
            self._translator = Preview(self._kind)
            self._speaks_preview = False
            self._deltas = {}
        return self._translator.incoming(data)

    def note(self, event: Event) -> Sent | None:
        """Enter ``event`` into the books; returns the client event that it answers."""
        if event.type == "error":
            found = event.get("error")
            self.last_error = dict(found) if isinstance(found, Mapping) else {}
            return self.correlation.blamed(self.last_error)
        self.last_error = None
        self.conversation.apply(event)
        return self.correlation.answered(raw(event)) if self.correlation.pending else None

    # -- out ---------------------------------------------------------------------------------------------------------

    def for_the_wire(self, event: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """``event`` in the dialect of the endpoint, and what is to be said about that, once."""
        if self._translator is None or not self._speaks_preview:
            return event, []
        return self._translator.outgoing(event)

    # -- the end -----------------------------------------------------------------------------------------------------

    def give_up(self, failure: RealtimeError) -> None:
        """End the line because of ``failure``, which will be why it ended."""
        self.failure = failure
        self.line.abort(str(failure))

    def why_ended(self, *, abandoned: bool) -> RealtimeError:
        """Why the line has ended: a ``SessionClosed`` where the service had greeted, else why it never did."""
        ending = self.line.ending
        assert ending is not None
        if self.failure is not None:
            return self.failure
        return self._closing_error(ending, abandoned) if self.greeted else self._opening_error(ending)

    def _opening_error(self, ending: Ending) -> RealtimeError:
        if isinstance(ending.error, RealtimeError) and not isinstance(ending.error, ProtocolError):
            return ending.error
        if ending.cause is CloseCause.USER:
            return SessionClosed("close() was called before the session was open", cause=CloseCause.USER)
        if ending.cause is CloseCause.SERVER or self.last_error is not None:
            return verdict.refused(self.last_error, ending.code, ending.reason, self.line.response_headers)
        failure = ConnectFailed(
            f"{ending.message}, before the service had greeted",
            phase=self.line.phase,
            retryable=ending.cause is CloseCause.NETWORK,
        )
        failure.__cause__ = ending.error
        return failure

    def _closing_error(self, ending: Ending, abandoned: bool) -> SessionClosed:
        cause, message = ending.cause, ending.message
        if abandoned:
            cause, message = CloseCause.ABANDONED, "the session object was garbage-collected while open"
        error = verdict.closed(
            code=ending.code,
            reason=ending.reason,
            cause=cause,
            message=message,
            error=self.last_error,
            in_flight=self.correlation.in_flight(),
        )
        error.__cause__ = ending.error
        return error
