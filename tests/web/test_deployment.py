"""What is read out of an environment and a command line about processes and threads."""

from __future__ import annotations

import pytest

from rtsync.web.deployment import Deployment, deployment_of


@pytest.mark.parametrize(
    ("environ", "argv", "known"),
    [({}, ["flask", "run"], Deployment()),
     ({"WEB_CONCURRENCY": "3"}, [], Deployment(processes=3)),
     ({"WEB_CONCURRENCY": "many"}, [], Deployment()),
     ({"GUNICORN_CMD_ARGS": "-w 4 --threads=8"}, [], Deployment(processes=4, threads=8)),
     ({"GUNICORN_CMD_ARGS": "-w4 -k gevent"}, [], Deployment(processes=4, kind="gevent")),
     ({"GUNICORN_CMD_ARGS": "--bind 'unclosed"}, [], Deployment()),
     ({"WEB_CONCURRENCY": "2", "GUNICORN_CMD_ARGS": "--workers 4"}, [], Deployment(processes=4)),
     ({"GUNICORN_CMD_ARGS": "--workers 4"}, ["/venv/bin/gunicorn", "--workers=6", "app:app"], Deployment(processes=6)),
     ({}, ["/lib/gunicorn/__main__.py", "--worker-class", "sync", "-w", "2"], Deployment(processes=2, kind="sync")),
     ({}, ["/venv/bin/celery", "-w", "9"], Deployment())],
    ids=str,
)  # fmt: skip
def test_processes_threads_and_kind_are_known_where_they_are_said(
    environ: dict[str, str], argv: list[str], known: Deployment
) -> None:
    assert deployment_of(environ, argv) == known
