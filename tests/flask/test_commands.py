"""``flask rtsync doctor`` and ``flask rtsync worker``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from rtsync import OpenAI
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT
from tests.bus.redis_server import RedisServer
from tests.flask.serving import Browser, werkzeug
from tests.flask.shop import create_app
from tests.loopback import reserved_port
from tests.process.programs import Program

SECRET = "sk-never-to-be-shown"


def doctor(app: Flask) -> tuple[int, str]:
    ended = app.test_cli_runner().invoke(args=["rtsync", "doctor"])
    assert SECRET not in ended.output
    return ended.exit_code, ended.output


def wrong(output: str) -> list[str]:
    return [line.split(maxsplit=2)[1] for line in output.splitlines() if line.startswith("wrong")]


def test_the_doctor_finds_nothing_where_all_is_well(service: SimulatorServer) -> None:
    target = OpenAI("any", api_key=SECRET, base_url=service.openai_url)
    status, output = doctor(create_app(RTSYNC_TARGET=target))
    assert (status, wrong(output)) == (0, [])
    assert "memory:// answered" in output
    assert "session    opened in" in output


def test_the_doctor_meets_the_service_with_the_credential(service: SimulatorServer) -> None:
    with reserved_port() as port:
        target = OpenAI("any", api_key=SECRET, base_url=f"http://127.0.0.1:{port}/v1")
        app = create_app(RTSYNC_TARGET=target)
        status, output = doctor(app)
    assert (status, wrong(output)) == (1, ["session"])


def test_the_doctor_misses_the_bus() -> None:
    with reserved_port() as port:
        app = create_app(RTSYNC_BUS=f"redis://:{SECRET}@127.0.0.1:{port}/0", RTSYNC_DIRECTORY={"bus_timeout": 0.5})
        status, output = doctor(app)
    assert (status, wrong(output)) == (1, ["bus"])
    assert "that of the workers" in output


def test_the_doctor_knows_how_many_processes_share_a_memory(
    service: SimulatorServer, target: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers=3 --worker-class gthread --threads 8")
    status, output = doctor(create_app(RTSYNC_TARGET=target))
    assert (status, wrong(output)) == (1, ["processes"])
    assert "3 processes serve this application" in output
    assert "one of 8 threads" in output


def test_a_worker_holds_the_sessions_of_the_application(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        settings: dict[str, Any] = {"FLASK_RTSYNC_BUS": redis.url, "FLASK_RTSYNC_TARGET": "simulator"}
        command = [sys.executable, "-m", "flask", "--app", "tests.flask.shop:create_app()", "rtsync", "worker"]
        with Program(command=command, **settings) as worker:
            worker.read_error("holding sessions")
            app = create_app(RTSYNC_BUS=redis.url)
            assert doctor(app)[0] == 0
            with werkzeug(app) as port:
                ann = Browser(port)
                path = ann.open()
                reader = ann.read(path)
                ann.say(path)
                reader.until("response.done")
                reader.close()
                ann.ask("DELETE", path)
            worker.signal(signal.SIGTERM)
            ended = worker.end()
    assert ended.status == 0
    assert "handing over" in ended.err
    assert ended.seconds < LIMIT


def test_a_worker_on_a_bus_within_a_process_is_refused() -> None:
    ended = create_app(RTSYNC_TARGET="simulator").test_cli_runner().invoke(args=["rtsync", "worker"])
    assert ended.exit_code == 1
    assert "redis://" in ended.output
