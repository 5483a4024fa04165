"""Who gets in and how the others are refused, over the wire (protocol 1.2, 1.5, 6.3)."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from rtsync.simulator import SimulatorServer
from rtsync.simulator.entrance import is_handshake
from tests.simulator.documented import check_ga
from tests.simulator.talk import GA, LIMIT, PREVIEW, Talk

AZURE_GA = "/openai/v1/realtime?model=dep"


def test_ipv6_loopback_can_be_bound() -> None:
    with SimulatorServer(host="::1") as server, Talk(server) as talk:
        assert server.url == f"ws://[::1]:{server.port}"
        assert talk.receive()["type"] == "session.created"


def test_every_documented_credential_opens_a_session() -> None:
    with SimulatorServer(api_keys=["good"]) as server:
        ways = [
            Talk(server, key="good"),
            Talk(server, key=None, headers={"api-key": "good"}),
            Talk(server, GA + "&api-key=good", key=None),
            Talk(server, key=None, subprotocols=["realtime", "openai-insecure-api-key.good"]),
        ]
        for talk in ways:
            with talk:
                assert talk.receive()["type"] == "session.created"
        assert ways[3].socket.subprotocol == "realtime"


@pytest.mark.parametrize(
    ("target", "key", "headers", "code", "close"),
    [
        (GA, "wrong", {}, "invalid_api_key", (3000, "invalid_request_error.invalid_api_key")),
        (GA, None, {}, None, (3000, "invalid_request_error")),
        ("/v1/realtime", "good", {}, "missing_model", (4000, "invalid_request_error.missing_model")),
        ("/v1/realtime?model=gpt-4", "good", {}, "invalid_model", (4000, "invalid_request_error.invalid_model")),
        (
            "/v1/realtime?model=gpt-realtime-9",
            "good",
            {},
            "model_not_found",
            (4004, "invalid_request_error.model_not_found"),
        ),
        (
            GA,
            "good",
            {"OpenAI-Beta": "realtime=v1"},
            "beta_api_shape_disabled",
            (4000, "invalid_request_error.beta_api_shape_disabled"),
        ),
    ],
)
def test_openai_refuses_after_the_upgrade(
    target: str, key: str | None, headers: dict[str, str], code: str | None, close: tuple[int, str]
) -> None:
    with (
        SimulatorServer(api_keys=["good"], models=["gpt-realtime"]) as server,
        Talk(server, target, key=key, headers=headers) as talk,
    ):
        event = talk.receive()
        assert talk.close_code() == close
    check_ga(event)
    error = event["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, None)


def test_a_refused_key_is_masked() -> None:
    with SimulatorServer(api_keys=["good"]) as server, Talk(server, key="sk-thewrongkey-12345678") as talk:
        message = talk.receive()["error"]["message"]
    assert message.startswith("Incorrect API key provided: sk-")
    assert "thewrongkey" not in message


@pytest.mark.parametrize(
    ("target", "key", "status", "code"),
    [
        (AZURE_GA, "wrong", 401, "401"),
        (AZURE_GA, None, 401, "401"),
        (PREVIEW, "wrong", 401, "401"),
        ("/openai/v1/realtime?model=other", "good", 404, "DeploymentNotFound"),
        ("/openai/v1/realtime", "good", 404, "DeploymentNotFound"),
        (AZURE_GA + "&api-version=2024-10-01-preview", "good", 401, "401"),
        ("/openai/realtime?deployment=dep", "good", 404, "404"),
    ],
)
def test_azure_refuses_the_upgrade_itself(target: str, key: str | None, status: int, code: str) -> None:
    with SimulatorServer(api_keys=["good"], models=["dep"]) as server:
        with pytest.raises(InvalidStatus) as refused:
            Talk(server, target, key=key)
        response = refused.value.response
    assert response.status_code == status
    assert response.headers["apim-request-id"]
    assert response.headers["x-ms-region"]
    assert json.loads(response.body or b"")["error"]["code"] == code


def test_the_style_of_refusal_can_be_chosen() -> None:
    with SimulatorServer(api_keys=[], refuse_like="azure") as server, pytest.raises(InvalidStatus):
        Talk(server, GA)
    with SimulatorServer(api_keys=[], refuse_like="openai") as server, Talk(server, AZURE_GA) as talk:
        assert talk.close_code()[0] == 3000


def test_the_preview_dialect_can_be_had_on_the_openai_path() -> None:
    with (
        SimulatorServer(dialect="preview") as server,
        Talk(server, GA, headers={"OpenAI-Beta": "realtime=v1"}) as talk,
    ):
        assert "modalities" in talk.receive()["session"]


def ask(server: SimulatorServer, method: str, path: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=LIMIT)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_health_is_told_without_a_key(simulator: SimulatorServer) -> None:
    assert ask(simulator, "GET", "/health") == (200, {"status": "ok"})


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/v1/realtime/nothing")])
def test_unknown_paths_get_an_error_envelope(simulator: SimulatorServer, method: str, path: str) -> None:
    status, body = ask(simulator, method, path)
    assert status == 404
    assert isinstance(body["error"], dict)
    assert body["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "fault",
    [
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "not base64!"},
        {"Sec-WebSocket-Version": "8"},
        {"Connection": "keep-alive"},
    ],
)
def test_a_broken_handshake_is_a_bad_request(simulator: SimulatorServer, fault: dict[str, str]) -> None:
    good = {
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    assert is_handshake({name.lower(): value for name, value in good.items()})
    connection = http.client.HTTPConnection(urlsplit(simulator.http_url).netloc, timeout=LIMIT)
    connection.request("GET", GA, headers=good | fault)
    assert connection.getresponse().status == 400
    connection.close()


def test_a_plain_get_of_the_realtime_path_is_told_to_upgrade(simulator: SimulatorServer) -> None:
    assert ask(simulator, "GET", GA)[0] == 426


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 4 + b"\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nAuthorization: Bearer k\r\n\r\n",
    ],
)
def test_garbage_ends_its_own_connection_only(simulator: SimulatorServer, garbage: bytes) -> None:
    address = urlsplit(simulator.http_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=LIMIT) as sock:
        sock.sendall(garbage)
        while sock.recv(4096):
            pass
    assert ask(simulator, "GET", "/health")[0] == 200
