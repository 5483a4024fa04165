"""`respond`, `ask` and `Response`: who is answered, whose turn it is, and what came of it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync import (
    Event,
    RealtimeSession,
    Response,
    ResponseFailed,
    ServerError,
    SessionClosed,
    Simulator,
    UsageError,
    WaitTimeout,
)
from rtsync.simulator import Turn
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, delta, done, error, response, spawn, whole_response

ACTIVE = "conversation_already_has_active_response"


def created(event: Json, response_id: str = "resp_1") -> Json:
    return response("response.created", response_id, metadata=event["response"]["metadata"])


def text_session(**options: Any) -> RealtimeSession:
    session = RealtimeSession(Simulator(pace=False, **options)).open()
    session.update(output_modalities=["text"])
    return session


# -- one response ---------------------------------------------------------------------------------------------------


def test_a_response_knows_what_came_of_it() -> None:
    with text_session() as session:
        answer = session.ask("Say a couple paragraphs!")
        assert answer.done
        assert answer.status == "completed"
        assert answer.id is not None
        assert answer.text.startswith("I am the scripted brain")
        assert answer.transcript == ""
        assert answer.audio == b""
        assert answer.items[0]["role"] == "assistant"
        assert answer.function_calls == []
        assert answer.usage is not None
        assert answer.usage["total_tokens"] > 0
        assert answer.to_dict()["id"] == answer.id
        assert "".join(answer.text_deltas()) == answer.text
        assert answer.wait(0) is answer
        assert repr(answer) == f"<Response {answer.id} completed, {len(answer.text)} characters>"


def test_text_streams_as_it_comes() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(created(event), delta("Hel"))
        elif event["type"] == "go.on":
            service.say(delta("lo"), done("resp_1", "Hello"))

    with conversing(answer) as (session, _service):
        stream = (answered := session.respond()).text_deltas()
        assert next(stream) == "Hel"
        assert (answered.status, answered.text, answered.done) == ("in_progress", "Hel", False)
        session.send({"type": "go.on"})
        assert list(stream) == ["lo"]
        assert answered.text == "Hello"


def test_several_threads_each_stream_all_of_it_and_late_ones_too() -> None:
    pieces = [f"{number} " for number in range(500)]
    go_on = threading.Event()

    def answer(service: Service, event: Json) -> None:
        events = whole_response(event, "resp_1", *pieces)
        service.say(*events[:200])
        assert go_on.wait(LIMIT)
        service.say(*events[200:])

    with conversing(answer) as (session, _service):
        answered = session.respond()
        readers = [spawn(lambda: list(answered.text_deltas())) for _ in range(5)]
        go_on.set()
        assert [reader.result() for reader in readers] == [pieces] * 5
        assert list(answered.text_deltas()) == pieces


@pytest.mark.parametrize("name", ["response.output_text.delta", "response.text.delta"])
def test_text_deltas_of_either_dialect_are_streamed(name: str) -> None:
    def answer(service: Service, event: Json) -> None:
        service.say(created(event), {"type": name, "response_id": "resp_1", "delta": "Hi"}, done())

    with conversing(answer) as (session, _service):
        assert list((answered := session.respond()).text_deltas()) == ["Hi"]
        assert answered.text == "Hi"


def test_speech_is_streamed_as_transcript_and_as_audio() -> None:
    chunks = [b"\x00\x01" * 10, b"\x02\x03" * 10]

    def answer(service: Service, event: Json) -> None:
        service.say(
            created(event),
            *(
                {"type": "response.output_audio.delta", "response_id": "resp_1",
                 "delta": base64.b64encode(chunk).decode()}
                for chunk in chunks
            ),
            {"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "!broken"},
            {"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": "Hi"},
            done(),
        )  # fmt: skip

    with conversing(answer) as (session, _service):
        answered = session.respond().wait()
        assert list(answered.text_deltas()) == ["Hi"]
        assert [chunk for chunk in answered.audio_chunks() if chunk] == chunks
        assert answered.audio == b"".join(chunks)
        assert (answered.transcript, answered.text) == ("Hi", "")


def test_a_response_without_deltas_has_its_text_from_the_end() -> None:
    with conversing(lambda service, event: service.say(*whole_response(event)[:1], done("resp_1", "Hi"))) as (
        session,
        _service,
    ):
        answered = session.respond().wait()
        assert answered.text == "Hi"
        assert list(answered.text_deltas()) == []


def test_a_server_that_skips_the_beginning_is_understood() -> None:
    with conversing(lambda service, event: service.say(done("resp_1", "Hi"))) as (session, _service):
        assert session.respond().wait().text == "Hi"
        assert session.respond().wait().text == "Hi"


def test_function_calls_are_told_apart_from_messages() -> None:
    call = {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}

    def answer(service: Service, event: Json) -> None:
        service.say(created(event), response("response.done", output=[call, {"type": "message", "content": []}]))

    with conversing(answer) as (session, _service):
        answered = session.respond().wait()
        assert answered.function_calls == [call]
        assert len(answered.items) == 2
        answered.items.clear()
        assert len(answered.items) == 2


def test_params_and_metadata_go_out_and_come_back() -> None:
    with conversing(lambda service, event: service.say(*whole_response(event))) as (session, service):
        answered = session.respond(instructions="Rhyme.", metadata={"topic": "sea"}).wait()
        heard = service.hear("response.create")["response"]
        assert heard["instructions"] == "Rhyme."
        assert heard["metadata"]["topic"] == "sea"
        assert answered.metadata["topic"] == "sea"


def test_handlers_of_a_response_have_run_when_wait_returns() -> None:
    with conversing(lambda service, event: service.say(*whole_response(event, "resp_1", *"abcdefgh"))) as (session, _):
        seen: list[str] = []
        pause = threading.Event()

        def slow(_session: RealtimeSession, event: Event) -> None:
            pause.wait(0.005)
            seen.append(event.type)

        session.on("*", slow)
        session.respond().wait()
        assert seen[-1] == "response.done"


# -- how it can fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "details", "reason", "said"),
    [
        ("failed", {"type": "failed", "error": {"type": "server_error", "code": "x", "message": "Bad."}}, "x", "Bad"),
        ("failed", {"type": "failed", "error": {"type": "server_error"}}, "server_error", "server_error"),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "max_output_tokens", "max_output"),
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, "turn_detected", "turn_detected"),
        ("failed", None, None, "ended failed"),
        ("failed", "plain text", "plain text", "plain text"),
        ("brand_new", {"reason": 5}, None, "ended brand_new"),
    ],
)
def test_a_response_that_ends_otherwise_is_raised_with_what_came(
    status: str, details: Any, reason: str | None, said: str
) -> None:
    def answer(service: Service, event: Json) -> None:
        service.say(
            created(event), delta("So f"), delta("ar"),
            response("response.done", status=status, status_details=details),
        )  # fmt: skip

    with conversing(answer) as (session, _service):
        answered = session.respond()
        with pytest.raises(ResponseFailed, match=said) as raised:
            answered.wait()
        failed = raised.value
        assert (failed.status, failed.reason, failed.text) == (status, reason, "So far")
        assert failed.response is not None
        assert failed.response["id"] == "resp_1"
        pieces: list[str] = []
        with pytest.raises(ResponseFailed):
            pieces.extend(piece for piece in answered.text_deltas())
        with pytest.raises(ResponseFailed):
            for piece in answered.text_deltas():
                pieces.append(piece)
        assert pieces[-2:] == ["So f", "ar"]


def test_a_response_that_the_end_of_the_session_cut_is_lost_with_the_text_so_far() -> None:
    with conversing(lambda service, event: service.say(created(event), delta("So far"))) as (session, service):
        answered = session.respond()
        stream = answered.text_deltas()
        assert next(stream) == "So far"
        service.peer.reset()
        with pytest.raises(ResponseFailed, match="in the middle") as raised:
            answered.wait()
        assert (raised.value.status, raised.value.text) == ("lost", "So far")
        assert isinstance(raised.value.__cause__, SessionClosed)
        with pytest.raises(ResponseFailed):
            next(stream)
        assert answered.status == "lost"


def test_a_response_that_is_not_begun_when_the_session_ends_raises_that() -> None:
    with conversing() as (session, service):
        asking = [spawn(lambda: session.respond(conversation="none")) for _ in range(2)]
        for _ in asking:
            service.hear("response.create")
        service.peer.close(1011, "oops")
        found = []
        for one in asking:
            with pytest.raises(SessionClosed, match="oops") as raised:
                one.result()
            found.append(raised.value)
        assert found[0] is not found[1]
        with pytest.raises(SessionClosed):
            session.respond()


def test_a_server_that_never_begins_ends_in_a_timeout_and_gives_the_floor_back() -> None:
    with conversing() as (session, service):
        with pytest.raises(WaitTimeout, match=r"did not begin the response within 0\.1 s"):
            session.respond(timeout=0.1)
        service.hear("response.create")
        asking = spawn(lambda: session.respond(timeout=LIMIT))
        service.say(*whole_response(service.hear("response.create"), "resp_2", "Hi"))
        assert asking.result().wait().text == "Hi"


def test_a_response_that_is_late_says_how_far_it_came() -> None:
    with conversing(lambda service, event: service.say(created(event), delta("abc"))) as (session, _service):
        answered = session.respond()
        next(answered.text_deltas())
        with pytest.raises(WaitTimeout, match=r"not done within 0\.1 s \(in_progress, 3 characters so far"):
            answered.wait(0.1)
        with pytest.raises(WaitTimeout, match="nothing more of the response"):
            list(answered.text_deltas(timeout=0.05))


def test_a_response_is_done_when_a_wait_for_its_end_returns() -> None:
    """Known no later than in the reader, which asks who waits before it wakes anybody."""
    seen: list[bool] = []
    with conversing() as (session, service):
        asking = spawn(session.respond)
        asked = service.hear("response.create")
        service.say(created(asked))
        answered = asking.result()

        def look(_event: Any) -> bool:
            seen.append(answered.done)
            return True

        waiting = spawn(lambda: session.wait_for("response.done", where=look, timeout=LIMIT))
        while not session.stats.waiting:
            threading.Event().wait(0.001)
        service.say(done("resp_1", "Hi", metadata=asked["response"]["metadata"]))
        waiting.result()
    assert seen == [True]


def test_a_refusal_to_begin_is_raised() -> None:
    with text_session() as session:
        with pytest.raises(ServerError) as raised:
            session.respond(no_such=1)
        assert raised.value.request == "response.create"
        assert raised.value.param == "response.no_such"
        assert session.respond().wait().status == "completed"


def test_an_error_after_the_end_leaves_a_finished_response_as_it_is() -> None:
    with conversing(lambda service, event: service.say(done("resp_1", "Hi"), error())) as (session, service):
        answered = session.respond().wait()
        service.say({"type": "marker"})
        session.wait_for("marker")
        assert answered.wait().text == "Hi"


# -- whose turn it is -----------------------------------------------------------------------------------------------


def test_a_second_response_waits_its_turn() -> None:
    with conversing() as (session, service):
        first = spawn(session.respond)
        asked = service.hear("response.create")
        service.say(created(asked))
        first.result()
        second = spawn(session.respond)
        with pytest.raises(WaitTimeout, match=r"did not get its turn.*\(resp_1\) is still running"):
            session.respond(timeout=0.1)
        assert service.heard_nothing_more()
        service.say(done("resp_1", "Hi", metadata=asked["response"]["metadata"]))
        service.say(*whole_response(service.hear("response.create"), "resp_2", "Ho"))
        assert second.result().wait().text == "Ho"
        assert first.result().wait().text == "Hi"


def test_many_threads_take_turns() -> None:
    with text_session() as session:

        def ask(number: int) -> Response:
            return session.respond(instructions=str(number)).wait()

        asking = [spawn(ask, number) for number in range(20)]
        ids = {one.result().id for one in asking}
        assert len(ids) == 20


def test_a_response_waits_for_one_that_voice_detection_began() -> None:
    with conversing() as (session, service):
        service.say(response("response.created", "resp_vad"))
        session.wait_for("response.created")
        asking = spawn(session.respond)
        with pytest.raises(WaitTimeout, match="resp_vad"):
            session.respond(timeout=0.1)
        assert service.heard_nothing_more()
        service.say(done("resp_vad"))
        service.say(*whole_response(service.hear("response.create"), "resp_1", "Hi"))
        assert asking.result().wait().text == "Hi"


def test_a_refusal_because_another_is_running_is_waited_out() -> None:
    with conversing() as (session, service):
        asking = spawn(session.respond)
        first = service.hear("response.create")
        service.say(error(code=ACTIVE, event_id=first["event_id"]))  # Of one that this session never heard of.
        service.say({"type": "marker"})
        session.wait_for("marker")
        assert service.heard_nothing_more()
        service.say(done("resp_of_another_client", metadata={"theirs": "yes"}))
        second = service.hear("response.create")
        service.say(*whole_response(second, "resp_1", "Hi"))
        assert asking.result().wait().text == "Hi"
        assert first["event_id"] != second["event_id"]
        assert service.heard_nothing_more()


def test_a_refusal_that_races_with_voice_detection_is_waited_out() -> None:
    def echoing(service: Service, event: Json) -> None:
        seen.append(event)
        if len(seen) == 1:
            service.say(*whole_response(event, "resp_0"))
        elif len(seen) == 2:
            service.say(response("response.created", "resp_vad"), error(code=ACTIVE, event_id=None))
            service.say(delta("vad", "resp_vad"), done("resp_vad"))
        else:
            service.say(*whole_response(event, "resp_1", "Hi"))

    seen: list[Json] = []
    with conversing(echoing) as (session, _service):
        session.respond().wait()
        assert session.respond(timeout=LIMIT).wait().text == "Hi"
        assert len(seen) == 3


def test_waiting_for_a_turn_ends_with_the_session() -> None:
    with conversing() as (session, service):
        service.say(response("response.created", "resp_vad"))
        session.wait_for("response.created")
        asking = spawn(lambda: session.respond(timeout=None))
        while not session._core.floor.turns._gates:
            threading.Event().wait(0.001)
        service.peer.close(1000)
        with pytest.raises(SessionClosed):
            asking.result()


def test_a_raw_response_create_has_the_floor_too() -> None:
    with conversing() as (session, service):
        session.send({"type": "response.create"})
        service.hear("response.create")
        service.say(response("response.created", "resp_raw"))
        session.wait_for("response.created")
        asking = spawn(session.respond)
        with pytest.raises(WaitTimeout, match="resp_raw"):
            session.respond(timeout=0.1)
        service.say(done("resp_raw"))
        service.say(*whole_response(service.hear("response.create"), "resp_1"))
        assert asking.result().wait().id == "resp_1"


# -- beside the conversation ----------------------------------------------------------------------------------------


def test_responses_outside_the_conversation_run_in_parallel_and_are_told_apart_by_metadata() -> None:
    with conversing() as (session, service):

        def ask(name: str) -> Response:
            return session.respond(conversation="none", instructions=name)

        asking = {name: spawn(ask, name) for name in "abcd"}
        asked = [service.hear("response.create")["response"] for _ in asking]
        names = [body["instructions"] for body in asked]
        for body in reversed(asked):
            service.say(created({"response": body}, f"resp_{body['instructions']}"))
        for name in names:
            service.say(delta(f"I am {name}", f"resp_{name}"))
        for body in asked:
            name = body["instructions"]
            service.say(done(f"resp_{name}", f"I am {name}", metadata=body["metadata"]))
        for name, one in asking.items():
            answered: Response = one.result().wait()
            assert (answered.id, answered.text) == (f"resp_{name}", f"I am {name}")
            assert list(answered.text_deltas()) == [f"I am {name}"]


def test_a_response_outside_the_conversation_runs_beside_one_inside() -> None:
    with conversing() as (session, service):
        inside = spawn(session.respond)
        service.say(created(service.hear("response.create"), "resp_in"))
        inside.result()
        outside = spawn(lambda: session.respond(conversation="none"))
        service.say(*whole_response(service.hear("response.create"), "resp_out", "Hi"))
        assert outside.result().wait().text == "Hi"
        assert not inside.result().done
        service.say(done("resp_in", "Ho"))
        assert inside.result().wait().text == "Ho"


def test_a_server_that_echoes_no_metadata_is_understood_by_order() -> None:
    def answer(service: Service, event: Json) -> None:
        number = len(seen)
        seen.append(event)
        name = f"resp_{number}"
        begun = response("response.created", name)
        begun["response"].pop("metadata")
        ended = done(name, f"{number}")
        ended["response"].pop("metadata")
        service.say(begun, delta(f"{number}", name), ended)

    seen: list[Json] = []
    with conversing(answer) as (session, _service):
        assert [session.respond().wait().text for _ in range(5)] == list("01234")
        current = session._core.current
        assert current is not None
        assert current.correlation.in_flight() == ()
        asking = [spawn(lambda: session.respond(conversation="none").wait().text) for _ in range(3)]
        assert sorted(one.result() for one in asking) == list("567")


def test_a_refusal_on_a_server_without_echo_hits_the_one_that_was_refused() -> None:
    def answer(service: Service, event: Json) -> None:
        seen.append(event)
        if len(seen) > 1:
            service.say(error(code="rate_limit_exceeded", param="response"))
        else:
            service.say(response("response.created"), done("resp_1", "Hi"))

    seen: list[Json] = []
    with conversing(answer) as (session, _service):
        first = session.respond().wait()
        with pytest.raises(ServerError) as raised:
            session.respond(timeout=LIMIT)
        assert raised.value.event_id == seen[1]["event_id"]
        assert first.wait().text == "Hi"


# -- cancelling -----------------------------------------------------------------------------------------------------


def endless(turn: Turn) -> Iterator[str]:
    """A brain that talks until it is cancelled."""
    while not turn.cancelled.wait(0.001):
        yield "word "


def test_cancelling_from_another_thread_ends_the_stream_in_order() -> None:
    with text_session(brain=endless) as session:
        answered = session.respond()
        stream = answered.text_deltas()
        next(stream)
        cancelling = spawn(answered.cancel)
        text = "word " + "".join(stream)
        cancelling.result()
        assert answered.status == "cancelled"
        assert answered.wait().text
        assert text.startswith("word ")
        answered.cancel()  # Done: nothing happens.


def test_a_cancel_of_the_session_is_a_failure_to_who_holds_the_response() -> None:
    with text_session(brain=endless) as session:
        answered = session.respond()
        next(answered.text_deltas())
        ended = session.cancel()
        assert ended.type == "response.done"
        assert ended.response.id == answered.id
        with pytest.raises(ResponseFailed, match="cancelled") as raised:
            answered.wait()
        assert raised.value.reason == "client_cancelled"
        assert raised.value.text


def test_cancelling_what_was_done_a_moment_earlier_is_fine() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(created(event))
        else:
            assert event["response_id"] == "resp_1"
            service.say(done("resp_1", "Hi"), error(code="response_cancel_not_active", event_id=event["event_id"]))

    with conversing(answer) as (session, _service):
        answered = session.respond()
        answered.cancel()
        assert answered.wait().text == "Hi"


def test_cancelling_raises_other_refusals_and_silence() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(created(event))
        elif event["event_id"]:
            cancels.append(event)
            if len(cancels) == 1:
                service.say(error(code="other", event_id=event["event_id"]))

    cancels: list[Json] = []
    with conversing(answer) as (session, _service):
        answered = session.respond()
        with pytest.raises(ServerError):
            answered.cancel()
        with pytest.raises(WaitTimeout):
            answered.cancel(timeout=0.1)


def test_the_next_response_follows_a_cancelled_one() -> None:
    with text_session(brain=endless) as session:
        first = session.respond()
        waiting = spawn(session.respond)
        first.cancel()
        second = waiting.result()
        assert second.id != first.id
        second.cancel()


# -- inside handlers ------------------------------------------------------------------------------------------------


def test_a_handler_may_hold_a_response_and_wait_for_it() -> None:
    with text_session() as session:
        texts: list[str] = []

        @session.once("session.updated")
        def handler(session: RealtimeSession, _event: Event) -> None:
            answered = session.respond()
            texts.append("".join(answered.text_deltas()))
            texts.append(answered.wait().text)

        session.update(instructions="Hi", timeout=LIMIT)
        session.update(instructions="Ho", timeout=LIMIT)
        assert texts[0] == texts[1] != ""


def test_an_inline_handler_may_not_wait_for_a_response() -> None:
    with conversing(lambda service, event: service.say(created(event)), handlers="inline") as (session, service):
        answered = session.respond()
        refused: list[str] = []

        def handler(_session: RealtimeSession, _event: Event) -> None:
            for call in (answered.wait, lambda: list(answered.text_deltas()), answered.cancel):
                try:
                    call()
                except UsageError as error:
                    refused.append(str(error))

        session.on("response.done", handler)
        service.say(done("resp_2"))
        session.wait_for("response.done")
        assert len(refused) == 3


def test_what_the_service_nests_deeply_does_not_end_the_session() -> None:
    nested: Any = "x"
    for _ in range(900):
        nested = [nested]

    def answer(service: Service, event: Json) -> None:
        service.say(created(event), {**done("resp_1", "Hi"), "nested": nested})
        service.say({"type": "response.output_item.done", "output_index": 0, "item": {"deep": nested}})

    def answer_inside(service: Service, event: Json) -> None:
        ended = done("resp_1", "Hi")
        ended["response"]["deep"] = nested
        service.say(created(event), ended)

    for script in (answer, answer_inside):
        with conversing(script) as (session, _service):
            answered = session.respond().wait()
            assert answered.text == "Hi"
            assert answered.to_dict()["id"] == "resp_1"
