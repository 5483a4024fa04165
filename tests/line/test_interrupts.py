"""Ctrl+C, and whatever else lands as an exception in the middle of a send."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rtsync.edges.guard import LineBroken
from rtsync.vocabulary.errors import CloseCause, UsageError
from tests.conftest import PROJECT, without_coverage
from tests.line.interrupted import INTERRUPTS, ROUNDS
from tests.line.recorder import RecordedLine
from tests.loopback import LIMIT, TEXT, Peer, ScriptedServer


def _run(what: str, scheme: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.line.interrupted", what, scheme, str(folder)]
    run = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=55, check=False, env=without_coverage()
    )
    assert run.returncode == 0, run.stderr
    result: dict[str, Any] = json.loads(run.stdout)
    return result


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_an_interrupted_send_never_leaves_half_a_frame_that_another_follows(scheme: str, tmp_path: Path) -> None:
    assert _run("blocked", scheme, tmp_path) == {
        "interrupted": ROUNDS,
        "outcomes": ["refused"],
        "received": 0,
        "complaints": [],
    }


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_thousands_of_interrupts_leave_no_lock_held_and_no_frame_broken(scheme: str, tmp_path: Path) -> None:
    result = _run("storm", scheme, tmp_path)
    assert result["interrupted"] >= INTERRUPTS / 3
    assert result["complaints"] == []
    assert result["ordered"]
    assert set(result["outcomes"]) <= {"sent", "refused"}
    if scheme == "ws":  # A frame of one record goes out whole or not at all, but for a second interrupt in the first.
        assert result["lines"] <= 1 + result["interrupted"] / 50


@contextlib.contextmanager
def _alarm_when_blocked(client: RecordedLine, handler: Callable[..., object]) -> Iterator[None]:
    """Have `handler` run as a signal handler in the main thread once its send stands still."""

    def ring() -> None:
        client.wait_blocked()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, handler)
    alarm = threading.Thread(target=ring)
    alarm.start()
    try:
        yield
    finally:
        alarm.join()
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_may_not_send_into_the_send_that_it_interrupted() -> None:
    """And it says so, instead of waiting for itself or of writing into the middle of a frame."""
    refused: list[Exception] = []
    got: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.wait_until_released()
        got.extend(peer.recv_frame() for _ in range(2))
        peer.expect_close()

    with ScriptedServer(script) as server, RecordedLine(server.url, send_timeout=LIMIT, heartbeat=None) as client:
        client.wait_open()

        def ring(*_: object) -> None:
            try:
                client.line.send("from the handler")
            except UsageError as error:
                refused.append(error)
            server.peers[0].release()

        with _alarm_when_blocked(client, ring):
            client.line.send("y" * (40 << 20))
        client.line.send("afterwards")
        client.line.close(timeout=LIMIT)
        assert client.wait_ending().code == 1000
    assert [type(error) for error in refused] == [UsageError]
    assert got == [(TEXT, b"y" * (40 << 20)), (TEXT, b"afterwards")]


def test_a_signal_handler_may_close_the_line_whose_send_it_interrupted() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.wait_until_released()

    with (
        ScriptedServer(script) as server,
        RecordedLine(server.url, send_timeout=LIMIT, heartbeat=None, close_timeout=0.5) as client,
    ):
        client.wait_open()
        with _alarm_when_blocked(client, lambda *_: client.line.close()), pytest.raises(LineBroken):
            client.line.send("y" * (40 << 20))
        assert client.wait_ending().cause is CloseCause.USER
