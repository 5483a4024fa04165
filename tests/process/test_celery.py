"""A Celery prefork worker: tasks converse, are interrupted, are killed, and the worker goes on and ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery, exceptions
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

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
    for name in ("queue", "outbox", "control", "results"):
        (tmp_path / name).mkdir()
    variables = {"SERVICE_URL": service.http_url, "BROKER_FOLDER": str(tmp_path), "C_FORCE_ROOT": "1"}
    with Program(command=WORKER, **variables) as program:
        program.read_until(" ready.")
        yield program


class Client:
    """The client's side of the same application.

    A message is written in `outbox` and moved into the worker's queue when it is whole: kombu makes the file first and
    writes it then, and a worker that looks in between takes an empty message, and the task is never run.
    """

    def __init__(self, app: Celery, folder: Path) -> None:
        self._app = app
        self._folder = folder

    def send(self, name: str, *args: Any) -> AsyncResult:
        """Ask for a task."""
        asked = self._app.send_task(name, args)
        self._deliver()
        return asked

    def result(self, name: str, *args: Any) -> Any:
        """Run a task and return its result, or raise its error."""
        return self.send(name, *args).get(timeout=LIMIT, interval=0.02)

    def result_in_the_end(self, name: str) -> Any:
        """The same, once there is a new process: what Celery gave to the one that was just killed is lost with that."""
        for _ in range(10):
            with contextlib.suppress(exceptions.TimeoutError):
                return self.send(name).get(timeout=5, interval=0.02)
        raise AssertionError(f"the worker does not run {name} any more")

    def terminate(self, task: AsyncResult) -> None:
        """Have the process killed that runs it."""
        task.revoke(terminate=True)
        self._deliver()

    def _deliver(self) -> None:
        for message in (self._folder / "outbox").iterdir():
            message.rename(self._folder / "queue" / message.name)


@pytest.fixture
def client(service: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("SERVICE_URL", service.http_url)
    monkeypatch.setenv("BROKER_FOLDER", str(tmp_path))
    app = Celery(broker="filesystem://", backend=f"file://{tmp_path}/results")
    app.conf.update(
        broker_transport_options={
            "data_folder_in": f"{tmp_path}/queue",
            "data_folder_out": f"{tmp_path}/outbox",
            "control_folder": f"{tmp_path}/control",
        },
        task_serializer="pickle",
        result_serializer="pickle",
        accept_content=["pickle", "json"],
    )
    yield Client(app, tmp_path)
    app.close()


@pytest.mark.timeout(240)  # It is many, so that one worker serves for all of them.
def test_tasks_converse_and_the_worker_survives_what_happens_to_them(
    service: ScriptedServer, worker: Program, client: Client
) -> None:
    pid, text = client.result("converse")
    assert text == TEXT
    assert client.result("use_own") == TEXT
    with pytest.raises(UsageError, match="Celery's worker_process_init"):
        client.result("use_shared")
    for what in ("wait_for", "response", "answer"):
        with pytest.raises(SoftTimeLimitExceeded):
            client.result("overrun", what)
    assert tuple(client.result("converse")) == (pid, TEXT)
    assert client.result("use_own") == TEXT
    before = len(service.peers)

    hanging = client.send("hang")
    assert until(lambda: len(service.peers) == before + 1 and hanging.state == "STARTED")
    client.terminate(hanging)
    with pytest.raises(TaskRevokedError):
        hanging.get(timeout=LIMIT, interval=0.02)
    assert client.result_in_the_end("converse")[1] == TEXT

    lingering = client.send("linger")
    assert until(lambda: lingering.state == "STARTED")
    worker.signal(signal.SIGTERM)
    ended = worker.end()
    assert lingering.get(timeout=LIMIT) == "lingered"
    assert ended.status == 0
    assert set(close_codes(service)) == {1000}, "a session was cut off"
