"""`send`: what goes out, in which order, and what is refused before it does."""

from __future__ import annotations

import array
import base64
import json
import threading
from typing import Any

import pytest

from rtsync import (
    CloseCause,
    ConnectionLost,
    OpenAI,
    RealtimeSession,
    SessionClosed,
    UsageError,
    event_sent,
)
from tests.loopback import LIMIT, Peer, ScriptedServer, realtime_greeting
from tests.session.service import Json, conversing, done, echo, session_to, spawn

CREATE = {"type": "response.create"}


def test_send_adds_an_event_id_and_returns_it() -> None:
    with conversing() as (session, service):
        given = dict(CREATE)
        sent = session.send(given)
        assert service.hear() == {"type": "response.create", "event_id": sent}
        assert sent.startswith("event_")
        assert given == CREATE  # The caller's own is not touched.
        assert session.send(CREATE) != sent


def test_send_keeps_an_event_id_that_is_there() -> None:
    with conversing() as (session, service):
        assert session.send({**CREATE, "event_id": "mine"}) == "mine"
        assert service.hear()["event_id"] == "mine"


def test_an_event_id_of_none_is_none() -> None:
    with conversing() as (session, service):
        assert session.send({**CREATE, "event_id": None}) == service.hear()["event_id"]


class Loop(dict[str, Any]):
    """A mapping that contains itself."""

    def __init__(self) -> None:
        super().__init__(type="response.create")
        self["self"] = self


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "response.create",
        [CREATE],
        {},
        {"type": None},
        {"type": 5},
        {**CREATE, "event_id": "x" * 513},
        {**CREATE, "event_id": 5},
        {**CREATE, "response": object()},
        {**CREATE, "response": {"metadata": {"x": threading.Lock()}}},
        {**CREATE, "response": {(1, 2): 3}},
        Loop(),
    ],
)
def test_what_is_no_event_is_refused_and_nothing_is_sent(wrong: Any) -> None:
    with conversing() as (session, service):
        with pytest.raises(UsageError):
            session.send(wrong)
        session.send({"type": "session.update"})
        service.hear("session.update")
        current = session._core.current
        assert current is not None
        assert current.correlation.in_flight() == ("session.update",)


def test_the_longest_event_id_goes_out() -> None:
    with conversing() as (session, service):
        session.send({**CREATE, "event_id": "x" * 512})
        assert service.hear()["event_id"] == "x" * 512


def test_bytes_go_out_as_base64() -> None:
    with conversing() as (session, service):
        session.send({"type": "input_audio_buffer.append", "audio": b"\x00\x01\xff"})
        assert service.hear()["audio"] == "AAH/"
        session.append_audio(memoryview(b"\x00\x01\xff").tobytes())
        assert service.hear()["audio"] == "AAH/"


SAMPLES: dict[str, Any] = {
    "bytes": bytes(range(256)),
    "none": b"",
    "a bytearray": bytearray(range(255)),
    "a view": memoryview(bytes(range(254))),
    "every other byte": memoryview(bytes(range(256)))[::2],
    "an array": array.array("h", range(-500, 500)),
    "a second": bytes(range(240)) * 200,
}


@pytest.mark.parametrize("samples", SAMPLES.values(), ids=SAMPLES)
def test_samples_of_any_kind_arrive_as_they_were(samples: Any) -> None:
    with conversing() as (session, service):
        session.append_audio(samples)
        heard = service.hear()
    assert list(heard) == ["type", "audio", "event_id"]
    assert base64.b64decode(heard["audio"], validate=True) == bytes(memoryview(samples))


@pytest.mark.parametrize("wrong", ["AAH/", None, 4800, [0, 1]])
def test_what_is_no_samples_is_refused(wrong: Any) -> None:
    with conversing() as (session, service):
        with pytest.raises(UsageError, match=f"not {type(wrong).__name__}"):
            session.append_audio(wrong)
        session.append_audio(b"good")
        assert service.hear()["audio"] == "Z29vZA=="


def test_who_listens_to_what_is_sent_gets_audio_as_it_goes_out() -> None:
    told: list[Json] = []

    def hear(session: RealtimeSession, event: Json) -> None:
        told.append(event)

    with conversing() as (session, service), event_sent.connected_to(hear, sender=session):
        session.append_audio(b"\x00\x01\xff")
        assert told == [service.hear()]


def test_views_of_received_events_go_out_as_they_came() -> None:
    with conversing() as (session, service):
        service.say(done("resp_1", "Hi"))
        event = session.wait_for("response.done")
        session.send({"type": "x", "first": event.response, "items": event.response.output, "audio": b"\xff"})
        heard = service.hear()
        assert heard["first"] == event.response.to_dict()
        assert heard["items"] == event.response.output.to_list()
        assert heard["audio"] == "/w=="
        session.send(event)
        assert service.hear() == event.to_dict()


def test_any_text_goes_out_as_it_is() -> None:
    texts = ["é", "\u2028", "\ud83d\ude00", "\x00", '"\\', "\ud800"]
    with conversing() as (session, service):
        session.send({"type": "x", "texts": texts})
        assert service.hear()["texts"] == json.loads(json.dumps(texts))


def test_send_before_opening_is_refused() -> None:
    session = RealtimeSession(OpenAI(api_key="k"))
    with pytest.raises(UsageError, match=r"open\(\)"):
        session.send(CREATE)
    for sentence in (session.update, session.cancel, session.respond, session.commit_audio):
        with pytest.raises(UsageError, match=r"open\(\)"):
            sentence()


def test_send_while_opening_is_refused() -> None:
    reached = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        reached.set()
        peer.wait_until_released()
        realtime_greeting(peer)
        peer.expect_close()

    with ScriptedServer(script) as server:
        session = session_to(server)
        opening = spawn(session.open)
        assert reached.wait(LIMIT)
        with pytest.raises(UsageError, match="still being opened"):
            session.send(CREATE)
        server.peers[0].release()
        opening.result().close()


def test_send_after_closing_says_why_the_session_ended() -> None:
    with conversing() as (session, service):
        service.peer.close(1011, "oops")
        with pytest.raises(SessionClosed):
            session.wait_for("response.done", timeout=LIMIT)
        with pytest.raises(SessionClosed) as raised:
            session.send(CREATE)
        assert (raised.value.code, raised.value.reason) == (1011, "oops")
    with conversing() as (session, _service):
        session.close()
        with pytest.raises(SessionClosed) as raised:
            session.send(CREATE)
        assert raised.value.cause is CloseCause.USER


def test_send_while_closing_is_refused() -> None:
    closing = threading.Event()

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.expect_close(echo=False)
        closing.set()
        peer.wait_until_released()

    with ScriptedServer(script) as server:
        session = session_to(server, close_timeout=LIMIT).open()
        ending = spawn(session.close)
        assert closing.wait(LIMIT)
        assert session.state == "closing"
        with pytest.raises(SessionClosed, match="close"):
            session.send(CREATE)
        server.peers[0].release()
        ending.result()


def test_each_threads_events_stay_in_order_and_whole() -> None:
    with conversing() as (session, service):

        def talk(name: str) -> None:
            for number in range(100):
                session.send({"type": "x", "from": name, "number": number, "filling": "y" * (number * 20)})

        for one in [spawn(talk, f"thread {number}") for number in range(20)]:
            one.result()
        heard: dict[str, list[int]] = {}
        for _ in range(2000):
            event = service.hear("x")
            assert len(event["filling"]) == event["number"] * 20
            heard.setdefault(event["from"], []).append(event["number"])
        assert heard == {f"thread {number}": list(range(100)) for number in range(20)}


def test_a_send_on_a_line_that_just_broke_says_why() -> None:
    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.recv_json()
        peer.reset()

    with ScriptedServer(script) as server, session_to(server) as session:
        with pytest.raises(ConnectionLost) as raised:
            while True:
                session.send(CREATE)
        assert raised.value.cause is CloseCause.NETWORK
        assert raised.value.code == 1006


def test_what_was_sent_and_not_answered_is_told_at_the_end() -> None:
    with conversing() as (session, service):
        session.send({"type": "session.update"})
        session.send({"type": "input_audio_buffer.append", "audio": ""})
        session.send(CREATE)
        service.say({"type": "session.updated"})
        session.wait_for("session.updated")
        service.peer.reset()
        with pytest.raises(ConnectionLost, match=r"unanswered: response.create\)") as raised:
            session.wait_for("response.done", timeout=LIMIT)
        assert raised.value.in_flight == ("response.create",)


def test_an_answer_may_come_from_another_thread_than_the_question() -> None:
    with conversing(echo) as (session, _service):
        found: list[Json] = []
        session.on("echo", lambda _session, event: found.append(event["of"]))
        sent = spawn(lambda: session.send(CREATE)).result()
        while not found:
            threading.Event().wait(0.001)
        assert found == [sent]
