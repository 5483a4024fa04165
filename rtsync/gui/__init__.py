"""Sessions in GUI programs: handlers in the main loop, calls into it from other threads, windows that close sessions.

* ``TkDispatcher`` and ``QtDispatcher`` are given to a session as ``handlers=``.
* ``dispatcher.call(function)`` runs something there from a tool or any other thread, and returns what it returns.
* ``dispatcher.close_with(session)`` closes a session with its window.

No toolkit is imported before the program has imported its own.
"""

from rtsync.gui.dispatcher import Dispatcher
from rtsync.gui.qt import QtDispatcher
from rtsync.gui.tk import TkDispatcher

__all__ = ["Dispatcher", "QtDispatcher", "TkDispatcher"]
