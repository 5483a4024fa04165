"""What settings make of an application, in no framework; and what the doctor says of it without reaching anything."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync import ConfigurationError, OpenAI, Simulator, Target
from rtsync.web import Application, settings_from
from rtsync.web.deployment import Deployment
from rtsync.web.doctor import examine, report, warnings_of

REDIS = "redis://127.0.0.1:1/0"


def application(**values: Any) -> Application:
    return Application(settings_from({"TARGET": "simulator", **values}, called=lambda name: f"SHOP_{name}"))


def test_settings_are_what_the_environment_of_any_framework_can_say() -> None:
    settings = settings_from(
        {"MAX_STREAMS": "8", "AUDIO": "1", "LEASE": "4", "ORIGINS": "https://a.example"}, called=str
    )
    assert (settings.max_streams, settings.audio, settings.lease) == (8, True, 4.0)
    assert settings.origins == ("https://a.example",)
    assert repr(settings) == "<Settings>"


@pytest.mark.parametrize(
    ("values", "message"),
    [({"BUS": 7}, "SHOP_BUS: expected `str`"), ({"ORIGINS": [7]}, "SHOP_ORIGINS"), ({"bus": "x"}, "SHOP_bus is no"),
     ({"RESPONSES": "sk-secret"}, "SHOP_RESPONSES")],
)  # fmt: skip
def test_a_setting_of_another_kind_is_named_as_its_people_call_it(values: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as told:
        application(**values)
    assert "sk-secret" not in str(told.value)


def test_a_target_is_named_or_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    assert isinstance(application(TARGET="openai").target(), OpenAI)
    assert isinstance(application(TARGET=None).target(), OpenAI)
    target: Target = Simulator()
    assert application(TARGET=target).target() is target


def test_what_is_not_needed_is_not_missed() -> None:
    """Web workers on Redis connect to no service: their image needs no key."""
    made = application(BUS=REDIS, TARGET="openai")
    assert made.directory.target is None
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        made.worker()
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        application(BUS=REDIS, TARGET="openai", CLIENT_SECRETS=True)


def test_a_worker_holds_what_the_web_workers_do_not() -> None:
    made = application(BUS=REDIS)
    assert (made.directory.run_owners, made.worker().run_owners) == (False, True)


def test_the_doctor_tells_of_a_target_that_is_set_and_cannot_be() -> None:
    made = application(BUS=REDIS, TARGET="openai", DIRECTORY={"bus_timeout": 0.2})
    found = {finding.about: finding.how for finding in examine(made, deployment=Deployment())}
    assert found == {"rtsync": "ok", "target": "wrong", "offers": "ok", "bus": "wrong"}


def test_the_report_is_for_people_and_its_status_for_programs() -> None:
    made, lines = application(), list[str]()
    try:
        assert report(made, lines.append, deployment=Deployment(processes=1)) == 0
        assert report(made, lines.append, deployment=Deployment(processes=2)) == 1
    finally:
        made.stop()
    assert [line.split()[1] for line in lines[:5]] == ["rtsync", "target", "offers", "bus", "session"]


@pytest.mark.parametrize(
    ("deployment", "about"),
    [(Deployment(processes=3), "3 processes"), (Deployment(kind="sync"), "sync workers"),
     (Deployment(processes=1, threads=8), None), (Deployment(kind="gevent"), None), (Deployment(), None)],
    ids=["processes", "sync", "threads", "gevent", "nothing"],
)  # fmt: skip
def test_the_start_is_warned_of_what_cannot_work(deployment: Deployment, about: str | None) -> None:
    warned = warnings_of(application(), deployment=deployment)
    assert len(warned) == (about is not None)
    assert about is None or about in warned[0]
