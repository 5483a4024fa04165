"""Speaker and microphone by PortAudio, on a device of ALSA that goes nowhere."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtsync import ConfigurationError, DeviceFailed
from rtsync.audio import PCM16
from rtsync.devices import Device, Microphone, Speaker, devices
from rtsync.devices.portaudio import PortAudio
from rtsync.edges.latch import Latch
from tests.devices.alsa_null import null_config, portaudio_with
from tests.devices.watched import LIMIT


@pytest.fixture(autouse=True)
def null_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from portaudio_with(null_config(tmp_path), monkeypatch)


def test_the_device_is_listed() -> None:
    (found,) = devices()
    assert (found.name, found.system) == ("default", "PortAudio")
    assert min(found.inputs, found.outputs) >= 1
    assert (found.default_input, found.default_output) == (True, True)


@pytest.mark.parametrize("choice", [None, 0, "def"])
def test_what_is_played_is_heard_to_its_end(choice: str | int | None) -> None:
    with Speaker(choice) as speaker:
        assert speaker.sample_rate == 24_000
        speaker.play(b"\1\2" * 12_000, item_id="a")
        speaker.finish("a")
        speaker.drain(timeout=LIMIT)
        (heard,) = speaker.heard()
    assert (heard.heard_ms, heard.finished) == (500, True)


def test_a_speaker_tells_when_it_was_heard() -> None:
    ended = Latch()
    with Speaker() as speaker:
        watch = speaker.watch(lambda: ended.set() if len(watch._soundings) > 1 else None)
        speaker.play(b"\1\2" * 2_400, item_id="a")
        speaker.finish("a")
        assert ended.wait(LIMIT)
        assert [sounding.ended for sounding in watch.take()] == [False, True]


def test_what_the_device_records_comes_in_chunks() -> None:
    with Microphone(form="g711_ulaw", chunk_ms=40) as microphone:
        assert microphone.sample_rate == 8_000
        assert [len(chunk) for chunk in itertools.islice(microphone, 20)] == 20 * [320]


def test_both_may_be_open_and_be_opened_again() -> None:
    for _ in range(3):
        with Speaker() as speaker, Microphone() as microphone:
            speaker.play(PCM16.silence(100))
            assert microphone.read(timeout=LIMIT) is not None
            speaker.drain(timeout=LIMIT)


def test_closing_fails_nobody() -> None:
    speaker, microphone = Speaker().open(), Microphone().open()
    for each in (speaker, microphone):
        each.close()
        each.close()
        assert each._failure is None
    gc.collect()


def test_a_device_that_portaudio_stops_is_gone() -> None:
    with Speaker() as speaker, Microphone() as microphone:
        for each in (speaker, microphone):
            each._stream._stream.abort()  # type: ignore[union-attr]
        with pytest.raises(DeviceFailed, match="the speaker is gone: PortAudio stopped it; open another one; `rtsync"):
            speaker.play(bytes(480))
        with pytest.raises(DeviceFailed, match="the microphone is gone: PortAudio stopped it"):
            for _ in microphone:
                pass


def test_a_device_that_cannot_be_opened_says_why() -> None:
    gone = Device(7, "USB Headset", "PortAudio", 1, 2, 48_000, handle=7)
    for opened in (PortAudio().output, PortAudio().input):
        with pytest.raises(
            ConfigurationError, match=r"the sound device 'USB Headset' cannot be opened: .*list-devices"
        ):
            opened(gone, 24_000)
