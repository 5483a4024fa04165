"""The line is lost and the session goes on: what its signals say, what waits, what is sent, who hears of a loss."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import itertools
import queue
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import (
    AuthenticationFailed,
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    Event,
    OpenAI,
    RealtimeError,
    RealtimeSession,
    SessionClosed,
    UsageError,
    WaitTimeout,
    reconnected,
    reconnecting,
    session_closed,
)
from tests.loopback import LIMIT, TEXT, Peer, PeerClosed, ScriptedServer, frame, realtime_greeting
from tests.session.service import Json, Service, session_to, spawn, user
from tests.session.successive import Succession, assert_a_fork_is_refused, at_once, attend, resuming, watched

PATIENT = at_once(first_delay=3600.0, longest_delay=3600.0)  # A gap for as long as a test likes.


def create(item_id: str) -> Json:
    """An event that creates an item."""
    return {"type": "conversation.item.create", "item": user("Hello", item_id)}


def named(name: str) -> Callable[[Event], bool]:
    """Whether an event's `name` is that."""
    return lambda event: bool(event.name == name)


def of_item(item_id: str) -> Callable[[Event], bool]:
    """Whether an event tells of that item."""
    return lambda event: bool(event.item.id == item_id)


class Gate:
    """A service that lets no second connection in before `open`."""

    def __init__(self, *answers: Any) -> None:
        self.services = Succession(*answers)
        self.opened = threading.Event()

    def play(self, peer: Peer) -> None:
        if peer.number > 1:
            peer.read_request()
            assert self.opened.wait(LIMIT)
        self.services.play(peer)

    def open(self) -> None:
        """Let further connections in."""
        self.opened.set()


# -- what is said -----------------------------------------------------------------------------------------------------


def test_signals_tell_attempt_cause_and_what_failed() -> None:
    """The first attempt is refused, the second succeeds."""
    services = Succession()

    def script(peer: Peer) -> None:
        if peer.number == 2:
            peer.refuse(503, "Not now", headers=[("Retry-After", "0")])
        else:
            services.play(peer)

    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=at_once()) as session,
        watched(session) as signals,
    ):
        services[1].peer.reset()
        first, second, back = signals.next("reconnecting"), signals.next("reconnecting"), signals.next("reconnected")
        session.add_item(user("Hello"))
        assert session.state == "open"
    assert (first["attempt"], first["cause"], first["delay"]) == (1, CloseCause.NETWORK, 0.0)
    assert isinstance(first["error"], ConnectionLost)
    assert (second["attempt"], second["cause"]) == (2, CloseCause.NETWORK)
    assert isinstance(second["error"], ConnectFailed)
    assert second["error"].status == 503
    assert (back["attempt"], back["cause"], back["lost"], back["renewed"]) == (2, CloseCause.NETWORK, (), False)
    assert first["state"] in ("reconnecting", "open")
    assert back["state"] == "open"
    assert signals.nothing_more()


def test_signals_and_events_keep_their_order() -> None:
    seen: list[str] = []

    def note(_session: RealtimeSession, **_data: Any) -> None:
        seen.append("reconnecting")

    def note_back(_session: RealtimeSession, **_data: Any) -> None:
        seen.append("reconnected")

    with (
        resuming() as (session, services),
        reconnecting.connected_to(note, sender=session),
        reconnected.connected_to(note_back, sender=session),
    ):
        session.on("marker", lambda session, event: seen.append(event.name))
        for number in range(1, 4):
            services[number].say({"type": "marker", "name": f"before {number}"})
            session.wait_for("marker", timeout=LIMIT, where=named(f"before {number}"))
            services[number].peer.drop()
            services[number + 1].say({"type": "marker", "name": f"after {number}"})
            session.wait_for("marker", timeout=LIMIT, where=named(f"after {number}"))
    assert seen == [said for n in range(1, 4) for said in (f"before {n}", "reconnecting", "reconnected", f"after {n}")]


@pytest.mark.parametrize("place", ["thread", "inline", "submit"])
def test_handlers_of_the_signals_send_where_they_may(place: str) -> None:
    """In `reconnecting` a send waits for the line, except in the reader, which makes it; in `reconnected` it works."""
    jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    told: list[Any] = []
    everything = threading.Event()

    def on_reconnecting(session: RealtimeSession, **_data: Any) -> None:
        told.append(session.state)
        try:
            session.send(create("from reconnecting"))
        except UsageError as error:
            told.append(type(error))

    def on_reconnected(session: RealtimeSession, **_data: Any) -> None:
        told.append(session.state)
        session.send(create("from reconnected"))
        everything.set()

    def run() -> None:
        while (job := jobs.get()) is not None:
            job()

    loop = spawn(run)
    handlers = jobs.put if place == "submit" else place
    try:
        with (
            resuming(handlers=handlers) as (session, services),
            reconnecting.connected_to(on_reconnecting, sender=session),
            reconnected.connected_to(on_reconnected, sender=session),
        ):
            services[1].peer.reset()
            assert everything.wait(LIMIT)
            heard = [services[2].hear("conversation.item.create")["item"]["id"]]
            if place != "inline":
                heard.append(services[2].hear("conversation.item.create")["item"]["id"])
            assert session.state == "open"
    finally:
        jobs.put(None)  # type: ignore[arg-type]
        loop.result()
    if place == "inline":
        assert told == ["reconnecting", UsageError, "open"]
        assert heard == ["from reconnected"]
    else:
        assert told[-1] == "open"
        assert UsageError not in told
        assert heard == ["from reconnecting", "from reconnected"]


@pytest.mark.parametrize("place", ["thread", "inline"])
@pytest.mark.parametrize("when", ["reconnecting", "reconnected"])
def test_a_handler_of_a_signal_may_close(place: str, when: str) -> None:
    ended = threading.Event()
    order: list[str] = []

    def close(session: RealtimeSession, **_data: Any) -> None:
        session.close()
        order.append(when)

    def on_closed(_session: RealtimeSession, error: SessionClosed) -> None:
        order.append(f"closed by {error.cause}")
        ended.set()

    signal = reconnecting if when == "reconnecting" else reconnected
    policy = PATIENT if when == "reconnecting" else at_once()
    with (
        resuming(handlers=place, reconnect=policy) as (session, services),
        signal.connected_to(close, sender=session),
        session_closed.connected_to(on_closed, sender=session),
    ):
        waiting = spawn(lambda: session.wait_for("never", timeout=LIMIT))
        services[1].peer.reset()
        assert ended.wait(LIMIT)
        with pytest.raises(SessionClosed) as raised:
            waiting.result()
        assert session.state == "closed"
    assert raised.value.cause is CloseCause.USER
    assert order == [when, "closed by user"]
    assert len(services) == (1 if when == "reconnecting" else 2)


def test_the_end_is_told_once_and_last() -> None:
    seen: list[str] = []
    ended = threading.Event()

    def note(name: str) -> Callable[..., None]:
        return lambda _session, **_data: seen.append(name)

    def on_closed(_session: RealtimeSession, **_data: Any) -> None:
        seen.append("closed")
        ended.set()

    on_reconnecting, on_reconnected = note("reconnecting"), note("reconnected")
    services = Succession()
    with (
        ScriptedServer(services.play) as server,
        session_to(server, reconnect=at_once(attempts=2)) as session,
        reconnecting.connected_to(on_reconnecting, sender=session),
        reconnected.connected_to(on_reconnected, sender=session),
        session_closed.connected_to(on_closed, sender=session),
    ):
        services[1].peer.reset()
        services[2].say({"type": "marker"})
        session.wait_for("marker", timeout=LIMIT)
        server.stop()
        assert ended.wait(LIMIT)
        with pytest.raises(SessionClosed, match="given up after 2 attempts") as raised:
            session.wait_for("never", timeout=LIMIT)
    assert isinstance(raised.value.__cause__, RealtimeError)
    assert seen == ["reconnecting", "reconnected", "reconnecting", "reconnecting", "closed"]


@pytest.mark.parametrize("config", [{"instructions": "Be brief."}, {}])
def test_a_session_that_is_lost_before_it_is_configured_does_not_open(config: Json) -> None:
    def cut(service: Service, event: Json) -> None:
        service.peer.reset()

    services = Succession(cut, attend)
    with ScriptedServer(services.play) as server:
        session = session_to(server, reconnect=at_once(), config=config)
        with pytest.raises(ConnectionLost) as raised:
            session.open()
        with pytest.raises(ConnectionLost) as later:
            session.send(create("item_1"))
        assert session.state == "closed"
        assert len(services) == 1
    assert "goes on" not in str(raised.value)
    assert str(later.value) == str(raised.value)


@pytest.mark.parametrize("config", [None, {"instructions": "Be brief."}, {}])
def test_a_session_that_is_lost_right_after_opening_comes_back(config: Json | None) -> None:
    def cut(service: Service, event: Json) -> None:
        attend(service, event)
        service.peer.drop()

    services = Succession(attend) if config is None else Succession(cut, attend)

    def script(peer: Peer) -> None:
        if peer.number == 1 and config is None:
            realtime_greeting(peer)
            peer.drop()
        else:
            services.play(peer)

    with ScriptedServer(script) as server, session_to(server, reconnect=at_once(), config=config) as session:
        with contextlib.suppress(ConnectionLost):  # Where the first line took it along.
            session.add_item(user("Hello", "item_1"), timeout=LIMIT)
        session.add_item(user("Hello", "item_2"), timeout=LIMIT)
        assert server.connections == 2


# -- waits ------------------------------------------------------------------------------------------------------------


def test_waits_of_others_and_iterations_go_on_over_the_gap() -> None:
    with resuming() as (session, services):
        ready = threading.Barrier(3)

        def wait() -> Any:
            ready.wait(LIMIT)
            return session.wait_for("marker", timeout=LIMIT).name

        def expect() -> Any:
            with session.expect("marker", timeout=LIMIT) as expected:
                ready.wait(LIMIT)
            return expected.event.name

        with session.events("marker", timeout=LIMIT) as events, watched(session) as signals:
            tasks = [spawn(wait), spawn(expect)]
            ready.wait(LIMIT)
            services[1].peer.reset()
            signals.until("reconnected")
            services[2].say({"type": "marker", "name": "there"})
            assert [task.result() for task in tasks] == ["there", "there"]
            assert next(events).name == "there"


def test_a_wait_of_the_thread_that_sent_hears_what_was_not_answered() -> None:
    with resuming(None) as (session, services):
        session.send(create("item_1"))
        waiting = spawn(lambda: session.wait_for("conversation.item.added", timeout=LIMIT))  # Another thread's.
        services[1].hear("conversation.item.create")
        with watched(session) as signals:
            services[1].peer.reset()
            lost = signals.until("reconnected")["lost"]
        with pytest.raises(ConnectionLost, match="goes on over a new connection") as raised:
            session.wait_for("conversation.item.added", timeout=LIMIT)
        assert raised.value.in_flight == ("conversation.item.create",)
        services[2].say({"type": "conversation.item.added", "item": user("Hi", "item_2") | {"status": "completed"}})
        assert waiting.result().item.id == "item_2"
        assert services[2].heard_nothing_more()
    assert [(found.what, found.id) for found in lost] == [("event", "conversation.item.create")]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda session: session.update(instructions="Be brief."), id="session.update"),
        pytest.param(lambda session: session.add_item(user("Hello")), id="conversation.item.create"),
        pytest.param(lambda session: session.delete_item("item_1"), id="conversation.item.delete"),
        pytest.param(lambda session: session.retrieve_item("item_1"), id="conversation.item.retrieve"),
        pytest.param(lambda session: session.commit_audio(), id="input_audio_buffer.commit"),
        pytest.param(lambda session: session.clear_audio(), id="input_audio_buffer.clear"),
        pytest.param(lambda session: session.cancel(), id="response.cancel"),
        pytest.param(lambda session: session.ask("Hello"), id="conversation.item.create, by ask"),
        pytest.param(lambda session: session.respond(), id="response.create"),
    ],
)
def test_a_request_in_flight_raises_and_says_what_was_not_answered(
    ask: Callable[[RealtimeSession], Any], request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.id.partition(",")[0]
    with resuming(None, attend) as (session, services):
        asked = spawn(lambda: ask(session))
        services[1].hear(kind)
        services[1].peer.reset()
        with pytest.raises(ConnectionLost) as raised:
            asked.result()
        assert raised.value.in_flight == (kind,)
        assert raised.value.retryable
        session.add_item(user("Again"))
        assert services[2].hear("conversation.item.create")["item"]["content"][0]["text"] == "Again"


def test_a_hundred_threads_in_flight_all_hear() -> None:
    with resuming(None, attend) as (session, services):
        asked = [spawn(lambda n=n: session.add_item(user("Hello", f"item_{n}"))) for n in range(100)]
        for _ in asked:
            services[1].hear("conversation.item.create")
        services[1].peer.reset()
        for task in asked:
            with pytest.raises(ConnectionLost):
                task.result()
        session.add_item(user("Again", "item_x"))
        assert [item.id for item in session.conversation.items] == ["item_x"]


# -- sending ----------------------------------------------------------------------------------------------------------


def test_a_send_in_the_gap_waits_and_goes_out_once() -> None:
    gate = Gate()
    with ScriptedServer(gate.play) as server, session_to(server, reconnect=at_once()) as session:
        with watched(session) as signals:
            gate.services[1].peer.reset()
            signals.next("reconnecting")
        assert session.state == "reconnecting"
        sent = [spawn(lambda n=n: session.send(create(f"item_{n}"), timeout=LIMIT)) for n in range(20)]
        gate.open()
        for task in sent:
            task.result()
        heard = [gate.services[2].hear("conversation.item.create")["item"]["id"] for _ in sent]
        session.add_item(user("Done", "done"))
        assert gate.services[2].hear()["item"]["id"] == "done"
        assert gate.services[2].heard_nothing_more()
    assert sorted(heard) == sorted(f"item_{n}" for n in range(20))


def test_a_send_in_the_gap_gives_up_in_time_and_the_session_can_be_used_afterwards() -> None:
    gate = Gate()
    with ScriptedServer(gate.play) as server, session_to(server, reconnect=at_once(), send_timeout=0.05) as session:
        with watched(session) as signals:
            gate.services[1].peer.reset()
            signals.next("reconnecting")
            with pytest.raises(WaitTimeout, match="being reconnected"):
                session.send(create("too late"))
            with pytest.raises(WaitTimeout, match="being reconnected"):
                session.send(create("too late"), timeout=0.01)
            with pytest.raises(WaitTimeout):
                session.add_item(user("Too late"), timeout=0.01)
            with pytest.raises(WaitTimeout):
                session.respond(timeout=0.01)
            gate.open()
            signals.until("reconnected")
        session.respond(timeout=LIMIT).wait(LIMIT)
        session.add_item(user("In time", "in time"))
        assert gate.services[2].hear()["type"] == "response.create"
        assert gate.services[2].hear("conversation.item.create")["item"]["id"] == "in time"


def test_closing_in_the_gap_ends_a_send_at_once() -> None:
    with resuming(reconnect=PATIENT) as (session, services), watched(session) as signals:
        services[1].peer.reset()
        signals.next("reconnecting")
        sending = spawn(lambda: session.send(create("item_1"), timeout=LIMIT))
        asking = spawn(lambda: session.update(instructions="Be brief."))
        responding = spawn(lambda: session.respond())
        session.close()
        for task in (sending, asking, responding):
            with pytest.raises(SessionClosed) as raised:
                task.result()
            assert raised.value.cause is CloseCause.USER
        assert len(services) == 1


def test_an_event_that_was_cut_is_sent_whole_on_the_next_line() -> None:
    """The first server reads nothing of an event of 8 MiB and resets; the second one gets it once and whole."""
    services = Succession()
    large = "x" * (8 << 20)

    def script(peer: Peer) -> None:
        if peer.number > 1:
            return services.play(peer)
        realtime_greeting(peer)
        peer.stop_reading()
        first.append(peer)
        begun.set()
        return peer.wait_until_released()

    first: list[Peer] = []
    begun = threading.Event()
    with ScriptedServer(script) as server, session_to(server, reconnect=at_once(), send_timeout=LIMIT) as session:
        assert begun.wait(LIMIT)
        sending = spawn(lambda: session.send({"type": "conversation.item.create", "item": user(large, "item_1")}))
        first[0].wire.read_exact(1000)  # Of the event: some of it is gone.
        first[0].reset()
        sending.result()
        session.wait_for("conversation.item.done", timeout=LIMIT)
        heard = services[1].hear("conversation.item.create")
        assert heard["item"]["content"][0]["text"] == large
        session.add_item(user("Done", "done"))
        assert services[1].hear()["item"]["id"] == "done"


class Cutting:
    """A service that answers some events and then cuts the line, in the middle of a frame too; then the next one."""

    def __init__(self, seed: int, cuts: int) -> None:
        self._chance = random.Random(seed)
        self._cut_after = [self._chance.randrange(5, 90) for _ in range(cuts)]
        self._known = threading.Lock()
        self.arrived: list[str] = []

    def play(self, peer: Peer) -> None:
        realtime_greeting(peer)
        count = self._cut_after[peer.number - 1] if peer.number <= len(self._cut_after) else 1 << 30
        try:
            for left in range(count, 0, -1):
                event = peer.recv_json()
                with self._known:
                    self.arrived.append(event["item"]["id"])
                self._answer(peer, event, last=left == 1)
            peer.reset() if self._chance.random() < 0.7 else peer.drop()
        except (PeerClosed, ConnectionError, OSError):
            return

    def _answer(self, peer: Peer, event: Json, *, last: bool) -> None:
        chance = self._chance.random() if last else 1.0
        if chance < 0.3:
            peer.send_raw(frame(TEXT, "half of an answer")[:7])
        elif chance > 0.6:
            peer.send_json({"type": "conversation.item.added", "item": event["item"] | {"status": "completed"}})


def speak(session: RealtimeSession, number: int, count: int) -> set[str]:
    """Create items one by one, in two ways; returns the names of those that are told to be lost."""
    told = set()
    for n in range(count):
        name = f"{number}-{n}"
        try:
            if n % 3 == 0:
                session.add_item(user("Hello", name), timeout=LIMIT)
            else:
                session.send(create(name), timeout=LIMIT)
                session.wait_for("conversation.item.added", timeout=LIMIT, where=of_item(name))
        except ConnectionLost:
            told.add(name)
    return told


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_to_the_line_an_event_arrives_once_or_its_sender_hears(seed: int) -> None:
    """Eight threads send while the server cuts the line again and again. An event arrives at most once over all lines;
    what did not arrive, its thread was told of; and each thread's events arrive in their order.
    """
    cutting = Cutting(seed, cuts=8)
    policy = at_once(attempts=None)
    with ScriptedServer(cutting.play) as server, session_to(server, reconnect=policy) as session:
        tasks = [spawn(speak, session, number, 120) for number in range(8)]
        told = set().union(*(task.result() for task in tasks))
        assert server.connections == 9
    arrived = cutting.arrived
    assert len(arrived) == len(set(arrived)), "an event arrived twice"
    assert {f"{number}-{n}" for number in range(8) for n in range(120)} <= set(arrived) | told
    for number in range(8):
        mine = [int(name.partition("-")[2]) for name in arrived if name.startswith(f"{number}-")]
        assert mine == sorted(mine)


# -- credentials ------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_once_a_connect_in_the_openers_context() -> None:
    number: contextvars.ContextVar[str] = contextvars.ContextVar("number", default="none")
    number.set("the opener's")
    asked = itertools.count(1)

    def token() -> str:
        return f"token-{next(asked)}-{number.get()}"

    services = Succession()
    with ScriptedServer(services.play) as server:
        target = OpenAI(api_key=token, base_url=server.http_url + "/v1")
        with RealtimeSession(target, reconnect=at_once()) as session:
            for n in (1, 2):
                with watched(session) as signals:
                    services[n].peer.reset()
                    signals.until("reconnected")
                session.add_item(user("Hello"))
        seen = [peer.request.headers["authorization"] for peer in server.peers]
    assert seen == [f"Bearer token-{n}-the opener's" for n in (1, 2, 3)]


def test_a_token_source_that_fails_once_is_asked_again() -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        if len(asked) == 2:
            raise OSError("no metadata service")
        return "token"

    services = Succession()
    with ScriptedServer(services.play) as server:
        target = OpenAI(api_key=token, base_url=server.http_url + "/v1")
        with RealtimeSession(target, reconnect=at_once()) as session, watched(session) as signals:
            services[1].peer.reset()
            signals.next("reconnecting")
            failed = signals.next("reconnecting")
            assert signals.next("reconnected")["attempt"] == 2
    assert isinstance(failed["error"], AuthenticationFailed)
    assert len(asked) == 3


# -- a running call ---------------------------------------------------------------------------------------------------


def test_a_call_is_rejoined_and_nothing_is_restored() -> None:
    services = Succession(expires_at=1)  # Long ago: were it watched, it would be renewed at once.
    with ScriptedServer(services.play) as server:
        target = OpenAI(api_key="k", base_url=server.http_url + "/v1").for_call("rtc_1")
        with RealtimeSession(target, reconnect=at_once(restore="conversation")) as session:
            session.update(instructions="Be brief.")
            session.add_item(user("Hello", "item_1"))
            with watched(session) as signals:
                services[1].peer.reset()
                said = signals.until("reconnected")
            assert [item.id for item in session.conversation.items] == ["item_1"]
            session.add_item(user("Again", "item_2"))
            assert services[2].hear("conversation.item.create")["item"]["id"] == "item_2"
            assert [item.id for item in session.conversation.items] == ["item_1", "item_2"]
            assert server.peers[1].request.query == {"call_id": "rtc_1"}
    assert said["lost"] == ()


def test_a_call_that_is_over_ends_the_session() -> None:
    services = Succession()

    def script(peer: Peer) -> None:
        if peer.number == 1:
            services.play(peer)
        else:
            peer.refuse(404, "Not Found", body='{"error": {"message": "No such call"}}')

    with ScriptedServer(script) as server:
        target = OpenAI(api_key="k", base_url=server.http_url + "/v1").for_call("rtc_1")
        with RealtimeSession(target, reconnect=at_once()) as session:
            services[1].peer.close(1001)
            with pytest.raises(SessionClosed, match="after 1 attempt") as raised:
                session.wait_for("never", timeout=LIMIT)
    assert isinstance(raised.value.__cause__, ConnectFailed)
    assert raised.value.retryable is False


# -- processes and memory ---------------------------------------------------------------------------------------------


def test_a_session_that_is_dropped_in_the_gap_is_collected() -> None:
    services = Succession()
    with ScriptedServer(services.play) as server:
        session: RealtimeSession | None = session_to(server, reconnect=PATIENT).open()
        assert session is not None
        with watched(session) as signals:
            services[1].peer.reset()
            signals.next("reconnecting")
        reader = next(thread for thread in threading.enumerate() if thread.name.startswith("rtsync-reader"))
        gone = weakref.ref(session)
        with pytest.warns(ResourceWarning, match="dropped while open"):
            session = None  # The last reference to it.
        gc.collect()
        assert gone() is None
        reader.join(LIMIT)
        assert not reader.is_alive()


def test_a_fork_in_the_gap_leaves_the_parents_session_alone() -> None:
    gate = Gate()
    with ScriptedServer(gate.play) as server, session_to(server, reconnect=at_once()) as session:
        with watched(session) as signals:
            gate.services[1].peer.reset()
            signals.next("reconnecting")
            assert_a_fork_is_refused(session)
            gate.open()
            signals.until("reconnected")
        session.add_item(user("Hello", "item_1"))
        assert gate.services[2].hear("conversation.item.create")["item"]["id"] == "item_1"
