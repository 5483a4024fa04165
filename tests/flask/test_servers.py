"""Conversations through real web servers: by server-sent events, by the relay, and cut in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from flask import Flask

from rtsync import OpenAI
from rtsync.simulator import SimulatorServer
from rtsync.simulator.brains import FunctionCall, Turn
from tests.bus.conversing import LIMIT, Memory
from tests.flask.serving import HELLO, Browser, gunicorn, werkzeug
from tests.flask.shop import create_app

Serving = Callable[[], AbstractContextManager[int]]


@contextmanager
def behind_werkzeug() -> Iterator[int]:
    with werkzeug(create_app(RTSYNC_TARGET="simulator")) as port:
        yield port


@pytest.fixture(params=[behind_werkzeug, gunicorn], ids=["werkzeug", "gunicorn"])
def anybody(request: pytest.FixtureRequest) -> Iterator[Browser]:
    serving: Serving = request.param
    with serving() as port:
        yield Browser(port)


def test_a_conversation_by_server_sent_events_and_by_the_relay(anybody: Browser) -> None:
    path = anybody.open()
    reader = anybody.read(path)
    anybody.say(path)
    seen = reader.until("response.done")
    assert "response.output_text.delta" in [event["type"] for event in seen]
    last = reader.last_id
    reader.close()

    with anybody.socket(f"{path}", open_timeout=LIMIT) as websocket:
        websocket.send(json.dumps({"type": "conversation.item.create", "item": HELLO}))
        websocket.send(json.dumps({"type": "response.create"}))
        done = 0
        while done < 2:  # The first one is in the past.
            done += json.loads(websocket.recv(timeout=LIMIT))["type"] == "response.done"

    reader = anybody.read(path, after=last)
    assert "session.created" not in [event["type"] for event in reader.until("response.done")]
    reader.close()

    answer, told = anybody.ask("GET", path)
    assert answer.getheader("Cache-Control") == "no-store"
    assert [item["role"] for item in told["items"]] == ["user", "assistant"] * 2
    assert anybody.ask("DELETE", path)[0].status == 204
    assert anybody.ask("GET", "/sessions")[1] == {"sessions": []}


def test_the_end_of_a_session_ends_its_streams(ann: Browser) -> None:
    path = ann.open()
    reader = ann.read(path)
    with ann.socket(path) as websocket:
        ann.ask("DELETE", path)
        for frame in websocket:
            last = json.loads(frame)
        assert (last["type"], websocket.close_code) == ("rtsync.session.closed", 1000)
    assert reader.until("rtsync.stream.end")[-1]["again"] is False
    reader.close()


def test_a_command_that_is_repeated_is_done_once(ann: Browser, memory: Memory) -> None:
    path = ann.open()
    reader = ann.read(path)
    for _ in range(3):  # As of a page whose first two answers were lost.
        for event in (
            {"type": "conversation.item.create", "event_id": "event_a", "item": {"id": "item_a", **HELLO}},
            {"type": "response.create", "event_id": "event_b"},
        ):
            assert ann.ask("POST", f"{path}/events", event)[1] == {"event_id": event["event_id"]}
    reader.until("response.done")
    ann.say(path, "again")
    reader.until("response.done")
    assert memory.asked == 2
    said = [part["text"] for item in ann.ask("GET", path)[1]["items"] for part in item["content"]]
    assert said == ["Hello", "I know: Hello", "again", "I know: Hello, again"]
    reader.close()


def test_handlers_and_tools_run_in_the_context_of_the_application(app: Flask, ann: Browser) -> None:
    path = ann.open()
    reader = ann.read(path)
    ann.say(path)
    reader.until("response.done")
    reader.close()
    ann.ask("DELETE", path)
    app.extensions["rtsync"].stop(timeout=LIMIT)  # Behind which all handlers have run.
    assert app.config["SEEN"] == [("opened", "ann"), ("response.done", "tests.flask.shop")]


def test_a_tool_reads_the_configuration_of_its_application() -> None:
    def brain(turn: Turn) -> Iterator[str | FunctionCall]:
        if turn.items[-1]["type"] == "function_call_output":
            yield turn.items[-1]["output"]
        else:
            yield FunctionCall("price_of", '{"article": "bread"}')

    with SimulatorServer(brain=brain, pace=False) as service:
        app = create_app(RTSYNC_TARGET=OpenAI("any", api_key="any", base_url=service.openai_url))
        with werkzeug(app) as port:
            ann = Browser(port)
            path = ann.open()
            reader = ann.read(path)
            ann.say(path)
            said = reader.until("response.output_text.done")[-1]["text"]
            reader.close()
    assert said == "4.20"
