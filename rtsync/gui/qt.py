"""The main loop of Qt, in any of its bindings."""

from __future__ import annotations

import functools
import sys
from typing import Any

from rtsync.gui.dispatcher import Closing, Dispatcher
from rtsync.vocabulary.errors import UsageError

__all__ = ["QtDispatcher"]

_BINDINGS = ("PySide6", "PyQt6", "PyQt5")


class QtDispatcher(Dispatcher):
    """Handlers in the main loop of Qt: ``RealtimeSession(target, handlers=QtDispatcher())``.

    With PySide6, PyQt6 or PyQt5, whichever the program has imported. It ends when the application is about to quit, or
    never where the program runs a ``QEventLoop`` only.

    Raises:
        UsageError: there is no application yet, or it is another thread's.

    Threads: make it in the thread of the application.
    """

    def __init__(self) -> None:
        super().__init__()
        core = _core()
        self._app = core.QCoreApplication.instance()
        if self._app.thread() != core.QThread.currentThread():
            raise UsageError("make a QtDispatcher in the thread of the QApplication")
        self._qt = core
        self._bell = _with_qt(core, _Bell)(self._app)  # Owned by the application, so that no other thread destroys it.
        self._bell.dispatcher = self
        self._app.aboutToQuit.connect(self._end)

    def _wake(self) -> None:
        self._qt.QCoreApplication.postEvent(self._bell, self._qt.QEvent(self._qt.QEvent.Type.User))

    def _rest(self) -> None:
        self._bell.rest()

    def _release(self) -> None:
        self._bell.stop()

    def _when_closed(self, window: Any, closing: Closing) -> None:
        """A window that hides itself counts as closed where it was asked to close."""
        self._app.aboutToQuit.connect(closing)
        if window is not None:
            window.destroyed.connect(closing)
            watch = _with_qt(self._qt, _Watch)(window)
            watch.bell, watch.close, watch.closing = self._bell, self._qt.QEvent.Type.Close, closing
            window.installEventFilter(watch)


def _core() -> Any:
    """The ``QtCore`` whose application runs."""
    imported = [found for name in _BINDINGS if (found := sys.modules.get(f"{name}.QtCore")) is not None]
    for core in imported:
        if core.QCoreApplication.instance() is not None:
            return core
    raise UsageError(
        "make the QApplication before the QtDispatcher"
        + ("" if imported else f"; the program has imported none of {', '.join(_BINDINGS)}")
    )


# What the objects of Qt do. They override, and have no signals of their own: that is the same in every binding, and no
# thread that posts an event becomes one of Qt's.


class _Bell:
    """A ``QObject`` that is called by the loop."""

    dispatcher: QtDispatcher
    timer = 0

    def customEvent(self, _event: Any) -> None:  # noqa: N802
        self.dispatcher._on_wake()

    def rest(self: Any) -> None:
        # A timer that is due at once comes behind what was posted, drawing among it, and what the window system says.
        self.timer = self.startTimer(0)

    def timerEvent(self, _event: Any) -> None:  # noqa: N802
        self.stop()
        self.dispatcher._on_rested()

    def stop(self: Any) -> None:
        timer, self.timer = self.timer, 0
        if timer:
            self.killTimer(timer)


class _Watch:
    """A ``QObject`` of a window that sees it close."""

    bell: _Bell
    close: object
    closing: Closing

    def eventFilter(self: Any, window: Any, event: Any) -> bool:  # noqa: N802
        if event.type() == self.close and window is self.parent():
            self.bell.dispatcher(self.look)  # Later: the window may refuse.
        return False

    def look(self: Any) -> None:
        try:
            closed = not self.parent().isVisible()
        except RuntimeError:  # Destroyed, which tells by itself.
            return
        if closed:
            self.closing()


@functools.cache
def _with_qt(core: Any, kind: type) -> Any:
    """The class of those objects, in one binding."""
    return type(kind.__name__, (kind, core.QObject), {})
