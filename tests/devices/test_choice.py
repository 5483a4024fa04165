"""Which device is meant, on the libraries as they are: on a machine with sound cards as on one without."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from rtsync import ConfigurationError
from rtsync.audio import PCM16
from rtsync.devices import Device, Microphone, Speaker, VirtualDevice, choice, devices
from rtsync.devices.miniaudio import Miniaudio
from rtsync.devices.portaudio import PortAudio, doubled, mixed
from tests.devices.watched import LIMIT


class Cabinet(VirtualDevice):
    """A system of several devices."""

    name = "cabinet"

    def __init__(self, *names: str) -> None:
        super().__init__(stepped=True)
        self.names = names
        self.opened: list[Device | None] = []

    def devices(self) -> list[Device]:
        return [Device(number, name, self.name, number, 2, 48_000) for number, name in enumerate(self.names)]

    def output(self, device: Device | None = None, sample_rate: int = 0) -> Any:
        self.opened.append(device)
        return super().output(device, sample_rate)


@pytest.fixture
def cabinet(monkeypatch: pytest.MonkeyPatch) -> Cabinet:
    found = Cabinet("Built-in Audio", "USB Headset", "USB Headset Pro")
    monkeypatch.setattr(choice, "_SYSTEMS", (lambda: found,))
    return found


@pytest.mark.parametrize(
    ("chosen", "number"), [(None, None), (1, 1), ("1", 1), ("built", 0), ("usb headset", 1), ("PRO", 2)]
)
def test_a_device_is_chosen_by_number_or_name(cabinet: Cabinet, chosen: Any, number: int | None) -> None:
    with Speaker(chosen):
        assert [device and device.number for device in cabinet.opened] == [number]


def test_a_device_is_chosen_from_the_list(cabinet: Cabinet) -> None:
    with Speaker(devices()[2]):
        assert cabinet.opened == [devices()[2]]
    assert repr(devices()[2]) == "<Device 2 'USB Headset Pro', 2 in, 2 out, cabinet>"


@pytest.mark.parametrize("chosen", [7, "Bluetooth", "usb", 1.5, True])
def test_what_names_no_device_or_several_is_refused(cabinet: Cabinet, chosen: Any) -> None:
    with pytest.raises(ConfigurationError, match="device"):
        Speaker(chosen).open()
    assert cabinet.opened == []


def test_a_speaker_is_no_microphone(cabinet: Cabinet) -> None:
    with pytest.raises(ConfigurationError, match="no input device is meant by 0"):
        Microphone(0).open()


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise ConfigurationError("PortAudio library not found")

    monkeypatch.setattr(choice, "_SYSTEMS", (missing, lambda: Cabinet()))


def test_where_there_is_none_one_line_says_how_to_go_on(nothing_there: None) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no speaker here: PortAudio library not found; .*'virtual' needs none"
    ):
        Speaker().open()
    with pytest.raises(ConfigurationError, match="no microphone here"):
        Microphone("headset").open()
    assert devices() == []


def test_a_name_is_enough_for_a_virtual_device() -> None:
    with Speaker("virtual") as speaker, Microphone("virtual") as microphone:
        speaker.play(PCM16.silence(50))
        speaker.drain(timeout=LIMIT)
        assert microphone.read(timeout=LIMIT) == bytes(960)


def test_miniaudio_plays_in_real_time_on_its_null_device() -> None:
    with Speaker("null") as speaker:
        began = time.monotonic()
        speaker.play(PCM16.silence(300), item_id="a")
        speaker.drain(timeout=LIMIT)
        assert time.monotonic() - began >= 0.25
        assert speaker.heard()[0].finished


def test_miniaudio_records_in_real_time_on_its_null_device() -> None:
    with Microphone("null") as microphone:
        began = time.monotonic()
        assert sum(len(microphone.read(timeout=LIMIT) or b"") for _ in range(15)) == 15 * 960
        assert time.monotonic() - began >= 0.15


def test_the_null_device_is_listed_where_it_is_asked_for() -> None:
    found = Miniaudio(null=True).devices()
    assert [(device.outputs > 0, device.inputs > 0) for device in found] == [(True, False), (False, True)]
    with Speaker(found[0]) if found[0].system == "miniaudio" else Speaker("null"):
        pass


def test_the_libraries_are_asked_in_earnest_and_nothing_is_printed() -> None:
    """Sound card or not, PortAudio or not: a list or a clear error, and a terminal that stays clean."""
    program = """
from rtsync import ConfigurationError
from rtsync.devices import Microphone, Speaker, devices
for attempt in (devices, Speaker().open, Microphone().open, Speaker("no such device").open):
    try:
        found = attempt()
        print("found", len(found) if isinstance(found, list) else found.close())
    except ConfigurationError as error:
        print(error)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert len(lines) == 4
    assert lines[3].startswith(("there is no speaker here: ", "no output device is meant by 'no such device'"))


def test_portaudio_is_there_or_says_what_is_missing() -> None:
    found: list[Device] = []
    said = ""
    try:
        found = PortAudio().devices()
    except ConfigurationError as error:
        said = str(error)
    assert all(device.system == "PortAudio" for device in found)
    assert said == "" or said.startswith("PortAudio library not found")


def test_one_channel_becomes_two_and_two_become_their_mean() -> None:
    mono = b"\1\0\2\0\xff\xff"
    assert doubled(mono) == b"\1\0\1\0\2\0\2\0\xff\xff\xff\xff"
    assert mixed(doubled(mono)) == mono
    assert mixed(b"\4\0\2\0") == b"\3\0"
