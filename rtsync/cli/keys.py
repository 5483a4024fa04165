"""Single keys, as they are pressed, from a terminal of a POSIX system."""

from __future__ import annotations

import os
import select
import sys
from types import TracebackType
from typing import Any, Self

import click

__all__ = ["Keys", "Switch"]


class Keys:
    """The terminal's keys, without waiting for Enter; Ctrl+C stays Ctrl+C. The terminal is as before at the end.

    Raises:
        click.UsageError: from ``with``: stdin is no terminal, or the system has no such terminals.
    """

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        try:
            import termios
            import tty
        except ImportError:
            raise click.UsageError("--push-to-talk needs a POSIX terminal, which this system does not have") from None
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError("--push-to-talk needs a terminal as stdin, for its key")
        self._before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin, termios.TCSADRAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import termios

        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """What was pressed since it was last asked; blocks never."""
        ready, _, _ = select.select([sys.stdin], [], [], 0)
        return os.read(sys.stdin.fileno(), 1024).decode(errors="replace") if ready else ""


class Switch:
    """Space or Enter turns it on, and off again: terminals tell of keys that go down, and of none that go up.

    Args:
        keys: of the terminal.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._is_on = False

    def __call__(self) -> bool:
        """Whether it is on now."""
        if any(key in " \r\n" for key in self._keys.pressed()):
            self._is_on = not self._is_on
        return self._is_on
