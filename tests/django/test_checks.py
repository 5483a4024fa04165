"""`manage.py check`: what is wrong with the setting and around it is said in words."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from rtsync.django.checks import check_settings


def said(**changes: Any) -> list[tuple[str, str]]:
    """The ids and sentences for the setting with changes; None takes a key away."""
    ours = {name: value for name, value in {**settings.RTSYNC, **changes}.items() if value is not None}
    with override_settings(RTSYNC=ours):
        return [(found.id, f"{found.msg} {found.hint or ''}") for found in check_settings()]


def only(found: list[tuple[str, str]]) -> tuple[str, str]:
    assert len(found) == 1, found
    return found[0]


def test_the_project_is_fine_while_it_is_developed() -> None:
    with override_settings(DEBUG=True):
        assert said() == []


@pytest.mark.parametrize(
    ("name", "meant"), [("TARGETS", "TARGET"), ("ORIGIN", "ORIGINS"), ("owner", "OWNER"), ("MAX_STREAM", "MAX_STREAMS")]
)
def test_a_key_that_means_nothing_is_an_error_that_names_the_nearest(name: str, meant: str) -> None:
    number, text = only(said(**{name: "x"}))
    assert number == "rtsync.E002"
    assert f"'{name}'" in text
    assert f"Is {meant} meant?" in text


def test_a_key_like_no_other_is_answered_with_those_that_there_are() -> None:
    assert "There are ACCEPT, AUDIO, BUS," in only(said(ZYXWV=1))[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BUS": "carrier pigeons"}, "memory://"),
        ({"TARGET": "azur"}, "azur"),
        ({"TARGET": 7}, "must be"),
        ({"PREPARE": ["nowhere.at_all"]}, "nowhere.at_all"),
        ({"PREPARE": "tests.django.project.voice.prepare"}, "must be a list"),
        ({"TOOLS": 1}, "must be a list"),
        ({"SESSION": "nowhere.at_all"}, "nowhere.at_all"),
        ({"MAX_STREAMS": "many"}, 'RTSYNC["MAX_STREAMS"]'),
        ({"MAX_STREAMS": 0}, "at least 1"),
        ({"ORIGINS": ["example.com"]}, "no origin"),
        ({"HEARTBEAT": 0}, "heartbeat"),
        ({"OWNER": "nowhere.at_all"}, "nowhere.at_all"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_value_that_cannot_be_is_an_error(changes: dict[str, Any], words: str) -> None:
    number, text = only(said(**changes))
    assert number == "rtsync.E001"
    assert words in text


def test_no_target_is_an_error() -> None:
    number, text = only(said(TARGET=None))
    assert number == "rtsync.E001"
    assert "OPENAI_API_KEY" in text


def test_no_setting_at_all_is_an_error() -> None:
    with override_settings():
        del settings.RTSYNC
        (found,) = check_settings()
    assert (found.id, "settings.RTSYNC must be a dict" in found.msg) == ("rtsync.E001", True)


def test_nobody_who_says_who_is_logged_in_is_an_error() -> None:
    less = [path for path in settings.MIDDLEWARE if "Authentication" not in path]
    with override_settings(MIDDLEWARE=less, DEBUG=True):
        number, text = only(said())
        assert number == "rtsync.E004"
        assert "AuthenticationMiddleware" in text
        assert said(OWNER="tests.django.project.voice.by_header") == []


def test_a_hook_that_is_none_is_an_error() -> None:
    with override_settings(DEBUG=True):
        assert only(said(OWNER=7))[0] == "rtsync.E003"


def test_memory_without_debug_is_a_warning() -> None:
    number, text = only(said())
    assert number == "rtsync.W002"
    assert "redis://" in text


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WEB_CONCURRENCY", "3"), ("GUNICORN_CMD_ARGS", "--bind=:80 --workers=3"), ("GUNICORN_CMD_ARGS", "-w 3")],
)
def test_several_workers_on_memory_are_a_warning(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    number, text = only(said())
    assert number == "rtsync.W001"
    assert "3 processes" in text


def test_several_workers_on_redis_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert said(BUS="redis://localhost:1/0") == []


def test_the_check_is_part_of_those_of_django() -> None:
    wrong = {**settings.RTSYNC, "TARGETS": "openai"}
    with override_settings(RTSYNC=wrong), pytest.raises(SystemCheckError, match="Is TARGET meant"):
        call_command("check")


def test_a_worker_without_redis_is_refused() -> None:
    with pytest.raises(CommandError, match="redis://"):
        call_command("rtsync", "worker")


def test_the_doctor_opens_a_session_as_a_page_would(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rtsync", "doctor")
    found = {line.split()[1]: line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert (found["bus"], found["session"]) == ("ok", "ok")


def test_the_doctor_ends_with_a_status_where_something_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    with pytest.raises(SystemExit, match="1"):
        call_command("rtsync", "doctor")
