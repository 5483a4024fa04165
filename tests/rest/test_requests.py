"""What goes over the wire: method, path, query, headers and body of every request, on every kind of target."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from azure.core.credentials import AccessToken

from rtsync.session.calls import Call
from rtsync.session.client_secret import create_client_secret
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target
from rtsync.vocabulary.version import VERSION
from tests.rest.recorder import SECRET_ANSWER, Answer, Received, Recorder

Make: TypeAlias = Callable[[str], Target]

KEY = "sk-test-key-0123456789"
CALL = "rtc_u1_9c6574da8b8a41a18da9308f4ad974ce"


class Credential:
    """Gives a new token at each request."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked.append(scopes)
        return AccessToken(f"token-{len(self.asked)}", 4102444800)


def openai(url: str) -> Target:
    return OpenAI("gpt-realtime", base_url=f"{url}/v1", api_key=KEY)


def openai_account(url: str) -> Target:
    return OpenAI(base_url=url, api_key=lambda: KEY, organization="org-1", project="proj-1", headers={"X-Trace": "7"})


def azure_key(url: str) -> Target:
    return Azure(url, "my deployment", api_key=KEY)


def azure_token(url: str) -> Target:
    return Azure(url, "dep", credential=Credential())


def azure_gateway(url: str) -> Target:
    return Azure(f"{url}/team/openai/v1", "dep", api_key=KEY)


def azure_preview(url: str) -> Target:
    return Azure(url, "dep", api_key=KEY, api_version="2025-04-01-preview")


def simulator(url: str) -> Target:
    return Simulator().at(url.replace("http", "ws"))


GA = [
    pytest.param(openai, "/v1", {"authorization": f"Bearer {KEY}"}, "gpt-realtime", id="openai"),
    pytest.param(
        openai_account,
        "/v1",
        {
            "authorization": f"Bearer {KEY}",
            "openai-organization": "org-1",
            "openai-project": "proj-1",
            "x-trace": "7",
        },
        "gpt-realtime",
        id="openai-account",
    ),
    pytest.param(azure_key, "/openai/v1", {"api-key": KEY}, "my deployment", id="azure-key"),
    pytest.param(azure_token, "/openai/v1", {"authorization": "Bearer token-1"}, "dep", id="azure-token"),
    pytest.param(azure_gateway, "/team/openai/v1", {"api-key": KEY}, "dep", id="azure-gateway"),
    pytest.param(simulator, "/v1", {"authorization": "Bearer any"}, "gpt-realtime", id="simulator"),
]
every_ga_target = pytest.mark.parametrize(("make", "base", "headers", "model"), GA)


def check(request: Received, target: str, headers: dict[str, str], body: Any, *, accept: str = "*/*") -> None:
    assert (request.method, request.target) == ("POST", target)
    found = request.headers
    assert found.pop("host").startswith("127.0.0.1:")
    assert int(found.pop("content-length")) == len(request.body)
    own = {"accept": accept, "user-agent": f"rtsync/{VERSION}", "connection": "close"}
    typed = {} if body is None else {"content-type": "application/json"}
    assert found == {**own, **typed, **headers}
    assert request.json == body


# -- client secrets ------------------------------------------------------------------------------------------------


@every_ga_target
def test_a_secret_is_asked_for_with_the_targets_model(
    make: Make, base: str, headers: dict[str, str], model: str
) -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        create_client_secret(make(server.url))
    check(
        server.one,
        f"{base}/realtime/client_secrets",
        headers,
        {"session": {"type": "realtime", "model": model}},
        accept="application/json",
    )


def test_the_callers_session_and_lifetime_go_along() -> None:
    session = {"model": "gpt-realtime-mini", "instructions": "Sei kürzer.", "audio": {"output": {"voice": "marin"}}}
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        create_client_secret(openai(server.url), session=session, expires_after=7200)
    assert server.one.json == {
        "expires_after": {"anchor": "created_at", "seconds": 7200},
        "session": {"type": "realtime", **session},
    }


def test_a_transcription_target_asks_for_a_transcription_session() -> None:
    session = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        create_client_secret(openai(server.url).for_transcription(), session=session)
        create_client_secret(azure_key(server.url).for_transcription(), session=session)
    assert server.paths == ["/v1/realtime/client_secrets", "/openai/v1/realtime/client_secrets"]
    assert [request.json for request in server.requests] == [{"session": {"type": "transcription", **session}}] * 2


def test_a_translation_target_asks_at_the_translations_own_endpoint() -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        create_client_secret(
            openai(server.url).for_translation(), session={"audio": {"output": {"language": "es"}}}, expires_after=10
        )
    check(
        server.one,
        "/v1/realtime/translations/client_secrets",
        {"authorization": f"Bearer {KEY}"},
        {
            "expires_after": {"anchor": "created_at", "seconds": 10},
            "session": {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}},
        },
        accept="application/json",
    )


def test_a_preview_target_asks_in_its_own_words_and_finds_the_secret_inside() -> None:
    answer = {
        "id": "sess_1",
        "object": "realtime.session",
        "voice": "alloy",
        "client_secret": {"value": "ek_preview", "expires_at": 1742000000},
    }
    session = {"output_modalities": ["text"], "audio": {"output": {"voice": "alloy"}}}
    with Recorder(Answer(200, answer)) as server:
        secret = create_client_secret(azure_preview(server.url), session=session)
    check(
        server.one,
        "/openai/realtimeapi/sessions?api-version=2025-04-01-preview",
        {"api-key": KEY},
        {"model": "dep", "voice": "alloy", "modalities": ["text"]},
        accept="application/json",
    )
    assert (secret.value, secret.expires_at) == ("ek_preview", 1742000000)
    assert secret.session.audio.output.voice == "alloy"
    assert (secret.session.id, secret.session.type) == ("sess_1", "realtime")
    assert "client_secret" not in secret.session


def test_a_preview_target_for_transcription_asks_for_its_own_kind_of_secret() -> None:
    answer = {"object": "realtime.transcription_session", "client_secret": {"value": "ek_heard", "expires_at": 1}}
    session = {"audio": {"input": {"transcription": {"model": "whisper"}}}}
    with Recorder(Answer(200, answer)) as server:
        secret = create_client_secret(azure_preview(server.url).for_transcription(), session=session)
    check(
        server.one,
        "/openai/realtimeapi/transcription_sessions?api-version=2025-04-01-preview",
        {"api-key": KEY},
        {"input_audio_transcription": {"model": "whisper"}},
        accept="application/json",
    )
    assert secret.value == "ek_heard"


def test_the_answer_is_read() -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        secret = create_client_secret(openai(server.url))
    assert secret.value == SECRET_ANSWER["value"]
    assert secret.expires_at == SECRET_ANSWER["expires_at"]
    assert secret.session.model == "gpt-realtime"


def test_what_a_preview_does_not_know_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with Recorder(Answer(200, {"client_secret": {"value": "ek_preview"}})) as server:
        create_client_secret(azure_preview(server.url), session={"prompt": {"id": "pmpt_1"}})
    assert "prompt" in caplog.text


def test_the_flat_words_of_a_preview_are_left_as_they_are() -> None:
    with Recorder(Answer(200, {"client_secret": {"value": "ek_preview"}})) as server:
        create_client_secret(azure_preview(server.url), session={"voice": "alloy", "temperature": 0.8})
    assert server.one.json == {"model": "dep", "voice": "alloy", "temperature": 0.8}


# -- calls ---------------------------------------------------------------------------------------------------------


@every_ga_target
def test_a_call_is_accepted_with_a_session(make: Make, base: str, headers: dict[str, str], model: str) -> None:
    with Recorder() as server:
        Call(make(server.url), CALL).accept(instructions="Be brief.", tools=[])
    body = {"type": "realtime", "model": model, "instructions": "Be brief.", "tools": []}
    check(server.one, f"{base}/realtime/calls/{CALL}/accept", headers, body)


@every_ga_target
def test_a_call_is_rejected(make: Make, base: str, headers: dict[str, str], model: str) -> None:
    with Recorder() as server:
        call = Call(make(server.url), CALL)
        call.reject(486)
    check(server.one, f"{base}/realtime/calls/{CALL}/reject", headers, {"status_code": 486})


def test_a_rejection_without_a_status_is_an_empty_object() -> None:
    with Recorder() as server:
        Call(openai(server.url), CALL).reject()
    assert server.one.body == b"{}"


@every_ga_target
def test_a_call_is_passed_on(make: Make, base: str, headers: dict[str, str], model: str) -> None:
    with Recorder() as server:
        Call(make(server.url), CALL).refer("tel:+15550100")
    check(server.one, f"{base}/realtime/calls/{CALL}/refer", headers, {"target_uri": "tel:+15550100"})


@every_ga_target
def test_a_call_is_ended_with_an_empty_body(make: Make, base: str, headers: dict[str, str], model: str) -> None:
    with Recorder() as server:
        Call(make(server.url), CALL).hangup()
    check(server.one, f"{base}/realtime/calls/{CALL}/hangup", headers, None)


def test_a_target_that_is_aimed_at_a_call_needs_no_id() -> None:
    with Recorder() as server:
        call = Call(openai(server.url).for_call("rtc_9"))
        call.accept(model="gpt-realtime")
    assert server.paths == ["/v1/realtime/calls/rtc_9/accept"]
    assert server.one.json == {"type": "realtime", "model": "gpt-realtime"}


def test_a_call_id_cannot_leave_its_place_in_the_path() -> None:
    with Recorder() as server:
        for call_id in ("../sessions", "..", "a/b?c#d", "é"):
            Call(openai(server.url), call_id).hangup()
    assert server.paths == [
        "/v1/realtime/calls/%2E%2E%2Fsessions/hangup",
        "/v1/realtime/calls/%2E%2E/hangup",
        "/v1/realtime/calls/a%2Fb%3Fc%23d/hangup",
        "/v1/realtime/calls/%C3%A9/hangup",
    ]


def test_the_session_beside_a_call_joins_it() -> None:
    target = OpenAI(api_key=KEY)
    session = Call(target, CALL).session(connect_timeout=3)
    assert session.target == target.for_call(CALL)
    assert session.target.url == f"wss://api.openai.com/v1/realtime?call_id={CALL}"
    aimed = target.for_call(CALL)
    assert Call(aimed).session().target is aimed


def test_the_credential_is_asked_at_each_request() -> None:
    credential = Credential()
    with Recorder() as server:
        call = Call(Azure(server.url, "dep", credential=credential), CALL)
        call.reject()
        call.hangup()
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]
    assert credential.asked == [("https://cognitiveservices.azure.com/.default",)] * 2


def test_a_body_may_hold_what_came_from_the_wire() -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        secret = create_client_secret(openai(server.url))
        Call(openai(server.url), CALL).accept(**secret.session)
    assert json.loads(server.requests[1].body) == SECRET_ANSWER["session"]


# -- mistakes are told before anything is sent ---------------------------------------------------------------------

_OPENAI = OpenAI(api_key=KEY)
_AZURE = Azure("https://r.openai.azure.com", "dep", api_key=KEY)
_PREVIEW = Azure("https://r.openai.azure.com", "dep", api_key=KEY, api_version="2025-04-01-preview")

MISTAKES: list[tuple[str, Callable[[], object], str]] = [
    ("too short a life", lambda: create_client_secret(_OPENAI, expires_after=9), "10 to 7200"),
    ("too long a life", lambda: create_client_secret(_OPENAI, expires_after=7201), "10 to 7200"),
    ("a flag for a life", lambda: create_client_secret(_OPENAI, expires_after=True), "whole number"),
    ("half a second", lambda: create_client_secret(_OPENAI, expires_after=10.5), "whole number"),  # type: ignore[arg-type]
    ("a list for a session", lambda: create_client_secret(_OPENAI, session=[]), "mapping"),  # type: ignore[arg-type]
    ("no target", lambda: create_client_secret("https://api.openai.com"), "needs a target"),  # type: ignore[arg-type]
    ("no time", lambda: create_client_secret(_OPENAI, timeout=0), "timeout"),
    ("no simulator", lambda: create_client_secret(Simulator()), "start a server"),
    ("a life on a preview", lambda: create_client_secret(_PREVIEW, expires_after=60), "leave expires_after off"),
    ("odd authorities", lambda: create_client_secret(_OPENAI, tls="/nowhere.pem"), "tls"),
    ("an odd proxy", lambda: create_client_secret(_OPENAI, proxy=True), "proxy"),
    ("no call target", lambda: Call("rtc_1"), "needs a target"),  # type: ignore[arg-type]
    ("no call id", lambda: Call(_OPENAI), "has an id"),
    ("an empty call id", lambda: Call(_OPENAI, " "), "call_id is empty"),
    ("a call on a preview", lambda: Call(_PREVIEW, CALL), 'api_version="v1"'),
    ("a call nowhere", lambda: Call(Simulator(), CALL), "start a server"),
    ("no time for a call", lambda: Call(_OPENAI, CALL, timeout=-1), "timeout"),
    ("no time for hanging up", lambda: Call(_OPENAI, CALL).hangup(timeout=0), "timeout"),
    ("Azure without instructions", lambda: Call(_AZURE, CALL).accept(), "accept(instructions=...)"),
    ("Azure without a model", lambda: Call(_AZURE.for_call(CALL)).accept(instructions=""), "accept(model=...)"),
    ("a success that declines", lambda: Call(_OPENAI, CALL).reject(200), "300 to 699"),
    ("a number as text", lambda: Call(_OPENAI, CALL).reject("486"), "300 to 699"),  # type: ignore[arg-type]
    ("a bare number", lambda: Call(_OPENAI, CALL).refer("+15550100"), "tel:"),
    ("a web page", lambda: Call(_OPENAI, CALL).refer("https://example.test"), "tel:"),
]


@pytest.mark.parametrize(("what", "do", "said"), MISTAKES, ids=[what for what, _, _ in MISTAKES])
def test_a_mistake_is_a_configuration_error_that_says_how_to_put_it_right(
    what: str, do: Callable[[], object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        do()
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
