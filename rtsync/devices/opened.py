"""What a microphone and a speaker have in common: a device that is opened, may fail, and is closed."""

from __future__ import annotations

import os
import time
from typing import ClassVar, Generic, Self, TypeVar

from rtsync.devices.choice import DeviceChoice
from rtsync.devices.system import WAY_OUT, Stream
from rtsync.edges.latch import Bell
from rtsync.vocabulary.errors import DeviceFailed, UsageError

__all__ = ["LOOK_SECONDS", "Opened"]

_STALL_SECONDS = 3.0  # without a callback of a device that must call by itself
LOOK_SECONDS = 0.5
"""How often a wait looks for that."""

S = TypeVar("S", bound=Stream)


class Opened(Generic[S]):
    """One direction of a device.

    A process that inherits one by a fork cannot use it: the device calls back in the process that opened it.
    """

    _word: ClassVar[str]
    _stalled: ClassVar[str]  # What it does while it stalls.

    def __init__(self, device: DeviceChoice) -> None:
        self._choice = device
        self._stream: S | None = None
        self._failure: str | None = None
        self._closed = False
        self._beat = 0.0
        self._process = 0  # That opened it.
        self._bell = Bell()  # Rung where there is news for whoever waits.

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Open the device. Does nothing when open.

        Raises:
            ConfigurationError: there is no device, or none of that name; the message says what there is.
            UsageError: it was closed, or opened before a fork.
        """
        if self._closed:
            raise UsageError(f"the {self._word} was closed; make another one")
        self._check_process()
        if self._stream is None:
            stream = self._made()
            self._stream, self._beat, self._process = stream, time.monotonic(), os.getpid()
            try:
                self._start(stream)
            except BaseException:
                self.close()
                raise
        return self

    def close(self) -> None:
        """Stop at once, and close the device; who waits for it returns. More than once is fine."""
        self._closed = True
        if self._stream is not None and self._process == os.getpid():  # Else it is the parent's to close.
            self._fall_silent()
            self._stream.close()
        self._bell.ring()

    @property
    def sample_rate(self) -> int:
        """Hz, of the device; 0 before it is open."""
        return 0 if self._stream is None else self._stream.sample_rate

    # -- what a direction does ---------------------------------------------------------------------------------------

    def _made(self) -> S:
        """The stream, not started, and all that depends on its rate."""
        raise NotImplementedError

    def _start(self, stream: S) -> None:
        raise NotImplementedError

    def _fall_silent(self) -> None:
        """What there is to do before the device is closed."""

    # -- how it is ---------------------------------------------------------------------------------------------------

    def _check_opened(self) -> None:
        if self._stream is None or self._closed:
            raise UsageError(f"the {self._word} is not open; use it in a with block, or call open() first")
        self._check_process()

    def _check_process(self) -> None:
        if self._stream is not None and self._process != os.getpid():
            raise UsageError(
                f"the {self._word} was opened by process {self._process}, which this process was forked from, and"
                " belongs to it. Open devices after the fork, in the process that uses them"
            )

    def _check_alive(self) -> None:
        """Raise ``DeviceFailed`` where the device is gone."""
        assert self._stream is not None
        if self._failure is None and self._stream.paced and time.monotonic() - self._beat > _STALL_SECONDS:
            self._failure = f"it has {self._stalled} for {_STALL_SECONDS:g} s"
        if self._failure is not None:
            raise DeviceFailed(f"the {self._word} is gone: {self._failure}; open another one; {WAY_OUT}")

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._bell.ring()
