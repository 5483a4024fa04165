"""What an application can know of the web server that runs it."""

from __future__ import annotations

import re
import signal
import sys
import types
from pathlib import Path

import pytest

from rtsync import Simulator
from rtsync.bus import SessionDirectory
from rtsync.bus.check import check
from rtsync.web.deployment import Deployment, deployment_of
from tests.process.programs import Program

GUNICORN = "/venv/bin/gunicorn"
MODULE = "/venv/lib/gunicorn/__main__.py"


@pytest.mark.parametrize(
    ("environ", "argv", "known"),
    [
        ({}, ["flask", "run"], Deployment()),
        ({"WEB_CONCURRENCY": "3"}, ["any"], Deployment(processes=3)),
        ({"WEB_CONCURRENCY": "many"}, ["any"], Deployment()),
        ({"GUNICORN_CMD_ARGS": "-w 4 --threads=8"}, ["any"], Deployment(processes=4, threads=8)),
        ({"GUNICORN_CMD_ARGS": "-w '4"}, ["any"], Deployment()),
        ({"WEB_CONCURRENCY": "3"}, [GUNICORN, "--workers", "2", "a:b"], Deployment(processes=2)),
        ({"GUNICORN_CMD_ARGS": "-w 4"}, [GUNICORN, "-w2", "a:b"], Deployment(processes=2)),
        ({}, [MODULE, "-k", "gthread", "--threads", "8", "a:b"], Deployment(threads=8, kind="gthread")),
        ({}, [GUNICORN, "--worker-class=gevent", "a:b"], Deployment(kind="gevent")),
        ({}, ["celery", "worker", "-w", "5"], Deployment()),
    ],
    ids=lambda value: value.get("name", "") if isinstance(value, dict) else "",
)
def test_the_environment_and_the_command_line_tell(environ: dict[str, str], argv: list[str], known: Deployment) -> None:
    assert deployment_of(environ, argv) == known


@pytest.mark.parametrize(
    ("options", "threads"), [({"processes": b"3", "threads": b"16"}, 16), ({"processes": b"3", "master": True}, 1)]
)
def test_uwsgi_tells_by_its_module(monkeypatch: pytest.MonkeyPatch, options: dict[str, object], threads: int) -> None:
    """The module exists only in its processes; so it is here what it was seen to be there, in uWSGI 2.0."""
    module = types.ModuleType("uwsgi")
    module.__dict__.update(numproc=3, opt=options)
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    assert deployment_of() == Deployment(processes=3, threads=threads)


def test_several_processes_on_a_bus_of_one_are_complained_of() -> None:
    with SessionDirectory(target=Simulator()) as directory:
        [sentence] = check(directory, workers=deployment_of({"WEB_CONCURRENCY": "3"}, []).processes)
    assert "3 processes" in sentence
    assert "redis://" in sentence


CONFIGURATION = """
from rtsync.bus.check import check

workers = 2

def post_worker_init(worker):
    from application import directory
    for sentence in check(directory, workers=worker.cfg.workers):
        worker.log.warning(sentence)
"""
APPLICATION = """
from rtsync import Simulator
from rtsync.bus import SessionDirectory

directory = SessionDirectory(target=Simulator())

def application(environ, start_response):
    raise NotImplementedError
"""


def test_gunicorns_configuration_file_can_ask(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "application.py").write_text(APPLICATION, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--chdir",
        str(tmp_path),
        "--config",
        str(tmp_path / "gunicorn.conf.py"),
    ]
    options = ["--bind", "127.0.0.1:0", "--error-logfile", "/dev/stdout", "application:application"]
    with Program(command=[*command, *options]) as gunicorn:
        said = gunicorn.read_until("processes serve")
        assert re.search(r"WARNING.*2 processes serve this application", said)
        gunicorn.signal(signal.SIGTERM)
        assert gunicorn.end().status == 0
