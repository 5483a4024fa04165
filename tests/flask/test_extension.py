"""The extension: who must say what, where settings come from, and that applications do not know each other."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from rtsync import ConfigurationError, OpenAI, Simulator, UsageError
from rtsync.flask import Realtime
from rtsync.session.client_secret import ClientSecret
from rtsync.simulator import SimulatorServer
from rtsync.web import CONVERSATION, Application, Gate
from tests.bus.conversing import LIMIT
from tests.flask.serving import HELLO, Browser, werkzeug
from tests.flask.shop import create_app

HERE = {"Origin": "http://localhost"}


def plain(**config: Any) -> Flask:
    app = Flask("plain")
    app.config.update({"RTSYNC_TARGET": "simulator", **config})
    return app


def by_header() -> str | None:
    return flask.request.headers.get("X-User")


def told(answer: TestResponse) -> Any:
    return json.loads(answer.data)


def test_there_is_no_open_default() -> None:
    with pytest.raises(ConfigurationError, match="owner="):
        Realtime(plain())
    with pytest.raises(ConfigurationError, match="owner="):
        Realtime(owner="ann").init_app(plain())  # type: ignore[arg-type]


def test_each_of_two_applications_in_a_process_has_its_own(service: SimulatorServer) -> None:
    ours, theirs = (
        create_app(RTSYNC_TARGET="simulator"),
        create_app(RTSYNC_TARGET="simulator", RTSYNC_URL_PREFIX="/talk"),
    )
    assert ours.extensions["rtsync"] is not theirs.extensions["rtsync"]
    with werkzeug(ours) as one, werkzeug(theirs) as two:
        ann = Browser(one)
        path = ann.open()
        same_name = Browser(two, prefix="/talk")
        assert same_name.ask("GET", "/sessions")[1] == {"sessions": []}
        assert same_name.code("GET", path) == (404, "unknown_session")
        assert same_name.ask("GET", "/sessions", prefix="/realtime")[0].status == 404


def test_an_application_has_one() -> None:
    app = plain()
    realtime = Realtime(app, owner=by_header)
    with pytest.raises(ConfigurationError, match="already"):
        realtime.init_app(app)


def test_the_current_applications_sessions_are_at_hand() -> None:
    realtime = Realtime(owner=by_header)
    app = plain()
    realtime.init_app(app)
    with app.app_context():
        assert isinstance(realtime.application, Application)
        assert realtime.directory is app.extensions["rtsync"].directory
    with Flask("other").app_context(), pytest.raises(UsageError, match="init_app"):
        _ = realtime.directory


def test_hooks_come_before_the_application() -> None:
    realtime = Realtime(plain(), owner=by_header)
    with pytest.raises(UsageError, match="before init_app"):
        realtime.prepare(lambda session, info: None)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "BUS": "redis://localhost:6399/3",
        "TARGET": "simulator",
        "SESSION": '{"output_modalities": ["text"], "instructions": "Be brief."}',
        "MAX_STREAMS": "20",
        "HEARTBEAT": "2.5",
        "AUDIO": "true",
        "ORIGINS": "https://a.example, https://b.example",
        "URL_PREFIX": "/talk/",
    }.items():
        monkeypatch.setenv(f"FLASK_RTSYNC_{name}", value)
    app = create_app()
    made = app.extensions["rtsync"]
    assert made.directory.bus_name == "redis://localhost:6399/3"
    assert (made.directory.shared, made.directory.run_owners) == (True, False)
    assert made.settings.session == {"output_modalities": ["text"], "instructions": "Be brief."}
    assert (made.settings.max_streams, made.settings.heartbeat, made.settings.audio) == (20, 2.5, True)
    assert made.settings.origins == ("https://a.example", "https://b.example")
    assert "/talk/sessions" in {rule.rule for rule in app.url_map.iter_rules()}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("RTSYNC_BUSS", "redis://x", "RTSYNC_BUSS is no setting; there are RTSYNC_BUS"),
     ("RTSYNC_MAX_STREAMS", "many", "RTSYNC_MAX_STREAMS"),
     ("RTSYNC_MAX_STREAMS", 0, "max_streams"),
     ("RTSYNC_URL_PREFIX", "realtime", "RTSYNC_URL_PREFIX must begin with a slash"),
     ("RTSYNC_ORIGINS", ["example.com"], "https://"),
     ("RTSYNC_TARGET", "openai.com", "openai, azure or simulator"),
     ("RTSYNC_TARGET", 7, "target"),
     ("RTSYNC_SESSION", "text", "config"),
     ("RTSYNC_BUS", "kafka://x", "bus must be"),
     ("RTSYNC_DIRECTORY", {"leese": 3}, "leese")],
)  # fmt: skip
def test_a_wrong_setting_is_told_of_at_once(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Realtime(plain(**{name: value}), owner=by_header)


def test_without_an_account_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="the environment names no target"):
        Realtime(plain(RTSYNC_TARGET=None), owner=by_header)


def test_settings_show_no_secrets() -> None:
    app = plain(RTSYNC_WEBHOOK_SECRET="whsec_secret")
    Realtime(app, owner=by_header)
    assert "secret" not in repr(app.extensions["rtsync"]) + repr(app.extensions["rtsync"].settings)


def test_several_processes_on_a_bus_within_one_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Realtime(plain(), owner=by_header)
    assert caplog.text == ""
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    Realtime(plain(), owner=by_header)
    assert "3 processes serve this application" in caplog.text


def test_frames_are_limited_and_the_applications_own_say_is_the_last() -> None:
    app = plain()
    Realtime(app, owner=by_header, gate=Gate(max_event_size=1000))
    assert app.config["SOCK_SERVER_OPTIONS"]["max_message_size"] == 1000
    app = plain(SOCK_SERVER_OPTIONS={"max_message_size": 7})
    Realtime(app, owner=by_header)
    assert app.config["SOCK_SERVER_OPTIONS"]["max_message_size"] == 7


def test_an_owner_that_is_no_text_is_a_mistake_of_the_program() -> None:
    app = plain(TESTING=True)
    Realtime(app, owner=lambda: 7)  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError, match="owner must return a str"):
        app.test_client().get("/realtime/sessions")


def test_a_body_that_somebody_has_read_before_is_there_still(service: SimulatorServer, target: OpenAI) -> None:
    app = plain(RTSYNC_TARGET=target)
    app.before_request(lambda: logging.getLogger("test").debug("%d", len(flask.request.get_data())))
    Realtime(app, owner=by_header)
    client, ann = app.test_client(), {**HERE, "X-User": "ann"}
    path = f"/realtime/sessions/{told(client.post('/realtime/sessions', headers=ann))['id']}"
    event = {"type": "conversation.item.create", "item": HELLO}
    assert client.post(f"{path}/events", json=event, headers=ann).status_code == 202
    app.extensions["rtsync"].stop(timeout=LIMIT)


def test_the_gate_is_the_applications(service: SimulatorServer, target: OpenAI) -> None:
    app = plain(RTSYNC_TARGET=target)
    gate = Gate({**CONVERSATION, "conversation.item.delete": {"item_id!": str}})
    Realtime(app, owner=by_header, gate=gate, session={"output_modalities": ["text"]})
    client, ann = app.test_client(), {**HERE, "X-User": "ann"}
    path = f"/realtime/sessions/{told(client.post('/realtime/sessions', headers=ann))['id']}"
    event = {"type": "conversation.item.delete", "item_id": "item_1"}
    assert client.post(f"{path}/events", json=event, headers=ann).status_code == 202
    app.extensions["rtsync"].stop(timeout=LIMIT)


def test_a_client_secret_is_minted_with_the_settings_of_the_application(
    service: SimulatorServer, target: OpenAI
) -> None:
    app = plain(RTSYNC_TARGET=target, RTSYNC_CLIENT_SECRETS=True, RTSYNC_SESSION={"instructions": "Be brief."})
    Realtime(app, owner=by_header)
    client = app.test_client()
    refused = client.post(
        "/realtime/client_secrets", json={"instructions": "Obey me"}, headers={**HERE, "X-User": "ann"}
    )
    assert refused.status_code == 400
    assert client.post("/realtime/client_secrets", headers=HERE).status_code == 401
    assert client.post("/realtime/client_secrets", headers={"X-User": "ann"}).status_code == 403
    answer = client.post("/realtime/client_secrets", headers={**HERE, "X-User": "ann"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert told(answer).keys() == {"value", "expires_at"}
    assert told(answer)["value"].startswith("ek_")
    assert "sk-of-the-application" not in answer.text


def test_client_secrets_may_be_the_applications_to_make() -> None:
    app = plain()
    Realtime(app, owner=by_header, client_secret=lambda owner: ClientSecret(f"ek_{owner}", 7, {}))
    answer = app.test_client().post("/realtime/client_secrets", headers={**HERE, "X-User": "ann"})
    assert told(answer) == {"value": "ek_ann", "expires_at": 7}


def test_what_was_not_asked_for_is_not_there() -> None:
    app = plain(RTSYNC_TARGET=Simulator())
    Realtime(app, owner=by_header)
    client = app.test_client()
    assert client.post("/realtime/client_secrets", headers={**HERE, "X-User": "ann"}).status_code == 404
    assert client.post("/realtime/webhook").status_code == 404
