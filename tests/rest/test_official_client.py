"""The official SDK as a witness: against the same server its requests have our paths and our bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from rtsync.session.calls import Call
from rtsync.session.client_secret import create_client_secret
from rtsync.vocabulary.targets import Azure, OpenAI, Target
from tests.rest.recorder import SECRET_ANSWER, Answer, Received, Recorder

KEY = "sk-test-key-0123456789"
CALL = "rtc_1"
TRANSLATION: Any = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
SESSION: Any = {"type": "realtime", "model": "m", "instructions": "Be brief."}
LIFE: Any = {"anchor": "created_at", "seconds": 60}

ROWS: list[tuple[str, Callable[[openai.OpenAI], object], Callable[[Target], object]]] = [
    (
        "client secret",
        lambda sdk: sdk.realtime.client_secrets.create(session=SESSION, expires_after=LIFE),
        lambda target: create_client_secret(target, session=SESSION, expires_after=60),
    ),
    (
        "accept",
        lambda sdk: sdk.realtime.calls.accept(CALL, **SESSION),
        lambda target: Call(target, CALL).accept(**SESSION),
    ),
    (
        "reject",
        lambda sdk: sdk.realtime.calls.reject(CALL, status_code=486),
        lambda target: Call(target, CALL).reject(486),
    ),
    ("reject plainly", lambda sdk: sdk.realtime.calls.reject(CALL), lambda target: Call(target, CALL).reject()),
    (
        "refer",
        lambda sdk: sdk.realtime.calls.refer(CALL, target_uri="sip:agent@example.test"),
        lambda target: Call(target, CALL).refer("sip:agent@example.test"),
    ),
    ("hang up", lambda sdk: sdk.realtime.calls.hangup(CALL), lambda target: Call(target, CALL).hangup()),
]
ONLY_OPENAI: tuple[str, Callable[[openai.OpenAI], object], Callable[[Target], object]] = (
    "translation secret",
    lambda sdk: sdk.realtime.translations.client_secrets.create(session=TRANSLATION, expires_after=LIFE),
    lambda target: create_client_secret(
        target.for_translation(), session={"audio": TRANSLATION["audio"]}, expires_after=60
    ),
)
rows = pytest.mark.parametrize(("what", "theirs", "ours"), ROWS, ids=[what for what, _, _ in ROWS])


def _both(server: Recorder, base: str, theirs: Any, ours: Any, target: Target) -> tuple[Received, Received]:
    with openai.OpenAI(base_url=f"{server.url}{base}", api_key=KEY, max_retries=0) as sdk:
        theirs(sdk)
    ours(target)
    first, second = server.requests
    return first, second


def _same(first: Received, second: Received) -> None:
    assert (first.method, first.target, first.json) == (second.method, second.target, second.json)
    assert first.headers["accept"] == second.headers["accept"]
    if second.body:  # Of an empty body the SDK says that it is JSON; rtsync says nothing.
        assert first.headers["content-type"] == second.headers["content-type"]


@pytest.mark.parametrize(
    ("what", "theirs", "ours"), [*ROWS, ONLY_OPENAI], ids=[what for what, _, _ in [*ROWS, ONLY_OPENAI]]
)
def test_at_openai_both_ask_the_same(what: str, theirs: Any, ours: Any) -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        first, second = _both(server, "/v1", theirs, ours, OpenAI("m", base_url=f"{server.url}/v1", api_key=KEY))
    _same(first, second)
    assert first.headers["authorization"] == second.headers["authorization"]


@rows
def test_at_azure_both_ask_the_same(what: str, theirs: Any, ours: Any) -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        first, second = _both(server, "/openai/v1/", theirs, ours, Azure(server.url, "m", api_key=KEY))
    _same(first, second)
