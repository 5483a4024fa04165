"""Tools: functions called in parallel, and MCP servers that the simulator plays (protocol 3.5, 4.8)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rtsync.simulator import McpServer, McpTool, SimulatorServer, Turn
from rtsync.simulator.made_arguments import arguments_for
from tests.simulator.documented import check_ga
from tests.simulator.talk import Event, Talk, types, user_message

TEXT = {"type": "realtime", "output_modalities": ["text"]}


def function(name: str, **properties: Any) -> Event:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "name": name, "parameters": parameters}


def mcp(label: str = "docs", **fields: Any) -> Event:
    return {"type": "mcp", "server_label": label, "server_url": "https://example.test/mcp", **fields}


def search(arguments: Mapping[str, Any]) -> str:
    return f"Found: {arguments['q']}"


def forget(arguments: Mapping[str, Any]) -> str:
    raise ValueError("nothing to forget")


QUERY = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
DOCS = McpServer(
    "docs",
    (
        McpTool("search", search, "Search docs", QUERY, {"readOnlyHint": True}),
        McpTool("forget", forget),
    ),
)


@pytest.fixture
def served() -> Iterator[SimulatorServer]:
    with SimulatorServer(pace=False, mcp_servers=[DOCS]) as server:
        yield server


def configure(talk: Talk, *tools: Event) -> list[Event]:
    """Set the tools; what follows `session.updated`, up to the last listing."""
    talk.until("session.created")
    talk.send("session.update", session={**TEXT, "tools": list(tools)})
    talk.until("session.updated")
    listed = sum(tool["type"] == "mcp" for tool in tools)
    return [event for _ in range(listed) for event in talk.until("conversation.item.done")]


def turn(talk: Talk, text: str) -> list[Event]:
    talk.say(text)
    return talk.until("rate_limits.updated")[2:]


def response_of(events: list[Event]) -> Event:
    found: Event = events[-2]["response"]
    return found


def said(events: list[Event]) -> str:
    return str(response_of(events)["output"][0]["content"][0]["text"])


def test_every_function_that_is_named_is_called_and_every_output_is_told(simulator: SimulatorServer) -> None:
    tools = [function("get_weather", city={"type": "string"}), function("set_alarm", hour={"type": "integer"})]
    with Talk(simulator) as talk:
        configure(talk, *tools)
        events = turn(talk, "Please get weather for Tokyo and set_alarm at 7.")
        calls = response_of(events)["output"]
        for number, call in enumerate(calls):
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": f"out {number}"}
            talk.send("conversation.item.create", item=output)
            talk.until("conversation.item.done")
        talk.send("response.create")
        answer = talk.until("rate_limits.updated")
    for event in [*events, *answer]:
        check_ga(event)
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("get_weather", {"city": "Tokyo"}),
        ("set_alarm", {"hour": 7}),
    ]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1]
    assert len({call["call_id"] for call in calls}) == 2
    assert "out 0" in said(answer)
    assert "out 1" in said(answer)


@pytest.mark.parametrize("where", ["session", "response"])
def test_one_call_at_a_time_can_be_asked_for(simulator: SimulatorServer, where: str) -> None:
    one = {"parallel_tool_calls": False}
    with Talk(simulator) as talk:
        configure(talk, function("first"), function("second"))
        talk.send("session.update", session={**TEXT, **(one if where == "session" else {})})
        talk.until("session.updated")
        talk.send("conversation.item.create", item=user_message("first, second"))
        talk.send("response.create", response=one if where == "response" else {})
        calls = response_of(talk.until("rate_limits.updated"))["output"]
    assert [call["name"] for call in calls] == ["first"]


@pytest.mark.parametrize(
    ("schema", "words", "value"),
    [
        ({"type": "string"}, "Search for “two words” now", "two words"),
        ({"type": "string"}, "the x is: 5", "5"),
        ({"type": "string"}, "What is it like in Tokyo?", "Tokyo"),
        ({"type": "string"}, "just words", "just words"),
        ({"type": "integer"}, "give me 3 of them", 3),
        ({"type": "integer", "minimum": 5}, "give me some", 5),
        ({"type": "number"}, "it is -2.5 degrees", -2.5),
        ({"type": "number"}, "it is cold", 1.0),
        ({"enum": ["red", "blue"]}, "make it Blue", "blue"),
        ({"enum": ["red", "blue"]}, "make it nice", "red"),
        ({"type": "boolean"}, "", True),
        ({"type": ["null", "integer"]}, "4", 4),
        ({"type": "null"}, "", None),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, "9 lives", [9]),
        ({"type": "array"}, "", []),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, "8", {"n": 8}),
    ],
)
def test_arguments_come_from_the_words_or_fit_at_least(schema: Event, words: str, value: Any) -> None:
    assert arguments_for({"type": "object", "properties": {"x": schema}}, words) == {"x": value}


def test_a_known_server_is_listed(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        events = configure(talk, mcp(require_approval="never"))
    assert types(events) == [
        "conversation.item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "conversation.item.done",
    ]
    for event in events:
        check_ga(event)
    assert events[0]["item"]["tools"] == []
    assert [tool["name"] for tool in events[-1]["item"]["tools"]] == ["search", "forget"]
    assert events[-1]["item"]["tools"][0]["input_schema"] == QUERY


@pytest.mark.parametrize(
    ("allowed", "names"),
    [(["forget"], ["forget"]), ({"read_only": True}, ["search"]), ({"tool_names": ["search", "x"]}, ["search"])],
)
def test_a_session_lists_the_tools_it_allows(served: SimulatorServer, allowed: Any, names: list[str]) -> None:
    with Talk(served) as talk:
        listing = configure(talk, mcp(allowed_tools=allowed))[-1]["item"]
    assert [tool["name"] for tool in listing["tools"]] == names


def test_an_unknown_server_fails_to_list(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        events = configure(talk, mcp("nobody"))
    assert types(events)[2] == "mcp_list_tools.failed"
    for event in events:
        check_ga(event)


def test_a_server_is_listed_once(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        configure(talk, mcp())
        talk.send("session.update", session={**TEXT, "tools": [mcp(), mcp("simulator")]})
        listing = talk.until("conversation.item.done")[-1]["item"]
    assert listing["server_label"] == "simulator"


def test_a_tool_that_needs_no_approval_is_called_and_its_output_told(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        configure(talk, mcp(require_approval="never"))
        events = turn(talk, "search for “silence”")
        talk.send("response.create")
        answer = talk.until("rate_limits.updated")
    for event in [*events, *answer]:
        check_ga(event)
    assert types(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    (call,) = response_of(events)["output"]
    assert (call["arguments"], call["output"], call["error"]) == ('{"q": "silence"}', "Found: silence", None)
    assert "Found: silence" in said(answer)


def test_a_tool_that_fails_says_how(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        configure(talk, mcp(require_approval="never"))
        events = turn(talk, "forget it")
        talk.send("response.create")
        answer = talk.until("rate_limits.updated")
    for event in events:
        check_ga(event)
    (call,) = response_of(events)["output"]
    assert "response.mcp_call.failed" in types(events)
    assert call["error"] == {"type": "tool_execution_error", "message": "ValueError: nothing to forget"}
    assert call["output"] is None
    assert "The tool failed" in said(answer)


@pytest.mark.parametrize("rule", [None, "always", {"never": {"tool_names": ["forget"]}}])
@pytest.mark.parametrize("approve", [True, False])
def test_approval_is_asked_for_and_obeyed(served: SimulatorServer, rule: Any, approve: bool) -> None:
    with Talk(served) as talk:
        configure(talk, mcp(**({} if rule is None else {"require_approval": rule})))
        events = turn(talk, "search for “silence”")
        (request,) = response_of(events)["output"]
        response = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
        talk.send("conversation.item.create", item={"id": "item_P", **response})
        talk.until("conversation.item.done")
        talk.send("response.create")
        answer = talk.until("rate_limits.updated")
    for event in [*events, *answer]:
        check_ga(event)
    assert types(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert (request["type"], request["arguments"]) == ("mcp_approval_request", '{"q": "silence"}')
    (item,) = response_of(answer)["output"]
    if approve:
        assert (item["output"], item["approval_request_id"]) == ("Found: silence", request["id"])
    else:
        assert "may not call" in item["content"][0]["text"]


def test_one_tool_may_be_free_of_approval(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        configure(talk, mcp(require_approval={"never": {"tool_names": ["search"]}}))
        (call,) = response_of(turn(talk, "search for “silence”"))["output"]
    assert call["type"] == "mcp_call"


def test_a_choice_can_name_a_tool_of_a_server(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        configure(talk, mcp("simulator", require_approval="never"))
        choice = {"type": "mcp", "server_label": "simulator", "name": "echo"}
        talk.send("conversation.item.create", item=user_message("Hello"))
        talk.send("response.create", response={"tool_choice": choice})
        (call,) = response_of(talk.until("rate_limits.updated"))["output"]
    assert (call["name"], call["output"]) == ("echo", "Hello")


def test_a_brain_that_calls_what_is_not_there_gets_a_protocol_error() -> None:
    from rtsync.simulator import McpCall

    def brain(turn: Turn) -> list[McpCall]:
        return [McpCall("simulator", "nothing", "{}")]

    with SimulatorServer(pace=False, brain=brain) as server, Talk(server) as talk:
        configure(talk, mcp("simulator", require_approval="never"))
        events = turn(talk, "Hello")
    for event in events:
        check_ga(event)
    assert response_of(events)["output"][0]["error"]["type"] == "protocol_error"


def test_a_response_may_bring_its_own_server(served: SimulatorServer) -> None:
    with Talk(served) as talk:
        talk.text_only()
        talk.send("conversation.item.create", item=user_message("search for “silence”"))
        talk.send("response.create", response={"tools": [mcp(require_approval="never")]})
        events = talk.until("rate_limits.updated")
    kinds = types(events)
    assert kinds.index("mcp_list_tools.completed") < kinds.index("response.created")
    assert response_of(events)["output"][0]["output"] == "Found: silence"


def test_images_are_accepted_and_counted(simulator: SimulatorServer) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    with Talk(simulator) as talk:
        talk.text_only()
        content = [{"type": "input_text", "text": "What is this?"}, image]
        talk.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        talk.send("response.create")
        events = talk.until("rate_limits.updated")
    for event in events:
        check_ga(event)
    assert events[0]["item"]["content"] == content
    assert response_of(events)["usage"]["input_token_details"]["image_tokens"] > 0
