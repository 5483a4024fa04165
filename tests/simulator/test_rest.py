"""REST beside the WebSocket: client secrets and calls, on the same port (protocol 1.6)."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import OpenAI
from openai.types.realtime import ClientSecretCreateResponse
from openai.types.realtime.realtime_translation_client_secret_create_response import (
    RealtimeTranslationClientSecretCreateResponse,
)

from rtsync.simulator import SimulatorServer
from rtsync.simulator.ledger import Ledger, Terms
from tests.simulator.talk import GA, LIMIT, PREVIEW, Event, Talk

TERMS = Terms("realtime", "gpt-realtime", {})
CALL = "/v1/realtime?call_id=rtc_1"


def post(
    server: SimulatorServer, path: str, body: Any = None, *, key: str | None = "key", raw: bytes | None = None
) -> tuple[int, Any]:
    """Status and decoded body of a POST."""
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=LIMIT)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        connection.request("POST", path, raw if raw is not None else json.dumps(body or {}).encode(), headers)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


def secret(server: SimulatorServer, body: Any = None, path: str = "/v1/realtime/client_secrets") -> Any:
    status, answer = post(server, path, body)
    assert status == 200, answer
    return answer


@pytest.fixture
def guarded() -> Iterator[SimulatorServer]:
    """A simulator that knows one key."""
    with SimulatorServer(pace=False, api_keys=["key"]) as server:
        yield server


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
def test_a_client_secret_opens_sessions_with_the_settings_it_carries(guarded: SimulatorServer, base: str) -> None:
    settings = {"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Rhyme."}
    answer = secret(guarded, {"session": settings}, f"{base}/realtime/client_secrets")
    ClientSecretCreateResponse.model_validate(answer, strict=True)
    assert answer["value"].startswith("ek_")
    assert answer["session"]["instructions"] == "Rhyme."
    assert answer["session"]["expires_at"] == 0
    assert "temperature" not in answer["session"]
    for target in (f"{base}/realtime", f"{base}/realtime?model=gpt-realtime-mini"):  # more than once
        with Talk(guarded, target, key=answer["value"]) as talk:
            session = talk.receive()["session"]
            assert (session["model"], session["instructions"]) == ("gpt-realtime-mini", "Rhyme.")
            assert session["expires_at"] > time.time()
            assert session["id"] != answer["session"]["id"]


@pytest.mark.parametrize(
    ("asked", "seconds"), [({}, 600), ({"expires_after": {"anchor": "created_at", "seconds": 10}}, 10)]
)
def test_a_client_secret_says_when_it_expires(guarded: SimulatorServer, asked: Event, seconds: int) -> None:
    before = int(time.time())
    assert before + seconds <= secret(guarded, asked)["expires_at"] <= time.time() + seconds


def test_a_secret_is_found_until_it_expires() -> None:
    clock = [1000.0]
    ledger = Ledger(lambda: clock[0])
    issued = ledger.issue(TERMS, 10)
    clock[0] = 1009.9
    assert ledger.secret(issued.value) is issued
    clock[0] = 1010.0
    assert ledger.secret(issued.value) is None
    assert issued.value not in repr(issued)


def test_an_unknown_ephemeral_key_is_a_wrong_key(simulator: SimulatorServer) -> None:
    with Talk(simulator, key="ek_made_up") as talk:
        assert talk.receive()["error"]["code"] == "invalid_api_key"
        assert talk.close_code()[0] == 3000


def test_a_transcription_secret_opens_transcriptions(guarded: SimulatorServer) -> None:
    audio = {"input": {"transcription": {"model": "whisper-1"}}}
    answer = secret(guarded, {"session": {"type": "transcription", "audio": audio}})
    ClientSecretCreateResponse.model_validate(answer, strict=True)
    for target in ("/v1/realtime?intent=transcription", "/v1/realtime"):
        with Talk(guarded, target, key=answer["value"]) as talk:
            session = talk.receive()["session"]
            assert session["type"] == "transcription"
            assert session["audio"]["input"]["transcription"]["model"] == "whisper-1"
    with Talk(guarded, GA, key=answer["value"]) as talk:
        assert talk.receive()["error"]["code"] == "invalid_session_type"


def test_a_translation_secret_opens_translations(guarded: SimulatorServer) -> None:
    session = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "fr"}}}
    answer = secret(guarded, {"session": session}, "/v1/realtime/translations/client_secrets")
    RealtimeTranslationClientSecretCreateResponse.model_validate(answer, strict=True)
    with Talk(guarded, "/v1/realtime/translations", key=answer["value"]) as talk:
        opened = talk.receive()["session"]
    assert (opened["model"], opened["audio"]["output"]["language"]) == ("gpt-realtime-translate", "fr")


@pytest.mark.parametrize("base", ["/v1", "/openai"])
def test_preview_keys_come_with_a_flat_session(guarded: SimulatorServer, base: str) -> None:
    before = int(time.time())
    answer = secret(guarded, {"model": "dep", "modalities": ["text"], "voice": "sage"}, f"{base}/realtime/sessions")
    assert (answer["model"], answer["modalities"], answer["voice"]) == ("dep", ["text"], "sage")
    key = answer["client_secret"]
    assert before + 60 <= key["expires_at"] <= time.time() + 60
    with Talk(guarded, PREVIEW, key=key["value"]) as talk:
        assert talk.receive()["session"]["voice"] == "sage"


def test_preview_transcription_keys_open_transcriptions(guarded: SimulatorServer) -> None:
    settings = {"input_audio_transcription": {"model": "whisper-1"}}
    answer = secret(guarded, settings, "/v1/realtime/transcription_sessions")
    assert answer["input_audio_transcription"]["model"] == "whisper-1"
    with Talk(guarded, PREVIEW + "&intent=transcription", key=answer["client_secret"]["value"]) as talk:
        assert talk.receive()["session"]["input_audio_transcription"]["model"] == "whisper-1"


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/v1/realtime/client_secrets", {"bogus": 1}, "unknown_parameter", "bogus"),
        ("/v1/realtime/client_secrets", {"session": {}}, "missing_required_parameter", "session.type"),
        ("/v1/realtime/client_secrets", {"session": 1}, "invalid_type", "session"),
        ("/v1/realtime/client_secrets", {"session": {"type": "realtime", "x": 1}}, "unknown_parameter", "session.x"),
        ("/v1/realtime/client_secrets", {"session": {"type": "realtime", "model": 1}}, "invalid_type", "session.model"),
        (
            "/v1/realtime/client_secrets",
            {"expires_after": {"seconds": 9}},
            "integer_below_min_value",
            "expires_after.seconds",
        ),
        ("/v1/realtime/translations/client_secrets", {}, "missing_required_parameter", "session"),
        ("/v1/realtime/translations/client_secrets", {"session": {}}, "missing_required_parameter", "session.model"),
        ("/v1/realtime/sessions", {"output_modalities": ["text"]}, "unknown_parameter", "output_modalities"),
        ("/v1/realtime/calls/rtc_1/accept", {}, "missing_required_parameter", "type"),
        ("/v1/realtime/calls/rtc_1/accept", {"type": "realtime", "x": 1}, "unknown_parameter", "x"),
        ("/v1/realtime/calls/rtc_1/reject", {"status_code": "busy"}, "invalid_type", "status_code"),
        ("/v1/realtime/calls/rtc_1/refer", {}, "missing_required_parameter", "target_uri"),
    ],
)
def test_a_wrong_request_is_refused_by_field(
    simulator: SimulatorServer, path: str, body: Any, code: str, param: str
) -> None:
    status, answer = post(simulator, path, body)
    assert status == 400
    error = answer["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert error["message"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(simulator: SimulatorServer, raw: bytes) -> None:
    status, answer = post(simulator, "/v1/realtime/client_secrets", raw=raw)
    assert (status, answer.keys()) == (400, {"error"})


def test_a_body_without_measure_is_refused(simulator: SimulatorServer) -> None:
    assert post(simulator, "/v1/realtime/client_secrets", raw=b" " * ((1 << 20) + 1))[0] == 413
    connection = http.client.HTTPConnection(urlsplit(simulator.http_url).netloc, timeout=LIMIT)
    headers = {"Authorization": "Bearer k", "Transfer-Encoding": "chunked"}
    connection.request("POST", "/v1/realtime/client_secrets", iter([b"{}"]), headers, encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()


@pytest.mark.parametrize("key", [None, "wrong"])
def test_only_a_key_may_ask(guarded: SimulatorServer, key: str | None) -> None:
    status, openai = post(guarded, "/v1/realtime/client_secrets", key=key)
    assert (status, openai["error"]["code"]) == (401, None if key is None else "invalid_api_key")
    status, azure = post(guarded, "/openai/v1/realtime/client_secrets", key=key)
    assert (status, azure["error"]["code"]) == (401, "401")


def test_an_ephemeral_key_makes_no_other(guarded: SimulatorServer) -> None:
    value = secret(guarded)["value"]
    assert post(guarded, "/v1/realtime/client_secrets", key=value)[0] == 401


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
def test_a_session_beside_an_accepted_call_has_its_settings_and_ends_with_it(
    simulator: SimulatorServer, base: str
) -> None:
    settings = {"type": "realtime", "model": "gpt-realtime-2", "instructions": "Say hello."}
    assert post(simulator, f"{base}/realtime/calls/rtc_1/accept", settings) == (200, None)
    with Talk(simulator, f"{base}/realtime?call_id=rtc_1") as talk, Talk(simulator, CALL) as other:
        session = talk.receive()["session"]
        other.receive()
        assert (session["model"], session["instructions"]) == ("gpt-realtime-2", "Say hello.")
        assert post(simulator, f"{base}/realtime/calls/rtc_1/hangup") == (200, None)
        assert talk.close_code() == other.close_code() == (1000, "The call has ended.")


@pytest.mark.parametrize(
    ("action", "body"),
    [("hangup", {}), ("reject", {}), ("reject", {"status_code": 486}), ("refer", {"target_uri": "tel:+15550100"})],
)
def test_a_call_that_is_over_is_not_found(simulator: SimulatorServer, action: str, body: Event) -> None:
    path = f"/v1/realtime/calls/rtc_1/{action}"
    assert post(simulator, path, body) == (200, None)
    status, answer = post(simulator, path, body)
    assert (status, answer["error"]["code"]) == (404, "call_id_not_found")
    assert post(simulator, "/v1/realtime/calls/rtc_1/accept", {"type": "realtime"})[0] == 404
    assert post(simulator, "/v1/realtime/calls/rtc_2/accept", {"type": "realtime"})[0] == 200
    with Talk(simulator, CALL) as talk:
        assert talk.receive()["error"]["code"] == "call_id_not_found"
        assert talk.close_code()[0] == 4000


def test_a_call_is_accepted_once(simulator: SimulatorServer) -> None:
    path = "/v1/realtime/calls/rtc_1/accept"
    assert post(simulator, path, {"type": "realtime"})[0] == 200
    status, answer = post(simulator, path, {"type": "realtime"})
    assert (status, answer["error"]["code"]) == (400, "call_already_accepted")


def test_a_session_that_ended_before_its_call_is_not_hung_up() -> None:
    told: list[str] = []

    def hang_up() -> None:
        told.append("hung up")

    ledger = Ledger(lambda: 0.0)
    assert ledger.join("rtc_1", hang_up)
    ledger.leave("rtc_1", hang_up)
    assert ledger.end("rtc_1")
    assert told == []
    assert not ledger.join("rtc_1", hang_up)


def test_the_official_client_makes_secrets_and_controls_calls(simulator: SimulatorServer) -> None:
    client = OpenAI(api_key="k", base_url=simulator.openai_url)
    made = client.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime"})
    client.realtime.calls.accept("rtc_9", type="realtime", model="gpt-realtime")
    client.realtime.calls.refer("rtc_9", target_uri="tel:+15550100")
    client.realtime.calls.reject("rtc_8")
    client.realtime.calls.hangup("rtc_7")
    client.close()
    with OpenAI(api_key=made.value, base_url=simulator.openai_url).realtime.connect(model="gpt-realtime") as connection:
        assert connection.recv().type == "session.created"
