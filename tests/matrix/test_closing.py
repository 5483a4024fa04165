"""`close` in every state, from every thread: bounded, and all who wait are told that it was the user."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rtsync
from rtsync import CloseCause, RealtimeSession, SessionClosed
from tests.line.recorder import serve
from tests.loopback import LIMIT, Certificates, Peer, ScriptedServer, blackhole, realtime_greeting
from tests.matrix.conftest import SLACK
from tests.matrix.house import House, reticent
from tests.matrix.refusals import Credential, reach
from tests.matrix.waiters import Told, Waiters, assert_same_end
from tests.session.service import session_to, spawn

TIMEOUT = 0.3
"""What `close` may take here, in seconds."""

pytestmark = pytest.mark.usefixtures("nothing_left")

Close = Callable[[RealtimeSession], None]


# -- threads ----------------------------------------------------------------------------------------------------------


def _here(session: RealtimeSession) -> None:
    session.close(timeout=TIMEOUT)


def _in_another_thread(session: RealtimeSession) -> None:
    spawn(lambda: session.close(timeout=TIMEOUT)).result()


def _in_fifty_threads(session: RealtimeSession) -> None:
    for one in [spawn(lambda: session.close(timeout=TIMEOUT)) for _ in range(50)]:
        one.result()


def _in_a_signal_handler(session: RealtimeSession) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: session.close(timeout=TIMEOUT))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


THREADS = [_here, _in_another_thread, _in_fifty_threads, _in_a_signal_handler]
by_thread = pytest.mark.parametrize("close", THREADS, ids=lambda close: close.__name__.strip("_"))


def closed_in_time(session: RealtimeSession, close: Close) -> None:
    began = time.monotonic()
    close(session)
    assert time.monotonic() - began < TIMEOUT + SLACK


# -- new, and used up -------------------------------------------------------------------------------------------------


@by_thread
def test_a_new_session_is_used_up(close: Close, certificates: Certificates) -> None:
    session = reach(9, "ws", certificates, "k")
    closed_in_time(session, close)
    assert session.state == "closed"
    with pytest.raises(SessionClosed) as raised:
        session.send({"type": "response.create"})
    assert_same_end(session, raised.value)
    assert raised.value.cause is CloseCause.USER
    closed_in_time(session, close)


# -- connecting -------------------------------------------------------------------------------------------------------


def _hear_config(peer: Peer) -> None:
    realtime_greeting(peer)
    peer.recv_json()


STAGES: dict[str, tuple[str, Callable[[Peer], object]]] = {
    "tls": ("wss", lambda peer: peer.wire.read_some()),
    "proxy": ("proxy", Peer.read_request),
    "upgrade": ("ws", Peer.read_request),
    "greeting": ("ws", Peer.accept),
    "config": ("ws", _hear_config),
}
"""How far the connect comes: over what, and how much of it the server takes part in."""


def _phase(session: RealtimeSession) -> str | None:
    """How far the connect is, where nobody outside of this process can see it."""
    connection = session._core.current
    return None if connection is None else connection.line.phase


@contextlib.contextmanager
def _stuck_at(stage: str, certificates: Certificates) -> Iterator[tuple[RealtimeSession, Callable[[], bool]]]:
    """A session whose connect will come to a stop, and whether it has."""
    if stage == "credential":
        key = Credential()
        try:
            yield reach(9, "ws", certificates, key), key.asked.is_set
        finally:
            key.given.set()
        return
    if stage == "tcp":
        with blackhole() as (_host, port):
            session = reach(port, "ws", certificates, "k", connect_timeout=LIMIT)
            yield session, lambda: _phase(session) == "tcp"
        return
    over, script = STAGES[stage]
    there = threading.Event()

    def play(peer: Peer) -> None:
        script(peer)
        there.set()
        peer.wire.drain()

    with ScriptedServer(play) as server:
        options = {"connect_timeout": LIMIT, "config": {"instructions": "Hi"}}
        yield reach(server.port, over, certificates, "k", **options), there.is_set


@by_thread
@pytest.mark.parametrize("stage", ["credential", "tcp", *STAGES])
def test_opening_ends_at_once(stage: str, close: Close, certificates: Certificates) -> None:
    with _stuck_at(stage, certificates) as (session, stuck):
        waiting = [spawn(session.open)]
        deadline = time.monotonic() + LIMIT
        while not stuck():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        waiting.append(spawn(lambda: session.wait_for("response.done", timeout=None)))
        closed_in_time(session, close)
        for one in waiting:
            one.thread.join(SLACK)
            assert one.over, "a wait for a session that was closed goes on"
            with pytest.raises(SessionClosed) as raised:
                one.result()
            assert raised.value.cause is CloseCause.USER
    assert session.state == "closed"


# -- open -------------------------------------------------------------------------------------------------------------


def _assert_closed_by_the_user(session: RealtimeSession, told: Told, waiters: Waiters) -> None:
    ended = told.closed
    assert (type(ended), ended.cause) == (SessionClosed, CloseCause.USER)
    waiters.assert_all_end_with(ended)
    assert_same_end(session, ended)


@by_thread
@pytest.mark.parametrize("peer", ["answers", "is deaf", "is deaf while somebody sends"])
def test_an_open_session_tells_all_who_wait(peer: str, close: Close, tls: Certificates | None) -> None:
    house = House(reticent)
    server, options = serve(house.play, tls)
    with server, session_to(server, **options) as session, Told(session) as told:
        room = house.room()
        waiters = Waiters(session, room, deaf="deaf" in peer, blocked="sends" in peer)
        closed_in_time(session, close)
        _assert_closed_by_the_user(session, told, waiters)
        if peer == "answers":
            assert told.closed.code == 1000
            assert room.peer.finished.wait(LIMIT)
            assert room.closed_with is not None
            assert room.closed_with.code == 1000


def _close(session: RealtimeSession, *_: object, **__: object) -> None:
    session.close(timeout=TIMEOUT)


@contextlib.contextmanager
def _called(session: RealtimeSession, where: str) -> Iterator[None]:
    """Have `matrix.close` close the session in something of the program's that rtsync calls."""
    if where == "handler":
        session.on("matrix.close", _close)
    if where == "event_received":
        rtsync.event_received.connect(_close, sender=session)
    if where == "predicate":
        waiting = spawn(lambda: session.wait_for("matrix.close", where=lambda _event: _close(session), timeout=None))
    yield
    rtsync.event_received.disconnect(_close, sender=session)
    if where == "predicate":
        with pytest.raises(SessionClosed):
            waiting.result()


@pytest.mark.parametrize("place", ["thread", "inline"])
@pytest.mark.parametrize("where", ["handler", "event_received", "predicate"])
def test_whatever_is_called_may_close_while_all_wait(where: str, place: Any) -> None:
    house = House(reticent)
    with ScriptedServer(house.play) as server, session_to(server, handlers=place) as session, Told(session) as told:
        waiters = Waiters(session, house.room(), handler=False)
        with _called(session, where):
            house.room().say({"type": "matrix.close"})
            _assert_closed_by_the_user(session, told, waiters)


# -- closing, and closed ----------------------------------------------------------------------------------------------


@by_thread
def test_a_close_under_way_is_cut_short_by_one_with_less_patience(close: Close) -> None:
    house = House(reticent)
    with ScriptedServer(house.play) as server, session_to(server) as session, Told(session) as told:
        waiters = Waiters(session, house.room(), deaf=True)
        first = spawn(lambda: session.close(timeout=LIMIT))
        while session.state != "closing":
            time.sleep(0.001)
        closed_in_time(session, close)
        first.thread.join(SLACK)
        assert first.over
        _assert_closed_by_the_user(session, told, waiters)
        closed_in_time(session, close)


@by_thread
def test_closing_what_was_lost_changes_nothing(close: Close) -> None:
    house = House(reticent)
    with ScriptedServer(house.play) as server, session_to(server) as session, Told(session) as told:
        house.room().peer.reset()
        lost = told.closed
        closed_in_time(session, close)
        assert lost.cause is CloseCause.NETWORK
        assert_same_end(session, lost)
