"""Tools of MCP servers: the program approves the service's calls, and the model goes on when they have ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import rtsync
from rtsync import ConfigurationError, McpRequest, OpenAI, RealtimeSession, SessionClosed, Simulator
from rtsync.simulator import McpCall, ScriptedBrain, SimulatorServer, Turn
from tests.loopback import LIMIT
from tests.session.actors import call, conversing_with
from tests.session.service import Json, Service, conversing, done, response, spawn
from tests.session.successive import at_once, attend, resuming, watched

ECHO = {"type": "mcp", "server_label": "simulator", "server_url": "https://example.test/mcp"}
FREE = {**ECHO, "require_approval": "never"}
TEXT = {"output_modalities": ["text"]}


def simulated(*tools: Mapping[str, Any], **options: Any) -> RealtimeSession:
    return RealtimeSession(Simulator(pace=False), config=TEXT, tools=tools or (ECHO,), **options)


def kinds(session: RealtimeSession) -> list[str]:
    return [item.type for item in session.conversation.items if item.type != "mcp_list_tools"]


def verdicts(session: RealtimeSession) -> list[tuple[bool, str | None]]:
    answers = [item.data for item in session.conversation.items if item.type == "mcp_approval_response"]
    return [(answer["approve"], answer.get("reason")) for answer in answers]


# -- the program decides -----------------------------------------------------------------------------------------------


def test_what_is_approved_is_called_and_leads_to_an_answer() -> None:
    asked: list[McpRequest] = []

    def approve(request: McpRequest) -> bool:
        assert threading.current_thread().name.startswith("rtsync-tools-")
        asked.append(request)
        return True

    with simulated(mcp_approval=approve) as session:
        assert session.ask("Please echo “hello”").text.startswith("The tool answered: “hello”.")
        (request,) = asked
        assert request.session is session
        assert (request.server_label, request.name, request.arguments) == ("simulator", "echo", {"text": "hello"})
        assert session.item(request.item_id) is not None
        assert "hello" not in repr(request)
        assert kinds(session) == ["message", "mcp_approval_request", "mcp_approval_response", "mcp_call", "message"]
        assert verdicts(session) == [(True, None)]


@pytest.mark.parametrize(
    ("verdict", "reason"), [(False, None), ("not today", "not today"), ("", None), (None, None), (1, None)]
)
def test_what_is_not_approved_is_not_called(verdict: Any, reason: str | None) -> None:
    with simulated(mcp_approval=lambda _: verdict) as session:
        said = session.ask("Please echo “hello”").text
        assert said.startswith("I may not call that tool" + (f": “{reason}”." if reason else "."))
        assert verdicts(session) == [(False, reason)]
        assert "mcp_call" not in kinds(session)


def test_an_approval_that_fails_is_a_no_and_is_reported() -> None:
    failures: list[BaseException] = []

    def note(_: object, *, error: BaseException, **more: Any) -> None:
        failures.append(error)

    def fail(_: McpRequest) -> bool:
        raise LookupError("a secret")

    with rtsync.handler_failed.connected_to(note), simulated(mcp_approval=fail) as session:
        assert session.ask("Please echo “hello”").text.startswith("I may not call that tool")
        assert verdicts(session) == [(False, "nobody could be asked")]
        session.close()
    assert [type(error) for error in failures] == [LookupError]


def test_several_requests_are_decided_side_by_side_and_share_one_answer() -> None:
    both = threading.Barrier(2)

    def approve(request: McpRequest) -> bool:
        both.wait(LIMIT)
        return request.name == "echo"

    with simulated(mcp_approval=approve) as session:
        said = session.ask("Please echo “hello” and fail").text
        assert "The tool answered: “hello”." in said
        assert sorted(verdicts(session)) == [(False, None), (True, None)]
        assert kinds(session).count("mcp_call") == 1


def test_arguments_that_are_no_object_are_refused_and_not_shown() -> None:
    def unexpected(_: McpRequest) -> bool:
        raise AssertionError

    def act(turn: Turn) -> list[Any]:
        return [McpCall("simulator", "echo", "[1")] if turn.items[-1]["type"] == "message" else ["So be it."]

    with RealtimeSession(
        Simulator(pace=False, brain=act), config=TEXT, tools=[ECHO], mcp_approval=unexpected
    ) as session:
        assert session.ask("Go").text == "So be it."
        assert verdicts(session) == [(False, "the arguments are no JSON object")]


def test_functions_and_servers_share_one_round() -> None:
    acts: list[Any] = [[call("add", a=1, b=2), McpCall("simulator", "echo", '{"text": "hello"}')], ["Done."]]
    with conversing_with(*acts, tools=[add, FREE]) as (session, actor):
        assert session.ask("Both").text == "Done."
        assert len(actor.turns) == 2
        assert {item["type"] for item in actor.turns[1].items} >= {"function_call_output", "mcp_call"}


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def test_a_request_beside_the_conversation_is_answered_beside_it() -> None:
    def act(turn: Turn) -> list[Any]:
        newest = turn.items[-1]
        if newest["type"] == "message":
            return [McpCall("simulator", "echo", '{"text": "hello"}')]
        if newest["type"] == "mcp_approval_response":
            return [McpCall("simulator", "echo", '{"text": "hello"}', newest["approval_request_id"])]
        return [f"Heard {newest['output']}."]

    target = Simulator(pace=False, brain=act)
    with RealtimeSession(target, config=TEXT, tools=[ECHO], mcp_approval=lambda _: True) as session:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go"}]}
        asked = session.respond(conversation="none", input=[item])
        assert asked.final(LIMIT).text == "Heard hello."
        assert kinds(session) == []


class Slow:
    """An approval that says yes when the test lets it."""

    def __init__(self) -> None:
        self.asked, self.leave = threading.Event(), threading.Event()

    def __call__(self, _: McpRequest) -> bool:
        self.asked.set()
        return self.leave.wait(LIMIT)


def test_an_interruption_is_a_no() -> None:
    slow = Slow()
    with simulated(mcp_approval=slow) as session, session.events("conversation.item.done", timeout=LIMIT) as items:
        asking = spawn(session.ask, "Please echo “hello”")
        assert slow.asked.wait(LIMIT)
        session.interrupt()
        answer = next(event.item for event in items if event.item.type == "mcp_approval_response")
        assert (answer.approve, answer.reason) == (False, "the user interrupted")
        assert asking.result().items[0]["type"] == "mcp_approval_request"
        slow.leave.set()
        assert session.ask("Hello").text.startswith("You said")
        assert verdicts(session) == [(False, "the user interrupted")]


def test_the_end_of_the_session_answers_nothing() -> None:
    slow = Slow()
    with simulated(mcp_approval=slow) as session:
        asking = spawn(session.ask, "Please echo “hello”")
        assert slow.asked.wait(LIMIT)
        session.close(timeout=0.2)
        slow.leave.set()
        with pytest.raises(SessionClosed):
            asking.result()
        assert verdicts(session) == []


# -- without a callable ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tools", "config", "update"])
def test_without_a_callable_the_request_is_the_programs_and_the_log_says_so(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "rtsync.tools")
    config: dict[str, Any] = {**TEXT, **({"tools": [ECHO]} if how == "config" else {})}
    options: dict[str, Any] = {"tools": [ECHO]} if how == "tools" else {}
    with RealtimeSession(Simulator(pace=False), config=config, **options) as session:
        if how == "update":
            session.update(tools=[ECHO])
        for _ in range(2):
            (request,) = session.ask("Please echo “hello”").items
            assert request["type"] == "mcp_approval_request"
    assert [record.message for record in caplog.records] == [
        "a call of an MCP server's tool waits for approval, which is left to the program: pass mcp_approval=, or create"
        " an item of type mcp_approval_response"
    ]


def test_a_server_of_the_configuration_alone_is_left_to_the_program() -> None:
    with RealtimeSession(Simulator(pace=False), config={**TEXT, "tools": [FREE]}) as session:
        assert [item["type"] for item in session.ask("Please echo “hello”").items] == ["mcp_call"]
        assert session.respond().wait(LIMIT).text.startswith("The tool answered")


def test_a_wrong_callable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="mcp_approval must be callable"):
        RealtimeSession(Simulator(), mcp_approval=True)  # type: ignore[arg-type]


# -- what is known of servers and calls --------------------------------------------------------------------------------


def test_calls_without_approval_are_followed_by_an_answer() -> None:
    with simulated(FREE) as session:
        said = session.ask("Please echo “hello” and fail").text
        assert said.startswith("The tool answered: “hello”. The tool failed: ")
        assert kinds(session) == ["message", "mcp_call", "mcp_call", "message"]


def test_the_events_of_listing_and_calling_are_told() -> None:
    unknown = {"type": "mcp", "server_label": "nobody", "server_url": "https://example.test/mcp"}
    told: list[str] = []
    session = simulated(FREE, unknown)
    for kind in ("mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_list_tools.failed"):
        session.on(kind, lambda _, event: told.append(event.type))
    for kind in ("response.mcp_call_arguments.done", "response.mcp_call.completed", "response.mcp_call.failed"):
        session.on(kind, lambda _, event: told.append(event.type))
    with session:
        session.ask("Please echo “hello” and fail")
    listing, calling = told[:4], told[4:]
    assert listing == [f"mcp_list_tools.{step}" for step in ("in_progress", "completed", "in_progress", "failed")]
    assert [kind.removeprefix("response.") for kind in calling] == [
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "mcp_call_arguments.done",
        "mcp_call.failed",
    ]


def test_items_show_the_listing_and_the_calls() -> None:
    with simulated(FREE) as session:
        session.ask("Please echo “hello” and fail")
        listing, _, good, bad, _ = session.conversation.items
        assert [tool["name"] for tool in listing.data["tools"]] == ["echo", "fail"]
        assert (good.data["output"], good.data["error"]) == ("hello", None)
        assert bad.data["error"]["type"] == "tool_execution_error"


def test_turns_show_how_long_the_service_took() -> None:
    with simulated(FREE) as session:
        session.ask("Please echo “hello”")
        first, _ = session.turns
        (span,) = first.tools
        assert span.name == "echo"
        assert span.answered_at is not None
        assert span.called_at <= span.answered_at
        assert "echo" in rtsync.timeline_page(session.turns)


# -- a service that goes on by itself ----------------------------------------------------------------------------------

REQUEST = {"id": "item_Q", "type": "mcp_approval_request", "server_label": "docs", "name": "search", "arguments": "{}"}
CALL = {
    "id": "item_M",
    "type": "mcp_call",
    "server_label": "docs",
    "name": "search",
    "arguments": "{}",
    "approval_request_id": "item_Q",
    "output": None,
    "error": None,
}
ENDED = {**CALL, "output": "found"}
DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://example.test/mcp"}


def written(item: Json, *steps: Json, response_id: str = "resp_1") -> list[Json]:
    """An item of a response."""
    place = {"response_id": response_id, "output_index": 0}
    return [
        {"type": "response.output_item.added", **place, "item": item},
        {"type": "conversation.item.added", "item": item},
        *steps,
        {"type": "conversation.item.done", "item": steps[-1]["item"] if steps and "item" in steps[-1] else item},
        {"type": "response.output_item.done", **place, "item": item},
    ]


def step(name: str) -> Json:
    return {"type": f"response.mcp_call.{name}", "item_id": "item_M", "output_index": 0}


def spoken(text: str, response_id: str) -> list[Json]:
    message = {"id": "item_W", "type": "message", "role": "assistant", "content": []}
    whole = {**message, "content": [{"type": "output_text", "text": text}]}
    return [*written(message, response_id=response_id)[:2], *written(whole, response_id=response_id)[2:]]


def asking(event: Json) -> list[Json]:
    """A response that asks for approval."""
    metadata = event.get("response", {}).get("metadata")
    return [
        response("response.created", metadata=metadata),
        *written(REQUEST),
        response("response.done", output=[REQUEST], metadata=metadata),
    ]


IN_THE_CONVERSATION = [
    {"type": "conversation.item.added", "item": CALL},
    step("in_progress"),
    step("completed"),
    {"type": "conversation.item.done", "item": ENDED},
]
IN_A_RESPONSE = [
    response("response.created", "resp_2"),
    *written(CALL, step("in_progress"), step("completed"), response_id="resp_2"),
    response("response.done", "resp_2", output=[ENDED]),
]
WITH_WORDS = [
    response("response.created", "resp_2"),
    *written(CALL, step("in_progress"), step("completed"), response_id="resp_2"),
    *spoken("I looked.", "resp_2"),
    done("resp_2", "I looked."),
]
BEHIND_A_RESPONSE = [
    response("response.created", "resp_2"),
    *written(CALL, step("in_progress"), response_id="resp_2"),
    response("response.done", "resp_2", output=[CALL]),
    step("failed"),
]


class Acting:
    """The service's end: asks for approval, and goes on by itself once it has that.

    Attributes:
        approvals: the answers that it was given.
        asked: how many responses it was asked for.
    """

    def __init__(self, *goes_on: Json, first: list[Json] | None = None) -> None:
        self.approvals: list[Json] = []
        self.asked = 0
        self._goes_on = goes_on
        self._first = first

    def __call__(self, service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            self.asked += 1
            if self.asked == 1:
                service.say(*(asking(event) if self._first is None else self._first))
                return
        attend(service, event)
        if event["type"] == "conversation.item.create" and event["item"]["type"] == "mcp_approval_response":
            self.approvals.append(event["item"])
            service.say(*self._goes_on)


@pytest.mark.parametrize(
    ("goes_on", "responses"),
    [
        ([], 2),
        (IN_THE_CONVERSATION, 2),
        (IN_A_RESPONSE, 2),
        (BEHIND_A_RESPONSE, 2),
        (WITH_WORDS, 1),
    ],
    ids=["waits to be asked", "in the conversation", "in a response", "behind a response", "with words"],
)
def test_an_approved_call_is_followed_by_one_answer_whoever_begins_it(goes_on: list[Json], responses: int) -> None:
    service = Acting(*goes_on)
    with conversing(service, tools=[DOCS], mcp_approval=lambda _: True) as (session, _):
        said = session.ask("Search", timeout=LIMIT).text
        assert session.respond().wait(LIMIT).text == "Yes."  # Whatever else was sent came before this.
        assert said == ("Yes." if responses == 2 else "I looked.")
        assert service.asked == responses + 1
        (approval,) = service.approvals
        assert (approval["approval_request_id"], approval["approve"]) == ("item_Q", True)


def test_a_request_that_is_told_twice_is_asked_once() -> None:
    asked: list[str] = []

    def approve(request: McpRequest) -> str:
        asked.append(request.item_id)
        return "no"

    service = Acting({"type": "conversation.item.done", "item": REQUEST}, *written(REQUEST))
    with conversing(service, tools=[DOCS], mcp_approval=approve) as (session, _):
        assert session.ask("Search", timeout=LIMIT).text == "Yes."
        assert asked == ["item_Q"]
        assert [(each["approve"], each["reason"]) for each in service.approvals] == [(False, "no")]


def test_a_call_that_ends_behind_its_response_is_followed_by_an_answer() -> None:
    running = threading.Event()

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and not running.is_set():
            running.set()
            metadata = event["response"]["metadata"]
            service.say(
                response("response.created", metadata=metadata),
                *written({**CALL, "approval_request_id": None}, step("in_progress")),
                response("response.done", output=[CALL], metadata=metadata),
            )
        else:
            attend(service, event)

    with conversing(answer, tools=[FREE]) as (session, service):
        asked = session.respond()
        asked.wait(LIMIT)
        service.say(step("completed"), {"type": "conversation.item.done", "item": ENDED})
        assert asked.final(LIMIT).text == "Yes."


@pytest.mark.parametrize("restore", ["conversation", "config"])
def test_a_conversation_that_does_not_know_the_request_makes_it_anew(
    restore: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rtsync.tools")
    slow, first, second = Slow(), Acting(), Acting()
    second.asked = 0 if restore == "config" else 1
    policy = at_once(restore=restore)
    with resuming(first, second, reconnect=policy, tools=[DOCS], mcp_approval=slow) as (session, services):
        asked = spawn(session.ask, "Search")
        assert slow.asked.wait(LIMIT)
        with watched(session) as signals:
            services[1].peer.reset()
            signals.until("reconnected")
        slow.leave.set()
        assert asked.result().text == ("Yes." if restore == "conversation" else "")
        assert (first.approvals, second.approvals) == ([], [])
        assert session.tool_calls == ()
        session.close()
    assert "the new connection does not know of 1 calls, which are not answered: docs.search" in caplog.text


@pytest.mark.parametrize("late", [False, True], ids=["decided at once", "decided on the next line"])
def test_a_line_that_breaks_behind_a_request_costs_no_answer(late: bool) -> None:
    back = threading.Event()

    def come_back(*_: object, **__: object) -> None:
        back.set()

    def approve(_: McpRequest) -> bool:
        return back.wait(LIMIT) if late else True

    with (
        SimulatorServer(pace=False, faults=["reset@on=response.done,first=1"]) as server,
        rtsync.reconnected.connected_to(come_back),
        RealtimeSession(
            OpenAI(base_url=server.openai_url, api_key="k"),
            config=TEXT,
            tools=[ECHO],
            mcp_approval=approve,
            reconnect=at_once(restore="conversation"),
        ) as session,
    ):
        assert session.ask("Please echo “hello”").text.startswith("The tool answered: “hello”.")
        assert kinds(session).count("mcp_call") == 1


def test_an_approval_that_was_heard_before_the_line_broke_is_no_part_of_what_is_restored() -> None:
    is_heard = threading.Event()

    def hold(turn: Turn) -> Iterator[Any]:
        yield from ScriptedBrain()(turn)
        if not is_heard.is_set():
            assert is_heard.wait(LIMIT)

    def note(session: RealtimeSession, event: Any) -> None:
        if event.item.type == "mcp_approval_response":
            is_heard.set()

    with (
        SimulatorServer(pace=False, brain=hold, faults=["reset@on=response.done,first=1"]) as server,
        RealtimeSession(
            OpenAI(base_url=server.openai_url, api_key="k"),
            config=TEXT,
            tools=[ECHO],
            mcp_approval=lambda _: True,
            reconnect=at_once(restore="conversation"),
        ) as session,
    ):
        session.on("conversation.item.done", note)
        assert session.ask("Please echo “hello”").text.startswith("The tool answered: “hello”.")
        assert kinds(session) == ["message", "mcp_approval_request", "mcp_approval_response", "mcp_call", "message"]


def test_items_of_the_program_are_not_mistaken_for_listings() -> None:
    with RealtimeSession(Simulator(pace=False), config=TEXT) as session:
        session.send({"type": "session.update", "session": {"type": "realtime", "tools": [FREE]}})
        content = [{"type": "input_text", "text": "Hello"}]
        added = session.add_item({"type": "message", "role": "user", "content": content})
        assert added.item.type == "message"
