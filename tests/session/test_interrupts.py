"""Ctrl+C in a waiting main thread, ten thousand times: no lock is left held, and the session goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import without_coverage

_PROGRAM = r'''
import random, signal, sys, threading
sys.path.insert(0, {project!r})
from rtsync import RealtimeSession, Simulator

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
random.seed(7)

def interrupted(call, longest):
    """Run `call` with a KeyboardInterrupt somewhere in it, or just behind it.

    A signal between the interpreter's last look and the sleep of a lock wakes nobody, in any program; so the timer
    repeats, long after the first one was dealt with.
    """
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, longest), 0.05)
        try:
            call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return 1
    return 0

def expect(session):
    with session.expect("response.mcp_call.failed", timeout=None):
        pass

def next_event(session):
    with session.events("response.mcp_call.failed") as events:
        next(events)

def next_response(session):
    with session.responses() as responses:
        next(responses)

session = RealtimeSession(Simulator(pace=False), config={{"output_modalities": ["text"]}}).open()
heard = []
session.on("*", lambda session, event: heard.append(event.type))
calls = {{
    "wait_for": lambda: session.wait_for("response.mcp_call.failed", timeout=None),
    "expect": lambda: expect(session),
    "events": lambda: next_event(session),
    "update": lambda: session.update(instructions="Hi", timeout=None),
    "ask": lambda: session.ask("Hi", timeout=None),
    "respond": lambda: session.respond(timeout=None).wait(None),
    "responses": lambda: next_response(session),
    "send_audio": lambda: session.send_audio(bytes(9600), sample_rate=24000, silence_ms=0),
}}
call = calls[{call!r}]
hits = 0
for _ in range({times}):
    hits += interrupted(call, {longest})
    if session.state != "open":
        break
print("interrupts", hits, "state", session.state)
if session.state == "open":
    assert session.ask("Still there?", timeout=20).text
    assert session.update(instructions="Ho", timeout=20).session.instructions == "Ho"
    session.send({{"type": "session.update", "session": {{"type": "realtime"}}}})
    assert session.wait_for("session.updated", timeout=20)
    with session.expect("session.updated", timeout=20):
        session.send({{"type": "session.update", "session": {{"type": "realtime"}}}})
    assert session.send_audio(bytes(9600), sample_rate=24000, silence_ms=0, pace=False) == 200
    # An interrupt behind the last line of __enter__ leaves a waiter that nobody collects; its event will sweep it away.
    assert len(session._core.hub._waiters) < 20, "waiters stayed behind"
    assert not session._core._requests, "requests stayed behind"
session.close()
assert session.state == "closed"
left = [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-")]
assert not left, left
print("done")
'''
_PROJECT = __file__.rsplit("/tests/", 1)[0]


@pytest.mark.parametrize(
    ("call", "times", "longest"),
    [
        ("wait_for", 6000, 0.0003),
        ("expect", 2000, 0.0003),
        ("events", 1000, 0.0003),
        ("update", 1000, 0.001),
        ("respond", 400, 0.004),
        ("ask", 400, 0.004),
        ("responses", 1000, 0.0003),
        ("send_audio", 400, 0.004),
    ],
)
def test_ten_thousand_interrupted_waits_leave_a_usable_session(call: str, times: int, longest: float) -> None:
    program = _PROGRAM.format(project=_PROJECT, call=call, times=times, longest=longest)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, env=without_coverage()
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "state open" in ran.stdout, ran.stdout + ran.stderr
    assert int(ran.stdout.split()[1]) > times // 4, "hardly any interrupt hit a wait"
    assert ran.stdout.endswith("done\n")
