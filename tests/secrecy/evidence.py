"""Everything that a program can show without wanting to: logs, warnings, tracebacks, reprs, pickles, output."""

from __future__ import annotations

import contextlib
import gc
import logging
import pickle
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import pytest
import websocket

from rtsync import RealtimeError
from tests.secrecy.canaries import sightings

__all__ = ["Evidence"]


class Evidence(logging.Handler):
    """A context manager under which everything speaks as loudly as it can, and is written down.

    Args:
        capture: pytest's capture of the process's output.
    """

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        super().__init__(level=1)
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s %(threadName)s %(message)s"))
        self._capture = capture
        self._pieces: list[tuple[str, str, bool]] = []
        self._stack = contextlib.ExitStack()
        self._forged: list[str] = []
        self.records = 0

    def __enter__(self) -> Self:
        root = logging.getLogger()
        for logger in (root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))):
            self._stack.callback(logger.setLevel, logger.level)
            logger.setLevel(1 if logger is root else logging.NOTSET)
        root.addHandler(self)
        self._stack.callback(root.removeHandler, self)
        websocket.enableTrace(True, handler=self, level="DEBUG")
        self._stack.callback(logging.getLogger("websocket").removeHandler, self)
        self._stack.callback(websocket.enableTrace, False)
        caught = self._stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        self._stack.callback(lambda: [self.note("warning", f"{each.message!r} {each}") for each in caught])
        for module, name in ((sys, "unraisablehook"), (threading, "excepthook")):
            self._stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, self._on_unhandled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.collect()
        self._stack.close()
        output = self._capture.readouterr()
        self.note("stdout", output.out)
        self.note("stderr", output.err)

    def _on_unhandled(self, unhandled: Any) -> None:
        self.note("unhandled", f"{unhandled}")
        self.error(unhandled.exc_value)

    def emit(self, record: logging.LogRecord) -> None:
        """A record of any logger, as a handler would write it, and as its parts."""
        self.records += 1
        self.note(f"log {record.name}", self.format(record))
        self.note(f"log {record.name}, its parts", f"{record.msg!r} {record.args!r}")
        if record.name.startswith("rtsync") and not record.getMessage().isprintable():
            self._forged.append(record.getMessage())

    def note(self, where: str, text: str, *, data: bool = False) -> None:
        """Something that was shown; ``data`` that a program may well have asked for, so that it may hold content."""
        self._pieces.append((where, text, data))

    def show(self, *objects: Any) -> None:
        """Whatever a program may print: repr, str, format, and the classes' own ways."""
        for each in objects:
            name = type(each).__name__
            self.note(f"repr of {name}", f"{each!r} {each!s} {each:}" if _plain(each) else f"{each!r} {each!s}")
            self.note(f"repr of a list with {name}", repr([each]) + repr({"it": each}))
            rich = getattr(each, "__rich_repr__", None)
            if rich is not None:
                self.note(f"rich repr of {name}", repr(list(rich())))

    def error(self, error: BaseException | None) -> BaseException:
        """An exception with all that hangs on it."""
        assert error is not None
        for each in _chain(error):
            name = type(each).__name__
            self.note(f"text of {name}", f"{each} {each!r} {each.args!r}")
            if isinstance(each, RealtimeError) and not str(each).isprintable():
                self._forged.append(str(each))
            self.note(f"attributes of {name}", repr(vars(each)), data=True)
            with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                for protocol in (0, pickle.HIGHEST_PROTOCOL):
                    self.note(f"pickle of {name}", pickle.dumps(each, protocol).decode("latin-1"), data=True)
        self.note("traceback", "".join(traceback.TracebackException.from_exception(error).format(chain=True)))
        self.note("traceback", logging.Formatter().formatException((type(error), error, error.__traceback__)))
        return error

    def leaks(self) -> list[str]:
        """What must not have been seen, and where it was."""
        forged = [f"not one line of printable text: {text!r}" for text in self._forged]
        return forged + [
            f"{name!r} in {where}: {text[:400]!r}"
            for where, text, data in self._pieces
            for name in sightings(text, content=not data)
        ]

    def __str__(self) -> str:
        return "\n".join(f"{where}: {text}" for where, text, _ in self._pieces)


def _plain(value: object) -> bool:
    return type(value).__format__ is object.__format__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and every cause and context behind it, suppressed or not."""
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [other for other in (each.__cause__, each.__context__) if other is not None]
