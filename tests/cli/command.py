"""The `rtsync` command in processes of its own: run to its end, left running, or at a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.process.programs import lines_until

LIMIT = 45.0  # seconds; reached only on failure

KEY = "sk-the-tests-own-secret"
COMMAND = [sys.executable, "-W", "error", "-m", "rtsync"]

# A shell makes the terminal a session's own before it starts a command; from then on Ctrl+C there is a signal here.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-W", "error", "-m", "rtsync", *sys.argv[1:]])
"""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONIOENCODING": "utf-8", **variables}


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def complaint(self) -> str:
        """The one line on stderr, which is all that an error may say, and never the key."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n")
        assert self.err.startswith("rtsync"), self.err
        assert KEY not in self.out + self.err
        return self.err.rstrip("\n")


def run(*arguments: str, typed: str | bytes = "", **variables: str) -> Ended:
    """Run `rtsync` with `typed` on its stdin, a pipe, and `variables` in its environment, to its end."""
    started = time.monotonic()
    text = typed.encode() if isinstance(typed, str) else typed
    ended = subprocess.run(
        [*COMMAND, *arguments], input=text, capture_output=True, timeout=LIMIT, env=environment(variables)
    )
    seconds = time.monotonic() - started
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode(), seconds)


class Running:
    """A command that runs until it is told to end: `serve`, or `chat` at a pipe that stays open."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # What is read with a line and not yet asked for would be lost to `signal`.
            env=environment(variables),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):  # what was typed last, and never read
                stream and stream.close()

    def read_until(self, last: str) -> list[str]:
        """The lines of stdout up to and with the one that holds `last`."""
        lines = lines_until(last, self.process.stdout, self.process.kill)
        if last not in lines[-1]:
            raise AssertionError(f"{last!r} never came: {lines}, stderr: {self.process.communicate()[1].decode()}")
        return lines

    def type(self, line: str) -> None:
        """Write a line into its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    def end_of_input(self) -> None:
        """Close its stdin, as Ctrl+D does."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def signal(self, number: signal.Signals) -> Ended:
        """Send a signal, and return how the command ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=LIMIT)
        return Ended(self.process.returncode, out.decode(), err.decode(), time.monotonic() - started)


class Terminal:
    """A command at a terminal: what is typed comes as from a keyboard, `ctrl_c` as from its keys.

    Args:
        arguments: of the command.
        stdout: path of a file that its output goes to, as with `> path`; else the terminal.
        variables: for its environment.
    """

    def __init__(self, *arguments: str, stdout: str = "", **variables: str) -> None:
        self._master, slave = pty.openpty()
        with open(stdout, "wb") if stdout else contextlib.nullcontext(slave) as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _AT_TERMINAL, *arguments],
                stdin=slave,
                stdout=output,
                stderr=slave,
                start_new_session=True,
                env=environment({"TERM": "dumb", **variables}),
            )
        os.close(slave)
        self._seen = ""
        self._unread = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    @property
    def seen(self) -> str:
        """All that has been on the screen so far."""
        return self._seen

    def read_until(self, text: str) -> str:
        """Read on until `text` is there; return what was read, which is not read again."""
        deadline = time.monotonic() + LIMIT
        while text not in self._unread:
            assert self._read(deadline), f"{text!r} never came, but: {self._seen!r}"
        found, _, self._unread = self._unread.partition(text)
        return found + text

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        os.write(self._master, line.encode() + b"\r")

    def ctrl_c(self) -> None:
        """Press Ctrl+C, once the command waits for something.

        Python's own `input()` misses one that comes in the microseconds between showing the prompt and waiting for a
        key, which is faster than fingers and slower than a test.
        """
        deadline = time.monotonic() + LIMIT
        while not self._sleeps():
            assert time.monotonic() < deadline, "the command never waits"
            os.sched_yield()
        os.write(self._master, b"\x03")

    def ctrl_d(self) -> None:
        """Press Ctrl+D."""
        os.write(self._master, b"\x04")

    def wait(self) -> int:
        """Read to the end; the exit status."""
        deadline = time.monotonic() + LIMIT
        while self._read(deadline):
            pass
        return self.process.wait(LIMIT)

    def _sleeps(self) -> bool:
        """Whether its main thread is blocked in the kernel."""
        stat = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "S"

    def _read(self, deadline: float) -> bool:
        """Read what is there or comes next; False at the end."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more came within {LIMIT:g} s, only: {self._seen!r}"
        try:
            text = os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # Linux says EIO when the last process has left the terminal
            return False
        self._seen += text
        self._unread += text
        return bool(text)
