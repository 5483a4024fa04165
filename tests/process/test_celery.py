"""A Celery prefork worker: tasks converse, are interrupted, are killed, and the worker goes on and ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery
from celery.exceptions import TaskRevokedError

from rtsync import UsageError
from tests.loopback import ScriptedServer
from tests.process.programs import LIMIT, Program
from tests.process.service import TEXT, answering_server, close_codes
from tests.process.test_gunicorn import until

WORKER = [
    *(sys.executable, "-m", "celery", "--app", "tests.process.scripts.tasks", "worker", "--pool", "prefork"),
    *("--concurrency", "1", "--loglevel", "INFO", "--logfile", "/dev/stdout", "--without-gossip", "--without-mingle"),
]


@pytest.fixture
def service() -> Iterator[ScriptedServer]:
    with answering_server() as server:
        yield server


@pytest.fixture
def worker(service: ScriptedServer, tmp_path: Path) -> Iterator[Program]:
    """A worker with one process, ready for tasks."""
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    variables = {"SERVICE_URL": service.http_url, "BROKER_FOLDER": str(tmp_path), "C_FORCE_ROOT": "1"}
    with Program(command=WORKER, **variables) as program:
        program.read_until(" ready.")
        yield program


@pytest.fixture
def app(service: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """The client's side of the same application."""
    monkeypatch.setenv("SERVICE_URL", service.http_url)
    monkeypatch.setenv("BROKER_FOLDER", str(tmp_path))
    client = Celery(broker="filesystem://", backend=f"file://{tmp_path}/results")
    client.conf.update(
        broker_transport_options={
            "data_folder_in": f"{tmp_path}/queue",
            "data_folder_out": f"{tmp_path}/queue",
            "control_folder": f"{tmp_path}/control",
        },
        task_serializer="pickle",
        result_serializer="pickle",
        accept_content=["pickle", "json"],
    )
    yield client
    client.close()


def result(app: Celery, name: str, *args: Any) -> Any:
    """Run a task and return its result, or raise its error."""
    return app.send_task(name, args).get(timeout=LIMIT, interval=0.02)


def test_tasks_converse_and_the_worker_survives_what_happens_to_them(
    service: ScriptedServer, worker: Program, app: Celery
) -> None:
    pid, text = result(app, "converse")
    assert text == TEXT
    assert result(app, "use_own") == TEXT
    with pytest.raises(UsageError, match="Celery's worker_process_init"):
        result(app, "use_shared")
    for what in ("wait_for", "response", "answer"):
        with pytest.raises(SoftTimeLimitExceeded):
            result(app, "overrun", what)
    assert tuple(result(app, "converse")) == (pid, TEXT)
    assert result(app, "use_own") == TEXT
    before = len(service.peers)

    hanging = app.send_task("hang")
    assert until(lambda: len(service.peers) == before + 1 and hanging.state == "STARTED")
    hanging.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        hanging.get(timeout=LIMIT, interval=0.02)
    assert result(app, "converse")[1] == TEXT

    lingering = app.send_task("linger")
    assert until(lambda: lingering.state == "STARTED")
    worker.signal(signal.SIGTERM)
    ended = worker.end()
    assert lingering.get(timeout=LIMIT) == "lingered"
    assert ended.status == 0
    assert set(close_codes(service)) == {1000}, "a session was cut off"
