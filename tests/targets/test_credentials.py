"""Who is asked for a key or token, when, how often at once, and what becomes of a bad answer."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from rtsync.edges.credentials import authorization
from rtsync.vocabulary.auth import AZURE_SCOPE
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import AuthenticationFailed, ConfigurationError, ConnectTimeout, UsageError
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target
from tests.loopback import LIMIT, ScriptedServer
from tests.targets.arrivals import arrival
from tests.targets.conftest import RecordingCredential

_JWT = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0.c2ln"


def _azure(**options: Any) -> Azure:
    return Azure("https://r.openai.azure.com", "d", **options)


def test_static_keys_go_where_each_service_wants_them() -> None:
    assert authorization(OpenAI(api_key="k")) == {"Authorization": "Bearer k"}
    assert authorization(_azure(api_key="k")) == {"api-key": "k"}
    assert authorization(Simulator()) == {}


def test_a_credential_is_asked_at_every_connect(
    greeting_server: ScriptedServer, credential: RecordingCredential
) -> None:
    target = Azure(greeting_server.http_url, "d", credential=credential)
    assert credential.scopes == []
    assert arrival(target, greeting_server).headers == [("Authorization", "Bearer token-1")]
    assert arrival(target, greeting_server).headers == [("Authorization", "Bearer token-2")]
    assert credential.scopes == [(AZURE_SCOPE,)] * 2


def test_the_scope_can_be_chosen(credential: RecordingCredential) -> None:
    authorization(_azure(credential=credential, token_scope="https://ai.azure.com/.default"))
    assert credential.scopes == [("https://ai.azure.com/.default",)]


def test_a_callable_is_asked_at_every_connect() -> None:
    answers = iter(["first", "second"])
    target = OpenAI(api_key=lambda: next(answers))
    assert [authorization(target)["Authorization"] for _ in range(2)] == ["Bearer first", "Bearer second"]


def test_a_credential_callable_gives_a_token() -> None:
    assert authorization(_azure(credential=lambda: "t")) == {"Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("answer", "header"),
    [("0123456789abcdef", {"api-key": "0123456789abcdef"}), (_JWT, {"Authorization": f"Bearer {_JWT}"})],
)
def test_an_azure_key_callable_may_give_a_key_or_a_token(answer: str, header: dict[str, str]) -> None:
    assert authorization(_azure(api_key=lambda: answer)) == header


def test_a_credential_with_the_newer_method_alone_is_asked_too() -> None:
    class Newer:
        def get_token_info(self, *scopes: str, options: object = None) -> Any:
            return type("Info", (), {"token": f"for {scopes[0]}"})

    newer: Any = Newer()
    assert authorization(_azure(credential=newer)) == {"Authorization": f"Bearer for {AZURE_SCOPE}"}


def test_one_default_credential_per_target_made_on_first_use(default_credentials: list[RecordingCredential]) -> None:
    target = _azure()
    assert default_credentials == []
    authorization(target)
    authorization(target)
    authorization(target.for_transcription())
    assert len(default_credentials) == 1
    authorization(_azure())
    assert len(default_credentials) == 2


def test_connects_at_the_same_time_make_one_default_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[RecordingCredential] = []

    def make_slowly() -> RecordingCredential:
        threading.Event().wait(0.01)  # time for another thread to make one too, were it allowed to
        made.append(RecordingCredential())
        return made[-1]

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", make_slowly)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(authorization, [_azure()] * 64))
    assert len(made) == 1
    assert len(made[0].scopes) == 64


def test_a_missing_azure_identity_is_named_with_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ConfigurationError, match="pip install azure-identity, or set AZURE_OPENAI_API_KEY"):
        authorization(_azure())


class OneAtATime:
    """Fails where a second thread comes in before the first has left."""

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self.overlapped = False
        self.asked = 0

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        if not self._inside.acquire(blocking=False):
            self.overlapped = True
            return type("Token", (), {"token": "t"})
        try:
            threading.Event().wait(0.001)  # time for another thread to come in, were it allowed to
            self.asked += 1
        finally:
            self._inside.release()
        return type("Token", (), {"token": "t"})

    def key(self) -> str:
        return str(self.get_token().token)


def _ask_from_many_threads(targets: list[Target]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(authorization, targets * 8))


def test_connects_ask_a_shared_credential_one_after_another() -> None:
    credential = OneAtATime()
    _ask_from_many_threads([_azure(credential=credential), _azure(credential=credential).for_transcription()])
    assert (credential.overlapped, credential.asked) == (False, 16)


def test_connects_ask_a_shared_callable_one_after_another() -> None:
    source = OneAtATime()
    _ask_from_many_threads([OpenAI(api_key=source.key), _azure(credential=source.key)])
    assert (source.overlapped, source.asked) == (False, 16)


class Stuck:
    """A callable that answers when told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.release.wait(LIMIT)
        return "k"


def test_waiting_for_a_turn_ends_with_the_deadline() -> None:
    stuck = Stuck()
    target = OpenAI(api_key=stuck)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(authorization, target)
        assert stuck.entered.wait(LIMIT)
        with pytest.raises(ConnectTimeout, match="still answering another connect") as timed_out:
            authorization(target, deadline=Deadline(0.01))
        stuck.release.set()
        assert first.result(LIMIT) == {"Authorization": "Bearer k"}
    assert timed_out.value.phase == "credential"


def test_different_credentials_do_not_wait_for_each_other() -> None:
    stuck = Stuck()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(authorization, OpenAI(api_key=stuck))
        assert stuck.entered.wait(LIMIT)
        assert authorization(OpenAI(api_key=lambda: "other")) == {"Authorization": "Bearer other"}
        stuck.release.set()
        first.result(LIMIT)


def test_a_failed_question_leaves_the_next_connect_its_turn() -> None:
    answers: list[Callable[[], str]] = [lambda: str(1 / 0), lambda: "k"]
    target = OpenAI(api_key=lambda: answers.pop(0)())
    with pytest.raises(AuthenticationFailed):
        authorization(target)
    assert authorization(target, deadline=Deadline(LIMIT)) == {"Authorization": "Bearer k"}


class Refusing:
    """A credential that fails as azure-identity does, at length."""

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        raise ClientAuthenticationError(message="Please run 'az login' to set up an account\nAttempted:\n" + "x" * 900)


def test_a_credential_that_fails_is_an_authentication_failure_with_the_way_out() -> None:
    with pytest.raises(AuthenticationFailed) as failed:
        authorization(_azure(credential=Refusing()))
    assert str(failed.value) == (
        "Refusing (credential=) gave no token: ClientAuthenticationError: Please run 'az login' to set up an account. "
        "Sign in with `az login`, or use a key: api_key=... or AZURE_OPENAI_API_KEY"
    )
    assert failed.value.phase == "credential"
    assert isinstance(failed.value.__cause__, ClientAuthenticationError)


def test_a_default_credential_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Refusing)
    with pytest.raises(AuthenticationFailed, match=r"^DefaultAzureCredential gave no token: .*az login"):
        authorization(_azure())


def test_a_long_reason_is_cut() -> None:
    def fail() -> str:
        raise ValueError("x" * 5000)

    with pytest.raises(AuthenticationFailed, match=r"^the callable given as api_key= gave no token: Val") as failed:
        authorization(OpenAI(api_key=fail))
    assert len(str(failed.value)) < 300


def test_an_error_of_rtsync_s_own_passes_through() -> None:
    def fail() -> str:
        raise UsageError("not here")

    with pytest.raises(UsageError, match="not here"):
        authorization(OpenAI(api_key=fail))


def test_an_interrupt_passes_through_and_frees_the_turn() -> None:
    answers: list[type[BaseException] | None] = [KeyboardInterrupt, None]

    def ask() -> str:
        if failure := answers.pop(0):
            raise failure
        return "k"

    target = OpenAI(api_key=ask)
    with pytest.raises(KeyboardInterrupt):
        authorization(target)
    assert authorization(target, deadline=Deadline(LIMIT)) == {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "must be a string, not NoneType"),
        (b"hunter2", "must be a string, not bytes"),
        ("", "is empty"),
        ("hunter2\r\nX-A: b", "holds a line break"),
        ("hunter2\u2026", "outside Latin-1"),
    ],
)
def test_an_answer_that_is_no_key_is_refused_and_not_shown(answer: Any, said: str) -> None:
    for target in (OpenAI(api_key=lambda: answer), _azure(credential=lambda: answer)):
        with pytest.raises(ConfigurationError, match=said) as refused:
            authorization(target)
        assert "the callable given as" in str(refused.value)
        assert "hunter2" not in str(refused.value)


def test_a_credential_whose_token_is_no_text_is_refused() -> None:
    class Odd:
        def get_token(self, *scopes: str, **kwargs: Any) -> Any:
            return None

    with pytest.raises(ConfigurationError, match=r"what Odd \(credential=\) returned must be a string"):
        authorization(_azure(credential=Odd()))


async def _token() -> str:
    return "hunter2"


def test_an_asynchronous_answer_is_refused_without_a_warning() -> None:
    def ask() -> Awaitable[str]:  # a plain function, so only its answer tells
        return _token()

    asynchronous: Any = ask
    with pytest.raises(ConfigurationError, match=r"azure.identity \(not azure.identity.aio\)"):
        authorization(OpenAI(api_key=asynchronous))


def test_a_hidden_asynchronous_credential_is_refused() -> None:
    class Hidden:
        def get_token(self, *scopes: str, **kwargs: Any) -> Any:
            return _token()

    with pytest.raises(ConfigurationError, match=r"credential= is asynchronous"):
        authorization(_azure(credential=Hidden()))


_FORK = """
    import os, sys, threading
    from rtsync.edges.credentials import authorization
    from rtsync.vocabulary.deadline import Deadline
    from rtsync.vocabulary.targets import OpenAI

    entered, release, parent = threading.Event(), threading.Event(), os.getpid()

    def key():
        if os.getpid() == parent:
            entered.set()
            release.wait(30)
        return "k"

    target = OpenAI(api_key=key)
    thread = threading.Thread(target=authorization, args=(target,))
    thread.start()
    entered.wait(30)
    child = os.fork()
    if child == 0:
        answered = authorization(target, deadline=Deadline(20)) == {"Authorization": "Bearer k"}
        os._exit(0 if answered else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    release.set()
    thread.join()
    sys.exit(status)
"""


def test_a_forked_child_does_not_wait_for_a_turn_of_its_parent() -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(_FORK)], check=True, timeout=LIMIT)


def test_forgotten_targets_leave_nothing_behind() -> None:
    from rtsync.edges import credentials

    source = OneAtATime()
    for _ in range(20):
        authorization(_azure(credential=source))
    registry = credentials._registry
    assert id(source) not in registry._of_object
    assert all(asked.source is not source for asked in registry._of_auth.values())
