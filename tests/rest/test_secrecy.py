"""No key, token or client secret in a log line, a repr, a message or a pickle."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable

import pytest

from rtsync.session.calls import Call
from rtsync.session.client_secret import ClientSecret, create_client_secret
from rtsync.vocabulary.errors import RealtimeError
from rtsync.vocabulary.targets import Azure, OpenAI, Target
from tests.conftest import PROJECT
from tests.rest.recorder import SECRET_ANSWER, Answer, Recorder

KEY = "sk-hunter2-0123456789"
SECRET = str(SECRET_ANSWER["value"])
TARGETS: dict[str, Callable[[str], Target]] = {
    "openai": lambda url: OpenAI(base_url=url, api_key=KEY),
    "azure key": lambda url: Azure(url, "d", api_key=KEY),
    "azure token": lambda url: Azure(url, "d", credential=lambda: KEY),
}
every_target = pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger of the process speaks, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    for name in ("rtsync", "azure", "requests", "urllib3", *logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@every_target
def test_a_success_logs_neither_key_nor_secret(
    make: Callable[[str], Target], everything_logged: pytest.LogCaptureFixture
) -> None:
    with Recorder(Answer(503, headers={"Retry-After": "0"}), Answer(200, SECRET_ANSWER)) as server:
        secret = create_client_secret(make(server.url))
        Call(make(server.url), "rtc_1").accept(instructions="Nobody shall read this.")
    assert secret.value == SECRET
    assert "HTTP 200" in everything_logged.text
    for hidden in (KEY, SECRET, "Nobody shall read this"):
        assert hidden not in everything_logged.text


@every_target
@pytest.mark.parametrize("status", [302, 400, 401, 404, 429, 500])
def test_a_server_that_echoes_the_key_is_not_quoted(
    make: Callable[[str], Target], status: int, everything_logged: pytest.LogCaptureFixture
) -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": KEY, "type": KEY, "param": f"a.{KEY}"}}
    headers = {"X-Echo": f"Bearer {KEY}", "X-Request-Id": KEY, "x-should-retry": "false", "Location": f"/{KEY}"}
    with Recorder(Answer(status, echo, headers, reason=KEY)) as server, pytest.raises(RealtimeError) as caught:
        Call(make(server.url), "rtc_1").hangup()
    error = caught.value
    shown = [repr(error), str(error), repr(error.__dict__), *traceback.format_exception(error), everything_logged.text]
    assert KEY not in "".join(shown)
    assert KEY.encode() not in pickle.dumps(error)
    assert "***" in str(error)


def test_a_client_secret_shows_itself_only_when_asked() -> None:
    secret = ClientSecret(SECRET, 1756310470, {"client_secret": {"value": SECRET}})
    assert SECRET not in f"{secret!r} {secret} {secret.session!r}"
    assert "1756310470" in repr(secret)
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            travel(secret)


def test_a_call_does_not_show_its_key() -> None:
    call = Call(OpenAI(api_key=KEY), "rtc_1")
    assert KEY not in repr(call)
    assert "rtc_1" in repr(call)


def test_azure_core_is_loaded_by_the_first_request_and_not_before() -> None:
    code = (
        "import sys\n"
        "from rtsync.session import calls, client_secret\n"
        "from rtsync.pure import webhook\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('azure', 'requests', 'urllib3')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert run.stdout.strip() == "[]"
