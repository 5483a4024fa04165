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
_BLOCKING = 12 << 20  # bytes of one event; the kernel takes a few millions of them, then the sender stands

STREAMED = ("response", "stream")
"""The waits for a response that has begun."""


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
            """A condition that no event fulfils, and that sees the marker when its wait stands."""
            placed.append(seen := threading.Event())

            def look(event: Event) -> bool:
                if event.type == MARKER["type"]:
                    seen.set()
                return False

            return look

        first, second = placing(), placing()
        self.tasks: dict[str, Task] = {
            "turn": spawn(lambda: session.respond(timeout=None)),
            "response": spawn(lambda: response.wait(None)),
            "stream": spawn(lambda: list(response.text_deltas(timeout=None))),
            "asked": spawn(lambda: session.update(instructions="Hi", timeout=None)),
            "wait_for": spawn(lambda: session.wait_for(first, timeout=None)),
            "expect": spawn(lambda: _expect(session, second)),
            "events": spawn(lambda: list(events)),
        }
        if handler:
            self.tasks["handler"] = _in_a_handler(session, placing())
        room.hear("session.update")
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


def _expect(session: RealtimeSession, where: Callable[[Event], bool]) -> None:
    with session.expect(where, timeout=None):
        pass


def _in_a_handler(session: RealtimeSession, where: Callable[[Event], bool]) -> Task:
    """A wait inside a handler, which is called at `matrix.handler`."""
    over, outcome = threading.Event(), list[BaseException]()

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
        raise outcome[0]

    return spawn(follow)


class Told:
    """What `session_closed` says of one session; a context manager."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self._told: list[tuple[str, SessionClosed]] = []
        self._came = threading.Event()

    def __enter__(self) -> Told:
        rtsync.session_closed.connect(self._receive, sender=self._session)
        return self

    def __exit__(self, *_: object) -> None:
        rtsync.session_closed.disconnect(self._receive, sender=self._session)

    def _receive(self, session: RealtimeSession, error: SessionClosed, **_data: Any) -> None:
        self._told.append((session.state, error))
        self._came.set()

    @property
    def closed(self) -> SessionClosed:
        """The error that it carried; it came once, and the session was closed."""
        assert self._came.wait(LIMIT), "session_closed was never sent"
        [(state, error)] = self._told
        assert state == "closed"
        return error

    @property
    def nothing(self) -> bool:
        """Whether it was never sent, as for a session that never was open."""
        return not self._told


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
