"""Many sessions in one process, and the server dies."""

from __future__ import annotations

import resource
import sys

from tests.process.programs import Program

SERVE = [sys.executable, "-m", "rtsync", "serve", "--no-pace", "--port", "0"]


def test_five_hundred_sessions_end_together_when_their_server_is_killed() -> None:
    with Program(command=SERVE) as server:
        url = server.read_until("OpenAI base URL").split()[-1].removesuffix("/v1")
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        with Program("many", url) as program:
            program.read_until("open")
            server.process.kill()
            report = program.end().report
    assert report["outcomes"] == {"ConnectionLost": 500}
    assert report["causes"] == {"network": 500}
    assert report["seconds"] < 10
    assert report["threads"] == 1
    assert report["descriptors"] <= 0
    assert report["each"] <= 3
