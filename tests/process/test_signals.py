"""Ctrl+C and SIGTERM reach a main thread that waits, at once, and leave a session that can be used or closed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.loopback import Peer, Script, ScriptedServer, realtime_greeting
from tests.process.programs import LIMIT, Ended, Program
from tests.process.service import answering_server, close_codes

AT_ONCE = 5.0  # seconds; what is interrupted would take a minute or for ever


def mute(peer: Peer) -> None:
    """Take the request, and say nothing."""
    peer.read_request()
    peer.wait_until_released()


def rude(peer: Peer) -> None:
    """Accept the WebSocket, and never greet."""
    peer.accept()
    peer.wait_until_released()


def deaf(peer: Peer) -> None:
    """Greet, and read nothing any more."""
    realtime_greeting(peer)
    peer.wait_until_released()


def wait_asleep(program: Program) -> None:
    """Until its main thread is blocked in the kernel, several times in a row."""
    stat, asleep = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/stat"), 0
    deadline = time.monotonic() + LIMIT
    while asleep < 20:
        assert time.monotonic() < deadline, "the program never waits"
        asleep = asleep + 1 if stat.read_text().rpartition(")")[2].split()[0] == "S" else 0
        os.sched_yield()
        time.sleep(0.002)


def signalled(server: ScriptedServer, how: str, *signals: signal.Signals) -> Ended:
    """Run the program, and signal it whenever it waits."""
    with Program("signalled", server.http_url, how) as program:
        program.read_until("ready")
        for number in signals:
            wait_asleep(program)
            program.signal(number)
        return program.end()


@pytest.mark.parametrize(
    "call",
    ["wait_for", "wait_for_a_minute", "expect", "events", "answer", "response", "text_deltas", "turn", "ask"],
)
def test_ctrl_c_ends_a_wait_at_once_and_the_session_goes_on(call: str) -> None:
    with answering_server() as server:
        ended = signalled(server, call, signal.SIGINT)
        assert ended.report == {"interrupted": True, "state": "open", "threads": []}
        assert ended.seconds < AT_ONCE
        assert close_codes(server) == [1000]


@pytest.mark.parametrize(("call", "script"), [("open_", mute), ("open_", rude), ("close", deaf), ("send", deaf)])
def test_ctrl_c_ends_what_the_server_holds_up(call: str, script: Script) -> None:
    with ScriptedServer(script) as server:
        ended = signalled(server, call, signal.SIGINT)
    assert ended.report == {"interrupted": True, "state": "closed", "threads": []}
    assert ended.seconds < AT_ONCE


def test_a_handler_of_sigterm_may_close_the_session_that_it_interrupts() -> None:
    with answering_server() as server:
        ended = signalled(server, "close_in_the_handler_of_sigterm", signal.SIGTERM)
        assert ended.report == {"interrupted": "user", "state": "closed", "threads": []}
        assert ended.seconds < AT_ONCE
        assert close_codes(server) == [1000]


def test_a_handler_of_sigterm_may_leave_the_program() -> None:
    with answering_server() as server:
        ended = signalled(server, "exit_in_the_handler_of_sigterm", signal.SIGTERM)
        assert (ended.status, ended.err) == (143, "")
        assert ended.seconds < AT_ONCE
        assert close_codes(server) == [1000]


def test_a_second_ctrl_c_breaks_off_the_close_that_the_first_began() -> None:
    with ScriptedServer(deaf) as server:
        ended = signalled(server, "be_interrupted_twice", signal.SIGINT, signal.SIGINT)
    assert ended.status == -signal.SIGINT
    assert ended.err.count("\nKeyboardInterrupt") == 2
    assert "closing" in ended.out
    assert ended.seconds < AT_ONCE
