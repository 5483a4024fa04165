"""The main loop of Tk."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from rtsync.gui.dispatcher import Closing, Dispatcher
from rtsync.vocabulary.errors import UsageError

if TYPE_CHECKING:
    import tkinter as tk

__all__ = ["TkDispatcher"]

_TICK_MS = 15
_READABLE = 2  # tkinter.READABLE


class TkDispatcher(Dispatcher):
    """Handlers in the main loop of Tk: ``RealtimeSession(target, handlers=TkDispatcher(root))``.

    The loop is woken through a pipe where Tk can watch one (``createfilehandler``: everywhere but on Windows), so that
    nothing polls. Elsewhere it looks every 15 ms. Nothing of Tk is called in another thread: that waits for the loop in
    most builds, a second where none runs, and is not safe in the others.

    Args:
        window: the root, or a ``Toplevel``. The dispatcher ends when it is destroyed.
        poll: look every 15 ms also where there is a pipe.

    Raises:
        UsageError: the window is gone.

    Threads: make it in the thread that runs ``mainloop()``, before or in it.
    """

    def __init__(self, window: tk.Misc, *, poll: bool = False) -> None:
        super().__init__()
        self._window: tk.Misc | None = window
        self._pipe: tuple[int, int] | None = None
        self._timers: set[str] = set()
        _when_destroyed(window, self._end)
        if poll or not hasattr(window.tk, "createfilehandler"):
            self._tick()
        else:
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[0], False)
            window.tk.createfilehandler(self._pipe[0], _READABLE, self._on_readable)

    def _on_readable(self, descriptor: int, _mask: int) -> None:
        try:
            os.read(descriptor, 64)
        except BlockingIOError:
            pass  # A loop inside this one has read it.
        self._on_wake()

    def _tick(self) -> None:
        self._later(_TICK_MS, self._tick)  # First: what runs now may run a loop of its own.
        self._on_wake()

    def _wake(self) -> None:
        if self._pipe is not None:
            os.write(self._pipe[1], b"!")

    def _rest(self) -> None:
        # Tk draws when it is idle, and it is not idle while a timer is due or a pipe can be read. What it does when
        # idle it does in order, so this comes behind the drawing; the timer lets input in between.
        self._later("idle", functools.partial(self._later, 0, self._on_rested))

    def _later(self, when: int | Literal["idle"], function: Callable[[], object]) -> None:
        """Call ``function`` once, unless the window is gone by then."""
        if self._window is None:
            return

        def due() -> None:
            self._timers.discard(timer)
            function()

        timer = self._window.after(when, due)
        self._timers.add(timer)

    def _release(self) -> None:
        window, self._window = self._window, None  # The last reference to a root must not go in another thread.
        assert window is not None
        for timer in self._timers:
            window.after_cancel(timer)
        self._timers.clear()
        if self._pipe is not None:
            window.tk.deletefilehandler(self._pipe[0])
            for end in self._pipe:
                os.close(end)

    def _when_closed(self, window: tk.Misc | None, closing: Closing) -> None:
        window = window or self._window
        assert window is not None
        _when_destroyed(window, closing)


def _when_destroyed(window: tk.Misc, tell: Callable[[], object]) -> None:
    """Call ``tell`` when that window itself is destroyed: a toplevel hears of what is in it, too."""
    from tkinter import TclError  # The program has a window, so it has imported it.

    def heard(event: tk.Event[Any]) -> None:
        if event.widget is window:
            tell()

    try:
        window.bind("<Destroy>", heard, add="+")
    except TclError as error:
        raise UsageError(f"the window is gone: {error}") from error
