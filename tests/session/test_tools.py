"""Tools of a session on the simulator: declared, called, answered; and what goes wrong inside of them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtsync import (
    ConfigurationError,
    OpenAI,
    QueueDispatcher,
    RealtimeError,
    RealtimeSession,
    ResponseFailed,
    ServerError,
    SessionClosed,
    Simulator,
    Tool,
    ToolCall,
    ToolContext,
    ToolError,
    WaitTimeout,
)
from rtsync.simulator import BrainFailed, FunctionCall, SimulatorServer, Turn
from tests.loopback import LIMIT
from tests.session.actors import (
    TEXT,
    Actor,
    Told,
    answered,
    call,
    conversing_with,
    open_calls,
    outputs,
    texts,
    twice_answered,
)
from tests.session.service import Json, Service, conversing, error, spawn


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def sound(session: RealtimeSession) -> None:
    """Every call is answered, once, and nothing is left to do."""
    assert (open_calls(session), twice_answered(session), session.tool_calls) == ([], [], ())


# -- declaring ---------------------------------------------------------------------------------------------------------


def test_a_function_is_called_and_its_result_leads_to_an_answer() -> None:
    with conversing_with([call("add", a=1, b=2)], tools=[add]) as (session, actor):
        assert session.ask("What is 1 + 2?").text == "Heard 3."
        sound(session)
        assert [tool["name"] for tool in actor.turns[0].tools] == ["add"]
        assert session.conversation.config["tools"][0]["description"] == "Add two numbers."


def test_tools_join_the_configuration_of_the_program() -> None:
    server = {"type": "mcp", "server_label": "docs", "server_url": "https://example.test/mcp"}
    own = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}
    with RealtimeSession(
        Simulator(pace=False), config={"instructions": "Be brief.", "tools": [own]}, tools=[server, add]
    ) as session:
        config = session.conversation.config
        assert config["instructions"] == "Be brief."
        assert [tool.get("name") or tool["server_label"] for tool in config["tools"]] == ["own", "docs", "add"]
        assert dict(session.tools) == {"add": session.tools["add"]}


def test_a_decorator_declares_before_and_after_opening() -> None:
    session = RealtimeSession(Simulator(brain=lambda turn: [f"{len(turn.tools)} tools"], pace=False))

    @session.tool
    def first(a: int) -> int:
        return a

    @session.tool(name="second", timeout=5)
    def another(a: int) -> int:
        return a

    with session:
        assert session.ask("?", output_modalities=["text"]).text == "2 tools"
        session.tool(add, description="Sums.")
        assert session.ask("?", output_modalities=["text"]).text == "3 tools"
        assert list(session.tools) == ["first", "second", "add"]
        assert session.tools["add"].description == "Sums."
    assert first(1) == another(1) == 1


def test_declared_tools_survive_an_update_of_the_tools() -> None:
    own = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}
    with conversing_with(tools=[add]) as (session, _):
        session.update(tools=[own])
        assert [tool["name"] for tool in session.conversation.config["tools"]] == ["own", "add"]
        session.update(tools=session.conversation.config["tools"])
        assert [tool["name"] for tool in session.conversation.config["tools"]] == ["own", "add"]
        session.update(tools=[])
        assert [tool["name"] for tool in session.conversation.config["tools"]] == ["add"]


def test_tools_declared_by_several_threads_all_reach_the_service() -> None:
    def named(number: int) -> Callable[[], Any]:
        return lambda: session.tool(lambda a: a, name=f"tool_{number}")

    with conversing_with() as (session, _):
        for task in [spawn(named(number)) for number in range(8)]:
            task.result()
        assert len(session.tools) == len(session.conversation.config["tools"]) == 8


def test_a_tool_that_the_service_refuses_is_not_declared() -> None:
    def fussy(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            service.say(error(event_id=event["event_id"], param="session.tools"))

    with conversing(fussy) as (session, _):
        with pytest.raises(ServerError):
            session.tool(add)
        assert not session.tools
        session.close()
        with pytest.raises(SessionClosed):
            session.tool(add)
        assert not session.tools


@pytest.mark.parametrize(
    "tools",
    ["add", add, {"type": "function"}, [{"name": "add"}], [5], [add, add], [add, {"type": "function", "name": "add"}]],
    ids=["text", "function", "mapping", "no type", "number", "twice", "twice by name"],
)
def test_wrong_declarations_fail_at_once(tools: Any) -> None:
    with pytest.raises(ConfigurationError):
        RealtimeSession(OpenAI(api_key="k"), tools=tools)


@pytest.mark.parametrize(
    "target", [OpenAI(api_key="k").for_transcription(), OpenAI(api_key="k").for_translation()], ids=lambda t: t.purpose
)
def test_sessions_that_only_write_down_have_no_tools(target: OpenAI) -> None:
    with pytest.raises(ConfigurationError, match="no tools"):
        RealtimeSession(target, tools=[add])
    with pytest.raises(ConfigurationError, match="no tools"):
        RealtimeSession(target).tool(add)


@pytest.mark.parametrize(
    "options",
    [{"tool_threads": 0}, {"tool_threads": True}, {"tool_rounds": 1.5}, {"within": contextlib.nullcontext()}],
    ids=["no thread", "a bool", "half a round", "a context instead of what gives one"],
)
def test_wrong_options_fail_at_once(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        RealtimeSession(OpenAI(api_key="k"), **options)


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": "1"}, {"approval": True}, {"working": ""}, {"respond": 1}, {"tell_errors": None}],
    ids=str,
)
def test_wrong_options_of_a_tool_fail_at_once(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Tool(add, **options)


def test_a_tool_does_not_change() -> None:
    with pytest.raises(AttributeError, match="another one"):
        Tool(add).timeout = 5


def test_a_tool_can_be_tried_without_a_model() -> None:
    tool = Tool(add, timeout=None)
    assert tool.bind('{"a": 1}')() == 2
    assert tool.function is add
    assert repr(tool) == "<Tool 'add'>"
    with pytest.raises(RealtimeError):
        tool.bind('{"b": 1}')


def test_a_tool_can_be_had_with_another_approval() -> None:
    tool = Tool(add, name="sum", timeout=5)
    asking = tool.with_approval(lambda call: "no")
    assert (tool.approval, asking.name, asking.timeout) == (None, "sum", 5)
    with conversing_with([call("sum", a=1, b=2)], tools=[asking]) as (session, _):
        assert "was not made: no" in session.ask("?").text
    with pytest.raises(ConfigurationError):
        tool.with_approval("no")  # type: ignore[arg-type]


def test_a_tool_has_its_options_already() -> None:
    with pytest.raises(ConfigurationError, match="Tool"):
        RealtimeSession(OpenAI(api_key="k")).tool(Tool(add), timeout=5)


# -- calls -------------------------------------------------------------------------------------------------------------


def test_preview_endpoints_have_tools_too() -> None:
    actor = Actor([call("add", a=1)])
    target = Simulator(brain=actor, pace=False, dialect="preview")
    with RealtimeSession(target, config=TEXT, tools=[add]) as session:
        assert session.ask("?").text == "Heard 2."
        sound(session)


@pytest.mark.parametrize("fault", ["duplicate=1000@events=1", "split=50"])
def test_a_service_that_says_everything_twice_or_in_pieces(fault: str) -> None:
    actor = Actor([call("add", a=1), call("add", a=2)], [call("add", a=3)])
    with SimulatorServer(brain=actor, pace=False, faults=[fault]) as server:
        target = OpenAI(api_key="k", base_url=server.openai_url)
        with RealtimeSession(target, config=TEXT, tools=[add]) as session:
            assert session.ask("?").text == "Heard 2 3 4."
            sound(session)
    assert len(actor.turns) == 3


def test_several_calls_run_side_by_side_and_share_one_answer() -> None:
    meeting = threading.Barrier(3)

    def meet(who: str) -> str:
        meeting.wait(LIMIT)
        return who

    acts = [call("meet", who="a"), call("meet", who="b"), call("meet", who="c")]
    with conversing_with(acts, tools=[meet]) as (session, actor):
        response = session.ask("Meet!")
        assert sorted(response.text.removeprefix("Heard ").removesuffix(".").split()) == ["a", "b", "c"]
        assert len(actor.turns) == 2
        sound(session)


def test_a_tool_runs_while_the_response_still_speaks() -> None:
    ran, spoken = threading.Event(), threading.Event()

    def act(turn: Turn) -> Iterator[Any]:
        yield call("note", a=1)
        assert ran.wait(LIMIT)
        yield "I have called."
        spoken.set()

    def note(a: int) -> int:
        ran.set()
        assert spoken.wait(LIMIT)
        return a

    with conversing_with(act, tools=[note]) as (session, _):
        assert session.ask("?").text == "Heard 1."
        sound(session)


def test_calls_follow_calls() -> None:
    acts = [[call("add", a=number)] for number in range(5)]
    with conversing_with(*acts, tools=[add]) as (session, actor):
        assert session.ask("Count!").text == "Heard 1 2 3 4 5."
        assert len(actor.turns) == 6
        sound(session)


def test_a_model_that_calls_for_ever_ends_in_words() -> None:
    def act(turn: Turn) -> Iterator[Any]:
        yield "Enough." if turn.tool_choice == "none" else call("add", a=len(turn.items))

    with conversing_with(*[act] * 50, tools=[add], tool_rounds=3) as (session, actor):
        assert session.ask("Count!").text == "Enough."
        assert [turn.tool_choice for turn in actor.turns] == ["auto", "auto", "auto", "auto", "none"]
        assert session.ask("Count again!").text == "Enough."
        assert len(actor.turns) == 10
        sound(session)


def test_a_choice_that_forces_a_call_holds_for_one_response() -> None:
    with conversing_with([call("add", a=1)], tools=[add]) as (session, actor):
        assert session.ask("?", tool_choice="required", instructions="Be brief.").text == "Heard 2."
        assert [turn.tool_choice for turn in actor.turns] == ["required", "auto"]
        assert [turn.instructions for turn in actor.turns] == ["Be brief."] * 2


def test_the_program_answers_calls_that_it_declared_by_hand() -> None:
    own = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}
    with conversing_with([call("own")], tools=[own, add]) as (session, _):
        response = session.ask("?")
        (found,) = response.function_calls
        assert session.tool_calls == ()
        session.add_item({"type": "function_call_output", "call_id": found["call_id"], "output": "mine"})
        assert session.respond().final().text == "Heard mine."
        sound(session)


def test_the_program_answers_calls_of_tools_of_one_response_by_hand() -> None:
    own = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}
    with conversing_with([call("own")], tools=[add]) as (session, _):
        response = session.ask("?", tools=[own])
        assert [found["name"] for found in response.function_calls] == ["own"]
        assert len(open_calls(session)) == 1


def test_nothing_changes_for_a_session_without_tools() -> None:
    own = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}
    with conversing_with([call("add", a=1)]) as (session, _):
        session.update(tools=[own])

        @session.on("response.output_item.done")
        def answer(session: RealtimeSession, event: Any) -> None:
            if event.item.type == "function_call":
                item = {"type": "function_call_output", "call_id": event.item.call_id, "output": "by hand"}
                session.send({"type": "conversation.item.create", "item": item})

        session.send({"type": "response.create"})
        session.wait_for("response.done")
        session.send({"type": "response.create"})
        session.wait_for("response.done")
        assert texts(session) == ["Heard by hand."]
        assert not any("tools" in thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-"))


def test_chain_gives_each_response_as_it_begins() -> None:
    with conversing_with(["First.", call("add", a=1)], ["Second.", call("add", a=2)], tools=[add]) as (session, _):
        session.add_item({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go"}]})
        streamed = ["".join(response.text_deltas()) for response in session.respond().chain()]
        assert streamed == ["First.", "Second.", "Heard 2 3."]


def test_final_is_the_response_itself_where_no_tool_is_called() -> None:
    with conversing_with(["Hello."], tools=[add]) as (session, _):
        response = session.respond()
        assert response.final().id == response.id
        assert [each.id for each in response.chain()] == [response.id]


def test_responses_that_tools_lead_to_are_given_to_those_who_listen() -> None:
    with conversing_with([call("add", a=1)], tools=[add]) as (session, _), session.responses(timeout=LIMIT) as begun:
        session.send({"type": "response.create"})
        assert [next(begun).wait().text, next(begun).wait().text] == ["", "Heard 2."]
        session.send({"type": "response.create"})
        assert next(begun).final().text == "Heard 2."


def test_a_failed_follow_up_is_the_failure_of_ask() -> None:
    def act(turn: Turn) -> Iterator[Any]:
        raise BrainFailed("No idea.")
        yield

    with conversing_with([call("add", a=1)], act, tools=[add]) as (session, _):
        with pytest.raises(ResponseFailed, match="No idea"):
            session.ask("?")
        sound(session)


def test_calls_of_a_response_that_fails_are_answered_and_nothing_follows() -> None:
    def act(turn: Turn) -> Iterator[Any]:
        yield call("add", a=1)
        raise BrainFailed("No idea.")

    with conversing_with(act, tools=[add]) as (session, actor), answered(session) as next_output:
        with pytest.raises(ResponseFailed):
            session.ask("?")
        assert next_output() == "2"
        assert session.ask("And now?").text == "Heard ."
        assert outputs(session) == ["2"]
        assert len(actor.turns) == 2
        sound(session)


@pytest.mark.parametrize("handlers", ["thread", "inline", "queue"])
def test_tools_run_wherever_handlers_run(handlers: Any) -> None:
    dispatcher = QueueDispatcher()
    stop = threading.Event()

    def pump() -> None:
        while not stop.wait(0.005):
            dispatcher.drain()

    pumping = threading.Thread(target=pump, name="pump")
    pumping.start()
    places: list[str] = []
    try:
        with (
            conversing_with(
                [call("add", a=1)], tools=[add], handlers=dispatcher if handlers == "queue" else handlers
            ) as (session, _),
            Told(session) as told,
        ):
            import rtsync

            def note(session: RealtimeSession, call: ToolCall) -> None:
                places.append(threading.current_thread().name)

            with rtsync.tool_finished.connected_to(note, session):
                assert session.ask("?").text == "Heard 2."
                told.until("finished")
            assert told.names == [("started", "running"), ("finished", "completed")]
    finally:
        stop.set()
        pumping.join()
    assert places[0].startswith({"thread": "rtsync-handlers", "inline": "rtsync-reader", "queue": "pump"}[handlers])


# -- what the function makes of it -------------------------------------------------------------------------------------


def test_an_exception_is_reported_to_the_program_and_named_to_the_model(caplog: pytest.LogCaptureFixture) -> None:
    def pay(amount: float) -> str:
        raise ValueError("the key is sk-secret")

    with conversing_with([call("pay", amount=1)], tools=[pay]) as (session, _), Told(session) as told:
        session.ask("Pay!")
        assert outputs(session) == ['{"error":"the tool failed (ValueError)"}']
        handler, error = told.failure()
        assert handler is pay
        assert error.__traceback__ is not None
        assert told.until("finished").status == "failed"
        sound(session)
    assert "ValueError" in caplog.text


def test_the_message_of_an_exception_is_told_on_request() -> None:
    def pay(amount: float) -> str:
        raise ValueError("not enough\nmoney")

    with conversing_with([call("pay", amount=1)], tools=[Tool(pay, tell_errors=True)]) as (session, _):
        session.ask("Pay!")
        assert outputs(session) == ['{"error":"the tool failed (ValueError: not enough money)"}']


def test_a_tool_may_say_what_went_wrong() -> None:
    def pay(amount: float) -> str:
        raise ToolError("there is not enough money")

    with conversing_with([call("pay", amount=1)], tools=[pay]) as (session, _), Told(session) as told:
        session.ask("Pay!")
        assert outputs(session) == ['{"error":"there is not enough money"}']
        assert told.until("finished").error == "there is not enough money"
        assert told.failures == []


def test_a_tool_that_ends_its_thread_ends_nothing() -> None:
    def leave() -> None:
        raise SystemExit(1)

    with conversing_with([call("leave"), call("add", a=1)], tools=[leave, add]) as (session, _), Told(session) as told:
        session.ask("?")
        assert sorted(outputs(session)) == ["2", '{"error":"the tool failed (SystemExit)"}']
        assert isinstance(told.failure()[1], SystemExit)


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"a": "one"}', '{"c": 1}', "null"])
def test_arguments_that_break_the_schema_are_refused(arguments: str) -> None:
    with conversing_with([FunctionCall("add", arguments)], tools=[add]) as (session, _), Told(session) as told:
        session.ask("?")
        (output,) = outputs(session)
        assert list(json.loads(output)) == ["error"]
        assert told.until("finished").status == "failed"
        assert told.failures == []
        sound(session)


def test_an_unknown_tool_is_answered_with_those_that_there_are() -> None:
    with conversing_with([call("subtract", a=1)], tools=[add]) as (session, _):
        session.ask("?")
        assert outputs(session) == ['{"error":"there is no tool of that name; there are add"}']
        sound(session)


def test_what_cannot_be_serialised_is_an_error() -> None:
    def thing() -> object:
        return object()

    with conversing_with([call("thing")], tools=[thing]) as (session, _), Told(session) as told:
        session.ask("?")
        assert outputs(session) == ['{"error":"the tool failed (NotSerialisable)"}']
        assert "object" in str(told.failure()[1])
        sound(session)


def test_a_megabyte_is_delivered(caplog: pytest.LogCaptureFixture) -> None:
    def much() -> str:
        return "x" * (1 << 20)

    with conversing_with([call("much")], ["Much."], tools=[much]) as (session, _):
        assert session.ask("?").text == "Much."
        assert [len(output) for output in outputs(session)] == [1 << 20]
    assert "1048576 characters" in caplog.text


def test_a_tool_that_hangs_is_given_up_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    released = threading.Event()

    def hang(context: ToolContext) -> str:
        released.wait(LIMIT)
        return "too late"

    tools = [Tool(hang, timeout=0.05), add]
    with conversing_with([call("hang"), call("add", a=1)], tools=tools, tool_threads=1) as (session, _):
        with Told(session) as told:
            session.ask("?")
            assert set(outputs(session)) == {"2", '{"error":"the tool did not answer within 0.05 s"}'}
            assert ("finished", "timed_out") in told.names
        released.set()
        sound(session)
    assert "hang" in caplog.text


def test_time_counts_from_when_the_function_begins() -> None:
    def work(a: int) -> int:
        time.sleep(0.2)
        return a

    calls = [call("work", a=number) for number in range(5)]
    with conversing_with(calls, tools=[Tool(work, timeout=0.9)], tool_threads=1) as (session, _):
        session.ask("?")
        assert sorted(outputs(session)) == ["0", "1", "2", "3", "4"]


def test_a_tool_may_ask_for_no_response() -> None:
    quiet = Tool(add, respond=False)
    with conversing_with([call("add", a=1)], tools=[quiet]) as (session, actor):
        response = session.ask("?")
        assert response.function_calls
        assert len(actor.turns) == 1
        assert session.ask("And?").text == "Heard ."
        assert outputs(session) == ["2"]
        sound(session)


def test_one_that_wants_a_response_is_enough() -> None:
    quiet = Tool(add, name="quiet", respond=False)
    with conversing_with([call("quiet", a=1), call("add", a=2)], tools=[quiet, add]) as (session, _):
        assert set(session.ask("?").text.removeprefix("Heard ").removesuffix(".").split()) == {"2", "3"}


def test_tools_run_within_a_context_of_the_program() -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def surroundings() -> Iterator[None]:
        see("in")
        yield
        see("out")

    def see(what: str) -> None:
        if threading.current_thread().name.startswith("rtsync-tools-"):  # Handlers have surroundings of their own.
            seen.append(what)

    def look() -> str:
        see("function")
        return "x"

    def allow(call: ToolCall) -> bool:
        see("approval")
        return True

    tools = [Tool(look, approval=allow)]
    with conversing_with([call("look")], tools=tools, within=surroundings) as (session, _), Told(session) as told:
        session.ask("?")
        told.until("finished")
    assert seen == ["in", "approval", "function", "out"]


def test_a_context_that_swallows_an_exception_is_a_tool_that_fails() -> None:
    def swallowing() -> Any:
        return contextlib.suppress(ValueError)

    def fail() -> None:
        raise ValueError

    with conversing_with([call("fail")], tools=[fail], within=swallowing) as (session, _):
        session.ask("?")
        assert outputs(session) == ['{"error":"the tool failed"}']


def test_a_context_that_fails_is_a_tool_that_fails() -> None:
    def broken() -> Any:
        raise RuntimeError("no application")

    with conversing_with([call("add", a=1)], tools=[add], within=broken) as (session, _), Told(session) as told:
        session.ask("?")
        assert outputs(session) == ['{"error":"the tool failed (RuntimeError)"}']
        assert isinstance(told.failure()[1], RuntimeError)


def test_calls_can_be_looked_at_while_they_run() -> None:
    running, go_on = threading.Event(), threading.Event()

    def slow(a: str) -> str:
        running.set()
        assert go_on.wait(LIMIT)
        return a

    with conversing_with([call("slow", a="canary")], tools=[slow]) as (session, _):
        asked = spawn(lambda: session.ask("?").text)
        assert running.wait(LIMIT)
        (found,) = session.tool_calls
        assert (found.name, found.arguments, found.status, found.output) == ("slow", {"a": "canary"}, "running", None)
        assert "canary" not in repr(found)
        go_on.set()
        assert asked.result() == "Heard canary."
        sound(session)


def test_a_chain_that_is_not_final_in_time_names_the_tool() -> None:
    go_on = threading.Event()

    def slow() -> None:
        assert go_on.wait(LIMIT)

    with conversing_with([call("slow")], tools=[slow]) as (session, _):
        response = session.respond().wait()
        with pytest.raises(WaitTimeout, match="slow"):
            response.final(timeout=0.2)
        go_on.set()
        assert response.final().text == "Heard null."
