"""Which device: the default one, or by number, by name, by a part of its name; on the first system that has any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from rtsync.devices.miniaudio import Miniaudio
from rtsync.devices.portaudio import PortAudio
from rtsync.devices.system import Device, InputStream, OutputStream, System
from rtsync.devices.virtual import VirtualDevice
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["DeviceChoice", "devices", "open_input", "open_output"]

DeviceChoice = str | int | Device | VirtualDevice | None
"""A part of a name, a number, one of ``devices()``, ``"virtual"``, a ``VirtualDevice``, ``"null"``, or the default."""

Direction = Literal["input", "output"]

_SYSTEMS: Sequence[Callable[[], System]] = (PortAudio, Miniaudio)
_WAY_OUT = "the device 'virtual' needs none"


def devices() -> list[Device]:
    """The sound devices of this machine, of the first library that finds any; none where there are none.

    Raises:
        ConfigurationError: neither sounddevice nor miniaudio can be used; the message says why, and how to go on.

    Threads: any. It may take some tenths of a second.
    """
    usable, reasons = _usable()
    if not usable:
        raise ConfigurationError("no sound library can be used: " + "; ".join(reasons))
    return next((found for system in usable if (found := system.devices())), [])


def open_output(choice: DeviceChoice, sample_rate: int) -> OutputStream:
    """The speaker of that choice, not started."""
    system, device = _chosen(choice, "output")
    return system.output(device, sample_rate)


def open_input(choice: DeviceChoice, sample_rate: int) -> InputStream:
    """The microphone of that choice, not started."""
    system, device = _chosen(choice, "input")
    return system.input(device, sample_rate)


def _chosen(choice: DeviceChoice, direction: Direction) -> tuple[System, Device | None]:
    if isinstance(choice, VirtualDevice):
        return choice, None
    if choice == "virtual":
        return VirtualDevice(), None
    if choice == "null":
        return Miniaudio(null=True), None
    if isinstance(choice, bool) or not isinstance(choice, str | int | Device | None):
        raise ConfigurationError(
            f"device must be a name, a number, one of devices(), a VirtualDevice or None, not {type(choice).__name__}"
        )
    return _on_this_machine(choice, direction)


def _on_this_machine(choice: str | int | Device | None, direction: Direction) -> tuple[System, Device | None]:
    usable, reasons = _usable()
    if isinstance(choice, Device):
        usable = [system for system in usable if system.name == choice.system]
    for system in usable:
        found = [device for device in system.devices() if _has(device, direction)]
        if found:
            return system, _pick(found, choice, direction)
        reasons.append(f"{system.name} finds none")
    word = "speaker" if direction == "output" else "microphone"
    raise ConfigurationError(f"there is no {word} here: {'; '.join(reasons)}; {_WAY_OUT}")


def _usable() -> tuple[list[System], list[str]]:
    usable: list[System] = []
    reasons: list[str] = []
    for system in _SYSTEMS:
        try:
            usable.append(system())
        except ConfigurationError as error:
            reasons.append(str(error))
    return usable, reasons


def _has(device: Device, direction: Direction) -> bool:
    return bool(device.outputs if direction == "output" else device.inputs)


def _pick(found: list[Device], choice: str | int | Device | None, direction: Direction) -> Device | None:
    if choice is None:
        return None  # The library knows what the default is at this moment.
    if isinstance(choice, Device):
        choice = choice.number
    if isinstance(choice, str) and choice.isdigit():  # From a command line.
        choice = int(choice)
    if isinstance(choice, int):
        fitting = [device for device in found if device.number == choice]
    else:
        fitting = _named(found, choice)
    if len(fitting) == 1:
        return fitting[0]
    what = f"no {direction} device" if not fitting else "more than one device"
    there = ", ".join(f"{device.number} {device.name!r}" for device in fitting or found)
    raise ConfigurationError(f"{what} is meant by {choice!r}; there are: {there}")


def _named(found: list[Device], name: str) -> list[Device]:
    """Those whose name it is, or else of whose name it is a part."""
    wanted = name.casefold()
    exact = [device for device in found if device.name.casefold() == wanted]
    return exact or [device for device in found if wanted in device.name.casefold()]
