"""TLS with the simulator's own authority. The clients are asyncio's: one thread, as an OpenSSL object wants it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from rtsync.simulator import SimulatorServer
from tests.simulator.talk import GA, LIMIT, user_message


def trusting(server: SimulatorServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


def opened(server: SimulatorServer, context: ssl.SSLContext) -> connect:
    key = {"Authorization": "Bearer k"}
    # Without max_queue the client stops reading when events wait for it, and never sees the close frame.
    return connect(server.url + GA, ssl=context, additional_headers=key, proxy=None, max_queue=None)


async def until(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(LIMIT):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads(await connection.recv()))
    return events


async def one_turn(connection: ClientConnection, *others: dict[str, Any]) -> str:
    item = user_message("Say a couple paragraphs!")
    session = {"type": "realtime", "output_modalities": ["text"]}
    for event in (
        {"type": "session.update", "session": session},
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create"},
        *others,
    ):
        await connection.send(json.dumps(event))
    events = await until(connection, "response.done")
    return str(events[-1]["response"]["output"][0]["content"][0]["text"])


def test_a_client_that_trusts_the_ca_file_holds_a_session() -> None:
    async def talk(server: SimulatorServer) -> str:
        async with opened(server, trusting(server)) as connection:
            return await one_turn(connection)

    with SimulatorServer(tls=True, pace=False) as server:
        assert server.url.startswith("wss://")
        assert server.ca_file is not None
        directory = server.ca_file.parent
        assert "\n\n" in asyncio.run(talk(server))
    assert not directory.exists()
    assert server.ca_file is None


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_certificate_names_every_loopback_address(name: str) -> None:
    with (
        SimulatorServer(tls=True) as server,
        socket.create_connection((server.host, server.port), timeout=LIMIT) as sock,
        trusting(server).wrap_socket(sock, server_hostname=name) as secured,
    ):
        assert secured.version() == "TLSv1.3"


def test_a_client_that_does_not_trust_it_is_not_connected() -> None:
    with (
        SimulatorServer(tls=True) as server,
        socket.create_connection((server.host, server.port), timeout=LIMIT) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")


@pytest.mark.unmeasured
def test_sessions_over_tls_read_and_write_at_the_same_time() -> None:
    mistakes = [{"type": "conversation.item.delete", "item_id": str(number)} for number in range(50)]

    async def converse(server: SimulatorServer) -> None:
        async with opened(server, trusting(server)) as connection:
            for _ in range(10):
                assert "\n\n" in await one_turn(connection, *mistakes)

    async def all_at_once(server: SimulatorServer) -> None:
        await asyncio.gather(*(converse(server) for _ in range(4)))

    with SimulatorServer(tls=True, pace=False) as server:
        asyncio.run(all_at_once(server))


def test_stop_closes_sessions_over_tls_with_1001() -> None:
    async def talk(server: SimulatorServer) -> int | None:
        async with opened(server, trusting(server)) as connection:
            await until(connection, "session.created")
            stopping = asyncio.get_running_loop().run_in_executor(None, server.stop)
            await connection.wait_closed()
            await stopping
            return connection.close_code

    assert asyncio.run(talk(SimulatorServer(tls=True).start())) == 1001


def test_a_context_of_the_callers_own_is_used() -> None:
    async def greeted(server: SimulatorServer, context: ssl.SSLContext) -> None:
        async with opened(server, context) as connection:
            await until(connection, "session.created")

    with SimulatorServer(tls=True) as first:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert first.ca_file is not None
        context.load_cert_chain(first.ca_file.parent / "server.pem")
        with SimulatorServer(tls=context) as second:
            assert second.ca_file is None
            asyncio.run(greeted(second, trusting(first)))
