"""A line in a reader thread of its own, and everything its callbacks were told."""

from __future__ import annotations

import pickle
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rtsync.edges.transport import Ending, Line, LineOptions
from tests.loopback import CLOSE, LIMIT, Certificates, Peer, Script, ScriptedServer

__all__ = ["RecordedLine", "ending_of", "failure_of", "saying", "serve"]

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]


class RecordedLine:
    """A context manager that starts `run_forever` in a thread, and closes the line where it still is open.

    Args:
        url: where to.
        headers: as `Line` takes them.
        on_open: called in the reader, with the line.
        on_message: called in the reader, with the line and the message as it came, once a copy is recorded.
        together: whether messages are taken by `on_messages`.
        options: fields of `LineOptions`.
    """

    def __init__(
        self,
        url: str,
        headers: Headers | None = None,
        *,
        on_open: Callable[[Line], object] | None = None,
        on_message: Callable[[Line, Any], object] | None = None,
        together: bool = False,
        **options: Any,
    ) -> None:
        self._on_open = on_open
        self._on_message = on_message
        self._changed = threading.Condition()  # guards the lists
        self.opened = False
        self.messages: list[bytes] = []
        self.batches: list[list[bytes]] = []
        self.errors: list[Exception] = []
        self.closes: list[tuple[int | None, str]] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.line = Line(
            url,
            headers,
            options=LineOptions(**{"connect_timeout": 20.0, "close_timeout": 10.0, **options}),
            on_open=self._record_open,
            on_message=self._record_message,
            on_messages=self._record_messages if together else None,
            on_error=lambda _line, error: self._record(self.errors, error),
            on_close=lambda _line, code, reason: self._record(self.closes, (code, reason)),
            on_ping=lambda _line, data: self._record(self.pings, data),
            on_pong=lambda _line, data: self._record(self.pongs, data),
        )
        self.thread = threading.Thread(target=self.line.run_forever, name="rtsync-reader-test", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.line.close(timeout=1.0)
        self.thread.join(LIMIT)

    def _record_open(self, line: Line) -> None:
        with self._changed:
            self.opened = True
            self._changed.notify_all()
        if self._on_open:
            self._on_open(line)

    def _record_message(self, line: Line, message: bytes | memoryview) -> None:
        self._record(self.messages, message if isinstance(message, bytes) else bytes(message))
        if self._on_message:
            self._on_message(line, message)

    def _record_messages(self, line: Line, messages: Sequence[bytes | memoryview]) -> None:
        self.batches.append([bytes(message) for message in messages])
        for message in messages:
            self._record_message(line, message)

    def _record(self, told: list[Any], what: object) -> None:
        with self._changed:
            told.append(what)
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Block until `condition` holds; asked at each callback."""
        with self._changed:
            assert self._changed.wait_for(condition, LIMIT), f"it never came to that; the ending: {self.line.ending}"

    def wait_open(self) -> Self:
        """Block until the line is open."""
        self.wait_until(lambda: self.opened or self.closes)
        assert self.opened, self.line.ending
        return self

    def wait_messages(self, count: int) -> list[bytes]:
        """Block until `count` messages have come; return all so far."""
        self.wait_until(lambda: len(self.messages) >= count or self.closes)
        assert len(self.messages) >= count, (len(self.messages), self.line.ending)
        return list(self.messages)

    def wait_ending(self) -> Ending:
        """Block until the line has ended by itself and its thread is gone."""
        assert self.line.finished.wait(LIMIT), "the line did not end"
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()
        assert self.line.ending is not None
        assert self.closes == [(self.line.ending.code, self.line.ending.reason)]
        assert self.errors == [self.line.ending.error] * (self.line.ending.error is not None)
        _assert_travels(self.line.ending.error)
        return self.line.ending

    def wait_blocked(self) -> None:
        """Block until another thread stands in the middle of a send of which the kernel takes no more."""
        guard = self.line._guard
        assert guard is not None
        poll = select.poll()
        poll.register(guard.fileno(), select.POLLOUT)
        deadline = time.monotonic() + LIMIT
        while not guard._mid_frame or poll.poll(50):
            assert time.monotonic() < deadline, "no send came to stand still"
            time.sleep(0)

    def wait_phase(self, phase: str) -> None:
        """Block until the connect has come as far as `phase`."""
        deadline = time.monotonic() + LIMIT
        while self.line.phase != phase:
            assert time.monotonic() < deadline, f"still in phase {self.line.phase}"
            self.line.finished.wait(0.001)


def _assert_travels(error: Exception | None) -> None:
    """Every failure can go to another process and say the same there."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), getattr(copy, "__dict__", {})) == (
        type(error),
        str(error),
        getattr(error, "__dict__", {}),
    )


def ending_of(url: str, headers: Headers | None = None, **options: Any) -> Ending:
    """Run a line to the end that it comes to by itself."""
    with RecordedLine(url, headers, **options) as client:
        return client.wait_ending()


def failure_of(url: str, headers: Headers | None = None, **options: Any) -> Exception:
    """Run a line that does not come to be open, and return what it failed with."""
    ending = ending_of(url, headers, **options)
    assert ending.code is None, ending
    assert ending.error is not None, ending
    return ending.error


def saying(pieces: Sequence[bytes], heard: list[tuple[int, bytes]]) -> Script:
    """A server that writes these pieces, each by itself, and adds to ``heard`` what comes up to a close frame."""

    def script(peer: Peer) -> None:
        peer.accept()
        for piece in pieces:
            peer.send_raw(piece)
        while not heard or heard[-1][0] != CLOSE:
            heard.append(peer.recv_frame())

    return script


def serve(script: Script, certificates: Certificates | None) -> tuple[ScriptedServer, dict[str, Any]]:
    """A server over TLS where there are certificates, plain where not, and the options that a line needs for it."""
    if certificates is None:
        return ScriptedServer(script), {}
    return ScriptedServer(script, tls=certificates.server_context()), {"tls": certificates.client_context()}
