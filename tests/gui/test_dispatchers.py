"""Handlers and calls in the main loop of each toolkit: where, in which order, and how much at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from rtsync import Event, RealtimeSession, Simulator, UsageError, WaitTimeout
from rtsync.gui import TkDispatcher
from tests.gui.windows import Turns, Window, tk_window
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, delta, done, error, response, spawn, user

DELTA = "response.output_text.delta"
HELD_AT_MOST = 0.050  # seconds of the processor: the promise
SLICE = 0.008


def burn(seconds: float) -> None:
    """A handler that takes its time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


# -- handlers -------------------------------------------------------------------------------------------------------


def test_handlers_run_in_the_thread_of_the_window_in_order_and_none_is_lost(window: Window) -> None:
    with conversing(handlers=window.dispatcher) as (session, service):
        seen: list[tuple[str, int]] = []
        session.on(DELTA, lambda _session, event: seen.append((event.delta, threading.get_ident())))
        session.on(DELTA, lambda _session, event: window.write(event.delta + " "))
        session.on("response.done", lambda _session, _event: window.close())
        said = [str(number) for number in range(1000)]
        shown: list[str] = []
        session.on(
            "response.done",
            lambda _session, _event: shown.append(""),
        )
        service.say(*map(delta, said), done())
        window.run()
        assert seen == [(text, threading.get_ident()) for text in said]


def test_at_two_hundred_events_a_second_the_loop_is_never_held_for_long(window: Window) -> None:
    """By what its own thread has used of a processor between two turns at drawing: what rtsync does, and the text."""
    turns = Turns()
    window.each_turn(turns.turn)
    window.write("0123456789 ")

    def pace(service: Service) -> None:
        due = time.monotonic()
        for number in range(200):
            service.say(delta(f"{number} "))
            due += 1 / 200
            time.sleep(max(0.0, due - time.monotonic()))
        service.say(done())

    with conversing(handlers=window.dispatcher) as (session, service):
        seen: list[str] = []
        session.on(DELTA, lambda _session, event: seen.append(event.delta))
        session.on(DELTA, lambda _session, event: window.write(event.delta))
        session.on("response.done", lambda _session, _event: window.close())
        speaking = spawn(pace, service)
        window.run()
        speaking.result()
    assert seen == [f"{number} " for number in range(200)]
    assert turns.taken > 50
    assert turns.longest < HELD_AT_MOST


def test_a_flood_leaves_the_loop_its_turns_at_drawing(window: Window) -> None:
    """Each handler takes a quarter of a slice, and events wait all the time."""
    turns = Turns()
    window.each_turn(turns.turn)

    def slow(_session: RealtimeSession, _event: Event) -> None:
        burn(SLICE / 4)
        turns.note()

    with conversing(handlers=window.dispatcher) as (session, service):
        session.on(DELTA, slow)
        session.on("response.done", lambda _session, _event: window.close())
        service.say(*[delta(str(number)) for number in range(300)], done())
        window.run()
    assert turns.most <= 8  # Two slices, where a timer came between them.
    assert turns.taken >= 300 / 8


def test_many_events_share_a_turn(window: Window) -> None:
    turns = Turns()
    window.each_turn(turns.turn)
    with conversing(handlers=window.dispatcher) as (session, service):
        session.on(DELTA, lambda _session, _event: turns.note())
        session.on("response.done", lambda _session, _event: window.close())
        service.say(*[delta(str(number)) for number in range(1000)], done())
        session.wait_for("response.done", settled=False)  # All of it is there.
        window.run()
    assert max(turns.most, turns.noted) >= 64


def test_a_handler_that_raises_is_isolated_as_everywhere(window: Window, caplog: pytest.LogCaptureFixture) -> None:
    with conversing(handlers=window.dispatcher) as (session, service):
        seen: list[str] = []
        session.on("response.done", lambda _session, _event: 1 / 0)
        session.on("response.done", lambda _session, event: seen.append(event.type))
        session.on("response.done", lambda _session, _event: window.close())
        service.say(done())
        window.run()
        assert seen == ["response.done"]
    assert "ZeroDivisionError" in caplog.text


def test_what_is_handed_over_runs_in_order_and_what_raises_stops_nothing(
    window: Window, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []
    window.dispatcher(lambda: 1 / 0)
    for number in range(1000):
        window.dispatcher(lambda number=number: seen.append(number))  # type: ignore[misc]
    window.dispatcher(window.close)
    window.run()
    assert seen == list(range(1000))
    assert "ZeroDivisionError" in caplog.text


def test_leaving_the_loop_in_a_handler_leaves_the_rest_for_the_next_loop(on_screen: None) -> None:
    import tkinter as tk

    root = tk.Tk()
    dispatcher, seen = TkDispatcher(root), list[str]()
    dispatcher(lambda: sys.exit(3))
    dispatcher(lambda: seen.append("behind"))
    dispatcher(root.destroy)
    with pytest.raises(SystemExit):
        root.mainloop()
    assert seen == []
    root.mainloop()
    assert seen == ["behind"]


# -- calls ----------------------------------------------------------------------------------------------------------


def test_a_call_runs_in_the_loop_and_returns_what_it_returns(window: Window) -> None:
    def work() -> tuple[int, str]:
        call = window.dispatcher.call
        try:
            call(window.write, "from a tool")
            return call(threading.get_ident), call(window.read)
        finally:
            window.dispatcher(window.close)

    working = spawn(work)
    window.run()
    assert working.result() == (threading.get_ident(), "from a tool")


def test_a_call_raises_what_it_raises_and_the_loop_goes_on(window: Window) -> None:
    def work() -> str:
        try:
            with pytest.raises(ZeroDivisionError):
                window.dispatcher.call(lambda: 1 / 0)
            return window.dispatcher.call("{a}-{b}".format, a=1, b=2)
        finally:
            window.dispatcher(window.close)

    working = spawn(work)
    window.run()
    assert working.result() == "1-2"


def test_in_the_thread_of_the_window_it_is_a_plain_call(window: Window) -> None:
    assert window.dispatcher.call(threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        window.dispatcher.call(lambda: 1 / 0)


def test_a_call_that_nobody_gets_to_ends_and_is_never_run(window: Window) -> None:
    seen: list[str] = []
    with pytest.raises(WaitTimeout, match=r"did not get to this call within 0\.1 s"):
        spawn(lambda: window.dispatcher.call(seen.append, "late", timeout=0.1)).result()
    window.dispatcher(window.close)
    window.run()
    assert seen == []


def test_a_call_that_does_not_end_says_that_it_has_begun(window: Window) -> None:
    given_up = threading.Event()

    def work() -> None:
        try:
            with pytest.raises(WaitTimeout, match="has begun this call, but not ended it within 1 s"):
                window.dispatcher.call(given_up.wait, LIMIT, timeout=1)
        finally:
            given_up.set()
            window.dispatcher(window.close)

    working: list[Any] = []
    window.dispatcher(lambda: working.append(spawn(work)))
    window.run()
    working[0].result()


def test_a_call_behind_the_end_of_the_window_says_so(window: Window) -> None:
    window.dispatcher(window.close)
    window.run()
    with pytest.raises(UsageError, match="the window is gone"):
        spawn(lambda: window.dispatcher.call(print)).result()
    assert window.dispatcher.gone
    window.dispatcher(print)  # Nothing happens.


def test_a_call_that_waits_while_the_window_goes_says_so(on_screen: None) -> None:
    """In Qt it may run yet: there the application ends the dispatcher, a moment after its last window."""
    waiting: list[Any] = []
    with tk_window() as window:

        def begin() -> None:
            waiting.append(spawn(lambda: window.dispatcher.call(pytest.fail, "its window is gone", timeout=None)))
            while not window.dispatcher._jobs:
                burn(0.001)
            window.close()

        window.dispatcher(begin)
        window.run()
        with pytest.raises(UsageError, match="the window is gone"):
            waiting[0].result()


# -- waits in the thread of the window ------------------------------------------------------------------------------


def test_a_wait_for_handlers_is_refused_where_they_run_before_any_has(window: Window) -> None:
    with conversing(handlers=window.dispatcher) as (session, service):
        session.on("response.done", lambda _session, _event: None)
        with pytest.raises(UsageError, match=r"wait for itself.*settled=False"):
            session.wait_for("response.done", timeout=None)
        with pytest.raises(UsageError, match="wait for itself"), session.expect("response.done", timeout=None):
            pytest.fail("refused before the body")
        with pytest.raises(UsageError, match="wait for itself"):
            session.ask("Hello", timeout=None)
        assert service.heard_nothing_more()
        service.say(done())
        assert session.wait_for("response.done", settled=False, timeout=LIMIT)


def test_what_waits_for_an_answer_works_and_does_not_wait_for_handlers(window: Window) -> None:
    with RealtimeSession(Simulator(pace=False), handlers=window.dispatcher, config={"instructions": "x"}) as session:
        session.on("*", lambda _session, _event: None)
        assert session.update(output_modalities=["text"]).type == "session.updated"
        assert session.add_item(user("Hello")).type
        answer = session.respond()
        with pytest.raises(UsageError, match="wait for itself"):
            answer.wait(None)
        assert "Hello" in "".join(answer.text_deltas(timeout=LIMIT))
        session.close()


def test_a_handler_may_wait_there_too(window: Window) -> None:
    found: list[str] = []

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            service.say({"type": "session.updated", "session": event["session"]})

    def handler(session: RealtimeSession, _event: Event) -> None:
        found.append(session.update(instructions="x").type)
        window.close()

    with conversing(answer, handlers=window.dispatcher) as (session, service):
        session.on("response.created", handler)
        service.say(response("response.created"))
        window.run()
    assert found == ["session.updated"]


def test_another_thread_that_waits_for_handlers_goes_on_when_the_window_goes(window: Window) -> None:
    def last(_session: RealtimeSession, _event: Event) -> None:
        window.close()
        burn(SLICE)  # Behind this the loop has its turn, and ends.

    with conversing(handlers=window.dispatcher) as (session, service):
        session.on("response.created", last)
        session.on("response.done", lambda _session, _event: None)  # In Qt it may run yet.
        waiting = spawn(lambda: session.wait_for("response.done", timeout=LIMIT))
        service.say(response("response.created"), done())
        session.wait_for("response.done", settled=False)
        window.run()
        assert waiting.result().type == "response.done"
        service.say(error(event_id=None))
        assert session.wait_for("error", timeout=LIMIT)  # Here, too, there is nothing to wait for any more.


# -- a loop inside a handler ----------------------------------------------------------------------------------------


def test_with_a_dialog_in_a_handler_its_session_stands_still_and_everything_else_goes_on(window: Window) -> None:
    order: list[str] = []
    with (
        conversing(handlers=window.dispatcher) as (session, service),
        conversing(handlers=window.dispatcher) as (other, other_service),
    ):

        def modal(_session: RealtimeSession, _event: Event) -> None:
            order.append("opens")
            window.dialog(opened)
            order.append("closes")

        def opened(leave: Any) -> None:
            service.say(delta("behind"))
            session.wait_for(DELTA, settled=False)
            other_service.say(delta("of the other"))
            spawn(answer, leave)

        def answer(leave: Any) -> None:
            assert heard.wait(LIMIT)
            window.dispatcher.call(order.append, "call")
            window.dispatcher(leave)

        heard = threading.Event()
        session.on("response.created", modal)
        session.on(DELTA, lambda _session, event: order.append(event.delta))
        session.on(DELTA, lambda _session, _event: window.close())
        other.on(DELTA, lambda _session, event: order.append(event.delta))
        other.on(DELTA, lambda _session, _event: heard.set())
        service.say(response("response.created"))
        window.run()
    assert order == ["opens", "of the other", "call", "closes", "behind"]


def test_a_dialog_that_is_handed_over_holds_up_no_session(window: Window) -> None:
    order: list[str] = []
    with conversing(handlers=window.dispatcher) as (session, service):

        def ask_somebody() -> None:
            order.append("opens")
            window.dialog(opened)
            order.append("closes")
            window.close()

        def opened(leave: Any) -> None:
            session.on(DELTA, lambda _session, _event: leave())
            service.say(delta("meanwhile"))

        session.on(DELTA, lambda _session, event: order.append(event.delta))
        window.dispatcher(ask_somebody)
        window.run()
    assert order == ["opens", "meanwhile", "closes"]


def test_what_stands_behind_a_dialog_is_not_forgotten(window: Window) -> None:
    order: list[str] = []
    ways_out: list[Any] = []
    window.dispatcher(lambda: window.dialog(ways_out.append))
    window.dispatcher(lambda: order.append("inside"))
    window.dispatcher(lambda: ways_out[0]())
    window.dispatcher(window.close)
    window.run()
    assert order == ["inside"]


# -- toolkits -------------------------------------------------------------------------------------------------------


def run(program: str, **variables: str) -> str:
    """What a program prints that runs on its own."""
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **variables})
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def test_no_toolkit_is_imported_before_the_program_has_imported_its_own() -> None:
    program = (
        "import sys, rtsync.gui; print([name for name in sys.modules if name.startswith(('tkinter', 'Py', '_tk'))])"
    )
    assert run(program) == "[]"


def test_a_dispatcher_for_qt_needs_an_application(offscreen: None) -> None:
    program = """
import rtsync.gui, rtsync
def refused():
    try:
        rtsync.gui.QtDispatcher()
    except rtsync.UsageError as error:
        print(error)
refused()
from PySide6 import QtCore
refused()
app = QtCore.QCoreApplication([])
import threading
thread = threading.Thread(target=refused)
thread.start()
thread.join()
"""
    assert run(program).splitlines() == [
        "make the QApplication before the QtDispatcher; the program has imported none of PySide6, PyQt6, PyQt5",
        "make the QApplication before the QtDispatcher",
        "make a QtDispatcher in the thread of the QApplication",
    ]
