"""A target and its credential, from the caller's line of code to what arrives at a server through a session."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from rtsync import (
    AuthenticationFailed,
    Azure,
    ConfigurationError,
    ConnectTimeout,
    OpenAI,
    RealtimeSession,
    Target,
    target_from_env,
)
from tests.loopback import LIMIT, ScriptedServer
from tests.targets.conftest import RecordingCredential

_SECRET = "hunter2"


def _opened(target: Target) -> None:
    with RealtimeSession(target):
        pass


def _authorizations(server: ScriptedServer) -> list[str]:
    return [peer.request.headers["authorization"] for peer in server.peers]


def test_a_key_callable_is_asked_by_every_session(greeting_server: ScriptedServer) -> None:
    keys = iter(["first", "second"])
    target = OpenAI(api_key=lambda: next(keys), base_url=greeting_server.http_url)
    _opened(target)
    _opened(target)
    assert _authorizations(greeting_server) == ["Bearer first", "Bearer second"]


def test_a_credential_is_asked_by_every_session(
    greeting_server: ScriptedServer, credential: RecordingCredential
) -> None:
    target = Azure(greeting_server.http_url, "d", credential=credential)
    _opened(target)
    _opened(target)
    assert _authorizations(greeting_server) == ["Bearer token-1", "Bearer token-2"]


def test_making_a_session_asks_for_nothing(credential: RecordingCredential) -> None:
    RealtimeSession(Azure("https://r.openai.azure.com", "d", credential=credential))
    assert credential.scopes == []


def test_a_credential_is_asked_in_a_thread_of_rtsync_s_and_knows_the_caller_s_context(
    greeting_server: ScriptedServer,
) -> None:
    tenant = contextvars.ContextVar("tenant", default="nobody")
    seen: list[tuple[str, str]] = []

    def key() -> str:
        seen.append((threading.current_thread().name, tenant.get()))
        return "k"

    tenant.set("mine")
    _opened(OpenAI(api_key=key, base_url=greeting_server.http_url))
    (thread, context) = seen[0]
    assert thread.startswith("rtsync-")
    assert context == "mine"


def test_a_credential_that_fails_ends_open_and_reaches_no_server(greeting_server: ScriptedServer) -> None:
    def key() -> str:
        raise LookupError("the vault is closed")

    session = RealtimeSession(OpenAI(api_key=key, base_url=greeting_server.http_url))
    with pytest.raises(AuthenticationFailed, match="gave no token: LookupError: the vault is closed") as failed:
        session.open()
    assert failed.value.phase == "credential"
    assert isinstance(failed.value.__cause__, LookupError)
    assert session.state == "closed"
    assert greeting_server.connections == 0


def test_a_default_credential_that_fails_says_how_to_sign_in(
    greeting_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def get_token(self, *scopes: str, **kwargs: Any) -> Any:
            raise OSError("no account")

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Refusing)
    with pytest.raises(AuthenticationFailed, match="Sign in with `az login`, or use a key") as failed:
        RealtimeSession(Azure(greeting_server.http_url, "d")).open()
    assert failed.value.phase == "credential"


@pytest.mark.parametrize("answer", [None, "", f"{_SECRET}\r\nX-Evil: 1"])
def test_an_answer_that_is_no_key_ends_open(greeting_server: ScriptedServer, answer: Any) -> None:
    with pytest.raises(ConfigurationError, match="the callable given as api_key= returned") as refused:
        RealtimeSession(OpenAI(api_key=lambda: answer, base_url=greeting_server.http_url)).open()
    assert _SECRET not in str(refused.value)
    assert greeting_server.connections == 0


async def _token() -> str:
    return _SECRET


def test_an_asynchronous_callable_is_refused_when_the_target_is_made() -> None:
    asynchronous: Any = _token
    with pytest.raises(ConfigurationError, match="api_key= is asynchronous"):
        OpenAI(api_key=asynchronous)


def test_an_asynchronous_answer_ends_open(greeting_server: ScriptedServer) -> None:
    def ask() -> Awaitable[str]:  # a plain function, so only its answer tells
        return _token()

    asynchronous: Any = ask
    with pytest.raises(ConfigurationError, match="api_key= is asynchronous"):
        RealtimeSession(OpenAI(api_key=asynchronous, base_url=greeting_server.http_url)).open()
    assert greeting_server.connections == 0


def test_a_credential_that_does_not_answer_ends_open_in_time(greeting_server: ScriptedServer) -> None:
    release = threading.Event()
    asked_in: list[threading.Thread] = []

    def key() -> str:
        asked_in.append(threading.current_thread())
        release.wait(LIMIT)
        return "k"

    session = RealtimeSession(OpenAI(api_key=key, base_url=greeting_server.http_url), connect_timeout=0.2)
    began = time.monotonic()
    try:
        with pytest.raises(ConnectTimeout, match="the credential gave no token") as timed_out:
            session.open()
        assert time.monotonic() - began < LIMIT / 2
    finally:
        release.set()
    assert timed_out.value.phase == "credential"
    asked_in[0].join(LIMIT)  # an answer that comes too late is not used
    assert greeting_server.connections == 0


@pytest.mark.parametrize(
    ("lines", "path", "header"),
    [
        (
            ["OPENAI_API_KEY=hunter2", "OPENAI_BASE_URL={}/v1"],
            "/v1/realtime?model=gpt-realtime",
            ("authorization", "Bearer hunter2"),
        ),
        (
            ["AZURE_OPENAI_ENDPOINT={}", "AZURE_OPENAI_DEPLOYMENT_NAME=d", "AZURE_OPENAI_API_KEY=hunter2"],
            "/openai/v1/realtime?model=d",
            ("api-key", "hunter2"),
        ),
        (
            [
                "AZURE_OPENAI_ENDPOINT={}/",
                "AZURE_OPENAI_DEPLOYMENT=d",
                "AZURE_OPENAI_AD_TOKEN=hunter2",
                "OPENAI_API_VERSION=2025-04-01-preview",
            ],
            "/openai/realtime?api-version=2025-04-01-preview&deployment=d",
            ("authorization", "Bearer hunter2"),
        ),
    ],
    ids=["openai", "azure", "azure preview"],
)
def test_a_dotenv_file_is_all_that_a_session_needs(
    greeting_server: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    path: str,
    header: tuple[str, str],
) -> None:
    (tmp_path / ".env").write_text("\n".join(lines).format(greeting_server.http_url), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    session = RealtimeSession(target_from_env())
    with session:
        assert _SECRET not in repr(session)
    request = greeting_server.peers[0].request
    assert request.path == path
    assert request.headers[header[0]] == header[1]
