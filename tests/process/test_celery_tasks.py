"""`RealtimeTask` on a real worker with two processes and a Redis: many tasks, limits, revoking, retries, progress."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError
from celery.result import AsyncResult

from rtsync import AuthenticationFailed, ConnectFailed, RateLimited
from rtsync.audio import write_wav
from rtsync.simulator import SimulatorServer
from rtsync.simulator.faults import Fault, Refuse
from tests.bus.redis_server import RedisServer
from tests.conftest import PROJECT
from tests.loopback import Peer, PeerClosed, ScriptedServer, realtime_greeting
from tests.process.programs import LIMIT, Program
from tests.process.scripts.realtime_tasks import configured
from tests.process.service import answering_server, close_codes
from tests.process.test_gunicorn import until

WORKER = [
    *(sys.executable, "-m", "celery", "--app", "tests.process.scripts.realtime_tasks", "worker", "--pool", "prefork"),
    *("--concurrency", "2", "--loglevel", "WARNING", "--logfile", "/dev/stdout", "--without-gossip"),
    "--without-mingle",
]
SECONDS = 30


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """One for each test: what a worker that was killed had taken is given to no other for an hour."""
    with RedisServer(tmp_path) as redis:
        yield redis.url


@pytest.fixture
def client(broker: str) -> Iterator[Celery]:
    app = configured(broker)
    yield app
    app.close()


@pytest.fixture
def worker(broker: str) -> Iterator[Program]:
    command = [*WORKER, "--hostname", "tests@%h"]
    with Program(command=command, BROKER=broker, C_FORCE_ROOT="1") as program:
        yield program


def test_a_hundred_tasks_on_two_processes_are_all_answered_though_one_is_revoked(
    worker: Program, client: Celery
) -> None:
    with SimulatorServer(pace=False) as simulator, answering_server() as service:
        sentences = [f"Question {number}." for number in range(100)]
        asked = [client.send_task("converse", (simulator.http_url, sentence)) for sentence in sentences[:50]]
        lingering = client.send_task("linger", (service.http_url, "ask"))
        asked += [client.send_task("converse", (simulator.http_url, sentence)) for sentence in sentences[50:]]
        assert until(lambda: begun(lingering))
        lingering.revoke(terminate=True)
        answers = [task.get(timeout=LIMIT) for task in asked]
        assert [text.partition("”")[0] for _, text in answers] == [f"You said: “{sentence}" for sentence in sentences]
        assert len({pid for pid, _ in answers}) >= 2
        with pytest.raises(TaskRevokedError):
            lingering.get(timeout=LIMIT)
        assert close_codes(service) == [1000]
        assert simulator.lines == 100


def test_limits_and_revoking_end_a_session_whatever_it_is_at(worker: Program, client: Celery) -> None:
    work = ("ask", "stream", "send_audio")
    with answering_server() as service, ScriptedServer(deaf) as deafness, ScriptedServer(mute) as silence:
        limited = [client.send_task("overrun", (service.http_url, what)) for what in work]
        limited.append(client.send_task("overrun", (deafness.http_url, "send")))
        limited.append(client.send_task("overrun", (silence.http_url, "ask")))
        for task in limited:
            with pytest.raises(SoftTimeLimitExceeded):
                task.get(timeout=LIMIT)
        for what in work:
            revoked = client.send_task("linger", (service.http_url, what))
            assert until(functools.partial(begun, revoked))
            revoked.revoke(terminate=True, signal="SIGUSR1" if what == "stream" else "SIGTERM")
            with pytest.raises((TaskRevokedError, SoftTimeLimitExceeded)):
                revoked.get(timeout=LIMIT)
        assert close_codes(service) == [1000] * 6
        for (peer,) in (deafness.peers, silence.peers):
            peer.release()
            assert peer.finished.wait(LIMIT)


def begun(task: AsyncResult) -> bool:
    """Whether its session is open, and it is at it."""
    return bool(task.state == "PROGRESS")


def mute(peer: Peer) -> None:
    """Accept the WebSocket, and never greet; then hear how it ends."""
    peer.accept()
    peer.wait_until_released()
    with pytest.raises(PeerClosed):
        peer.recv_message()


def deaf(peer: Peer) -> None:
    """Greet, take the configuration, and read no more; until the client is gone."""
    realtime_greeting(peer)
    update = peer.recv_json()
    peer.send_json({"type": "session.updated", "event_id": "event_u", "session": update["session"]})
    peer.stop_reading()
    peer.wait_until_released()


def test_a_refused_task_is_run_again_when_the_service_says(worker: Program, client: Celery) -> None:
    with SimulatorServer(pace=False, faults=Fault(Refuse(429, retry_after="3"), first=1)) as simulator:
        started = time.monotonic()
        asked = client.send_task("converse", (simulator.http_url, "Hello."))
        assert until(lambda: asked.state == "RETRY")
        assert isinstance(asked.info, RateLimited)
        assert asked.get(timeout=LIMIT)[1].startswith("You said: “Hello.”")
        assert time.monotonic() - started >= 3.0
        assert simulator.lines == 2


def test_a_task_fails_at_once_where_trying_again_is_in_vain_and_after_the_last_attempt(
    worker: Program, client: Celery
) -> None:
    for status, attempts, kind in ((401, 1, AuthenticationFailed), (503, 3, ConnectFailed)):
        with SimulatorServer(pace=False, faults=Fault(Refuse(status))) as simulator:
            with pytest.raises(kind, match=str(status)):
                client.send_task("stubborn", (simulator.http_url,)).get(timeout=LIMIT)
            assert simulator.lines == attempts


def test_a_client_sees_how_far_a_recording_is(worker: Program, client: Celery, tmp_path: Path) -> None:
    write_wav(tmp_path / "upload.wav", bytes(SECONDS * 48_000))
    with answering_server() as service:
        listening = client.send_task("listen", (service.http_url, str(tmp_path / "upload.wav")))
        seen: list[dict[str, Any]] = []

        def look() -> bool:
            state, told = listening.state, listening.info
            if state == "PROGRESS" and isinstance(told, dict) and told not in seen:
                seen.append(told)
            return bool(listening.ready())

        assert until(look)
        assert listening.get() == SECONDS * 1000
        sent = [told["sent_ms"] for told in seen if "sent_ms" in told]
    assert len(sent) >= 2
    assert sent == sorted(sent)
    assert {told["total_ms"] for told in seen if "total_ms" in told} == {SECONDS * 1000}
    assert all(told["configured"] for told in seen), "a handler told of it, in its own thread"


def test_the_example_runs_its_tasks_in_a_worker(broker: str) -> None:
    variables = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": broker, "C_FORCE_ROOT": "1"}
    examples = str(PROJECT / "examples")
    command = [sys.executable, "-m", "celery", "--workdir", examples, "--app", "celery_tasks", "worker"]
    with (
        Program(command=[*command, "--concurrency", "2", "--logfile", "/dev/null"], **variables),
        Program(command=[sys.executable, f"{examples}/celery_tasks.py"], **variables) as program,
    ):
        ended = program.end()
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("You said: “Hello”.")
    assert lines[-1].startswith("These are 1.5 seconds")
