"""One of every kind of wait, each in a thread of its own, and how each of them ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import rtsync
from rtsync import CloseCause, ConnectFailed, Event, RealtimeError, RealtimeSession, ResponseFailed, SessionClosed
from tests.loopback import LIMIT
from tests.matrix.house import STALL, Json, Room
from tests.session.service import Task, spawn

__all__ = ["Told", "Waiters", "assert_same_end"]

MARKER: Json = {"type": "matrix.marker"}
OVER: Json = {"type": "matrix.over"}
"""What the waits wait for that nothing else ends."""

_BLOCKING = 12 << 20  # bytes of one event; the kernel takes a few millions of them, then the sender stands

ASKED = "This is never confirmed."
STREAMED = ("response", "stream")
"""The waits for a response that has begun."""
PATIENT = ("wait_for", "expect", "events", "handler")
"""The waits that a session which comes back keeps."""


class Waiters:
    """Everything that can wait on an open session, waiting.

    Made, it blocks until each wait is known to stand, by what the room has heard and what predicates have seen.

    Args:
        session: an open one.
        room: its other end, which answers no `session.update` and ends no response.
        handler: whether one of the waits shall be in a handler, which keeps others from running.
        deaf: whether the room shall read no more.
        blocked: whether, besides, a thread shall stand in the middle of a send.
    """

    def __init__(
        self, session: RealtimeSession, room: Room, *, handler: bool = True, deaf: bool = False, blocked: bool = False
    ) -> None:
        self._session = session
        response = session.respond(timeout=LIMIT)
        assert next(response.text_deltas(timeout=LIMIT))
        events = session.events()
        placed: list[threading.Event] = []

        def placing() -> Callable[[Event], bool]:
            """A condition that only the end fulfils, and that sees the marker when its wait stands."""
            placed.append(seen := threading.Event())

            def look(event: Event) -> bool:
                if event.type == MARKER["type"]:
                    seen.set()
                return bool(event.type == OVER["type"])

            return look

        first, second = placing(), placing()
        self.tasks: dict[str, Task] = {
            "turn": spawn(lambda: session.respond(timeout=None)),
            "response": spawn(lambda: response.wait(None)),
            "stream": spawn(lambda: list(response.text_deltas(timeout=None))),
            "asked": spawn(lambda: session.update(instructions=ASKED, timeout=None)),
            "wait_for": spawn(lambda: session.wait_for(first, timeout=None)),
            "expect": spawn(lambda: _expect(session, second)),
            "events": spawn(lambda: any(event.type == OVER["type"] for event in events)),
        }
        if handler:
            self.tasks["handler"] = _in_a_handler(session, placing())
        while room.hear("session.update")["session"].get("instructions") != ASKED:
            """That of the session's own config came before."""
        room.say({"type": "matrix.handler"}, MARKER)
        for seen in placed:
            while not seen.wait(0.05):
                room.say(MARKER)  # A wait that came later has not seen the last one.
        if deaf or blocked:
            session.send(STALL)
            assert room.stalled.wait(LIMIT)
        if blocked:
            filling = "A" * _BLOCKING
            self.tasks["send"] = spawn(lambda: session.send({"type": "matrix.filling", "filling": filling}))
            room.await_bytes()

    def end(self, name: str) -> BaseException | None:
        """How one wait has ended: with this exception, or without one."""
        try:
            self.tasks[name].result()
        except BaseException as error:
            return error
        return None

    def assert_all_end_with(self, ended: SessionClosed, sender: type[RealtimeError] | None = None) -> None:
        """Every wait ends, and says why the session did: a response with the text so far, and a send with `sender`."""
        quiet = ended.cause is CloseCause.USER or ended.code == 1000
        for name in self.tasks:
            error = self.end(name)
            if name == "events" and quiet:
                assert error is None, error
                continue
            if name == "send" and sender is not None:
                assert type(error) is sender, (name, error)
                continue
            if name in STREAMED:
                assert isinstance(error, ResponseFailed), (name, error)
                assert (error.status, error.text) == ("lost", "so far")
                error = error.__cause__
            assert isinstance(error, SessionClosed), (name, error)
            assert (type(error), error.cause, error.code) == (type(ended), ended.cause, ended.code), name

    def assert_those_end_that_were_lost(
        self, loss: type[SessionClosed], cause: CloseCause, sender: type[RealtimeError] | None = None
    ) -> None:
        """What the line took along has ended; a wait for its turn, and a send that was cut, have gone on.

        Except where the send has ended by itself, with `sender`.
        """
        for name in (*STREAMED, "asked"):
            error = self.end(name)
            if name in STREAMED:
                assert isinstance(error, ResponseFailed), (name, error)
                assert (error.status, error.text) == ("lost", "so far")
                error = error.__cause__
            assert isinstance(error, SessionClosed), (name, error)
            assert (type(error), error.cause) == (loss, cause), (name, error)
        assert self.end("turn") is None, self.end("turn")
        if "send" in self.tasks:
            assert type(self.end("send")) is (sender or type(None)), self.end("send")

    def assert_the_others_go_on(self, room: Room) -> None:
        """What nobody has answered yet is still waited for, and comes from `room`."""
        patient = [name for name in PATIENT if name in self.tasks]
        assert not any(self.tasks[name].over for name in patient)
        room.say(OVER)
        for name in patient:
            assert self.end(name) is None, self.end(name)


def _expect(session: RealtimeSession, where: Callable[[Event], bool]) -> None:
    with session.expect(where, timeout=None):
        pass


def _in_a_handler(session: RealtimeSession, where: Callable[[Event], bool]) -> Task:
    """A wait inside a handler, which is called at `matrix.handler`."""
    over, outcome = threading.Event(), list[RealtimeError]()

    def handler(session: RealtimeSession, _event: Event) -> None:
        try:
            session.wait_for(where, timeout=None)
        except RealtimeError as error:
            outcome.append(error)
        finally:
            over.set()

    session.on("matrix.handler", handler)

    def follow() -> None:
        assert over.wait(2 * LIMIT)
        if outcome:
            raise outcome[0]

    return spawn(follow)


class Told:
    """What the signals say of the life of one session; a context manager.

    `losses`, `returns` and `ends` hold the data of `reconnecting`, `reconnected` and `session_closed`, each with the
    state of the session at that moment.
    """

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self._changed = threading.Condition()  # guards the lists
        self.losses: list[dict[str, Any]] = []
        self.returns: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []
        self._receivers = [
            (rtsync.reconnecting, self._into(self.losses)),
            (rtsync.reconnected, self._into(self.returns)),
            (rtsync.session_closed, self._into(self.ends)),
        ]

    def __enter__(self) -> Told:
        for signal, receiver in self._receivers:
            signal.connect(receiver, sender=self._session, weak=False)
        return self

    def __exit__(self, *_: object) -> None:
        for signal, receiver in self._receivers:
            signal.disconnect(receiver, sender=self._session)

    def _into(self, told: list[dict[str, Any]]) -> Callable[..., None]:
        def receive(session: RealtimeSession, **data: Any) -> None:
            with self._changed:
                told.append({"state": session.state, **data})
                self._changed.notify_all()

        return receive

    def until(self, condition: Callable[[], object]) -> None:
        """Block until `condition` holds; asked at each signal."""
        with self._changed:
            assert self._changed.wait_for(condition, LIMIT), (self.losses, self.returns, self.ends)

    @property
    def closed(self) -> SessionClosed:
        """The error that `session_closed` carried; it came once, and the session was closed."""
        self.until(lambda: self.ends)
        [end] = self.ends
        assert end["state"] == "closed"
        error: SessionClosed = end["error"]
        return error

    @property
    def lost(self) -> dict[str, Any]:
        """What the first `reconnecting` carried."""
        self.until(lambda: self.losses)
        return self.losses[0]

    @property
    def back(self) -> dict[str, Any]:
        """What the first `reconnected` carried."""
        self.until(lambda: self.returns)
        return self.returns[0]

    @property
    def nothing(self) -> bool:
        """Whether nothing was ever sent, as for a session that never was open."""
        return not (self.losses or self.returns or self.ends)


def assert_same_end(session: RealtimeSession, error: ConnectFailed | SessionClosed) -> None:
    """Whatever is called on a session that has ended, or never began, says `error`."""
    calls: list[Callable[[], object]] = [
        lambda: session.send({"type": "response.create"}),
        lambda: session.wait_for("response.done", timeout=LIMIT),
        lambda: session.update(instructions="Hi", timeout=LIMIT),
        lambda: session.respond(timeout=LIMIT),
        lambda: session.ask("Hi", timeout=LIMIT),
        lambda: session.events(),
        lambda: _expect(session, lambda _event: False),
    ]
    assert session.state == "closed"
    for call in calls:
        with pytest.raises((ConnectFailed, SessionClosed)) as raised:
            call()
        again = raised.value
        assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))
