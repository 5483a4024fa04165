"""What a system of sound devices has to offer, PortAudio, miniaudio or a virtual one, and how it calls back.

1. A stream is mono PCM16 at the rate that it says. What a device has instead (two channels, other rates) is the
   system's business.
2. A device calls back on a thread of its own, or of its library's. ``Fill`` and ``Take`` take no lock that a user
   thread holds for long, and never raise: beyond them nobody would hear of it.
3. Moments are seconds on the stream's own clock, ``now()``: the monotonic one, but for a device that is stepped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

__all__ = ["WAY_OUT", "Device", "Failed", "Fill", "InputStream", "OutputStream", "Stream", "System", "Take"]

WAY_OUT = "`rtsync talk --list-devices` shows what is there"
"""What to do about a device that cannot be used; for those who call and for those who type."""

Fill = Callable[[int, float], bytes]
"""Gives so many samples, to be heard from that moment on: ``fill(frame_count, starts_at)``."""
Take = Callable[[bytes], None]
"""Takes what was recorded."""
Failed = Callable[[str], None]
"""Told, in a few words, that the device will call no more."""


class Device(msgspec.Struct, frozen=True):
    """A sound device of this machine.

    Attributes:
        number: what it can be chosen by, as long as none is plugged in or out.
        name: what it can be chosen by, or by a part of it.
        system: the library that reaches it.
        inputs: channels that can be recorded; 0 for a mere speaker.
        outputs: channels that can be played.
        sample_rate: Hz, its own; 0 where it is not known.
        default_input: whether it is the one that is recorded from where none is chosen.
        default_output: whether it is the one that plays where none is chosen.
        handle: what the library knows it by.
    """

    number: int
    name: str
    system: str
    inputs: int = 0
    outputs: int = 0
    sample_rate: int = 0
    default_input: bool = False
    default_output: bool = False
    handle: Any = None

    def __repr__(self) -> str:
        return f"<Device {self.number} {self.name!r}, {self.inputs} in, {self.outputs} out, {self.system}>"

    def __rich_repr__(self) -> Any:
        yield from (("number", self.number), ("name", self.name), ("inputs", self.inputs), ("outputs", self.outputs))


class Stream(Protocol):
    """An open device, one direction of it.

    Attributes:
        sample_rate: Hz, of what goes through.
        paced: whether it must call back again and again by itself, so that silence means that it is gone.
    """

    sample_rate: int
    paced: bool

    def now(self) -> float:
        """The moment on its clock, in seconds."""
        ...

    def close(self) -> None:
        """Stop calling back; it has when this returns. More than once is fine."""
        ...


class OutputStream(Stream, Protocol):
    """An open speaker."""

    def start(self, fill: Fill, failed: Failed) -> None:
        """Begin to ask for sound."""
        ...


class InputStream(Stream, Protocol):
    """An open microphone."""

    def start(self, take: Take, failed: Failed) -> None:
        """Begin to record."""
        ...


class System(Protocol):
    """A way to sound devices."""

    name: str

    def devices(self) -> list[Device]:
        """All of them."""
        ...

    def output(self, device: Device | None, sample_rate: int) -> OutputStream:
        """A speaker, the default one where None, at ``sample_rate`` Hz or what it has instead."""
        ...

    def input(self, device: Device | None, sample_rate: int) -> InputStream:
        """A microphone, likewise."""
        ...
