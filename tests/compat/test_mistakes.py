"""Every error that leaves the session open (protocol 6.4) reaches the caller as a ``ServerError`` with its code."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync import OpenAI, RealtimeSession, ServerError, SessionExpired
from rtsync.simulator import SimulatorServer
from tests.simulator.test_mistakes import LATER, MISTAKES, say_hello

NEVER = "mcp_list_tools.failed"
TYPED = [mistake for mistake in MISTAKES if "type" in mistake[0]]


def opened(server: SimulatorServer) -> RealtimeSession:
    return RealtimeSession(OpenAI(api_key="any", base_url=server.openai_url))


@pytest.fixture(scope="module")
def server() -> Any:
    with SimulatorServer(pace=False) as running:
        yield running


@pytest.mark.parametrize(("event", "code", "param", "message"), TYPED)
def test_a_mistake_is_raised_where_its_sender_waits(
    server: SimulatorServer, event: dict[str, Any], code: str | None, param: str | None, message: str
) -> None:
    with opened(server) as session:
        event_id = session.send(event)
        with pytest.raises(ServerError) as refused:
            session.wait_for(NEVER)
        error = refused.value
        assert (error.code, error.param, error.event_id, error.request) == (code, param, event_id, event["type"])
        assert message in str(error)
        assert session.update(instructions="Still there?").session.instructions == "Still there?"


@pytest.mark.parametrize("name", LATER)
def test_a_mistake_that_needs_a_history_is_raised_too(name: str) -> None:
    setup, event, code, param, message = LATER[name]
    with SimulatorServer(pace=False, brain=say_hello) as server, opened(server) as session:
        spoken = ""
        for earlier in setup:
            session.send(earlier)
            if earlier["type"] == "response.create":
                spoken = session.wait_for("response.done").response.output[0].id
            else:
                session.wait_for("conversation.item.done")
        session.send({key: spoken if value == "item_A" else value for key, value in event.items()})
        with pytest.raises(ServerError) as refused:
            session.wait_for(NEVER)
        assert (refused.value.code, refused.value.param) == (code, param)
        assert message in str(refused.value)


def test_a_second_response_that_is_asked_for_by_hand_is_refused_by_its_code() -> None:
    with SimulatorServer() as server, opened(server) as session:
        session.send({"type": "response.create"})
        session.wait_for("response.created")
        session.send({"type": "response.create"})
        with pytest.raises(ServerError) as refused:
            session.wait_for(NEVER)
        assert refused.value.code == "conversation_already_has_active_response"


def test_a_session_that_expires_says_so() -> None:
    with SimulatorServer(pace=False, max_session_seconds=0.2) as server, opened(server) as session:
        with pytest.raises(SessionExpired) as ended:
            session.wait_for(NEVER)
        assert ended.value.code == 1001
