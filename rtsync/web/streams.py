"""How many streams are open in this process, by owner and in all: each holds a thread of the web server."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Self

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.gate import Refused

__all__ = ["OpenStream", "Streams"]

_RETRY = 5.0  # seconds: a reader that has gone is noticed within a heartbeat or two


class Streams:
    """Counts streams, and refuses those that are too many.

    Args:
        max_per_owner: most streams of one owner in this process.
        max_in_all: most streams in this process; None for any number.

    Raises:
        ConfigurationError: a limit is no whole number, at least 1.

    Threads: any. A forked child counts anew.
    """

    def __init__(self, max_per_owner: int = 8, max_in_all: int | None = None) -> None:
        self._most_of_owner = _count(max_per_owner, "max_streams_per_owner")
        self._most = None if max_in_all is None else _count(max_in_all, "max_streams")
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._open_lock = threading.Lock()  # Guards _open.
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._open.total() if self._process == os.getpid() else 0

    def enter(self, owner: str) -> OpenStream:
        """Count one more of the owner's.

        Raises:
            Refused: there are as many as allowed, his or of all; with status 429.
        """
        if self._process != os.getpid():
            self._begin()
        with self._open_lock:
            full = self._most is not None and self._open.total() >= self._most
            if full or self._open[owner] >= self._most_of_owner:
                raise Refused(
                    "too many streams are open; close one, or come again later",
                    status=429,
                    code="too_many_streams",
                    retry_after=_RETRY,
                )
            self._open[owner] += 1
        return OpenStream(self, owner)

    def leave(self, owner: str) -> None:
        """One of the owner's has ended."""
        with self._open_lock:
            self._open[owner] -= 1
            if self._open[owner] <= 0:
                del self._open[owner]


class OpenStream:
    """A stream that counts until it is closed, or was read to its end.

    Threads: iterated by one thread; ``close()`` from any.
    """

    def __init__(self, streams: Streams, owner: str) -> None:
        self._streams, self._owner = streams, owner
        self._process = os.getpid()
        self._close_lock = threading.Lock()  # So that it leaves once.
        self._left = False
        self._pieces: Iterator[bytes] = iter(())

    def over(self, pieces: Iterator[bytes]) -> Self:
        """Iterate and close these."""
        self._pieces = pieces
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:  # The end of it, or trouble: a server that forgets to close it shall not count for ever.
            self.close()
            raise

    def close(self) -> None:
        """It is read no more. May be called twice."""
        with self._close_lock:
            left, self._left = self._left, True
        if left:
            return
        if self._process == os.getpid():
            self._streams.leave(self._owner)
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


def _count(value: object, option: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{option} must be a whole number, at least 1, not {value!r}")
    return value
