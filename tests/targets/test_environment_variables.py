"""What the environment says, and what beats it (protocol section 1.4)."""

from __future__ import annotations

import pytest

from rtsync.edges.credentials import authorization
from rtsync.vocabulary.targets import Azure, OpenAI
from tests.targets.conftest import RecordingCredential

_AZURE = {"AZURE_OPENAI_ENDPOINT": "https://env.example", "AZURE_OPENAI_DEPLOYMENT": "from-env"}


@pytest.fixture
def azure_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _AZURE.items():
        monkeypatch.setenv(name, value)


def test_openai_reads_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-env ")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://env.example/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-env")
    target = OpenAI()
    assert target.url == "wss://env.example/v1/realtime?model=gpt-realtime"
    assert target.headers == {"OpenAI-Organization": "org-env", "OpenAI-Project": "proj-env"}
    assert authorization(target) == {"Authorization": "Bearer sk-env"}


def test_what_is_passed_to_openai_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "not\nusable")
    target = OpenAI(api_key="sk-1", base_url="https://here.example/v1", organization="o", project="p")
    assert target.url == "wss://here.example/v1/realtime?model=gpt-realtime"
    assert target.headers == {"OpenAI-Organization": "o", "OpenAI-Project": "p"}
    assert authorization(target) == {"Authorization": "Bearer sk-1"}


def test_a_header_that_is_passed_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    assert OpenAI(api_key="k", headers={"openai-organization": "o"}).headers == {"openai-organization": "o"}


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, " ")
    target = OpenAI(api_key="k")
    assert target.url == "wss://api.openai.com/v1/realtime?model=gpt-realtime"
    assert target.headers == {}


@pytest.mark.usefixtures("azure_environment")
def test_azure_reads_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k-env")
    target = Azure()
    assert target.url == "wss://env.example/openai/v1/realtime?model=from-env"
    assert authorization(target) == {"api-key": "k-env"}


@pytest.mark.usefixtures("azure_environment")
def test_azure_deployment_beats_azure_deployment_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT_NAME", "other")
    assert Azure(api_key="k").model == "from-env"
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "")
    assert Azure(api_key="k").model == "other"


@pytest.mark.usefixtures("azure_environment")
def test_an_aim_that_is_passed_beats_the_deployment_of_the_environment() -> None:
    assert Azure(api_key="k", call_id="rtc_1").purpose == "call"
    assert Azure(api_key="k", transcription=True).purpose == "transcription"
    assert Azure("https://here.example", "passed", api_key="k").model == "passed"


@pytest.mark.usefixtures("azure_environment")
@pytest.mark.parametrize(
    ("version", "query"),
    [
        ("2025-04-01-preview", "api-version=2025-04-01-preview&deployment=from-env"),
        ("preview", "model=from-env"),
        ("latest", "model=from-env"),
        ("v1", "model=from-env"),
        ("", "model=from-env"),
    ],
)
def test_openai_api_version_chooses_the_endpoint(monkeypatch: pytest.MonkeyPatch, version: str, query: str) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", version)
    assert Azure(api_key="k").url.partition("?")[2] == query


@pytest.mark.usefixtures("azure_environment")
def test_a_version_that_is_passed_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
    assert Azure(api_key="k", api_version="v1").dialect == "ga"


@pytest.mark.usefixtures("azure_environment")
@pytest.mark.parametrize(
    ("token", "key", "header"),
    [
        ("t", "k", {"Authorization": "Bearer t"}),
        ("t", None, {"Authorization": "Bearer t"}),
        ("", "k", {"api-key": "k"}),
        (None, "k", {"api-key": "k"}),
        (None, "", {"Authorization": "Bearer token-1"}),
        (None, None, {"Authorization": "Bearer token-1"}),
    ],
)
def test_azure_environment_token_beats_key_beats_default_credential(
    monkeypatch: pytest.MonkeyPatch,
    default_credentials: list[RecordingCredential],
    token: str | None,
    key: str | None,
    header: dict[str, str],
) -> None:
    for name, value in (("AZURE_OPENAI_AD_TOKEN", token), ("AZURE_OPENAI_API_KEY", key)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert authorization(Azure()) == header
    assert bool(default_credentials) == (header == {"Authorization": "Bearer token-1"})


@pytest.mark.usefixtures("azure_environment")
def test_what_is_passed_makes_azure_s_environment_irrelevant(
    monkeypatch: pytest.MonkeyPatch, credential: RecordingCredential
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "not\nusable")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "not\nusable")
    assert authorization(Azure(api_key="k")) == {"api-key": "k"}
    assert authorization(Azure(credential=credential)) == {"Authorization": "Bearer token-1"}


def test_the_environment_is_read_when_the_target_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "first")
    target = OpenAI()
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    assert authorization(target.for_transcription()) == {"Authorization": "Bearer first"}
