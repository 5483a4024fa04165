"""Between two lines: `close` ends it at once, `send` waits for the next one, and nothing is sent twice."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rtsync
from rtsync import CloseCause, OpenAI, RealtimeSession, Reconnect, SessionClosed, WaitTimeout
from tests.loopback import LIMIT, Peer, ScriptedServer
from tests.matrix.conftest import SLACK
from tests.matrix.house import House, Json, Room, attentive
from tests.matrix.test_closing import Close, by_thread, closed_in_time
from tests.matrix.test_coming_back import SOON, opened_again, talk
from tests.matrix.waiters import OVER, Told, assert_same_end
from tests.session.service import Task, session_to, spawn

pytestmark = pytest.mark.usefixtures("nothing_left")

LATER = Reconnect(restore="conversation", first_delay=2 * LIMIT, longest_delay=2 * LIMIT)
"""A policy whose backoff is as good as endless."""


class Gap:
    """A session that has lost its line, and comes as far back as `stage` and no further until `go_on`.

    `stage` is `backoff`, `credential`, `upgrade`, `greeting` or `restoring`; `reached` is set when it is there.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.house = House(self._answer, self._door)

    def key(self) -> str:
        if self.stage == "credential" and self.house.rooms:
            self._stop_here()
        return "k"

    def _stop_here(self) -> None:
        self.reached.set()
        assert self.go_on.wait(2 * LIMIT)

    def _door(self, peer: Peer) -> bool:
        if peer.number == 1:
            return False
        peer.read_request()
        if self.stage == "greeting":
            peer.accept()
        if self.stage in ("upgrade", "greeting"):
            self._stop_here()
        return False

    def _answer(self, room: Room, event: Json) -> None:
        if room.peer.number > 1 and self.stage == "restoring" and not self.go_on.is_set():
            self._stop_here()
        attentive(room, event)

    @contextlib.contextmanager
    def entered(self, **options: Any) -> Iterator[tuple[RealtimeSession, Told, ScriptedServer]]:
        """The session in the gap."""
        policy = LATER if self.stage == "backoff" else SOON
        with ScriptedServer(self.house.play) as server:
            target = OpenAI(api_key=self.key, base_url=server.http_url + "/v1")
            try:
                with RealtimeSession(target, reconnect=policy, **options) as session, Told(session) as told:
                    talk(session)
                    self.house.room().peer.reset()
                    assert told.lost
                    if self.stage != "backoff":
                        assert self.reached.wait(LIMIT)
                    assert session.state == "reconnecting"
                    yield session, told, server
            finally:
                self.go_on.set()


STAGES = ["backoff", "credential", "upgrade", "greeting", "restoring"]


def everything_that_waits(session: RealtimeSession) -> list[Task]:
    """Every kind of wait that a session in the gap can have."""
    return [
        spawn(lambda: session.send({"type": "matrix.late"}, timeout=2 * LIMIT)),
        spawn(lambda: session.wait_for("matrix.over", timeout=None)),
        spawn(lambda: session.update(instructions="Hi", timeout=None)),
        spawn(lambda: session.respond(timeout=None)),
        spawn(lambda: session.ask("Hi", timeout=None)),
    ]


# -- closing ----------------------------------------------------------------------------------------------------------


@by_thread
@pytest.mark.parametrize("stage", STAGES)
def test_close_ends_it_at_once_and_nobody_connects_any_more(stage: str, close: Close) -> None:
    gap = Gap(stage)
    with gap.entered() as (session, told, server):
        waiting = everything_that_waits(session)
        with session.events() as events:
            waiting.append(spawn(lambda: list(events)))
            connections = server.connections
            closed_in_time(session, close)
            assert session.state == "closed"
            ended = told.closed
            assert (type(ended), ended.cause) == (SessionClosed, CloseCause.USER)
            assert waiting.pop().result() == []
        for one in waiting:
            one.thread.join(SLACK)
            assert one.over, "a wait for a session that was closed goes on"
            with pytest.raises(SessionClosed) as raised:
                one.result()
            assert raised.value.cause is CloseCause.USER
        assert_same_end(session, ended)
        gap.go_on.set()
        assert server.connections == connections
        assert not told.returns


def test_close_at_any_moment_of_coming_back_ends_it() -> None:
    """A little later each time, so that every step is hit."""
    for number in range(60):
        house = House()
        with ScriptedServer(house.play) as server, session_to(server, reconnect=SOON) as session, Told(session) as told:
            house.room().peer.reset()
            assert told.lost
            threading.Event().wait(number * 0.0005)
            began = time.monotonic()
            session.close(timeout=1.0)
            assert time.monotonic() - began < 1.0 + SLACK
            assert session.state == "closed"
            assert told.closed.cause is CloseCause.USER


# -- sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_send_that_the_gap_outlasts_says_so_and_the_session_goes_on(stage: str) -> None:
    gap = Gap(stage)
    with gap.entered() as (session, told, _server):
        with pytest.raises(WaitTimeout, match="reconnect"):
            session.send({"type": "matrix.late"}, timeout=0.05)
        with pytest.raises(WaitTimeout):
            session.update(instructions="Hi", timeout=0.05)
        assert session.state == "reconnecting"
        if stage != "backoff":
            gap.go_on.set()
            second = opened_again(gap.house, session)
            assert session.ask("Hi", timeout=LIMIT).text == "yes"
            assert not second.sent("matrix.late")
            assert not second.sent("session.update")
            assert told.back


@pytest.mark.parametrize("stage", STAGES[1:])
def test_what_waits_in_the_gap_goes_out_once_and_in_order(stage: str) -> None:
    gap = Gap(stage)
    with gap.entered() as (session, _told, _server):

        def send(thread: int) -> None:
            for number in range(20):
                session.send({"type": "matrix.late", "of": thread, "number": number}, timeout=LIMIT)

        threads = [spawn(send, thread) for thread in range(10)]
        others = everything_that_waits(session)
        gap.go_on.set()
        second = opened_again(gap.house, session)
        for one in threads:
            one.result()
        second.say(OVER)
        for one in others:
            one.result()
        session.send({"type": "matrix.last"})
        second.hear("matrix.last")
        late = second.sent("matrix.late")
        assert sorted(event.get("of", -1) for event in late) == [-1, *sorted(list(range(10)) * 20)]
        for thread in range(10):
            assert [event["number"] for event in late if event.get("of") == thread] == list(range(20))


# -- many -------------------------------------------------------------------------------------------------------------


def _a_thousand(call: Callable[[], Any]) -> list[Task]:
    size = threading.stack_size(256 * 1024)
    try:
        return [spawn(call) for _ in range(1000)]
    finally:
        threading.stack_size(size)


@pytest.mark.parametrize("end", ["reset", "close", "comes back"])
def test_a_thousand_threads_that_wait_on_one_session(end: str) -> None:
    house, standing = House(), threading.Semaphore(0)
    policy = SOON if end == "comes back" else None
    with ScriptedServer(house.play) as server, session_to(server, reconnect=policy) as session:

        def wait() -> str:
            with session.expect("matrix.over", timeout=None) as expected:
                standing.release()
            return expected.event.type

        waiting = _a_thousand(wait)
        for _ in waiting:
            assert standing.acquire(timeout=LIMIT)
        if end == "close":
            session.close()
        else:
            house.room().peer.reset()
        if end == "comes back":
            opened_again(house, session).say(OVER)
            assert {one.result() for one in waiting} == {"matrix.over"}
        else:
            for one in waiting:
                with pytest.raises(SessionClosed):
                    one.result()


# -- handlers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, SOON], ids=["ends", "comes back"])
def test_a_handler_that_blocks_holds_nobody_up_but_handlers(policy: Reconnect | None) -> None:
    house, inside, go_on = House(), threading.Event(), threading.Event()

    def block(_session: RealtimeSession, _event: object) -> None:
        inside.set()
        assert go_on.wait(2 * LIMIT)

    with ScriptedServer(house.play) as server, session_to(server, reconnect=policy) as session, Told(session) as told:
        session.on("matrix.block", block)
        waiting = spawn(lambda: session.wait_for("matrix.over", timeout=None, settled=False))
        house.room().say({"type": "matrix.block"})
        assert inside.wait(LIMIT)
        house.room().peer.reset()
        if policy is None:
            with pytest.raises(SessionClosed):
                waiting.result()
            assert session.state == "closed"
        else:
            second = opened_again(house, session)
            second.say(OVER)
            waiting.result()
            session.send({"type": "matrix.after"})
            second.hear("matrix.after")
        assert told.nothing  # They come behind the handler, in order.
        go_on.set()
        if policy is None:
            assert told.closed
        else:
            assert told.back


def test_a_handler_that_raises_while_the_line_is_down_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    house = House()

    def explode(*_args: object, **_data: object) -> None:
        raise ValueError("in a receiver")

    with ScriptedServer(house.play) as server, session_to(server, reconnect=SOON) as session, Told(session) as told:
        rtsync.reconnecting.connect(explode, sender=session)
        rtsync.reconnected.connect(explode, sender=session)
        house.room().peer.reset()
        opened_again(house, session)
        assert session.ask("Hi", timeout=LIMIT).text == "yes"
        assert told.back
    assert [record.message for record in caplog.records if "explode" in record.message]


@pytest.mark.parametrize("place", ["thread", "inline"])
def test_a_handler_may_open_another_session_whatever_happens_to_its_own(place: Any) -> None:
    first, other = House(), House()
    asked: list[str] = []

    with ScriptedServer(first.play) as server, ScriptedServer(other.play) as elsewhere:

        def open_another(_session: RealtimeSession, _event: object) -> None:
            first.room().peer.reset()
            with session_to(elsewhere) as another:
                asked.append(another.ask("Hi", timeout=LIMIT).text)

        with session_to(server, handlers=place, reconnect=SOON) as session:
            session.on("matrix.another", open_another)
            first.room().say({"type": "matrix.another"})
            opened_again(first, session)
            assert session.ask("Hi", timeout=LIMIT).text == "yes"
    assert asked == ["yes"]
