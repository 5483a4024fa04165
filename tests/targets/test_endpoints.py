"""Every endpoint of protocol section 1.1 that rtsync reaches: the exact request that arrives there."""

from __future__ import annotations

import pytest

from rtsync import __version__
from rtsync.edges.credentials import authorization
from rtsync.vocabulary.auth import AZURE_SCOPE
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator
from tests.loopback import ScriptedServer
from tests.targets.arrivals import Arrival, arrival, request_of
from tests.targets.conftest import RecordingCredential

_BEARER = [("Authorization", "Bearer sk-1")]
_API_KEY = [("api-key", "k1")]
_PREVIEW = "2025-04-01-preview"


def test_openai_conversation(greeting_server: ScriptedServer) -> None:
    target = OpenAI("gpt-realtime", api_key="sk-1", base_url=f"{greeting_server.http_url}/v1")
    assert arrival(target, greeting_server) == Arrival("/v1/realtime?model=gpt-realtime", _BEARER)


def test_openai_sideband(greeting_server: ScriptedServer) -> None:
    target = OpenAI(call_id="rtc_1", api_key="sk-1", base_url=f"{greeting_server.http_url}/v1")
    assert arrival(target, greeting_server) == Arrival("/v1/realtime?call_id=rtc_1", _BEARER)


def test_openai_transcription_sends_no_model(greeting_server: ScriptedServer) -> None:
    target = OpenAI(transcription=True, api_key="sk-1", base_url=f"{greeting_server.http_url}/v1")
    assert arrival(target, greeting_server) == Arrival("/v1/realtime?intent=transcription", _BEARER)


def test_openai_translation_sends_no_intent(greeting_server: ScriptedServer) -> None:
    target = OpenAI(translation=True, api_key="sk-1", base_url=f"{greeting_server.http_url}/v1")
    path = "/v1/realtime/translations?model=gpt-realtime-translate"
    assert arrival(target, greeting_server) == Arrival(path, _BEARER)


def test_openai_organization_project_and_extra_headers(greeting_server: ScriptedServer) -> None:
    target = OpenAI(
        api_key="sk-1",
        base_url=greeting_server.http_url,
        organization="org-1",
        project="proj_1",
        headers={"OpenAI-Safety-Identifier": "abc"},
    )
    assert arrival(target, greeting_server).headers == [
        ("Authorization", "Bearer sk-1"),
        ("OpenAI-Organization", "org-1"),
        ("OpenAI-Project", "proj_1"),
        ("OpenAI-Safety-Identifier", "abc"),
    ]


def test_the_whole_request_is_the_handshake_s_headers_and_the_target_s(greeting_server: ScriptedServer) -> None:
    target = Azure(greeting_server.http_url, "d", api_key="k1", headers={"X-Team": "a"})
    request = request_of(target, greeting_server)
    assert (request.method, request.path) == ("GET", "/openai/v1/realtime?model=d")
    key = request.headers["sec-websocket-key"]
    assert sorted(request.header_list) == [
        ("Connection", "Upgrade"),
        ("Host", greeting_server.authority),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
        ("Upgrade", "websocket"),
        ("User-Agent", f"rtsync/{__version__}"),
        ("X-Team", "a"),
        ("api-key", "k1"),
    ]


@pytest.mark.parametrize("name", ["Origin", "origin", "User-Agent", "Cookie", "Accept-Language", "openai-organization"])
def test_a_header_of_the_caller_s_arrives_once_and_as_given(greeting_server: ScriptedServer, name: str) -> None:
    target = OpenAI(
        api_key="sk-1", base_url=greeting_server.http_url, organization="org-1", headers={name: "https://mine.example"}
    )
    request = request_of(target, greeting_server)
    assert request.headers[name.lower()] == "https://mine.example"


@pytest.mark.parametrize("region", ["us", "eu", "ae", "au", "in", "jp"])
def test_openai_regions_are_reached_by_their_base_url(region: str) -> None:
    target = OpenAI(api_key="sk-1", base_url=f"https://{region}.api.openai.com/v1")
    assert target.url == f"wss://{region}.api.openai.com/v1/realtime?model=gpt-realtime"


def test_azure_ga_conversation_has_no_api_version(greeting_server: ScriptedServer) -> None:
    target = Azure(greeting_server.http_url, "my-deployment", api_key="k1")
    assert arrival(target, greeting_server) == Arrival("/openai/v1/realtime?model=my-deployment", _API_KEY)


def test_azure_ga_sideband(greeting_server: ScriptedServer) -> None:
    target = Azure(greeting_server.http_url, call_id="rtc_1", api_key="k1")
    assert arrival(target, greeting_server) == Arrival("/openai/v1/realtime?call_id=rtc_1", _API_KEY)


def test_azure_ga_transcription(greeting_server: ScriptedServer) -> None:
    target = Azure(greeting_server.http_url, transcription=True, api_key="k1")
    assert arrival(target, greeting_server) == Arrival("/openai/v1/realtime?intent=transcription", _API_KEY)


@pytest.mark.parametrize("version", ["2024-10-01-preview", "2025-04-01-preview", "2025-08-28"])
def test_azure_preview_conversation_has_no_beta_header(greeting_server: ScriptedServer, version: str) -> None:
    target = Azure(greeting_server.http_url, "dep", api_key="k1", api_version=version)
    path = f"/openai/realtime?api-version={version}&deployment=dep"
    assert arrival(target, greeting_server) == Arrival(path, _API_KEY)


@pytest.mark.parametrize("version", [None, _PREVIEW])
def test_azure_with_a_credential_sends_its_token(
    greeting_server: ScriptedServer, credential: RecordingCredential, version: str | None
) -> None:
    target = Azure(greeting_server.http_url, "dep", credential=credential, api_version=version)
    assert arrival(target, greeting_server).headers == [("Authorization", "Bearer token-1")]
    assert credential.scopes == [(AZURE_SCOPE,)]


def test_azure_without_a_key_sends_the_default_credential_s_token(
    greeting_server: ScriptedServer, default_credentials: list[RecordingCredential]
) -> None:
    target = Azure(greeting_server.http_url, "dep")
    assert arrival(target, greeting_server).headers == [("Authorization", "Bearer token-1")]
    assert default_credentials[0].scopes == [(AZURE_SCOPE,)]


def test_azure_token_from_the_environment_is_a_bearer_token(
    greeting_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "eyJ.a.b")
    target = Azure(greeting_server.http_url, "dep")
    assert arrival(target, greeting_server).headers == [("Authorization", "Bearer eyJ.a.b")]


def test_the_documented_recipe_for_azure_ga_through_openai(greeting_server: ScriptedServer) -> None:
    target = OpenAI("dep", api_key="sk-1", base_url=f"{greeting_server.http_url}/openai/v1/")
    assert arrival(target, greeting_server) == Arrival("/openai/v1/realtime?model=dep", _BEARER)


def test_a_gateway_s_prefix_and_header_arrive(greeting_server: ScriptedServer) -> None:
    target = Azure(f"{greeting_server.http_url}/team a/ai", "dep", api_key="k1", headers={"X-Team": "a"})
    path = "/team%20a/ai/openai/v1/realtime?model=dep"
    assert arrival(target, greeting_server) == Arrival(path, [("X-Team", "a"), ("api-key", "k1")])


def test_names_that_need_it_arrive_percent_encoded(greeting_server: ScriptedServer) -> None:
    target = Azure(greeting_server.http_url, "a b&model=c#ü", api_key="k1")
    assert arrival(target, greeting_server).path == "/openai/v1/realtime?model=a%20b%26model%3Dc%23%C3%BC"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (Simulator(), "/v1/realtime?model=gpt-realtime"),
        (Simulator().for_transcription(), "/v1/realtime?intent=transcription"),
        (Simulator(dialect="preview"), f"/openai/realtime?api-version={_PREVIEW}&deployment=gpt-realtime"),
    ],
)
def test_simulator_gets_a_pass_that_is_no_secret(greeting_server: ScriptedServer, target: Simulator, path: str) -> None:
    pass_for_all = [("Authorization", "Bearer any")]
    assert arrival(target.at(greeting_server.url), greeting_server) == Arrival(path, pass_for_all)


def test_an_ipv6_address_is_reached() -> None:
    from tests.loopback import realtime_greeting

    with ScriptedServer(lambda peer: (realtime_greeting(peer), peer.expect_close()), host="::1") as server:
        target = OpenAI("m", api_key="sk-1", base_url=server.http_url)
        assert arrival(target, server).path == "/v1/realtime?model=m"


def test_what_is_derived_keeps_address_headers_and_credential(greeting_server: ScriptedServer) -> None:
    first = OpenAI(api_key="sk-1", base_url=greeting_server.http_url, headers={"X-Team": "a"})
    for target in (first.for_call("rtc_2"), first.for_transcription(), first.for_translation("t")):
        assert target.headers == {"X-Team": "a"}
        assert authorization(target) == {"Authorization": "Bearer sk-1"}
        assert target.url.startswith(greeting_server.url)
