"""End with open sessions: `leaving URL HOW`, where HOW names one of the functions below."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import rtsync
from rtsync import RealtimeSession
from tests.process.scripts.sessions import session_to

kept: list[RealtimeSession] = []


def open_sessions(count: int = 1) -> list[RealtimeSession]:
    """Sessions that nobody will close."""
    sessions = [session_to(sys.argv[1]).open() for _ in range(count)]
    kept.extend(sessions)
    return sessions


def forget() -> None:
    """Three sessions, one with a handler."""
    sessions = open_sessions(3)
    sessions[0].on("*", lambda _session, _event: None)


def wait_in_daemons() -> None:
    """Daemon threads stand in every kind of wait, and one sends without a pause."""
    (session,) = open_sessions()
    running = session.respond(instructions="never end")
    calls: list[Callable[[], object]] = [
        lambda: session.wait_for("response.done", timeout=None),
        lambda: session.respond(timeout=None),
        lambda: running.wait(None),
        lambda: list(running.text_deltas(timeout=None)),
        lambda: list(session.events("response.done")),
        lambda: session.cancel(timeout=None),
        lambda: forever(lambda: session.append_audio(b"\0" * 4800)),
    ]
    for call in calls:
        threading.Thread(target=call, daemon=True).start()
    session.update(instructions="Let the threads begin to wait.")


def forever(call: Callable[[], object]) -> None:
    """Again and again."""
    while True:
        call()


def go_on_in_a_thread() -> None:
    """A thread that is no daemon converses on when the main thread has ended."""
    (session,) = open_sessions()

    def go_on() -> None:
        threading.main_thread().join()
        assert session.ask("Still there?", timeout=20).text == "Hello there"
        print("leaving", flush=True)

    threading.Thread(target=go_on).start()


def leave_a_handler_stuck() -> None:
    """A handler that never returns."""
    (session,) = open_sessions()
    entered = threading.Event()

    def stuck(_session: RealtimeSession, _event: object) -> None:
        entered.set()
        threading.Event().wait()

    session.on("session.updated", stuck)
    session.send({"type": "session.update", "session": {}})
    entered.wait()


def leave_a_handler_waiting() -> None:
    """A handler that waits for what does not come."""
    (session,) = open_sessions()
    entered = threading.Event()

    def waiting(inner: RealtimeSession, _event: object) -> None:
        entered.set()
        inner.wait_for("response.done", timeout=None)

    session.on("session.updated", waiting)
    session.send({"type": "session.update", "session": {}})
    entered.wait()


def leave_handlers_printing() -> None:
    """Handlers that print, with more to do than there is time."""
    (session,) = open_sessions()
    entered = threading.Event()

    def printing(_session: RealtimeSession, event: object) -> None:
        print(event, flush=True)
        entered.set()
        time.sleep(0.002)

    session.on("drop", printing)
    session.send({"type": "flood", "size": 2000})
    entered.wait()


def leave_tools_stuck() -> None:
    """A tool that never returns, one that waits for what does not come, and one that looks whether anybody waits."""
    entered = threading.Barrier(4)

    def stuck() -> None:
        """Never return."""
        entered.wait()
        threading.Event().wait()

    def waiting(context: rtsync.ToolContext) -> None:
        """Wait for what does not come."""
        entered.wait()
        context.session.wait_for("never", timeout=None)

    def looking(context: rtsync.ToolContext) -> None:
        """End when nobody waits."""
        entered.wait()
        context.wait(60)

    session = session_to(sys.argv[1], tools=[stuck, waiting, looking]).open()
    kept.append(session)
    session.respond(instructions="call stuck waiting looking")
    entered.wait()


def have_no_thread_left() -> None:
    """No thread can be started any more, and something is to be called."""
    open_sessions()
    rtsync.session_closed.connect(say_closed)
    threading.stack_size(1 << 46)


def say_closed(_session: RealtimeSession, error: rtsync.SessionClosed) -> None:
    """A receiver for all sessions."""
    print("told:", error.cause, flush=True)


def raise_an_error() -> None:
    """The program ends by an exception."""
    open_sessions()
    raise ValueError("the program's own")


def leave_with_a_status() -> None:
    """The program ends by sys.exit()."""
    open_sessions()
    sys.exit(3)


if __name__ == "__main__":
    globals()[sys.argv[2]]()
    if sys.argv[2] != "go_on_in_a_thread":
        print("leaving", flush=True)
