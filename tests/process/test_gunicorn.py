"""Under gunicorn with --preload a session per request works, one from before the fork is refused, and workers end."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.process.programs import LIMIT, Program
from tests.process.service import TEXT, answering_server, close_codes

GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "4", "--bind", "127.0.0.1:0"),
    *("--graceful-timeout", "10", "--error-logfile", "/dev/stdout", "tests.process.scripts.web:application"),
]


def get(port: int, path: str) -> Any:
    """What the program answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def until(true: Callable[[], bool]) -> bool:
    """Whether it becomes true; asks again and again."""
    deadline = time.monotonic() + LIMIT
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("worker", ["gthread", "sync", "gevent"])
def test_preloaded_workers_converse_reload_and_stop(worker: str) -> None:
    with answering_server() as service, ThreadPoolExecutor(9) as clients:
        command = [*GUNICORN, "--worker-class", worker]
        with Program(command=command, SERVICE_URL=service.http_url) as gunicorn:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", gunicorn.read_until("Listening at"))
            assert found is not None
            port = int(found[1])
            answers = [client.result() for client in [clients.submit(get, port, "/") for _ in range(8)]]
            assert [(answer["answer"], answer["error"]) for answer in answers] == [(TEXT, "")] * 8
            refused = get(port, "/shared")["error"]
            assert refused.startswith("UsageError: this session was opened in process")
            assert "gunicorn's post_fork" in refused

            waiting = clients.submit(get, port, "/wait")
            old = {answer["pid"] for answer in answers}
            assert until(lambda: len(service.peers) == 10)  # The module's, eight, and the one that waits.
            gunicorn.signal(signal.SIGHUP)
            assert waiting.result()["answer"] == "waited"
            assert until(lambda: all(map(gone, old))), "a worker hung"
            again = get(port, "/")
            assert (again["answer"], again["pid"] in old) == (TEXT, False)

            waiting = clients.submit(get, port, "/wait")
            assert until(lambda: len(service.peers) == 12)
            gunicorn.signal(signal.SIGTERM)
            assert waiting.result()["answer"] == "waited"
            ended = gunicorn.end()
        assert ended.status == 0, ended
        assert "WORKER TIMEOUT" not in ended.out + ended.err
        assert "Traceback" not in ended.out + ended.err
        assert close_codes(service) == [1000] * 12
