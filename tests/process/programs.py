"""Programs in processes of their own: run to their end, or left running and signalled."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any, Self

from tests.conftest import PROJECT

__all__ = ["LIMIT", "Ended", "Program", "environment", "lines_until", "run"]

LIMIT = 45.0  # seconds; reached only on failure
# From 3.12 on Python warns of every fork of a process with threads, which is what is tested here.
_WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended, and what it said."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def report(self) -> Any:
        """What it printed last, as JSON; it must have ended well and complained of nothing."""
        assert (self.status, self.err) == (0, ""), self
        return json.loads(self.out.splitlines()[-1])


def lines_until(last: str, stream: IO[bytes] | None, kill: Callable[[], object]) -> list[str]:
    """What a program says up to the line that holds `last`, or up to its end; `kill` ends one that does not say it."""
    assert stream is not None
    lines = [""]
    watch = threading.Timer(LIMIT, kill)
    watch.start()
    try:
        while last not in lines[-1] and (line := stream.readline()):
            lines.append(line.decode().rstrip("\n"))
    finally:
        watch.cancel()
        watch.join()
    return lines[1:] or lines


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The tests' environment with `variables`."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **variables}


class Program:
    """`python -m tests.process.scripts.NAME ARGUMENTS`, or the command that is given.

    In a process group of its own, which is killed at the end: a test's failure leaves no process behind. So is one that
    does not say what is waited for; how long it runs is its test's business, and the machine's.
    """

    def __init__(self, *arguments: str, command: list[str] | None = None, **variables: str) -> None:
        if command is None:
            name, *arguments = arguments  # type: ignore[assignment]
            command = [sys.executable, *_WARNINGS, "-m", f"tests.process.scripts.{name}"]
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # What is read with a line and not yet asked for would be lost to `end`.
            cwd=PROJECT,
            env=environment(variables),
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def read_until(self, last: str) -> str:
        """Read stdout up to the line that holds `last`, and return that line."""
        lines = lines_until(last, self.process.stdout, self._kill)
        if last not in lines[-1]:
            raise AssertionError(f"{last!r} never came: {lines}, stderr: {self.process.communicate()[1].decode()}")
        self._started = time.monotonic()
        return lines[-1]

    def read_error(self, last: str) -> str:
        """Read stderr up to the line that holds `last`, and return that line."""
        lines = lines_until(last, self.process.stderr, self._kill)
        assert last in lines[-1], f"{last!r} never came: {lines}"
        return lines[-1]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._started = time.monotonic()
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end; `seconds` counts from the last signal or line that was read, or from its start."""
        out, err = self.process.communicate(timeout=LIMIT)
        return Ended(self.process.returncode, out.decode(), err.decode(), time.monotonic() - self._started)

    def _kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def run(*arguments: str, **options: Any) -> Ended:
    """Run a program to its end; arguments as of `Program`."""
    with Program(*arguments, **options) as program:
        return program.end()
