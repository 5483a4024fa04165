"""The blocking sentences: each returns the service's answer, or raises its error, its silence, or the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtsync import Event, RealtimeSession, ServerError, SessionClosed, Simulator, UsageError, WaitTimeout
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, error, spawn

Call = Callable[[RealtimeSession], Any]

TEXT = [{"type": "input_text", "text": "Hi"}]
USER = {"type": "message", "role": "user", "content": TEXT}

# Sentence, the client event it sends, and the event that answers it.
SENTENCES: list[tuple[Call, Json, Json]] = [
    (
        lambda session: session.update(instructions="Hi"),
        {"type": "session.update", "session": {"type": "realtime", "instructions": "Hi"}},
        {"type": "session.updated", "session": {}},
    ),
    (
        lambda session: session.add_item({"id": "i1", **USER}, after="root"),
        {"type": "conversation.item.create", "item": {"id": "i1", **USER}, "previous_item_id": "root"},
        {"type": "conversation.item.added", "item": {"id": "i1"}},
    ),
    (
        lambda session: session.add_item({"id": "mine", **USER}),
        {"type": "conversation.item.create", "item": {"id": "mine", **USER}},
        {"type": "conversation.item.added", "item": {"id": "i2"}},
    ),
    (
        lambda session: session.delete_item("i1"),
        {"type": "conversation.item.delete", "item_id": "i1"},
        {"type": "conversation.item.deleted", "item_id": "i1"},
    ),
    (
        lambda session: session.retrieve_item("i1"),
        {"type": "conversation.item.retrieve", "item_id": "i1"},
        {"type": "conversation.item.retrieved", "item": {"id": "i1"}},
    ),
    (
        lambda session: session.truncate("i1", audio_end_ms=700, content_index=1),
        {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 1, "audio_end_ms": 700},
        {"type": "conversation.item.truncated", "item_id": "i1"},
    ),
    (
        lambda session: session.commit_audio(),
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.committed", "item_id": "i3"},
    ),
    (
        lambda session: session.clear_audio(),
        {"type": "input_audio_buffer.clear"},
        {"type": "input_audio_buffer.cleared"},
    ),
    (
        lambda session: session.cancel(),
        {"type": "response.cancel"},
        {"type": "response.done", "response": {"id": "resp_1", "status": "cancelled"}},
    ),
]
NAMES = [sent["type"] for _, sent, _ in SENTENCES]

sentences = pytest.mark.parametrize(("call", "sent", "answer"), SENTENCES, ids=NAMES)


@pytest.fixture
def simulated() -> Iterator[RealtimeSession]:
    with RealtimeSession(Simulator(pace=False)) as session:
        session.update(output_modalities=["text"])
        yield session


@sentences
def test_a_sentence_sends_one_event_and_returns_what_answers_it(call: Call, sent: Json, answer: Json) -> None:
    def reply(service: Service, _event: Json) -> None:
        service.say({"type": "rate_limits.updated"}, answer, {"type": "brand.new"})

    with conversing(reply) as (session, service):
        assert call(session).to_dict() == answer
        heard = service.hear()
        assert heard.pop("event_id").startswith("event_")
        assert heard == sent


@sentences
def test_a_sentence_raises_the_error_that_answers_it(call: Call, sent: Json, answer: Json) -> None:
    def refuse(service: Service, event: Json) -> None:
        service.say(
            error(event_id="event_foreign", message="not yours"),
            error(event_id=event["event_id"], code="c", param="p", message="No, thank you."),
        )

    with conversing(refuse) as (session, service):
        with pytest.raises(ServerError, match="No, thank you") as raised:
            call(session)
        assert (raised.value.code, raised.value.param) == ("c", "p")
        assert raised.value.request == sent["type"]
        assert raised.value.event_id == service.hear()["event_id"]


@sentences
def test_a_sentence_raises_an_error_that_names_nothing(call: Call, sent: Json, answer: Json) -> None:
    with conversing(lambda service, _event: service.say(error())) as (session, service):
        with pytest.raises(ServerError) as raised:
            call(session)
        assert raised.value.event_id == service.hear()["event_id"]


@sentences
def test_a_sentence_that_is_not_answered_runs_out(call: Call, sent: Json, answer: Json) -> None:
    class Impatient:
        """The session with short timeouts."""

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **options: getattr(session, name)(*args, timeout=0.05, **options)

    with conversing() as (session, service):
        with pytest.raises(WaitTimeout, match=rf"no answer to '{sent['type']}' within 0\.05 s"):
            call(Impatient())  # type: ignore[arg-type]
        service.say({"type": "brand.new"})
        assert session.wait_for("brand.new", timeout=LIMIT)  # The session is still usable.
        assert not session._core._requests


@sentences
def test_a_sentence_ends_with_the_session(call: Call, sent: Json, answer: Json) -> None:
    with conversing() as (session, service):
        blocked = spawn(lambda: call(session))
        service.hear(sent["type"])
        service.peer.close(1011, "oops")
        with pytest.raises(SessionClosed, match="oops") as raised:
            blocked.result()
        assert raised.value.in_flight == (sent["type"],)
        with pytest.raises(SessionClosed):
            call(session)


def test_handlers_up_to_the_answer_have_run_when_a_sentence_returns() -> None:
    def reply(service: Service, _event: Json) -> None:
        service.say(*({"type": "brand.new"} for _ in range(20)), {"type": "session.updated"})

    with conversing(reply) as (session, _service):
        seen: list[str] = []
        pause = threading.Event()

        def slow(_session: RealtimeSession, event: Event) -> None:
            pause.wait(0.005)
            seen.append(event.type)

        session.on("*", slow)
        session.update(instructions="Hi")
        assert seen == ["brand.new"] * 20 + ["session.updated"]


def test_a_sentence_whose_answer_waits_for_a_stuck_handler_names_it() -> None:
    go_on = threading.Event()

    def stubborn(_session: RealtimeSession, _event: object) -> None:
        go_on.wait(LIMIT)

    with conversing(lambda service, _event: service.say({"type": "session.updated"})) as (session, _service):
        session.on("session.updated", stubborn)
        try:
            with pytest.raises(WaitTimeout, match=r"the answer came, but the handlers.*stubborn"):
                session.update(instructions="Hi", timeout=0.1)
        finally:
            go_on.set()


def test_parallel_sentences_get_each_its_own_answer() -> None:
    def reply(service: Service, event: Json) -> None:
        item_id = event["item_id"]
        if item_id.endswith("7"):
            service.say(error(event_id=event["event_id"], message=item_id))
        else:
            service.say({"type": "conversation.item.deleted", "item_id": item_id})

    with conversing(reply) as (session, _service):

        def delete(item_id: str) -> str:
            try:
                return str(session.delete_item(item_id).item_id)
            except ServerError as refused:
                return str(refused).rpartition(" ")[2]

        names = [f"item_{number}" for number in range(50)]
        assert [one.result() for one in [spawn(delete, name) for name in names]] == names


def test_an_error_of_a_raw_send_is_not_raised_by_a_sentence() -> None:
    def reply(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            service.say({"type": "session.updated"})
        else:
            service.say(error(code="item_delete_invalid_item_id"))

    with conversing(reply) as (session, _service):
        session.send({"type": "conversation.item.delete", "item_id": "i1"})
        assert session.update(instructions="Hi").type == "session.updated"
        with pytest.raises(ServerError) as raised:
            session.wait_for("conversation.item.deleted", timeout=LIMIT)
        assert raised.value.request == "conversation.item.delete"


# -- with the simulator ---------------------------------------------------------------------------------------------


def test_update_returns_the_session_as_it_is_now(simulated: RealtimeSession) -> None:
    updated = simulated.update(instructions="Be brief.")
    assert updated.type == "session.updated"
    assert updated.session.instructions == "Be brief."
    assert updated.session.output_modalities == ["text"]


def test_update_raises_what_the_service_says_of_an_unknown_field(simulated: RealtimeSession) -> None:
    with pytest.raises(ServerError) as raised:
        simulated.update(no_such_field=1)
    assert raised.value.code == "unknown_parameter"
    assert raised.value.param == "session.no_such_field"
    assert raised.value.request == "session.update"


def test_items_are_added_retrieved_and_deleted(simulated: RealtimeSession) -> None:
    first = simulated.add_item(USER).item.id
    second = simulated.add_item({"id": "item_0", **USER}, after="root").item
    assert second.id == "item_0"
    assert simulated.retrieve_item(first).item.content[0].text == "Hi"
    assert simulated.delete_item(first).item_id == first
    with pytest.raises(ServerError) as raised:
        simulated.retrieve_item(first)
    assert raised.value.request == "conversation.item.retrieve"


@pytest.mark.parametrize(
    ("call", "code", "request_type"),
    [
        (lambda session: session.cancel(), "response_cancel_not_active", "response.cancel"),
        (lambda session: session.delete_item("nope"), None, "conversation.item.delete"),
        (lambda session: session.truncate("nope", audio_end_ms=1), None, "conversation.item.truncate"),
        (lambda session: session.commit_audio(), "input_audio_buffer_commit_empty", "input_audio_buffer.commit"),
    ],
)
def test_the_services_refusals_are_raised(
    simulated: RealtimeSession, call: Call, code: str | None, request_type: str
) -> None:
    with pytest.raises(ServerError) as raised:
        call(simulated)
    assert raised.value.request == request_type
    assert code is None or raised.value.code == code


def test_audio_is_appended_committed_and_cleared(simulated: RealtimeSession) -> None:
    simulated.update(audio={"input": {"turn_detection": None}})
    simulated.append_audio(bytes(24000))
    assert simulated.commit_audio().item_id
    simulated.append_audio(bytes(24000))
    assert simulated.clear_audio().type == "input_audio_buffer.cleared"


def test_ask_takes_words(simulated: RealtimeSession) -> None:
    assert "blue moon" in simulated.ask("What is a blue moon?").text
    with pytest.raises(UsageError, match="str"):
        simulated.ask(5)  # type: ignore[arg-type]


def test_one_timeout_is_spent_over_both_steps_of_ask() -> None:
    def reply(service: Service, event: Json) -> None:
        if event["type"] == "conversation.item.create":
            service.say({"type": "conversation.item.added", "item": {"id": "i1"}})

    with conversing(reply) as (session, service):
        with pytest.raises(WaitTimeout, match="did not begin"):
            session.ask("Hi", timeout=0.2)
        assert service.hear("conversation.item.create")
        assert service.hear("response.create")
