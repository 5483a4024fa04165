"""Targets, texts and errors travel between the processes of a pool, however those are started."""

from __future__ import annotations

import pytest

from tests.process.programs import run
from tests.process.service import REFUSAL, TEXT, answering_server, close_codes


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_converses_and_its_errors_come_back_whole(method: str) -> None:
    with answering_server() as server:
        report = run("pool", server.http_url, method).report
        assert close_codes(server) == [1000] * 11
    assert report["texts"] == [TEXT]
    refused, timed_out, *forked = report["raised"]
    assert refused["type"] == "ServerError"
    assert refused["text"] == f"session.update was refused: {REFUSAL}"
    assert (refused["data"]["code"], refused["data"]["param"]) == ("invalid_value", "session.refuse")
    assert refused["data"]["request"] == "session.update"
    assert (timed_out["type"], timed_out["data"]["arrived"]) == ("WaitTimeout", ["session.created"])
    # A process that was not forked from this one has no session of it.
    assert [error["type"] for error in forked] == (["UsageError"] if method == "fork" else [])
