"""`rtsync worker` as a command: what it says, what it refuses, what it prepares."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from rtsync.bus import SessionDirectory
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT, TEXT, USER, ask, worker
from tests.cli.command import run

PREPARE = """
def prepare(session, info):
    session.on("response.done", lambda session, event: print("prepared", info.owner, flush=True))
"""


def test_it_says_what_it_does_and_ends_well(bus: str, service: SimulatorServer) -> None:
    with worker(bus, service) as one:
        said = one.read_error("holding sessions")
        assert "redis://127.0.0.1" in said
        one.signal(signal.SIGTERM)
        assert one.end().status == 0


def test_it_prepares_sessions_with_a_function_of_the_application(
    bus: str, service: SimulatorServer, tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text(PREPARE, encoding="utf-8")
    with (
        SessionDirectory(bus) as directory,
        worker(bus, service, "--prepare", "handlers:prepare", PYTHONPATH=str(tmp_path)) as one,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        assert ask(directory, session_id, "hello")[0] == "I know: hello"
        assert one.read_until("prepared") == f"prepared {USER}"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "Missing option '--bus'"),
        (("--bus", "memory://"), "within one process"),
        (("--bus", "amqp://localhost"), "bus must be"),
        (("--bus", "redis://localhost", "--prepare", "no_such_module:f"), "no such function"),
        (("--bus", "redis://localhost", "--prepare", "json:__name__"), "no function"),
    ],
    ids=str,
)
def test_what_it_cannot_work_with_is_refused(options: tuple[str, ...], complaint: str) -> None:
    ended = run("worker", "--target", "simulator", *options)
    assert ended.status == 2
    assert complaint in ended.complaint


def test_it_holds_no_more_sessions_than_it_may(bus: str, service: SimulatorServer) -> None:
    with SessionDirectory(bus) as directory, worker(bus, service, "--max-sessions", "1"):
        first = directory.open(USER, config=TEXT, timeout=LIMIT)
        second = directory.open(USER, config=TEXT, timeout=0)
        ask(directory, first, "hello")
        assert directory.info(second, USER).state == "waiting"
        directory.close(first, USER)
        with directory.stream(second, USER, heartbeat=LIMIT) as stream:
            assert next(stream).type == "session.created"
