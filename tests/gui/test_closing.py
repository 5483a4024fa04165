"""Windows that close their sessions: in the middle of whatever, without holding up the loop, and nothing is left."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from rtsync import Azure, RealtimeError, RealtimeSession, Simulator, UsageError
from rtsync.gui import QtDispatcher, TkDispatcher
from tests.gui.windows import Window, qt_window, tk_window
from tests.loopback import LIMIT
from tests.session.service import conversing, delta, done, response, spawn

DELTA = "response.output_text.delta"
TEXT = {"output_modalities": ["text"]}


def closing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("rtsync-closing-")]


def closed(session: RealtimeSession) -> bool:
    """Whether it is, once those who close have ended."""
    for thread in closing_threads():
        thread.join(LIMIT)
    return session.state == "closed"


def pipes() -> int:
    """Open pipes of this process."""
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(link.startswith("pipe:") for link in links)


def test_closing_the_window_in_the_middle_of_an_answer_leaves_nothing_behind(
    window: Window, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    session = RealtimeSession(Simulator(), handlers=window.dispatcher, config=TEXT)
    window.dispatcher.close_with(session)
    seen: list[str] = []

    def show(_session: RealtimeSession, event: Any) -> None:
        seen.append(event.delta)
        window.write(event.delta)
        if len(seen) == 5:
            window.close()

    session.on(DELTA, show)
    session.open()
    session.send({"type": "response.create"})
    window.run()
    assert closed(session)
    assert len(seen) >= 5
    assert "response.done" not in [response.status for response in session.conversation.responses]
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-")] == []
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_neither_descriptors_nor_timers_outlive_a_window(on_screen: None) -> None:
    with tk_window() as root:  # A window of its own, so that Tk goes on.
        for poll in (False, True):
            before = pipes(), root.root.tk.call("after", "info")  # type: ignore[attr-defined]
            top = root.other()
            dispatcher = TkDispatcher(top, poll=poll)
            for _ in range(100):
                dispatcher(lambda: time.sleep(0.001))
            dispatcher(top.destroy)
            dispatcher(lambda: pytest.fail("its window is gone"))
            root.root.wait_window(top)  # type: ignore[attr-defined]
            assert (pipes(), root.root.tk.call("after", "info")) == before  # type: ignore[attr-defined]


def test_the_loop_goes_on_while_the_session_closes(window: Window) -> None:
    """The peer does not answer the close frame before the loop has had turns behind it."""
    turned = threading.Event()

    def slow_to_close(service: Any, event: Any) -> None:
        if event["type"] == "response.create":
            turned.wait(LIMIT)

    with conversing(slow_to_close, handlers=window.dispatcher, close_timeout=LIMIT) as (session, service):
        other = window.other()
        window.dispatcher.close_with(session, other)
        session.send({"type": "response.create"})
        service.hear("response.create")

        def close() -> None:
            close_one(other)
            window.after(1, look)

        def look() -> None:
            if not closing_threads():
                window.after(1, look)
                return
            assert session.state != "closed"
            turned.set()
            window.close()

        window.dispatcher(close)
        window.run()
        assert closed(session)


def close_one(other: Any) -> None:
    """As a user closes it."""
    getattr(other, "close", other.destroy)()


def test_a_window_may_close_its_own_session_while_another_one_goes_on(window: Window) -> None:
    with conversing(handlers=window.dispatcher) as (first, _), conversing(handlers=window.dispatcher) as (second, _):
        other = window.other()
        window.dispatcher.close_with(first, other)
        window.dispatcher.close_with(second)
        states: list[tuple[str, str]] = []

        def look() -> None:
            if first.state != "closed":
                window.after(1, look)
                return
            states.append((first.state, second.state))
            window.close()

        window.dispatcher(lambda: close_one(other))
        window.after(1, look)
        window.run()
        assert closed(second)
        assert states == [("closed", "open")]


def test_closing_while_connecting_ends_the_attempt(window: Window, blackhole_address: tuple[str, int]) -> None:
    host, port = blackhole_address
    target = Azure(endpoint=f"http://{host}:{port}", deployment="d", api_key="k")
    session = RealtimeSession(target, handlers=window.dispatcher, connect_timeout=LIMIT)
    window.dispatcher.close_with(session)
    opening = spawn(session.open)

    def close_when_begun() -> None:
        if session.state == "connecting":
            window.close()
        else:
            window.after(1, close_when_begun)

    window.after(1, close_when_begun)
    window.run()
    with pytest.raises(RealtimeError):
        opening.result()
    assert closed(session)


def test_a_session_may_be_closed_again_or_before(window: Window) -> None:
    with conversing(handlers=window.dispatcher) as (session, _):
        window.dispatcher.close_with(session)
        window.dispatcher.close_with(session)
        session.close()
        window.dispatcher(window.close)
        window.run()
        session.close()
        assert closed(session)
    assert closed(RealtimeSession(Simulator())) is False


def test_a_handler_may_close_the_window(window: Window) -> None:
    with conversing(handlers=window.dispatcher) as (session, service):
        window.dispatcher.close_with(session)
        session.on("response.created", lambda _session, _event: window.close())
        service.say(response("response.created"), *[delta(str(number)) for number in range(100)], done())
        window.run()
        assert closed(session)


def test_a_forgotten_session_is_not_kept_by_its_window(window: Window) -> None:
    session: Any = RealtimeSession(Simulator(), handlers=window.dispatcher)
    window.dispatcher.close_with(session)
    known = weakref.ref(session)
    del session
    gc.collect()
    assert known() is None
    window.dispatcher(window.close)
    window.run()


def test_a_session_that_comes_when_the_window_is_gone_calls_no_handlers_and_waits_for_none(window: Window) -> None:
    window.dispatcher(window.close)
    window.run()
    with conversing(handlers=window.dispatcher) as (session, service):
        session.on("response.done", lambda _session, _event: pytest.fail("its window is gone"))
        service.say(done())
        assert session.wait_for("response.done", timeout=LIMIT)
        with pytest.raises(RealtimeError, match="the window is gone"):
            window.dispatcher.close_with(session)


def test_a_window_of_tk_that_is_gone_is_no_place_for_handlers(on_screen: None) -> None:
    with tk_window() as window:
        top = window.other()
        top.destroy()
        with pytest.raises(UsageError, match="the window is gone"):
            TkDispatcher(top)
        with pytest.raises(UsageError, match="the window is gone"):
            window.dispatcher.close_with(RealtimeSession(Simulator()), top)


# -- Qt -------------------------------------------------------------------------------------------------------------


def test_a_window_of_qt_that_refuses_to_close_keeps_its_session(offscreen: None) -> None:
    from PySide6 import QtGui, QtWidgets

    class Stubborn(QtWidgets.QWidget):
        asked = 0

        def closeEvent(self, event: QtGui.QCloseEvent) -> None:  # noqa: N802
            self.asked += 1
            event.setAccepted(self.asked > 1)

    with qt_window() as window, conversing(handlers=window.dispatcher) as (session, _):
        stubborn = Stubborn()
        stubborn.show()
        window.dispatcher.close_with(session, stubborn)
        states: list[str] = []

        def again() -> None:
            states.append(session.state)
            stubborn.close()
            window.dispatcher(window.close)

        window.dispatcher(stubborn.close)
        window.after(20, again)
        window.run()
        assert states == ["open"]
        assert closed(session)


@pytest.mark.parametrize("how", ["deleteLater", "close"])
def test_a_window_of_qt_that_is_destroyed_closes_its_session(offscreen: None, how: str) -> None:
    from PySide6 import QtCore, QtWidgets

    with qt_window() as window, conversing(handlers=window.dispatcher) as (session, _):
        other = QtWidgets.QWidget()
        other.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        other.show()
        window.dispatcher.close_with(session, other)
        window.dispatcher(getattr(other, how))

        def look() -> None:
            if session.state == "closed":
                window.close()
            else:
                window.after(1, look)

        window.after(1, look)
        window.run()
        assert closed(session)


def test_dispatchers_of_one_application_do_not_disturb_each_other(offscreen: None) -> None:
    with qt_window() as window:
        seen: list[int] = []
        others = [QtDispatcher() for _ in range(3)]
        for number, dispatcher in enumerate(others):
            dispatcher(lambda number=number: seen.append(number))  # type: ignore[misc]
        window.after(10, window.close)
        window.run()
        assert sorted(seen) == [0, 1, 2]
        assert all(dispatcher.gone for dispatcher in others)
