"""Block in one call, be interrupted, and go on: `signalled URL HOW`, where HOW is a key of `BLOCKING` or a function."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from rtsync import RealtimeSession, SessionClosed
from tests.process.scripts.sessions import session_to

URL, HOW = sys.argv[1:3]


def expect(session: RealtimeSession) -> None:
    """Wait at the end of a block."""
    with session.expect("response.done", timeout=None):
        pass


BLOCKING: dict[str, Callable[[RealtimeSession], Any]] = {
    "wait_for": lambda session: session.wait_for("response.done", timeout=None),
    "wait_for_a_minute": lambda session: session.wait_for("response.done", timeout=60),
    "expect": expect,
    "events": lambda session: next(session.events("response.done")),
    "answer": lambda session: session.cancel(timeout=None),
    "response": lambda session: never_ending(session).wait(None),
    "text_deltas": lambda session: list(never_ending(session).text_deltas(timeout=None)),
    "turn": lambda session: (never_ending(session), session.respond(timeout=None)),
    "ask": lambda session: (never_ending(session), session.ask("Hi", timeout=None)),
}


def never_ending(session: RealtimeSession) -> Any:
    """A response that the service never ends."""
    return session.respond(instructions="never end", timeout=20)


def ready() -> None:
    """Say that what follows blocks."""
    print("ready", flush=True)


def interrupted(call: Callable[[], object]) -> bool:
    """Whether the call ended with KeyboardInterrupt."""
    try:
        call()
    except KeyboardInterrupt:
        return True
    return False


def block_and_go_on() -> dict[str, Any]:
    """The call is interrupted, and the session goes on."""
    with session_to(URL) as session:
        ready()
        caught = interrupted(lambda: BLOCKING[HOW](session))
        session.update(instructions="Still here", timeout=20)
        return {"interrupted": caught, "state": session.state}


def open_() -> dict[str, Any]:
    """The server accepts, and says nothing."""
    session = session_to(URL, connect_timeout=60)
    ready()
    caught = interrupted(session.open)
    session.close()
    return {"interrupted": caught, "state": session.state}


def close() -> dict[str, Any]:
    """The server does not answer the close frame."""
    session = session_to(URL, close_timeout=60).open()
    ready()
    caught = interrupted(session.close)
    session.close(timeout=0.1)
    return {"interrupted": caught, "state": session.state}


def send() -> dict[str, Any]:
    """The server does not read."""
    session = session_to(URL, send_timeout=60).open()
    ready()
    caught = interrupted(lambda: session.send({"type": "marker", "filling": "x" * (64 << 20)}))
    session.close()
    return {"interrupted": caught, "state": session.state}


def close_in_the_handler_of_sigterm() -> dict[str, Any]:
    """The signal handler closes, which ends the wait that it interrupted."""
    session = session_to(URL).open()
    signal.signal(signal.SIGTERM, lambda *_: session.close())
    ready()
    try:
        session.wait_for("response.done", timeout=None)
    except SessionClosed as error:
        return {"interrupted": error.cause, "state": session.state}
    return {}


def exit_in_the_handler_of_sigterm() -> dict[str, Any]:
    """The signal handler leaves the program; the block closes the session on the way."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with session_to(URL) as session:
        ready()
        session.wait_for("response.done", timeout=None)
    return {}


def be_interrupted_twice() -> dict[str, Any]:
    """The second Ctrl+C breaks off the close that the first began."""
    with session_to(URL, close_timeout=60) as session:
        try:
            ready()
            session.wait_for("response.done", timeout=None)
        finally:
            print("closing", flush=True)
    return {}


def main() -> None:
    """Print what came of it, and which of our threads are left."""
    report = block_and_go_on() if HOW in BLOCKING else globals()[HOW]()
    report["threads"] = [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-")]
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
