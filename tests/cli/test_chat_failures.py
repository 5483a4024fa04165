"""`rtsync chat` and services that refuse, stay away, stay silent, redirect or die: one line, in the stated time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtsync.simulator import BrainFailed, SimulatorServer, Turn
from tests.cli.command import KEY, Ended, run
from tests.cli.service import PIECE, hear_the_close, interrupted_answer
from tests.loopback import Certificates, Peer, ScriptedServer, realtime_greeting, reserved_port

SLACK = 8.0  # seconds over the stated time: the interpreter's start, and a busy machine


def chat(url: str, *options: str) -> Ended:
    return run("chat", "--base-url", f"{url}/v1", *options, typed="hello\n", OPENAI_API_KEY=KEY)


def chat_with_azure(url: str, *options: str) -> Ended:
    options = ("--endpoint", url, "--deployment", "mine", *options)
    return run("chat", *options, typed="hello\n", AZURE_OPENAI_API_KEY=KEY)


def in_time(ended: Ended, stated: float) -> bool:
    """Whether it took the stated time, and not much more."""
    return stated <= ended.seconds < stated + SLACK


def test_a_key_that_openai_refuses() -> None:
    with SimulatorServer(api_keys=["another"], refuse_like="openai") as server:
        ended = chat(server.http_url)
    assert (ended.status, ended.out) == (4, "")
    assert "OPENAI_API_KEY" in ended.complaint or "key" in ended.complaint.lower()
    assert in_time(ended, 0)


def test_a_key_that_azure_refuses() -> None:
    with SimulatorServer(api_keys=["another"], refuse_like="azure") as server:
        for version in ([], ["--api-version", "2025-04-01-preview"]):
            ended = chat_with_azure(server.http_url, *version)
            assert (ended.status, ended.out) == (4, "")
            assert "401" in ended.complaint
            assert in_time(ended, 0)


def test_a_server_that_is_not_there() -> None:
    with reserved_port() as port:
        ended = chat(f"http://127.0.0.1:{port}")
    assert (ended.status, ended.out) == (3, "")
    assert f"127.0.0.1:{port}" in ended.complaint
    assert in_time(ended, 0)


def test_a_name_that_is_not_there() -> None:
    ended = chat("https://rtsync.invalid", "--connect-timeout", "5")
    assert (ended.status, ended.out) == (3, "")
    assert "rtsync.invalid" in ended.complaint
    assert ended.seconds < 5 + SLACK


def test_an_address_that_never_answers(blackhole_address: tuple[str, int]) -> None:
    host, port = blackhole_address
    ended = chat(f"http://{host}:{port}", "--connect-timeout", "1")
    assert (ended.status, ended.out) == (3, "")
    assert "1 s" in ended.complaint
    assert in_time(ended, 1)


def test_a_server_that_never_answers_the_upgrade() -> None:
    def only_read(peer: Peer) -> None:
        peer.read_request()
        peer.wait_until_released()

    with ScriptedServer(only_read) as server:
        ended = chat(server.http_url, "--connect-timeout", "1")
    assert (ended.status, ended.out) == (3, "")
    assert "1 s" in ended.complaint
    assert in_time(ended, 1)


def test_a_server_that_upgrades_and_never_greets() -> None:
    with ScriptedServer(lambda peer: (peer.accept(), hear_the_close(peer))) as server:
        ended = chat(server.http_url, "--connect-timeout", "1")
    assert (ended.status, ended.out) == (3, "")
    assert in_time(ended, 1)
    assert ended.complaint


def test_a_redirect_is_not_followed() -> None:
    with ScriptedServer(realtime_greeting) as elsewhere:
        location = ("Location", f"{elsewhere.http_url}/v1/realtime")
        with ScriptedServer(lambda peer: peer.refuse(302, "Found", [location])) as server:
            ended = chat(server.http_url)
        assert elsewhere.connections == 0
    assert (ended.status, ended.out) == (3, "")
    assert "redirect" in ended.complaint
    assert in_time(ended, 0)


def test_a_service_that_is_overloaded() -> None:
    with ScriptedServer(lambda peer: peer.refuse(429, "Too Many Requests", [("Retry-After", "7")])) as server:
        ended = chat_with_azure(server.http_url)
    assert (ended.status, ended.out) == (3, "")
    assert "7" in ended.complaint


def test_a_certificate_that_nobody_vouches_for(certificates: Certificates) -> None:
    with ScriptedServer(realtime_greeting, tls=certificates.server_context()) as server:
        ended = chat(server.http_url)
        assert len(server.wait_for_connections(1)) == 1
    assert (ended.status, ended.out) == (3, "")
    assert "certificate" in ended.complaint


@pytest.mark.parametrize(
    "die", [Peer.reset, Peer.drop, lambda peer: peer.close(1011, "internal")], ids=["reset", "drop", "close"]
)
def test_a_service_that_dies_in_the_middle_of_an_answer(die: object) -> None:
    assert callable(die)
    with ScriptedServer(interrupted_answer(die)) as server:
        ended = chat(server.http_url)
    assert (ended.status, ended.out) == (5, f"{PIECE}\n")
    assert ended.complaint
    assert in_time(ended, 0)


def test_a_service_that_falls_silent_in_the_middle_of_an_answer() -> None:
    with ScriptedServer(interrupted_answer(hear_the_close)) as server:
        ended = chat(server.http_url, "--timeout", "1")
    assert (ended.status, ended.out) == (5, f"{PIECE}\n")
    assert "1 s" in ended.complaint
    assert in_time(ended, 1)


def test_a_session_update_that_the_service_refuses() -> None:
    with ScriptedServer(_refuse_the_update) as server:
        ended = chat(server.http_url)
    assert (ended.status, ended.out) == (1, "")
    assert "No such thing." in ended.complaint


def test_an_answer_that_the_service_fails() -> None:
    with SimulatorServer(pace=False, brain=_fail) as server:
        ended = chat(server.http_url)
    assert ended.status == 1
    assert "The model is asleep." in ended.complaint


def _refuse_the_update(peer: Peer) -> None:
    realtime_greeting(peer)
    event_id = peer.recv_json()["event_id"]
    error = {"type": "invalid_request_error", "code": "c", "message": "No such\nthing.", "param": None}
    peer.send_json({"type": "error", "event_id": "event_2", "error": {**error, "event_id": event_id}})
    hear_the_close(peer)


def _fail(turn: Turn) -> Iterator[str]:
    yield "Well, "
    raise BrainFailed("The model is asleep.", code="asleep")
