"""Answers: text, sound, function calls, MCP calls, and one beside the conversation (protocol 3.5)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rtsync import Item, Usage
from tests.scenarios.replay import Replay, client_events, replayed, sound


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def told(item: Item) -> tuple[str, str | None, str | None, str]:
    """What an item is, and its words."""
    return item.id, item.role or item.type, item.status, item.text or item.transcript


def heard_all(replay: Replay) -> bool:
    return replay.seen_types == replay.sent_types


def test_a_text_answer() -> None:
    with replayed("text") as replay:
        session = replay.session
        session.update(output_modalities=["text"])
        session.send({"type": "conversation.item.create", "item": said("Say hi")})
        response = session.respond()
        assert list(response.text_deltas()) == ["Hi", " there!"]
        response.wait()
        limits = session.wait_for("rate_limits.updated").rate_limits
        conversation = replay.finish()
    assert (response.id, response.status, response.text, response.transcript) == (
        "resp_1",
        "completed",
        "Hi there!",
        "",
    )
    assert response.usage is not None
    assert response.usage["input_token_details"]["cached_tokens_details"]["text_tokens"] == 64
    assert list(map(told, conversation.items)) == [
        ("item_1", "user", "completed", "Say hi"),
        ("item_2", "assistant", "completed", "Hi there!"),
    ]
    assert conversation.config["output_modalities"] == ["text"]
    assert conversation.usage == Usage(
        responses=1,
        total_tokens=127,
        input_tokens=120,
        output_tokens=7,
        input_text_tokens=120,
        cached_tokens=64,
        cached_text_tokens=64,
        output_text_tokens=7,
    )
    assert [(known.id, known.status) for known in conversation.responses] == [("resp_1", "completed")]
    assert conversation.rate_limits == limits.to_list()
    assert conversation.rate_limits[0]["remaining"] == 39873
    assert heard_all(replay)


def test_a_spoken_answer() -> None:
    with replayed("audio") as replay:
        replay.session.add_item(said("Say hi"))
        response = replay.session.respond()
        assert list(response.audio_chunks()) == [sound(4800), sound(7200), sound(12000)]
        response.wait()
        conversation = replay.finish()
    assert (response.text, response.transcript) == ("", "Hi there!")
    assert response.audio == sound(4800) + sound(7200) + sound(12000)
    assert list(response.text_deltas()) == ["Hi", " there!"]
    assert told(conversation.items[1]) == ("item_2", "assistant", "completed", "Hi there!")
    assert conversation.items[1].data["content"] == [{"type": "output_audio", "transcript": "Hi there!"}]
    assert (conversation.usage.output_audio_tokens, conversation.usage.input_audio_tokens) == (18, 13)
    assert conversation.rate_limits[0]["remaining"] == 39843
    assert heard_all(replay)


def test_a_spoken_answer_leaves_no_sound_in_the_state() -> None:
    with replayed("audio") as replay:
        replay.session.ask("Say hi")
        conversation = replay.finish()
    sent = base64.b64encode(sound(4800)).decode()[:64]
    assert sent not in repr(conversation)
    assert sent not in repr(replay.seen)


def test_a_function_call_and_what_comes_of_it() -> None:
    with replayed("function_call") as replay:
        session = replay.session
        session.add_item(said("What is the weather in Tokyo?"))
        call = session.respond().wait()
        assert [(each["name"], json.loads(each["arguments"])) for each in call.function_calls] == [
            ("get_weather", {"city": "Tokyo"})
        ]
        call_id = call.function_calls[0]["call_id"]
        session.add_item({"type": "function_call_output", "call_id": call_id, "output": '{"c":21}'})
        answer = session.respond().wait()
        conversation = replay.finish()
    assert (call.text, call.status, answer.text) == ("", "completed", "21 degrees in Tokyo.")
    assert [item.type for item in conversation.items] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    asked, given = conversation.items[1].data, conversation.items[2].data
    assert (asked["name"], asked["call_id"], asked["arguments"]) == ("get_weather", "call_1", '{"city":"Tokyo"}')
    assert (given["call_id"], given["output"]) == ("call_1", '{"c":21}')
    assert conversation.usage.total_tokens == 194 + 127
    assert [known.id for known in conversation.responses] == ["resp_1", "resp_2"]
    assert heard_all(replay)


def test_the_arguments_of_a_call_are_there_while_they_come() -> None:
    """At each delta at least what has come so far; what arrived with it may be there already."""
    grown: list[Any] = []
    with replayed("function_call", handlers="inline") as replay:
        session = replay.session
        session.on(
            "response.function_call_arguments.delta",
            lambda session, event: grown.append(session.item("item_2").data["arguments"]),
        )
        session.add_item(said("What is the weather in Tokyo?"))
        call = session.respond().wait().function_calls[0]
        session.add_item({"type": "function_call_output", "call_id": call["call_id"], "output": '{"c":21}'})
        session.respond().wait()
        replay.finish()
    assert grown[0] in ('{"city":', '{"city":"Tokyo"}')
    assert grown[1:] == ['{"city":"Tokyo"}']


def test_an_mcp_server_is_listed_and_called() -> None:
    tools = [
        {
            "type": "mcp",
            "server_label": "docs",
            "server_url": "https://example.test/mcp",
            "require_approval": "never",
        }
    ]
    with replayed("mcp_call") as replay:
        session = replay.session
        session.update(tools=tools)
        assert session.wait_for("mcp_list_tools.completed").item_id == "item_L"
        session.add_item(said("How does voice detection work?"))
        response = session.respond().wait()
        conversation = replay.finish()
    assert [(item["type"], item["arguments"], item["output"]) for item in response.items] == [
        ("mcp_call", '{"q":"vad"}', "...")
    ]
    assert [item.id for item in conversation.items] == ["item_L", "item_1", "item_M"]
    listed, _, called = conversation.items
    assert [tool["name"] for tool in listed.data["tools"]] == ["search"]
    assert (called.type, called.data["output"], called.data["error"]) == ("mcp_call", "...", None)
    assert conversation.config["tools"][0]["server_label"] == "docs"
    assert heard_all(replay)


def test_an_mcp_call_that_must_be_approved() -> None:
    with replayed("mcp_approval") as replay:
        session = replay.session
        session.add_item(said("How does voice detection work?"))
        (request,) = session.respond().wait().items
        assert (request["type"], request["name"]) == ("mcp_approval_request", "search")
        session.add_item(
            {"id": "item_P", "type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
        )
        (call,) = session.respond().wait().items
        conversation = replay.finish()
    assert (call["type"], call["output"]) == ("mcp_call", "...")
    assert [(item.id, item.type) for item in conversation.items] == [
        ("item_1", "message"),
        ("item_Q", "mcp_approval_request"),
        ("item_P", "mcp_approval_response"),
        ("item_M", "mcp_call"),
    ]
    assert heard_all(replay)


def test_an_answer_beside_the_conversation() -> None:
    with replayed("out_of_band") as replay:
        session = replay.session
        session.add_item(said("Good morning"))
        title = session.respond(
            conversation="none",
            output_modalities=["text"],
            metadata={"purpose": "title"},
            instructions="Title this.",
            input=[{"type": "item_reference", "id": "item_1"}],
        ).wait()
        conversation = replay.finish()
    assert (title.text, title.metadata["purpose"]) == ("Greeting", "title")
    assert list(map(told, conversation.items)) == [("item_1", "user", "completed", "Good morning")]
    assert [(known.id, known.status) for known in conversation.responses] == [("resp_9", "completed")]
    assert conversation.usage.total_tokens == 43
    assert heard_all(replay)


@pytest.mark.parametrize("name", ["text", "audio", "function_call", "mcp_call", "mcp_approval", "out_of_band"])
def test_events_sent_by_hand_lead_to_the_same_end(name: str) -> None:
    with replayed(name) as replay:
        for event in client_events(name):
            replay.session.send(event)
        conversation = replay.finish()
    assert {known.status for known in conversation.responses} == {"completed"}
    assert {item.status for item in conversation.items} <= {"completed", None}
    assert all(item.text or item.transcript for item in conversation.items if item.type == "message")
    assert heard_all(replay)
