"""A session that nobody holds any more is collected, ends its connection, and warns once."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from rtsync import RealtimeSession
from tests.loopback import LIMIT, ScriptedServer
from tests.process.scripts.sessions import session_to, sockets
from tests.process.service import answering_server, close_codes
from tests.session.service import spawn

Held = list[RealtimeSession]


def plainly(held: Held) -> None:
    """The last reference goes."""
    held.clear()


def in_a_cycle(held: Held) -> None:
    """It is part of a cycle, which the garbage collector finds."""
    session = held.pop()
    session.myself = session  # type: ignore[attr-defined]
    session.everything = [session.conversation, session.target, session]  # type: ignore[attr-defined]


def in_another_thread(held: Held) -> None:
    """The last reference goes in a thread of the program's."""
    spawn(held.clear).result()


def in_its_own_handler(held: Held) -> None:
    """The last reference but the caller's goes inside a handler, in the session's own thread."""
    heard = threading.Event()

    def forget(_session: RealtimeSession, _event: object) -> None:
        held.clear()
        heard.set()

    held[0].on("session.updated", forget)
    held[0].send({"type": "session.update", "session": {}})
    assert heard.wait(LIMIT)


def in_a_handlers_closure(held: Held) -> None:
    """Only its own handler, which closes over it, refers to it."""
    session = held.pop()
    session.on("session.updated", lambda _session, _event: session.state)


def with_everything_it_hands_out(held: Held) -> None:
    """What it handed out goes with it, a response that runs and a subscription that nobody closes."""
    session = held.pop()
    session.response = session.respond(instructions="never end")  # type: ignore[attr-defined]
    session.stream = session.events()  # type: ignore[attr-defined]


def until(true: Callable[[], object]) -> bool:
    """Whether it becomes true while garbage is collected."""
    deadline = time.monotonic() + LIMIT
    while not true() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.001)
    return bool(true())


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-")]


def see_it_go(server: ScriptedServer, forget: Callable[[Held], None]) -> None:
    """Open a session, forget it in one way or another, and wait until it and its threads are gone."""
    held = [session_to(server.http_url).open()]
    reference = weakref.ref(held[0])
    forget(held)
    assert until(lambda: reference() is None)
    assert until(lambda: not ours())


@pytest.mark.parametrize(
    "forget",
    [
        plainly,
        in_a_cycle,
        in_another_thread,
        in_its_own_handler,
        in_a_handlers_closure,
        with_everything_it_hands_out,
    ],
)
def test_a_forgotten_session_goes_with_one_warning_and_leaves_nothing(forget: Callable[[Held], None]) -> None:
    with answering_server() as server:
        before = sockets()
        with pytest.warns(ResourceWarning, match="was dropped while open") as warned:
            see_it_go(server, forget)
        assert close_codes(server) == [None]
        assert until(lambda: not sockets() - before)
    assert len(warned) == 1
