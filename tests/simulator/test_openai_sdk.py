"""The official openai SDK holds its turns with the simulator: sync and async, OpenAI and Azure.

Text (the walkthrough), sound, speech, a tool, a cancelled answer and a mistake.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from rtsync.simulator import SimulatorServer, Turn
from tests.simulator.sounds import coded, silence, speech

ITEM: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say a couple paragraphs!"}]}
GA_SESSION: Any = {"type": "realtime", "output_modalities": ["text"]}
PREVIEW_SESSION: Any = {"modalities": ["text"]}
API_VERSION = "2024-10-01-preview"


class Heard:
    """What a client heard: text by delta, and what the last events said."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.text = ""
        self.final_text = ""
        self.error_event_id: str | None = None

    def take(self, event: Any) -> bool:
        """True when the conversation is over."""
        self.types.append(event.type)
        if event.type in ("response.output_text.delta", "response.text.delta"):
            self.text += event.delta
        elif event.type in ("response.output_text.done", "response.text.done"):
            self.final_text = event.text
        elif event.type == "error":
            self.error_event_id = event.error.event_id
            return True
        return False

    def check(self) -> None:
        assert self.types[:2] == ["session.created", "session.updated"]
        assert self.types[-3:] == ["response.done", "rate_limits.updated", "error"]
        assert self.text == self.final_text
        assert self.text.count("\n\n") == 1
        assert self.error_event_id == "mine"


def walk(client: Any, session: Any) -> Heard:
    heard = Heard()
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session=session)
        connection.conversation.item.create(item=ITEM)
        connection.response.create()
        for event in connection:
            if heard.take(event):
                break
            if event.type == "rate_limits.updated":
                connection.response.cancel(event_id="mine")
    client.close()
    return heard


async def walk_async(client: Any, session: Any, **connect: Any) -> Heard:
    heard = Heard()
    async with client.realtime.connect(model="gpt-realtime", **connect) as connection:
        await connection.session.update(session=session)
        await connection.conversation.item.create(item=ITEM)
        await connection.response.create()
        async for event in connection:
            if heard.take(event):
                break
            if event.type == "rate_limits.updated":
                await connection.response.cancel(event_id="mine")
    await client.close()
    return heard


def test_the_sync_openai_client_holds_the_walkthrough(simulator: SimulatorServer) -> None:
    walk(OpenAI(api_key="k", base_url=simulator.openai_url), GA_SESSION).check()


def test_the_async_openai_client_holds_the_walkthrough(simulator: SimulatorServer) -> None:
    asyncio.run(walk_async(AsyncOpenAI(api_key="k", base_url=simulator.openai_url), GA_SESSION)).check()


def test_the_openai_client_reaches_the_azure_ga_path(simulator: SimulatorServer) -> None:
    client = OpenAI(api_key="k", base_url=f"{simulator.azure_endpoint}/openai/v1/")
    walk(client, GA_SESSION).check()


def test_the_sync_azure_client_holds_the_walkthrough(simulator: SimulatorServer) -> None:
    client = AzureOpenAI(
        api_key="k",
        azure_endpoint=simulator.azure_endpoint,
        api_version=API_VERSION,
        websocket_base_url=f"{simulator.url}/openai",
    )
    walk(client, PREVIEW_SESSION).check()


def test_the_async_azure_client_holds_the_walkthrough(simulator: SimulatorServer) -> None:
    client = AsyncAzureOpenAI(
        api_key="k",
        azure_endpoint=simulator.azure_endpoint,
        api_version=API_VERSION,
        websocket_base_url=f"{simulator.url}/openai",
    )
    asyncio.run(walk_async(client, PREVIEW_SESSION)).check()


def test_the_azure_client_needs_nothing_but_the_endpoint_over_tls() -> None:
    with SimulatorServer(pace=False, tls=True) as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        client = AsyncAzureOpenAI(api_key="k", azure_endpoint=server.azure_endpoint, api_version=API_VERSION)
        heard = asyncio.run(walk_async(client, PREVIEW_SESSION, websocket_connection_options={"ssl": context}))
    heard.check()


TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SPOKEN = coded(speech() + silence(400))


class Program:
    """A program of client calls, each made when the event before it in the list has come.

    It is written once and run by both clients: a step returns a call or None, and the async client awaits the call.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []

    def take(self, connection: Any, event: Any) -> list[Any]:
        """What to call now; a call that was made by the sync client is done already."""
        self.events.append(event)
        return []

    @property
    def finished(self) -> bool:
        return bool(self.events) and self.events[-1].type == "rate_limits.updated"

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]


class Sound(Program):
    """Says something, is answered in sound."""

    def take(self, connection: Any, event: Any) -> list[Any]:
        super().take(connection, event)
        if event.type != "session.created":
            return []
        return [connection.conversation.item.create(item=ITEM), connection.response.create()]

    def check(self) -> None:
        audio = b"".join(base64.b64decode(event.delta) for event in self.of("response.output_audio.delta"))
        (done,) = self.of("response.done")
        assert len(audio) > 480_000
        assert done.response.output[0].content[0].type == "output_audio"
        assert done.response.usage.output_token_details.audio_tokens == round(len(audio) / 2400)
        assert done.response.output[0].content[0].transcript.count("\n\n") == 1


class Speech(Program):
    """Speaks, is heard and answered."""

    def take(self, connection: Any, event: Any) -> list[Any]:
        super().take(connection, event)
        return [connection.input_audio_buffer.append(audio=SPOKEN)] if event.type == "session.created" else []

    def check(self) -> None:
        (started,) = self.of("input_audio_buffer.speech_started")
        (committed,) = self.of("input_audio_buffer.committed")
        assert committed.item_id == started.item_id
        assert "does not listen" in self.of("response.done")[0].response.output[0].content[0].transcript


class ToolCall(Program):
    """Has a function called, and its output told."""

    def take(self, connection: Any, event: Any) -> list[Any]:
        super().take(connection, event)
        if event.type == "session.created":
            content: Any = [{"type": "input_text", "text": "Please get weather for Tokyo"}]
            return [
                connection.session.update(session={**GA_SESSION, "tools": [TOOL]}),
                connection.conversation.item.create(item={"type": "message", "role": "user", "content": content}),
                connection.response.create(),
            ]
        if event.type == "response.function_call_arguments.done":
            output: Any = {"type": "function_call_output", "call_id": event.call_id, "output": event.arguments}
            return [connection.conversation.item.create(item=output)]
        called = event.type == "rate_limits.updated" and len(self.of(event.type)) == 1
        return [connection.response.create()] if called else []

    @property
    def finished(self) -> bool:
        return len(self.of("rate_limits.updated")) == 2

    def check(self) -> None:
        assert self.of("response.function_call_arguments.done")[0].name == "get_weather"
        assert '{"city": "Tokyo"}' in self.of("response.output_text.done")[0].text


class CutOff(Program):
    """Cancels an endless answer, then does what is not possible any more."""

    def take(self, connection: Any, event: Any) -> list[Any]:
        super().take(connection, event)
        if event.type == "session.created":
            return [connection.response.create()]
        first_sound = event.type == "response.output_audio.delta" and len(self.of(event.type)) == 1
        if first_sound or event.type == "rate_limits.updated":
            return [connection.response.cancel(event_id="mine")]
        return []

    @property
    def finished(self) -> bool:
        return bool(self.of("error"))

    def check(self) -> None:
        (done,) = self.of("response.done")
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "client_cancelled")
        (error,) = self.of("error")
        assert (error.error.code, error.error.event_id) == ("response_cancel_not_active", "mine")


def endless(turn: Turn) -> Iterable[str]:
    """A brain that speaks until it is cancelled."""
    while not turn.cancelled():
        yield "once upon a time "


def run(program: Any, server: SimulatorServer) -> None:
    client = OpenAI(api_key="k", base_url=server.openai_url)
    with client.realtime.connect(model="gpt-realtime") as connection:
        for event in connection:
            program.take(connection, event)
            if program.finished:
                break
    client.close()


async def run_async(program: Any, server: SimulatorServer) -> None:
    client = AsyncOpenAI(api_key="k", base_url=server.openai_url)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        async for event in connection:
            for call in program.take(connection, event):
                await call
            if program.finished:
                break
    await client.close()


@pytest.fixture
def endless_simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(brain=endless) as server:
        yield server


@pytest.mark.parametrize("program", [Sound, Speech, ToolCall])
def test_both_clients_hold_every_turn(simulator: SimulatorServer, program: type[Any]) -> None:
    once, again = program(), program()
    run(once, simulator)
    asyncio.run(run_async(again, simulator))
    once.check()
    again.check()


def test_both_clients_cancel_and_learn_of_a_mistake(endless_simulator: SimulatorServer) -> None:
    once, again = CutOff(), CutOff()
    run(once, endless_simulator)
    asyncio.run(run_async(again, endless_simulator))
    once.check()
    again.check()
