"""A real Redis on a port of its own, that tests start, stop, pause and restart."""

from __future__ import annotations

import functools
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import apt
from tests.loopback import reserved_port

__all__ = ["LIMIT", "RedisServer", "have"]

LIMIT = 30.0  # seconds; reached only on failure
# A process of tests that runs out of time ends without a word; its pipe ends with it, and the server then.
_OUTLIVES_NOBODY = ("sh", "-c", 'read _; kill -9 "$1"', "sh")


@functools.cache
def have() -> None:
    """Have redis-server on the PATH: installed by apt where it is missing, or the test fails and says so."""
    apt.have(lambda: [] if shutil.which("redis-server") else ["redis-server"], "keep their sessions")


class RedisServer:
    """One server. ``durable``: it keeps its data over a restart, every write of it."""

    def __init__(self, folder: Path, *, durable: bool = False, password: str | None = None) -> None:
        have()
        with reserved_port() as port:
            self.port = port
        self._folder = folder
        self._durable = durable
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, as a directory takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> Self:
        """Start it, and return when it answers."""
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self._durable else ["--appendonly", "no"]
        secret = [] if self._password is None else ["--requirepass", self._password]
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *kept, *secret],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._guard = subprocess.Popen([*_OUTLIVES_NOBODY, str(self._process.pid)], stdin=subprocess.PIPE)
        deadline = time.monotonic() + LIMIT
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)  # It says nowhere that it is ready.
        return self

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.stdin.close()
            self._guard.wait()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._guard = self._process = None

    def restart(self) -> None:
        """Kill it, and start another one on its port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.settimeout(1.0)
                connection.sendall(b"PING\r\n")
                said = connection.recv(64)
        except OSError:
            return False
        return said.startswith((b"+PONG", b"-NOAUTH"))
