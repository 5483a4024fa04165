"""One damage at a time: bytes that are no text, types that are no names, depth, and a response in the midst of it."""

from __future__ import annotations

import itertools
import json
import logging

import pytest

from rtsync import ProtocolError, SessionClosed
from rtsync.vocabulary.events import decode_object
from tests.loopback import CONTINUATION, LIMIT, TEXT, Peer, ScriptedServer, frame, realtime_greeting
from tests.mutations.mutants import mutants
from tests.session.service import Json, Service, conversing, delta, done, response, session_to

NOT_UTF8 = {
    "a byte that begins nothing": b'{"type": "error", "a": "\xff"}',
    "a sequence that is broken off": b'{"type": "error", "a": "\xe2\x82"}',
    "the end in the middle of a sequence": b'{"type": "error"}\xe2\x82',
    "an overlong sequence": b'{"type": "error", "a": "\xc0\xaf"}',
    "a surrogate": b'{"type": "error", "a": "\xed\xa0\x80"}',
    "beyond Unicode": b'{"type": "error", "a": "\xf4\x90\x80\x80"}',
    "in a name": b'{"\x80": 1, "type": "error"}',
    "no JSON either": b"\x80\x81\x82",
}


@pytest.mark.parametrize("pieces", [1, 3], ids=["one frame", "three frames"])
@pytest.mark.parametrize("message", NOT_UTF8.values(), ids=list(NOT_UTF8))
def test_what_is_not_utf8_ends_the_session_with_1007_behind_the_good_events(message: bytes, pieces: int) -> None:
    closed: list[tuple[int | None, str]] = []
    size = len(message) // pieces
    cut = [message[at * size : (at + 1) * size if at + 1 < pieces else None] for at in range(pieces)]
    frames = [frame(CONTINUATION if at else TEXT, part, fin=int(at + 1 == pieces)) for at, part in enumerate(cut)]

    def broken(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.wait_until_released()
        peer.send_raw(b"".join([frame(TEXT, '{"type": "good", "number": 1}'), *frames]))
        closed.append(peer.expect_close())

    with ScriptedServer(broken) as server, session_to(server) as session:
        server.peers[0].release()
        assert session.wait_for("good").number == 1
        with pytest.raises(SessionClosed) as ended:
            session.wait_for("never")
    assert ended.value.code == 1007
    assert closed[0][0] == 1007


@pytest.mark.parametrize("event_type", ["null", "[]", "{}", "[[]]", "1", "1e999", "true", '""', '"\\ud800"'])
def test_a_type_that_is_no_name_makes_a_plain_event(event_type: str) -> None:
    with conversing() as (session, service):
        service.peer.send_text(f'{{"type": {event_type}, "number": 1}}')
        service.say({"type": "good"})
        event = session.wait_for(lambda event: event.get("number") == 1)
        assert session.wait_for("good").type == "good"
    assert event.type in ("", "\ud800")


# In a message as deep as it can be decoded, each of what the state keeps.
DEEP = {
    "item": '{"type": "conversation.item.added", "item": {"id": "i", "type": "message", "role": "user", "x": %s}}',
    "part": '{"type": "conversation.item.added", "item": {"id": "i", "content": [{"type": "text", "x": %s}]}}',
    "configuration": '{"type": "session.updated", "session": {"x": %s}}',
    "limits": '{"type": "rate_limits.updated", "rate_limits": [%s]}',
    "usage": '{"type": "response.done", "response": {"id": "r", "usage": {"x": %s}}}',
}


@pytest.mark.parametrize("message", DEEP.values(), ids=list(DEEP))
@pytest.mark.parametrize("ends", [("[", "]"), ('{"x":', "}")], ids=["lists", "objects"])
def test_what_is_nested_deeply_can_be_looked_at(message: str, ends: tuple[str, str]) -> None:
    with conversing() as (session, service):
        depth = _deepest(message, ends)
        service.peer.send_text(message % (ends[0] * depth + "1" + ends[1] * depth))
        service.say({"type": "good"})
        session.wait_for("good")
        known = session.conversation
    assert depth > 500
    assert known.items or known.responses or known.rate_limits or known.config["x"]


def _deepest(message: str, ends: tuple[str, str]) -> int:
    """How deep ``message`` may be, here, with room for the reader's own calls."""
    for depth in range(900, 0, -50):
        try:
            decode_object((message % (ends[0] * depth + "1" + ends[1] * depth)).encode())
        except ProtocolError:
            continue
        return depth
    raise AssertionError("nothing can be decoded")


def test_a_message_too_deep_to_be_decoded_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    with conversing() as (session, service):
        service.peer.send_text('{"type": "good", "x": ' + "[" * 200_000 + "]" * 200_000 + "}")
        service.say({"type": "good", "number": 1})
        assert session.wait_for("good").number == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "nested too deeply" in record.getMessage()


@pytest.mark.parametrize("seed", range(5, 15))
def test_a_response_among_damaged_frames_is_whole(seed: int) -> None:
    damaged = mutants(seed)

    def noise(service: Service) -> None:
        for text in itertools.islice(damaged, 20):
            if "resp_mine" not in text:
                service.peer.send_text(text)

    def answer(service: Service, event: Json) -> None:
        metadata = event["response"]["metadata"]
        service.say(response("response.created", "resp_mine", metadata=metadata))
        for piece in ("Whole", " and", " unharmed"):
            noise(service)
            service.say(delta(piece, "resp_mine"))
        noise(service)
        service.say(done("resp_mine", "Whole and unharmed", metadata=metadata))

    with conversing(answer) as (session, _service):
        mine = session.respond(timeout=LIMIT).wait(LIMIT)
    assert (mine.text, mine.status) == ("Whole and unharmed", "completed")
    assert "".join(mine.text_deltas()) == "Whole and unharmed"


def test_the_mutants_are_the_same_for_a_seed_and_of_every_kind() -> None:
    made = list(itertools.islice(mutants(1), 5000))
    assert made == list(itertools.islice(mutants(1), 5000))
    decoded = [event for event in map(_decoded, made) if event is not None]
    kinds = {str(event.get("type")) for event in decoded}
    assert len(kinds) > 70
    assert any("type" not in event for event in decoded)
    assert len(made) - len(decoded) > 50
    assert any("[" * 400 in text for text in made)
    assert any("9" * 400 in text for text in made)


def _decoded(text: str) -> Json | None:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


@pytest.mark.parametrize("seed", range(15, 21))
def test_a_response_that_is_damaged_itself_ends_and_can_be_looked_at(seed: int) -> None:
    """Damaged events of every scenario under the response's own id; a good end behind them, which counts."""
    damaged = (text for text in mutants(seed) if '"resp_1"' in text or '"resp_2"' in text)

    def answer(service: Service, event: Json) -> None:
        metadata = event["response"]["metadata"]
        for text in itertools.islice(damaged, 100):
            if '"response.done"' not in text and '"error' not in text:  # Which may well end it.
                service.peer.send_text(text.replace("resp_2", "resp_1"))
        service.say(done("resp_1", "The end", metadata=metadata))

    with conversing(answer) as (session, _service):
        for _ in range(20):
            mine = session.respond(conversation="none", timeout=LIMIT)
            pieces = list(mine.text_deltas(timeout=LIMIT))
            mine.wait(LIMIT)
            looked_at = (mine.items, mine.function_calls, mine.usage, mine.metadata, mine.audio, mine.transcript)
            assert (mine.text, mine.status) == ("The end", "completed")
            assert all(isinstance(piece, str) for piece in pieces)
            assert len(looked_at) == 6
            assert repr(mine)
            assert mine.to_dict()["id"] == "resp_1"
        assert session.conversation.responses
