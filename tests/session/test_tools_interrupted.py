"""Tools that wait, take long, are interrupted, or outlive their session; tools that use the session themselves."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync import (
    RealtimeSession,
    ResponseFailed,
    SessionClosed,
    Simulator,
    Tool,
    ToolCall,
    ToolContext,
)
from rtsync.simulator import Turn
from tests.loopback import LIMIT
from tests.session.actors import Actor, Told, answered, call, conversing_with, open_calls, outputs, twice_answered
from tests.session.service import Json, Service, conversing, error, response, spawn, user
from tests.session.successive import attend
from tests.simulator.sounds import silence, speech

INTERRUPTED = '{"error":"cancelled: the user interrupted"}'


class Gate:
    """Tools that a test holds and lets go: one runs until `open`, the other until it is cancelled."""

    def __init__(self, result: str = "done") -> None:
        self.running = threading.Event()
        self.open = threading.Event()
        self.result = result
        self.saw_cancellation = threading.Event()

    def stubborn(self, context: ToolContext) -> str:
        """Wait for the test, whatever happens."""
        self.running.set()
        assert self.open.wait(LIMIT)
        return self.result

    def gentle(self, context: ToolContext) -> str:
        """Wait until nobody waits any more."""
        self.running.set()
        assert context.wait(LIMIT)
        self.saw_cancellation.set()
        context.check()
        raise AssertionError("check() did not raise")


def sound(session: RealtimeSession) -> None:
    assert (open_calls(session), twice_answered(session), session.tool_calls) == ([], [], ())


# -- interruption ------------------------------------------------------------------------------------------------------


def test_an_interruption_ends_a_tool_that_looks_and_no_response_follows() -> None:
    gate = Gate()
    with (
        conversing_with([call("gentle")], tools=[gate.gentle]) as (session, actor),
        Told(session) as told,
        answered(session) as output,
    ):
        asked = spawn(lambda: session.ask("?"))
        assert gate.running.wait(LIMIT)
        session.interrupt()
        assert asked.result().function_calls
        assert output() == INTERRUPTED
        assert told.until("finished").status == "cancelled"
        assert told.failures == []
        assert len(actor.turns) == 1
        sound(session)
        assert session.ask("Again").text == "Heard ."


def test_an_interruption_lets_a_tool_run_that_does_not_look_and_no_response_follows() -> None:
    gate = Gate()
    with conversing_with([call("stubborn")], tools=[gate.stubborn]) as (session, actor), answered(session) as output:
        asked = spawn(lambda: session.ask("?"))
        assert gate.running.wait(LIMIT)
        session.interrupt()
        assert asked.result().function_calls
        gate.open.set()
        assert output() == "done"
        assert len(actor.turns) == 1
        assert session.ask("And?").text == "Heard ."
        sound(session)


def test_what_a_tool_says_behind_an_interruption_stands_before_what_the_user_has_said_since() -> None:
    gate = Gate()

    def say_last(turn: Turn) -> Iterator[str]:
        yield f"Last was a {turn.items[-1]['type']}."

    acts = [call("stubborn")], ["Yes."], say_last
    with conversing_with(*acts, tools=[gate.stubborn]) as (session, _), answered(session) as output:
        asked = spawn(lambda: session.ask("?"))
        assert gate.running.wait(LIMIT)
        session.interrupt()
        asked.result()
        session.add_item(user("Something else:"))
        gate.open.set()
        assert output() == "done"
        session.respond().wait()
        assert [item.type for item in session.conversation.items] == [
            "message", "function_call", "function_call_output", "message", "message",
        ]  # fmt: skip
        assert session.ask("And?").text == "Last was a message."
        sound(session)


def test_an_output_whose_place_the_service_does_not_know_comes_to_the_end() -> None:
    gate = Gate()

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(*calling(event, "stubborn"))
        elif event.get("previous_item_id"):
            service.say(error(code="item_not_found", param="previous_item_id", event_id=event["event_id"]))
        else:
            attend(service, event)

    with conversing(answer, tools=[gate.stubborn]) as (session, service):
        session.respond()
        assert gate.running.wait(LIMIT)
        session.interrupt()
        gate.open.set()
        while (first := service.hear())["type"] != "conversation.item.create":
            pass
        assert first["previous_item_id"] == "item_call_1"
        again = service.hear("conversation.item.create")
        assert "previous_item_id" not in again
        assert again["item"] == first["item"]


def test_what_waits_for_a_thread_or_for_approval_is_not_begun_after_an_interruption() -> None:
    asking, answer = threading.Event(), threading.Event()

    def approve(call: ToolCall) -> bool:
        asking.set()
        return answer.wait(LIMIT)

    def never() -> str:
        raise AssertionError("it was called")

    tools = [Tool(never, approval=approve)]
    with conversing_with([call("never"), call("never")], tools=tools, tool_threads=1) as (session, _):
        with Told(session) as told, answered(session) as output:
            asked = spawn(lambda: session.ask("?"))
            assert asking.wait(LIMIT)
            session.wait_for("response.done", settled=False)
            assert sorted(each.status for each in session.tool_calls) == ["approving", "waiting"]
            session.interrupt()
            asked.result()
            assert [output(), output()] == [INTERRUPTED] * 2
            told.until("finished", 2)
            assert told.names == [("finished", "cancelled")] * 2
        answer.set()
        sound(session)


def test_speech_interrupts_where_voice_detection_may() -> None:
    gate = Gate()
    detection: Json = {"type": "server_vad", "create_response": True, "interrupt_response": True}

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(*calling(event, "gentle"))
        else:
            attend(service, event)

    with conversing(answer, tools=[gate.gentle]) as (session, service):
        session.update(audio={"input": {"turn_detection": detection}})
        first = session.respond()
        assert gate.running.wait(LIMIT)
        service.say({"type": "input_audio_buffer.speech_started", "item_id": "item_u", "audio_start_ms": 0})
        assert first.final().id == first.id
        assert outputs_heard(service, 1) == [INTERRUPTED]
        assert service.heard_nothing_more()


def test_somebody_speaks_while_a_tool_runs_that_speech_has_called() -> None:
    gate, errors = Gate(), list[Any]()
    said = silence(400) + speech() + silence(800)
    actor = Actor([call("gentle")])
    with (
        RealtimeSession(Simulator(brain=actor, pace=False), tools=[gate.gentle]) as session,
        session.responses(timeout=LIMIT) as begun,
        answered(session) as output,
    ):
        session.on("error", lambda session, event: errors.append(event.error.code))
        session.send_audio(said, sample_rate=24_000, pace=False, silence_ms=0)
        first = next(begun)
        assert gate.running.wait(LIMIT)
        session.send_audio(said, sample_rate=24_000, pace=False, silence_ms=0)
        assert output() == INTERRUPTED
        assert first.final().id == first.id
        assert next(begun).wait().transcript.startswith("Heard")
        assert len(actor.turns) == 2
        sound(session)
    assert errors == []


def test_a_tool_that_speech_has_called_is_answered_in_speech() -> None:
    said = silence(400) + speech() + silence(800)
    actor = Actor([call("quick")])
    with (
        RealtimeSession(Simulator(brain=actor, pace=False), tools=[quick]) as session,
        session.responses(timeout=LIMIT) as begun,
    ):
        session.send_audio(said, sample_rate=24_000, pace=False, silence_ms=0)
        assert next(begun).final().transcript == "Heard quick."
        assert next(begun).audio


def test_speech_that_may_not_interrupt_does_not_and_the_answer_waits_for_its_end() -> None:
    gate = Gate()
    detection = {"type": "server_vad", "create_response": False, "interrupt_response": False}

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and not gate.running.is_set():
            service.say(*calling(event, "stubborn"))
        else:
            attend(service, event)

    with conversing(answer, tools=[gate.stubborn]) as (session, service):
        session.update(audio={"input": {"turn_detection": detection}})
        first = session.respond()
        assert gate.running.wait(LIMIT)
        service.say({"type": "input_audio_buffer.speech_started", "item_id": "item_u", "audio_start_ms": 0})
        gate.open.set()
        assert outputs_heard(service, 1) == ["done"]
        session.send({"type": "input_audio_buffer.append", "audio": ""})
        service.hear("input_audio_buffer.append")
        assert service.heard_nothing_more()
        service.say({"type": "input_audio_buffer.speech_stopped", "item_id": "item_u", "audio_end_ms": 100})
        service.hear("response.create")
        assert first.final().text == "Yes."


def test_a_cancelled_response_leads_to_nothing_and_its_calls_are_answered() -> None:
    gate = Gate()

    def act(turn: Turn) -> Iterator[Any]:
        yield call("gentle")
        while not turn.cancelled.wait(0.01):
            yield "and so on "

    with conversing_with(act, tools=[gate.gentle]) as (session, actor), answered(session) as output:
        running = session.respond()
        assert gate.running.wait(LIMIT)
        running.cancel()
        assert output() == '{"error":"cancelled: the response was cancelled"}'
        assert running.final().status == "cancelled"
        assert len(actor.turns) == 1
        sound(session)


def test_what_a_response_leads_to_can_be_cancelled_when_it_is_done() -> None:
    gate = Gate()
    with conversing_with([call("gentle")], tools=[gate.gentle]) as (session, actor), answered(session) as output:
        first = session.respond().wait()
        assert gate.running.wait(LIMIT)
        first.cancel()
        assert first.final().id == first.id
        assert output() == '{"error":"cancelled: the response was cancelled"}'
        assert len(actor.turns) == 1


def test_a_follow_up_that_begins_behind_an_interruption_is_cancelled() -> None:
    held = threading.Event()

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and not held.is_set():
            held.set()
            service.say(*calling(event, "quick"))
        elif event["type"] != "response.create":
            attend(service, event)

    with conversing(answer, tools=[quick]) as (session, service):
        first = session.respond()
        assert outputs_heard(service, 1) == ["quick"]
        asked = service.hear("response.create")
        session.interrupt()
        assert first.final().id == first.id
        service.say(response("response.created", "resp_2", metadata=asked["response"]["metadata"]))
        assert service.hear("response.cancel")["response_id"] == "resp_2"


def test_a_response_that_begins_behind_the_outputs_takes_the_place_of_the_follow_up() -> None:
    go_on = threading.Event()

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            (created, *rest) = calling(event, "quick")
            service.say(created, *rest[:-1])
            service.hear_output = rest[-1]  # type: ignore[attr-defined]
        elif event["type"] == "conversation.item.create":
            attend(service, event)
            # Voice detection is faster than the follow-up.
            service.say(service.hear_output, response("response.created", "resp_v"))  # type: ignore[attr-defined]
            go_on.set()
        else:
            attend(service, event)

    with conversing(answer, tools=[quick]) as (session, service):
        first = session.respond()
        assert go_on.wait(LIMIT)
        assert first.final().id == first.id
        service.say(response("response.done", "resp_v"))
        session.send({"type": "input_audio_buffer.clear"})
        assert [service.hear()["type"] for _ in range(4)] == [
            "session.update",
            "response.create",
            "conversation.item.create",
            "input_audio_buffer.clear",
        ]


def quick() -> str:
    """Return at once."""
    return "quick"


def calling(event: Json, name: str, response_id: str = "resp_1", call_id: str = "call_1") -> list[Json]:
    """All events of a response that calls a function without arguments."""
    metadata = event.get("response", {}).get("metadata")
    item = {
        "id": "item_" + call_id, "type": "function_call", "status": "completed", "name": name, "call_id": call_id,
        "arguments": "{}",
    }  # fmt: skip
    place = {"response_id": response_id, "output_index": 0}
    return [
        response("response.created", response_id, metadata=metadata),
        {"type": "response.output_item.added", **place, "item": {**item, "status": "in_progress", "arguments": ""}},
        {"type": "conversation.item.added", "item": {**item, "status": "in_progress", "arguments": ""}},
        {"type": "conversation.item.done", "item": item},
        {"type": "response.output_item.done", **place, "item": item},
        response("response.done", response_id, output=[item], metadata=metadata),
    ]


def outputs_heard(service: Service, count: int) -> list[str]:
    """The next `count` outputs that the service is given; what else it hears before is passed over."""
    found: list[str] = []
    while len(found) < count:
        event = service.hear()
        if event["type"] == "conversation.item.create" and event["item"]["type"] == "function_call_output":
            found.append(event["item"]["output"])
    return found


# -- approval ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "output"),
    [
        (True, "paid 5"),
        (False, '{"error":"the call was not approved, and was not made"}'),
        ("too much", '{"error":"the call was not approved, and was not made: too much"}'),
        (None, '{"error":"the call was not approved, and was not made"}'),
        (1, '{"error":"the call was not approved, and was not made"}'),
    ],
    ids=str,
)
def test_a_call_is_approved_first(verdict: Any, output: str) -> None:
    seen: list[ToolCall] = []

    def approve(call: ToolCall) -> Any:
        seen.append(call)
        return verdict

    def pay(amount: int) -> str:
        return f"paid {amount}"

    with conversing_with([call("pay", amount=5)], tools=[Tool(pay, approval=approve)]) as (session, _):
        with Told(session) as told:
            session.ask("Pay!")
            assert outputs(session) == [output]
            assert told.until("finished").status == ("completed" if verdict is True else "denied")
        assert [(each.name, each.arguments, each.status) for each in seen] == [("pay", {"amount": 5}, "approving")]
        sound(session)


def test_wrong_arguments_are_not_shown_for_approval() -> None:
    def approve(call: ToolCall) -> bool:
        raise AssertionError("it was asked")

    def pay(amount: int) -> str:
        return "paid"

    with conversing_with([call("pay", amount="much")], tools=[Tool(pay, approval=approve)]) as (session, _):
        session.ask("Pay!")
        assert "amount" in outputs(session)[0]


def test_an_approval_that_fails_is_no_approval() -> None:
    def approve(call: ToolCall) -> bool:
        raise EOFError

    with conversing_with([call("quick")], tools=[Tool(quick, approval=approve)]) as (session, _), Told(session) as told:
        session.ask("?")
        assert outputs(session) == ['{"error":"the tool failed (EOFError)"}']
        assert isinstance(told.failure()[1], EOFError)


def test_time_for_approval_is_no_time_of_the_tool() -> None:
    def approve(call: ToolCall) -> bool:
        time.sleep(0.3)
        return True

    tools = [Tool(quick, approval=approve, timeout=0.2)]
    with conversing_with([call("quick")], tools=tools) as (session, _):
        session.ask("?")
        assert outputs(session) == ["quick"]


# -- answering later ---------------------------------------------------------------------------------------------------


def test_a_long_job_is_answered_at_once_and_delivers_later() -> None:
    gate = Gate("42")
    job = Tool(gate.stubborn, working="I am on it.", timeout=None)
    with conversing_with([call("stubborn")], tools=[job]) as (session, actor), session.responses(timeout=LIMIT) as more:
        assert session.ask("?").text == "Heard I am on it.."
        assert [each.status for each in session.tool_calls] == ["running"]
        gate.open.set()
        assert next(more).wait().text == "Heard I am on it. 42."
        types = [item.type for item in session.conversation.items]
        assert types[-3:] == ["function_call", "function_call_output", "message"]
        sound(session)
        assert len(actor.turns) == 3


def test_an_interruption_does_not_end_a_long_job() -> None:
    gate = Gate("42")
    job = Tool(gate.stubborn, working="I am on it.", timeout=None)
    with conversing_with([call("stubborn")], tools=[job]) as (session, _), session.responses(timeout=LIMIT) as more:
        session.ask("?")
        session.interrupt()
        gate.open.set()
        assert next(more).wait().text == "Heard I am on it. 42."
        sound(session)


def test_results_that_are_ready_together_share_one_response() -> None:
    gates = [Gate("1"), Gate("2"), Gate("3")]
    jobs = [Tool(gate.stubborn, name=f"job_{i}", working="Soon.", timeout=None) for i, gate in enumerate(gates)]
    speaking, go_on = threading.Event(), threading.Event()

    def long(turn: Turn) -> Iterator[str]:
        speaking.set()
        assert go_on.wait(LIMIT)
        yield "Long."

    acts = [call("job_0"), call("job_1"), call("job_2")]
    with conversing_with(acts, ["Ok."], long, tools=jobs) as (session, actor):
        session.ask("?")
        with session.responses(timeout=LIMIT) as more, answered(session) as output:
            asked = spawn(lambda: session.ask("Tell me something long.").text)
            assert speaking.wait(LIMIT)
            for gate in gates:
                gate.open.set()
            assert sorted(output() for _ in gates) == ["1", "2", "3"]
            go_on.set()
            assert asked.result() == "Long."
            assert sorted(next(more).wait().text.removeprefix("Heard ").removesuffix(".").split()) == ["1", "2", "3"]
        assert len(actor.turns) == 4
        sound(session)


def test_a_long_job_that_fails_says_so_later() -> None:
    gate = threading.Event()

    def fail() -> None:
        assert gate.wait(LIMIT)
        raise ValueError("x")

    job = Tool(fail, working="I am on it.")
    with conversing_with([call("fail")], tools=[job]) as (session, _), session.responses(timeout=LIMIT) as more:
        session.ask("?")
        gate.set()
        assert "the tool failed (ValueError)" in next(more).wait().text


def test_progress_is_reported() -> None:
    def work(context: ToolContext) -> str:
        context.report(0.5)
        context.report({"step": 2})
        assert context.call.status == "running"
        return "done"

    with conversing_with([call("work")], tools=[work]) as (session, _), Told(session) as told:
        session.ask("?")
        told.until("finished")
        assert [(name, each) for name, _, each in told.heard if name == "progress"][-1] == ("progress", {"step": 2})
        assert told.names[0] == ("started", "running")
        assert told.names[-1] == ("finished", "completed")


def test_progress_faster_than_handlers_take_it_does_not_pile_up() -> None:
    blocked = threading.Event()

    def work(context: ToolContext) -> str:
        for number in range(100_000):
            context.report(number)
        return "done"

    with conversing_with([call("work")], tools=[work]) as (session, _), Told(session) as told:
        session.on("response.created", lambda session, event: blocked.wait(LIMIT))
        asked = spawn(lambda: session.ask("?"))
        deadline = time.monotonic() + LIMIT
        while not outputs(session) and time.monotonic() < deadline:
            session.retrieve_item  # noqa: B018
        blocked.set()
        asked.result()
        told.until("finished")
        assert [each for name, _, each in told.heard if name == "progress"] == [99_999]


# -- the end of the session --------------------------------------------------------------------------------------------


def test_closing_ends_a_tool_that_looks() -> None:
    gate = Gate()
    with conversing_with([call("gentle")], tools=[gate.gentle]) as (session, _), Told(session) as told:
        asked = spawn(session.respond().wait().final)
        assert gate.running.wait(LIMIT)
        session.close()
        assert gate.saw_cancellation.is_set()
        with pytest.raises(SessionClosed):
            asked.result()
        assert told.until("finished").error == "cancelled: the session is closed"
        assert told.failures == []
        assert session.tool_calls == ()


def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with conversing_with([call("stubborn")], tools=[Tool(gate.stubborn, timeout=None)]) as (session, _):
        asked = spawn(session.respond().wait().final)
        assert gate.running.wait(LIMIT)
        began = time.monotonic()
        session.close(timeout=0.3)
        assert time.monotonic() - began < LIMIT / 2
        gate.open.set()
        with pytest.raises(SessionClosed):
            asked.result()
    assert "did not wait any longer for the tools: stubborn" in caplog.text


def test_a_tool_may_close_the_session() -> None:
    def leave(context: ToolContext) -> str:
        context.session.close()
        return "bye"

    with conversing_with([call("leave")], tools=[leave]) as (session, _):
        with pytest.raises((SessionClosed, ResponseFailed)):  # The response may not have ended yet.
            session.ask("?")
        assert session.state == "closed"


def test_a_session_that_is_lost_ends_its_tools() -> None:
    gate = Gate()

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(*calling(event, "gentle"))
        else:
            attend(service, event)

    with conversing(answer, tools=[gate.gentle]) as (session, service):
        first = session.respond()
        assert gate.running.wait(LIMIT)
        service.peer.close(1011)
        with pytest.raises(SessionClosed):
            first.final()
        assert gate.saw_cancellation.wait(LIMIT)


def test_a_forgotten_session_is_collected_although_its_tool_refers_to_it() -> None:
    def opened() -> weakref.ref[RealtimeSession]:
        session = RealtimeSession(Simulator(pace=False))

        @session.tool
        def look() -> str:
            return str(session.state)

        session.open()
        return weakref.ref(session)

    gone = opened()
    with pytest.warns(ResourceWarning, match="dropped while open"):
        gc.collect()
    assert gone() is None


def test_a_forgotten_session_is_collected_although_its_tool_runs() -> None:
    gate = Gate()

    def opened() -> weakref.ref[RealtimeSession]:
        session = RealtimeSession(Simulator(brain=Actor([call("gentle")]), pace=False), tools=[gate.gentle]).open()
        session.respond()
        assert gate.running.wait(LIMIT)
        return weakref.ref(session)

    with pytest.warns(ResourceWarning, match="dropped while open"):
        gone = opened()
    gc.collect()
    assert gone() is None
    assert gate.saw_cancellation.wait(LIMIT)


def test_after_the_end_everything_says_so() -> None:
    contexts: list[ToolContext] = []

    def keep(context: ToolContext) -> str:
        contexts.append(context)
        return "kept"

    with conversing_with([call("keep")], tools=[keep]) as (session, _):
        session.ask("?")
    (context,) = contexts
    context.report(1)
    assert context.call.status == "completed"
    assert context.session is session
    with pytest.raises(SessionClosed):
        context.session.update(instructions="x")


# -- tools that use the session ----------------------------------------------------------------------------------------


def test_a_tool_may_ask_beside_the_conversation() -> None:
    def ask(context: ToolContext) -> str:
        content = [{"type": "input_text", "text": "Title?"}]
        item = {"type": "message", "role": "user", "content": content}
        return context.session.respond(conversation="none", input=[item]).wait().text

    with conversing_with([call("ask")], ["A title"], tools=[ask]) as (session, _):
        assert session.ask("?").text == "Heard A title."
        sound(session)


def test_a_tool_may_ask_in_the_conversation() -> None:
    def ask(context: ToolContext) -> str:
        return context.session.ask("And what of this?").text

    with conversing_with([call("ask")], ["Inner."], tools=[ask]) as (session, actor):
        assert session.ask("?").text == "Heard Inner.."
        assert len(actor.turns) == 3
        sound(session)


def test_nested_calls() -> None:
    def outer(context: ToolContext) -> str:
        return context.session.ask("Use the inner one.").text

    with conversing_with([call("outer")], [call("quick")], tools=[outer, quick]) as (session, _):
        assert session.ask("?").text == "Heard quick Heard quick.."
        sound(session)


def test_a_tool_may_change_the_session() -> None:
    def learn(context: ToolContext) -> str:
        context.session.update(instructions="Be brief.")
        context.session.tool(quick)
        return "learned"

    with conversing_with([call("learn")], [call("quick")], tools=[learn]) as (session, actor):
        assert session.ask("?").text == "Heard learned quick."
        assert actor.turns[-1].instructions == "Be brief."
        sound(session)


def test_responses_beside_the_conversation_call_tools_too() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Beside"}]}
    with conversing_with([call("quick")], tools=[quick]) as (session, actor):
        first = session.respond(conversation="none", input=[item], metadata={"purpose": "title"})
        last = first.final()
        assert last.text == "Heard quick."
        assert last.metadata["purpose"] == "title"
        assert session.conversation.items == ()
        assert [each["type"] for each in actor.turns[1].items] == ["message", "function_call", "function_call_output"]


def test_beside_the_conversation_without_an_input_of_its_own() -> None:
    with conversing_with(["Hi."], [call("quick")], tools=[quick]) as (session, actor):
        session.ask("Hello")
        assert session.respond(conversation="none").final().text == "Heard quick."
        assert len(session.conversation.items) == 2
        types = [each["type"] for each in actor.turns[2].items]
        assert types == ["message", "message", "function_call", "function_call_output"]


def test_an_interruption_does_not_concern_what_is_beside_the_conversation() -> None:
    gate = Gate()
    with conversing_with([call("stubborn")], tools=[gate.stubborn]) as (session, _):
        first = session.respond(conversation="none", input=[])
        assert gate.running.wait(LIMIT)
        session.interrupt()
        gate.open.set()
        assert first.final().text == "Heard done."


def test_two_threads_that_ask_get_their_own_answers() -> None:
    def echo(word: str) -> str:
        return word

    def act(turn: Turn) -> Iterator[Any]:
        said = [item for item in turn.items if item["type"] == "message" and item["role"] == "user"]
        yield call("echo", word=said[-1]["content"][0]["text"])

    def tell(turn: Turn) -> Iterator[Any]:
        newest = turn.items[-1]
        yield from [newest["output"]] if newest["type"] == "function_call_output" else act(turn)

    with conversing_with(*[tell] * 100, tools=[echo]) as (session, _):
        asked = [spawn(lambda word=word: session.ask(word).text) for word in "abcdef"]
        assert len([task.result() for task in asked]) == 6
        sound(session)
