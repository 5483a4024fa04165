"""Every wrong or missing setting is refused when the target is made, and the message names it and the fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.identity.aio import AzureCliCredential

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target

_HIDDEN = "hunter2"
_URL = "https://r.openai.azure.com"


def _openai(**options: Any) -> Target:
    return OpenAI(**{"api_key": "k", **options})


def _azure(**options: Any) -> Target:
    return Azure(**{"endpoint": _URL, "deployment": "d", "api_key": "k", **options})


def _refusal(make: Callable[..., Target], **options: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        make(**options)
    text = str(refused.value)
    assert _HIDDEN not in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (OpenAI, "OpenAI needs a key: pass api_key=... or set OPENAI_API_KEY"),
        (Azure, "Azure needs an endpoint: pass endpoint=... or set AZURE_OPENAI_ENDPOINT"),
        (lambda: Azure(_URL), "Azure needs a deployment: pass deployment=... or set AZURE_OPENAI_DEPLOYMENT"),
    ],
)
def test_what_is_missing_is_named_with_its_variable(make: Callable[[], Target], said: str) -> None:
    assert _refusal(make).startswith(said)


@pytest.mark.parametrize(
    ("make", "options", "named"),
    [
        (OpenAI, {"model": "m", "call_id": "c"}, "model= and call_id="),
        (OpenAI, {"model": "m", "transcription": True}, "model= and transcription="),
        (OpenAI, {"model": "m", "translation": True}, "model= and translation="),
        (OpenAI, {"call_id": "c", "transcription": True, "translation": True}, "call_id= and transcription= and"),
        (Azure, {"deployment": "d", "call_id": "c"}, "deployment= and call_id="),
        (Azure, {"call_id": "c", "transcription": True}, "call_id= and transcription="),
    ],
)
def test_two_aims_exclude_each_other(make: Callable[..., Target], options: dict[str, Any], named: str) -> None:
    text = _refusal(make, **options)
    assert text.startswith(named)
    assert "pass one of them" in text


def test_azure_preview_reaches_no_calls() -> None:
    with pytest.raises(ConfigurationError, match="leave api_version off"):
        Azure(_URL, api_key="k", api_version="2025-04-01-preview", call_id="rtc_1")


def test_azure_preview_cannot_be_aimed_at_a_call_later() -> None:
    target = Azure(_URL, "d", api_key="k", api_version="2025-04-01-preview")
    with pytest.raises(ConfigurationError, match="leave api_version off"):
        target.for_call("rtc_1")


def test_a_preview_version_from_the_environment_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
    with pytest.raises(ConfigurationError, match='OPENAI_API_VERSION is set, pass api_version="v1"'):
        Azure(_URL, call_id="c", api_key="k")
    assert Azure(_URL, call_id="c", api_key="k", api_version="v1").call_id == "c"


@pytest.mark.parametrize("target", [_azure(), Simulator()])
def test_translation_is_openai_s_alone(target: Target) -> None:
    with pytest.raises(ConfigurationError, match=r"use OpenAI\(\)\.for_translation\(\)"):
        target.for_translation()


def test_a_simulator_has_no_calls() -> None:
    with pytest.raises(ConfigurationError, match="no sideband connection"):
        Simulator().for_call("rtc_1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dialect": "beta"}, 'dialect= must be "ga" or "preview"'),
        ({"brain": "clever"}, "brain= must be a callable or None, not str"),
    ],
)
def test_simulator_options_are_checked(options: dict[str, Any], said: str) -> None:
    assert said in _refusal(Simulator, **options)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"https://user:{_HIDDEN}@r.example", "must not hold a user name or password"),
        (f"https://{_HIDDEN}@r.example", "must not hold a user name or password"),
        (f"https://r.example/openai/realtime?api-key={_HIDDEN}", "must end before '?' and '#'"),
        (f"https://r.example/#{_HIDDEN}", "must end before '?' and '#'"),
        ("http://r.example", "would send the credential to r.example in clear: use https://"),
        ("ws://192.168.0.5:8000", "would send the credential to 192.168.0.5 in clear: use https://"),
        ("http://localhost.example", "would send the credential to localhost.example in clear"),
        ("http://a.localhost", "would send the credential to a.localhost in clear"),
        ("http://127.example.com", "would send the credential to 127.example.com in clear"),
        ("http://0.0.0.0:8000", "would send the credential to 0.0.0.0 in clear"),
        (_HIDDEN, "must be a URL that begins with https://"),
        ("r.openai.azure.com", "must be a URL that begins with https://"),
        (f"ftp://{_HIDDEN}", "must be a URL that begins with https://"),
        (f"https://r.example:{_HIDDEN}", "must be a URL that begins with https://"),
        ("https://r.example:99999", "must be a URL that begins with https://"),
        ("https://[::1", "must be a URL that begins with https://"),
        ("https://", "names no usable host"),
        ("https://bücher.example", "names no usable host: write it in ASCII (xn--...)"),
        ("https://r example", "names no usable host"),
        ("https://[fe80::1%eth0]", "names no usable host"),
        ("https://r.example/a\nb", "holds a control character, a line break"),
        ("   ", "is empty"),
        (5, "must be a string, not int"),
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(address: Any, said: str) -> None:
    assert _refusal(_openai, base_url=address).startswith(f"base_url= {said}")
    assert _refusal(_azure, endpoint=address).startswith(f"endpoint= {said}")


@pytest.mark.parametrize(
    ("variable", "make"),
    [("OPENAI_BASE_URL", _openai), ("AZURE_OPENAI_ENDPOINT", lambda: Azure(deployment="d", api_key="k"))],
)
def test_a_wrong_address_from_the_environment_is_named_by_its_variable(
    variable: str, make: Callable[[], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://r.example/{_HIDDEN}")
    assert _refusal(make).startswith(f"{variable} would send the credential")


def test_a_copied_deployment_path_is_refused_with_the_place_for_it() -> None:
    assert "the deployment goes into deployment=" in _refusal(_azure, endpoint=f"{_URL}/openai/deployments/gpt/")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "api_key= is empty"),
        (" \n", "api_key= is empty"),
        (f"{_HIDDEN}\r\nX: y", "api_key= holds a line break"),
        (f"{_HIDDEN}\0", "api_key= holds a line break"),
        (f"{_HIDDEN}\u2026", "api_key= holds a line break, a control character or one outside Latin-1"),
        (f"{_HIDDEN}\udc80", "api_key= holds a line break, a control character or one outside Latin-1"),
        (_HIDDEN.encode(), "api_key= must be a string or a callable"),
    ],
)
def test_a_key_that_fits_no_header_is_refused_and_not_shown(key: Any, said: str) -> None:
    assert _refusal(_openai, api_key=key).startswith(said)
    assert _refusal(_azure, api_key=key).startswith(said)


@pytest.mark.parametrize(
    ("variable", "make"),
    [
        ("OPENAI_API_KEY", OpenAI),
        ("AZURE_OPENAI_API_KEY", lambda: Azure(_URL, "d")),
        ("AZURE_OPENAI_AD_TOKEN", lambda: Azure(_URL, "d")),
    ],
)
def test_a_broken_key_in_the_environment_is_named_by_its_variable(
    variable: str, make: Callable[[], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"{_HIDDEN}\n{_HIDDEN}")
    assert _refusal(make).startswith(f"{variable} holds a line break")


def test_whitespace_around_a_key_is_dropped() -> None:
    assert OpenAI(api_key=" k \r\n") == OpenAI(api_key="k")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("2024-13-40", "must be a date"),
        ("2024-10-01-beta", "must be a date"),
        ("20241001", "must be a date"),
        ("v2", '"v1", "preview" or "latest" (the GA endpoint)'),
        ("", "is empty"),
    ],
)
def test_an_unknown_api_version_names_what_is_allowed(version: str, said: str) -> None:
    assert said in _refusal(_azure, api_version=version)


def test_an_unknown_api_version_from_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "newest")
    assert _refusal(_azure).startswith("OPENAI_API_VERSION must be a date")


@pytest.mark.parametrize("name", ["Authorization", "API-Key", "authorization"])
def test_credentials_are_not_passed_as_headers(name: str) -> None:
    assert "credentials go into api_key= or credential=" in _refusal(_azure, headers={name: _HIDDEN})


@pytest.mark.parametrize(
    "name", ["Host", "upgrade", "CONNECTION", "Sec-WebSocket-Key", "sec-websocket-protocol", "Content-Length"]
)
def test_the_handshake_s_headers_are_not_overridden(name: str) -> None:
    assert "the WebSocket handshake sets it" in _refusal(_openai, headers={name: "x"})


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X Y": "1"}, "not an HTTP header name"),
        ({"X\r\nY": "1"}, "not an HTTP header name"),
        ({"": "1"}, "not an HTTP header name"),
        ({"Ünder": "1"}, "not an HTTP header name"),
        ({1: "1"}, "not an HTTP header name"),
        ({"X-A": f"{_HIDDEN}\r\nX-B: 1"}, "headers= X-A holds a line break"),
        ({"X-A": f"{_HIDDEN}\0"}, "headers= X-A holds a line break"),
        ({"X-A": f"{_HIDDEN}\u2026"}, "outside Latin-1"),
        ({"X-A": 1}, "headers= X-A must be a string, not int"),
        ({"X-A": "1", "x-a": "2"}, "names a header twice"),
        ([("X-A", "1")], "headers= must be a mapping"),
        ({"OpenAI-Beta": "realtime=v1"}, "must not hold OpenAI-Beta"),
    ],
)
def test_headers_are_checked(headers: Any, said: str) -> None:
    assert said in _refusal(_openai, headers=headers)


def test_the_beta_header_may_go_to_a_preview_endpoint() -> None:
    target = _azure(api_version="2024-10-01-preview", headers={"OpenAI-Beta": "realtime=v1"})
    assert target.headers == {"OpenAI-Beta": "realtime=v1"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": ""}, "model= is empty"),
        ({"model": "a\nb"}, "model= holds a control character"),
        ({"model": "\udc80"}, "model= holds a control character"),
        ({"model": 4}, "model= must be a string, not int"),
        ({"call_id": " "}, "call_id= is empty"),
        ({"transcription": "whisper"}, "transcription= must be True or False"),
        ({"translation": 1}, "translation= must be True, False or the name"),
        ({"translation": ""}, "translation= is empty"),
        ({"organization": "a\r\nb"}, "organization= holds a control character"),
        ({"project": "\u2026"}, "project= holds a line break, a control character or one outside Latin-1"),
    ],
)
def test_openai_options_are_checked(options: dict[str, Any], said: str) -> None:
    assert _refusal(_openai, **options).startswith(said)


def test_key_and_credential_exclude_each_other() -> None:
    assert _refusal(_azure, credential=lambda: "t").startswith("api_key= and credential= exclude each other")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"credential": _HIDDEN}, "pass keys as api_key="),
        ({"credential": AzureKeyCredential(_HIDDEN)}, "not AzureKeyCredential: pass keys as api_key="),
        ({"token_scope": ""}, "token_scope= is empty"),
    ],
)
def test_azure_credentials_are_checked(options: dict[str, Any], said: str) -> None:
    assert said in _refusal(lambda **given: Azure(_URL, "d", **given), **options)


def test_a_credential_object_as_key_is_sent_to_the_right_option() -> None:
    class Credential:
        def get_token(self, *scopes: str) -> str:
            return _HIDDEN

    assert "pass credential objects as Azure(credential=...)" in _refusal(_azure, api_key=Credential())


async def _async_token() -> str:
    return _HIDDEN


class _AsyncCall:
    async def __call__(self) -> str:
        return _HIDDEN


@pytest.mark.parametrize("asynchronous", [_async_token, _AsyncCall()])
def test_asynchronous_callables_are_refused_when_the_target_is_made(asynchronous: Any) -> None:
    assert "is asynchronous" in _refusal(_openai, api_key=asynchronous)
    assert "is asynchronous" in _refusal(lambda: Azure(_URL, "d", credential=asynchronous))


def test_asynchronous_azure_credentials_are_refused_with_the_right_one() -> None:
    credential: Any = AzureCliCredential()
    assert "azure.identity (not azure.identity.aio)" in _refusal(lambda: Azure(_URL, "d", credential=credential))


def test_a_target_never_changes() -> None:
    target: Any = OpenAI(api_key="k")
    with pytest.raises(AttributeError, match="a target never changes: make a new OpenAI"):
        target.auth = None
    with pytest.raises(AttributeError, match="a target never changes"):
        del target.auth
    with pytest.raises(AttributeError):
        target.url = "wss://elsewhere.example"
    with pytest.raises(TypeError):
        target.headers["X-A"] = "1"
