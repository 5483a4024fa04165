"""`log_events`: a line for every event, for as long as it is wanted, and at no cost where it is not."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

import rtsync
from rtsync import ConfigurationError, RealtimeSession, Simulator, log_events
from rtsync.edges import signals
from tests.cli.command import run
from tests.loopback import LIMIT
from tests.session.service import conversing, delta, error, whole_response

LINE = re.compile(r"session \d+ (->|<-) (\S+) (?:(\S+=\S+) )*(\d+) bytes$")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines on `rtsync.events` so far."""
    caplog.set_level(logging.DEBUG)
    return lambda: [each.getMessage() for each in caplog.records if each.name == "rtsync.events"]


def test_every_event_is_a_line_in_either_direction(lines: Any) -> None:
    with log_events(), conversing() as (session, service):
        sent = session.send({"type": "response.create", "response": {}})
        service.say(*whole_response(service.hear(), "resp_7", "Hi"))
        refused = session.send({"type": "vendor.wish"})
        service.say(error(code="odd", event_id=refused))
        with pytest.raises(rtsync.ServerError):
            session.wait_for("vendor.never", timeout=LIMIT)
        number = session._core.number
    found = [line for line in lines() if LINE.match(line)]
    assert [LINE.match(line)[2] for line in found if "->" in line] == ["response.create", "vendor.wish"]  # type: ignore[index]
    received = ["session.created", "response.created", "response.output_text.delta", "response.done", "error"]
    assert [LINE.match(line)[2] for line in found if "<-" in line] == received  # type: ignore[index]
    assert all(line.startswith(f"session {number} ") for line in lines())
    assert any(f"-> response.create event_id={sent} " in line for line in found)
    assert any("response.done event_id=event_r response.id=resp_7 status=completed" in line for line in found)
    assert any(f"code=odd error.event_id={refused}" in line for line in found)
    assert "opened: OpenAI ga conversation" in "".join(lines())
    assert lines()[-1].endswith("ended: close() was called")


def test_sizes_are_those_of_the_events(lines: Any) -> None:
    with log_events(), conversing() as (session, service):
        service.say(delta("x" * 1000))
        session.wait_for("response.output_text.delta", timeout=LIMIT)
    (line,) = [each for each in lines() if "response.output_text.delta" in each]
    assert 1050 < int(LINE.match(line)[4]) < 1150  # type: ignore[index]
    assert "xxx" not in line


def test_it_ends_when_it_is_told_to(lines: Any) -> None:
    log = log_events()
    assert "running" in repr(log)
    log.close()
    log.close()
    with conversing() as (session, _):
        session.send({"type": "x"})
    assert lines() == []
    assert "closed" in repr(log)


def test_one_session_can_be_logged_alone(lines: Any) -> None:
    with conversing() as (session, _), conversing() as (other, _), log_events(session=session):
        other.send({"type": "of.the.other"})
        session.send({"type": "of.the.one"})
    assert [line.split()[3] for line in lines() if "->" in line] == ["of.the.one"]


def test_a_failing_handler_is_named_and_not_quoted(lines: Any) -> None:
    def fail(_session: object, _event: object) -> None:
        raise ValueError("what it says")

    with log_events(), conversing() as (session, service):
        session.on("marker", fail)
        service.say({"type": "marker"}, {"type": "last"})
        session.wait_for("last", timeout=LIMIT)
    (line,) = [each for each in lines() if "raised" in each]
    assert line.endswith("fail raised ValueError")


def test_another_logger_and_level_can_be_chosen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with log_events("mine", level=logging.WARNING), conversing():
        pass
    assert {record.levelname for record in caplog.records if record.name == "mine"} == {"WARNING"}


def test_nothing_is_connected_where_nobody_asks() -> None:
    asked = (signals.event_sent, signals.event_received, signals.session_opened, signals.session_closed)
    log = log_events()
    assert all(signal.receivers for signal in asked)
    log.close()
    assert not any(signal.receivers for signal in asked)
    with RealtimeSession(Simulator(pace=False)) as session:
        assert not session._board.wants("session.created")


def test_a_level_that_is_off_costs_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.Logger("quiet", logging.WARNING)

    def never(*_: object) -> bytes:
        raise AssertionError("an event was written down for nobody")

    with log_events(logger), conversing() as (session, service):
        monkeypatch.setattr("rtsync.session.traffic.encode", never)
        session.send({"type": "x"})
        service.say({"type": "last"})
        session.wait_for("last", timeout=LIMIT)


@pytest.mark.parametrize("wrong", [{"logger": 7}, {"level": "DEBUG"}, {"level": True}, {"session": Simulator()}])
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        log_events(**wrong)


@pytest.mark.parametrize("content", [False, True])
def test_chat_logs_events_on_stderr_alone(content: bool) -> None:
    wish = ["--log-events", "content"] if content else ["--log-events"]
    ended = run("chat", "--target", "simulator", *wish, typed="Say hi\n")
    assert ended.status == 0
    assert "response.create" not in ended.out
    assert "rtsync: session 1 -> response.create event_id=" in ended.err
    assert "rtsync: session 1 <- response.done event_id=" in ended.err
    assert ('"text":"Say hi"' in ended.err) is content
