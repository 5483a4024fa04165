"""Manners: forks, the end of the program, forgotten sessions, and nothing left behind by any number of them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from rtsync import CloseCause, Event, OpenAI, RealtimeSession, SessionClosed, Simulator
from rtsync.simulator import SimulatorServer
from tests.loopback import LIMIT, ScriptedServer
from tests.session.service import Service, conversing, done, session_to, spawn, target_of

_PROJECT = Path(__file__).resolve().parents[2]

_FORK = r"""
import os, sys
from rtsync import RealtimeSession, Simulator, UsageError
from rtsync.simulator import SimulatorServer

parent = RealtimeSession(Simulator(pace=False), config={"output_modalities": ["text"]}).open()
answered = parent.respond()
stream = parent.events()
expectation = parent.expect("response.done")
unopened = RealtimeSession(Simulator(pace=False), config={"output_modalities": ["text"]})
child = os.fork()
if child == 0:
    status = 1
    try:
        calls = (
            lambda: parent.send({"type": "response.create"}),
            lambda: parent.wait_for("response.done", timeout=None),
            lambda: parent.ask("Hi"), lambda: parent.update(), lambda: parent.respond(),
            lambda: parent.expect("response.done"), lambda: parent.events(), lambda: parent.open(),
            lambda: answered.wait(None), lambda: next(stream),
        )
        refused = 0
        for call in calls:
            try:
                call()
            except UsageError as error:
                assert "fork" in str(error), error
                refused += 1
        assert refused == len(calls), refused
        parent.close()
        assert parent.state == "closed"
        with unopened:
            assert unopened.ask("Are you there?").text
        status = 0
    finally:
        sys.stdout.flush()
        sys.exit(status)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert parent.state == "open"
assert answered.wait().text is not None
assert parent.ask("And you?").text
parent.close()
print("done")
"""

_EXIT = r"""
import sys
from rtsync import OpenAI, RealtimeSession
sessions = [RealtimeSession(OpenAI(api_key="k", base_url=sys.argv[1])).open() for _ in range(3)]
sessions[0].on("*", lambda session, event: None)
print("open", flush=True)
"""


def run(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *args],
        capture_output=True, text=True, timeout=45, cwd=_PROJECT,
    )  # fmt: skip


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-")]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def gone(reference: weakref.ref[RealtimeSession]) -> bool:
    deadline = time.monotonic() + LIMIT
    while reference() is not None and time.monotonic() < deadline:
        gc.collect()
    return reference() is None


def drop(held: list[RealtimeSession], reference: weakref.ref[RealtimeSession]) -> None:
    """Let go of the last reference."""
    held.clear()
    assert gone(reference)


def listen_closing_over(session: RealtimeSession) -> None:
    """A handler that keeps the session alive, as far as reference counts go."""
    session.on("response.done", lambda _session, _event: session.state)


def no_thread_left() -> bool:
    deadline = time.monotonic() + LIMIT
    while ours() and time.monotonic() < deadline:
        time.sleep(0.001)
    return not ours()


def test_a_forked_child_cannot_use_the_session_and_does_not_disturb_it() -> None:
    ran = run(_FORK)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout == "done\n"


def test_at_the_end_of_the_program_sessions_close_with_a_close_frame() -> None:
    services = [Service() for _ in range(3)]
    with ScriptedServer(lambda peer: services[peer.number - 1].play(peer)) as server:
        start = time.monotonic()
        ran = run(_EXIT, server.http_url + "/v1")
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == ""
        assert time.monotonic() - start < LIMIT
        for peer, service in zip(server.peers, services, strict=True):
            assert peer.finished.wait(LIMIT)
            assert service.closed_with is not None
            assert service.closed_with.code == 1000


@pytest.mark.parametrize("handlers", ["none", "plain", "closing over the session"])
def test_a_session_that_is_dropped_open_is_collected_warns_and_ends(handlers: str) -> None:
    with ScriptedServer((service := Service()).play) as server:
        session = session_to(server).open()
        if handlers == "plain":
            session.on("response.done", lambda _session, _event: None)
        elif handlers != "none":
            listen_closing_over(session)
        service.say(done())
        session.wait_for("response.done")
        core, reference = session._core, weakref.ref(session)
        held = [session]
        del session
        with pytest.warns(ResourceWarning, match="was dropped while open"):
            drop(held, reference)
        assert no_thread_left()
        assert core.error is not None
        assert isinstance(core.error, SessionClosed)
        assert core.error.cause is CloseCause.ABANDONED


def test_a_dropped_simulator_session_stops_its_server_too() -> None:
    session = RealtimeSession(Simulator(pace=False)).open()
    reference, held = weakref.ref(session), [session]
    del session
    with pytest.warns(ResourceWarning):
        drop(held, reference)
    assert no_thread_left()


@pytest.mark.parametrize("opened", [True, False])
def test_a_session_that_was_closed_or_never_opened_goes_without_a_word(opened: bool) -> None:
    session = RealtimeSession(Simulator(pace=False))
    if opened:
        with session:
            session.on("*", lambda _session, _event: None)
    reference = weakref.ref(session)
    del session
    assert gone(reference)


def talk(server: SimulatorServer) -> None:
    """One session, as long as it lives."""
    with RealtimeSession(
        Simulator(pace=False).at(server.url), config={"output_modalities": ["text"]}, connect_timeout=LIMIT
    ) as session:
        session.on("response.done", lambda _session, _event: None)
        assert session.ask("Hi", timeout=LIMIT).text


@pytest.mark.unmeasured
def test_two_hundred_sessions_one_after_another_leave_nothing() -> None:
    with SimulatorServer(pace=False) as server:
        for _ in range(20):
            talk(server)
        gc.collect()
        before, memory, sessions = descriptors(), resident(), live_sessions()
        for _ in range(200):
            talk(server)
        gc.collect()
        assert no_sessions_threads()
        assert settles_at(before)
        assert resident() - memory < 16 << 20
        assert live_sessions() <= sessions


@pytest.mark.unmeasured
def test_two_hundred_sessions_at_once_leave_nothing() -> None:
    with SimulatorServer(pace=False) as server:
        talk(server)
        gc.collect()
        before, memory, sessions = descriptors(), resident(), live_sessions()
        for _ in range(2):
            together = threading.Barrier(200)

            def meet(together: threading.Barrier = together) -> None:
                with RealtimeSession(
                    Simulator(pace=False).at(server.url), connect_timeout=LIMIT, close_timeout=LIMIT
                ) as session:
                    session.on("session.updated", lambda _session, _event: None)
                    together.wait(LIMIT)
                    session.update(instructions="Hi", timeout=LIMIT)

            for one in [spawn(meet) for _ in range(200)]:
                one.result()
        gc.collect()
        assert no_sessions_threads()
        assert settles_at(before)
        assert resident() - memory < 96 << 20
        assert live_sessions() <= sessions


def no_sessions_threads() -> bool:
    return not [name for name in ours() if name.startswith(("rtsync-reader", "rtsync-handlers"))]


def settles_at(count: int) -> bool:
    """Whether the descriptors come down to `count`; the server may be a moment behind."""
    deadline = time.monotonic() + LIMIT
    while descriptors() > count and time.monotonic() < deadline:
        time.sleep(0.005)
    return descriptors() <= count


def live_sessions() -> int:
    return sum(isinstance(found, RealtimeSession) for found in gc.get_objects())


def test_a_long_conversation_does_not_fill_the_memory() -> None:
    filling = "x" * 20_000
    with conversing() as (session, service):
        with session.events("marker") as markers:
            for round_ in range(3):
                for _ in range(10):
                    service.say(*({"type": "response.output_audio.delta", "response_id": "r", "delta": filling},) * 100)
                service.say({"type": "marker"})
                next(markers)
                if round_ == 0:
                    memory = resident()
        assert resident() - memory < 24 << 20
        assert isinstance(session.wait_for("marker", where=lambda event: True), Event)


# -- what is seen of a session ----------------------------------------------------------------------------------------


def test_no_secret_and_no_audio_is_seen_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    key, audio = "sk-very-secret-key", "UklGRiQAAABXQVZF" * 8
    caplog.set_level("DEBUG")
    with ScriptedServer((service := Service()).play) as server:
        target = OpenAI(api_key=key, base_url=server.http_url + "/v1")
        with RealtimeSession(target) as session:
            shown = [repr(session), repr(session._core), repr(target)]
            session.append_audio(audio.encode())
            service.hear()
            service.say(
                {"type": "response.output_audio.delta", "response_id": "r", "delta": audio},
                {"type": "conversation.item.added", "item": {"content": [{"type": "input_audio", "audio": audio}]}},
                {"type": "error", "error": {"message": f"Incorrect API key provided: {key}.", "event_id": None}},
            )
            for name in ("response.output_audio.delta", "conversation.item.added"):
                shown.append(repr(session.wait_for(name)))
            try:
                session.wait_for("response.done", timeout=LIMIT)
            except Exception as error:
                shown.append(str(error))
            service.peer.send_text('{"broken": "' + audio)
            service.peer.close(1011, "oops")
            try:
                session.wait_for("response.done", timeout=LIMIT)
            except Exception as error:
                shown.append(str(error))
            shown.append(repr(session))
    everything = "\n".join([*shown, caplog.text])
    assert "was not JSON" in everything or "not JSON" in everything
    assert key not in everything
    assert audio[:40] not in everything
    assert target_of(server)
