"""openai-agents' realtime runner holds text, tool, audio, cancel and error turns with the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.model_inputs import RealtimeModelSendInterrupt, RealtimeModelSendRawMessage

from rtsync.simulator import SimulatorServer
from tests.simulator.talk import LIMIT

TURNS_OF_A_TOOL_CALL = 2  # the call, and the answer to its output


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


class Heard:
    """What the runner made of the server's events."""

    def __init__(self) -> None:
        self.ended = 0
        self.tools: list[tuple[str, str]] = []
        self.errors: list[Any] = []
        self.audio_bytes = 0

    def take(self, event: Any) -> None:
        if event.type == "agent_end":
            self.ended += 1
        elif event.type == "tool_end":
            self.tools.append((event.tool.name, event.output))
        elif event.type == "error":
            self.errors.append(event.error)
        elif event.type == "audio":
            self.audio_bytes += len(event.audio.data)


async def hold(server: SimulatorServer, modality: str, *messages: tuple[str, int]) -> tuple[Heard, str]:
    """Send messages, each after the agent's turns that belong to the one before; what was heard, and the history."""
    runner = RealtimeRunner(RealtimeAgent(name="Agent", instructions="Be brief.", tools=[get_weather]))
    model: Any = {"url": f"{server.url}/v1/realtime?model=gpt-realtime", "api_key": "k"}
    model["initial_model_settings"] = {"modalities": [modality]}
    heard, history, expected = Heard(), "", 0
    waiting = list(messages)
    async with await runner.run(model_config=model) as session:
        async for event in _with_first(session, waiting):
            heard.take(event)
            if event.type == "history_updated":
                history = str(event.history)
            if event.type == "agent_end":
                expected = expected or messages[0][1]
                if heard.ended == expected:
                    if not waiting:
                        break
                    text, turns = waiting.pop(0)
                    expected += turns
                    await session.send_message(text)
    return heard, history


async def _with_first(session: Any, waiting: list[tuple[str, int]]) -> Any:
    await session.send_message(waiting.pop(0)[0])
    async for event in session:
        yield event


def test_the_runner_holds_a_text_turn_and_a_tool_turn(simulator: SimulatorServer) -> None:
    talk = hold(simulator, "text", ("Hello there", 1), ("Please get weather for Tokyo", TURNS_OF_A_TOOL_CALL))
    heard, history = asyncio.run(asyncio.wait_for(talk, LIMIT))
    assert heard.errors == []
    assert heard.tools == [("get_weather", "It rains in Tokyo.")]
    assert "You said: “Hello there”" in history


def test_the_runner_gets_sound(simulator: SimulatorServer) -> None:
    heard, history = asyncio.run(asyncio.wait_for(hold(simulator, "audio", ("Hello there", 1)), LIMIT))
    assert heard.errors == []
    assert heard.audio_bytes > 48_000
    assert "You said: “Hello there”" in history


async def raw_events(server: SimulatorServer, act: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """Say hello in speech, do ``act`` at the first sound, and hear on until two responses have ended."""
    runner = RealtimeRunner(RealtimeAgent(name="Agent", instructions="Be brief."))
    model: Any = {"url": f"{server.url}/v1/realtime?model=gpt-realtime", "api_key": "k"}
    told: list[dict[str, Any]] = []
    errors: list[Any] = []
    ended = acted = 0
    async with await runner.run(model_config=model) as session:
        await session.send_message("Say a couple paragraphs!")
        async for event in session:
            if event.type == "error":
                errors.append(event.error)
            if event.type == "audio" and not acted:
                acted = 1
                await act(session)
            if event.type != "raw_model_event" or event.data.type != "raw_server_event":
                continue
            told.append(event.data.data)
            if event.data.data["type"] == "response.done":
                ended += 1
                if ended == 2:
                    break
                await session.send_message("And now one sentence.")
    return told, errors


def test_the_runner_cancels_an_answer_and_goes_on() -> None:
    async def cancel(session: Any) -> None:
        await session.model.send_event(RealtimeModelSendRawMessage(message={"type": "response.cancel"}))

    with SimulatorServer() as server:
        told, errors = asyncio.run(asyncio.wait_for(raw_events(server, cancel), LIMIT))
    done = [event["response"] for event in told if event["type"] == "response.done"]
    assert [response["status"] for response in done] == ["cancelled", "completed"]
    assert done[0]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert errors == []


def test_the_runner_interrupts_what_is_being_said_and_truncates_it() -> None:
    async def interrupt(session: Any) -> None:
        await session.model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))

    with SimulatorServer() as server:
        told, errors = asyncio.run(asyncio.wait_for(raw_events(server, interrupt), LIMIT))
    done = [event["response"] for event in told if event["type"] == "response.done"]
    assert [response["status"] for response in done] == ["cancelled", "completed"]
    assert [event["content_index"] for event in told if event["type"] == "conversation.item.truncated"] == [0]
    assert errors == []


def test_the_runner_is_told_of_a_mistake_and_goes_on() -> None:
    async def mistake(session: Any) -> None:
        message: Any = {"type": "conversation.item.delete", "other_data": {"item_id": "nowhere"}}
        await session.model.send_event(RealtimeModelSendRawMessage(message=message))

    with SimulatorServer(pace=False) as server:
        told, errors = asyncio.run(asyncio.wait_for(raw_events(server, mistake), LIMIT))
    assert [event["error"]["code"] for event in told if event["type"] == "error"] == ["item_delete_invalid_item_id"]
    assert len(errors) == 1
    statuses = [event["response"]["status"] for event in told if event["type"] == "response.done"]
    assert statuses == ["completed", "completed"]
