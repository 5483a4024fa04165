"""One window of each toolkit, as the tests need it: a text in it, what a user does to it, and turns of its loop."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rtsync.gui import Dispatcher, QtDispatcher, TkDispatcher

if TYPE_CHECKING:
    import tkinter as tk

    from PySide6 import QtWidgets

__all__ = ["Turns", "Window", "qt_window", "tk_window"]

WARM = 10  # turns at drawing, in which a toolkit loads its fonts


class Window(Protocol):
    """What the toolkits have in common."""

    dispatcher: Dispatcher

    def run(self) -> None:
        """The main loop, until the window is closed."""

    def close(self) -> None:
        """As a user closes it. The main loop's thread."""

    def write(self, text: str) -> None:
        """Add to what it shows. The main loop's thread."""

    def read(self) -> str:
        """What it shows. The main loop's thread."""

    def after(self, milliseconds: int, function: Callable[[], object]) -> None:
        """Have `function` called by a timer of the toolkit."""

    def dialog(self, opened: Callable[[Callable[[], object]], object]) -> None:
        """Run a loop inside the loop, until the function that `opened` gets is called."""

    def each_turn(self, drawn: Callable[[], object]) -> None:
        """Have `drawn` called whenever the loop has drawn, and have it draw again."""

    def other(self) -> Any:
        """Another window of the same program, which stays open."""


class TkWindow:
    def __init__(self, root: tk.Tk, *, poll: bool) -> None:
        import tkinter as tk

        self.root = root
        self.text = tk.Text(root)
        self.text.pack()
        self.dispatcher: Dispatcher = TkDispatcher(root, poll=poll)

    def run(self) -> None:
        self.root.mainloop()

    def close(self) -> None:
        self.root.destroy()  # What the button in the frame does.

    def write(self, text: str) -> None:
        self.text.insert("end", text)

    def read(self) -> str:
        return self.text.get("1.0", "end-1c")

    def after(self, milliseconds: int, function: Callable[[], object]) -> None:
        self.root.after(milliseconds, function)

    def dialog(self, opened: Callable[[Callable[[], object]], object]) -> None:
        import tkinter as tk

        over = tk.BooleanVar(self.root, value=False)
        opened(lambda: over.set(True))
        self.root.wait_variable(over)

    def each_turn(self, drawn: Callable[[], object]) -> None:
        def idle() -> None:  # As Tk draws.
            drawn()
            self.root.after(1, lambda: self.root.after_idle(idle))

        self.root.after_idle(idle)

    def other(self) -> tk.Toplevel:
        import tkinter as tk

        return tk.Toplevel(self.root)


class QtWindow:
    def __init__(self, app: QtWidgets.QApplication) -> None:
        from PySide6 import QtWidgets

        self.app = app
        self.text = QtWidgets.QPlainTextEdit()
        self.text.show()
        self.dispatcher: Dispatcher = QtDispatcher()

    def run(self) -> None:
        self.app.exec()

    def close(self) -> None:
        self.text.close()

    def write(self, text: str) -> None:
        self.text.insertPlainText(text)

    def read(self) -> str:
        return self.text.toPlainText()

    def after(self, milliseconds: int, function: Callable[[], object]) -> None:
        from PySide6.QtCore import QTimer

        QTimer.singleShot(milliseconds, function)

    def dialog(self, opened: Callable[[Callable[[], object]], object]) -> None:
        from PySide6.QtCore import QEventLoop

        loop = QEventLoop()
        opened(loop.quit)
        loop.exec()

    def each_turn(self, drawn: Callable[[], object]) -> None:
        from PySide6 import QtCore, QtWidgets

        class Drawn(QtWidgets.QWidget):
            def paintEvent(self, _event: object) -> None:  # noqa: N802
                drawn()
                QtCore.QTimer.singleShot(1, self.update)

        self.drawn = Drawn(self.text)
        self.drawn.resize(10, 10)
        self.drawn.show()

    def other(self) -> QtWidgets.QWidget:
        from PySide6 import QtWidgets

        widget = QtWidgets.QWidget()
        widget.show()
        return widget


@contextmanager
def tk_window(*, poll: bool = False) -> Iterator[Window]:
    """A window of Tk, gone in the end."""
    import tkinter as tk

    root = tk.Tk()
    try:
        yield TkWindow(root, poll=poll)
    finally:
        try:
            root.destroy()
        except tk.TclError:
            pass  # Closed by the test.
        gc.collect()  # While this thread holds the root: one that another thread collects ends the process.


@contextmanager
def qt_window() -> Iterator[Window]:
    """A window of Qt, gone in the end."""
    from PySide6 import QtWidgets

    app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    assert isinstance(app, QtWidgets.QApplication)
    window = QtWindow(app)
    try:
        yield window
    finally:
        window.text.deleteLater()
        app.processEvents()


class Turns:
    """What happens between two turns of a loop at drawing: the most of anything that was noted, and processor time."""

    def __init__(self) -> None:
        self.taken = 0
        self.noted = 0
        self.most = 0
        self.longest = 0.0
        self._since = time.thread_time()

    def note(self) -> None:
        """Something has happened."""
        self.noted += 1

    def turn(self) -> None:
        """The loop has drawn."""
        self.taken += 1
        now = time.thread_time()
        self.most, self.noted = max(self.most, self.noted), 0
        if self.taken > WARM:
            self.longest = max(self.longest, now - self._since)
        self._since = now
