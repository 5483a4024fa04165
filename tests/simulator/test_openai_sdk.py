"""The official openai SDK holds the walkthrough with the simulator: sync and async, OpenAI and Azure."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from rtsync.simulator import SimulatorServer

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
