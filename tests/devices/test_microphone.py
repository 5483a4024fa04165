"""A microphone on the virtual device."""

from __future__ import annotations

import itertools
import math

import pytest

from rtsync import ConfigurationError, DeviceFailed, RealtimeSession, Simulator, UsageError, WaitTimeout
from rtsync.audio import PCM16, ULAW, resample
from rtsync.devices import Microphone, VirtualDevice
from tests.devices.watched import LIMIT
from tests.session.service import spawn
from tests.simulator.sounds import noise, speech


@pytest.fixture
def device() -> VirtualDevice:
    return VirtualDevice(stepped=True)


def test_what_the_device_hears_comes_in_chunks(device: VirtualDevice) -> None:
    heard = noise(100, -20)
    device.hear(heard)
    with Microphone(device) as microphone:
        device.advance(200)
        assert microphone.queued_ms == 200
        chunks = list(itertools.islice(microphone, 10))
    assert {len(chunk) for chunk in chunks} == {960}
    assert b"".join(chunks) == heard + bytes(4_800)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_device_of_any_rate_gives_the_sessions_rate(rate: int) -> None:
    device = VirtualDevice(sample_rate=rate, stepped=True, hears=noise(400, -20))
    with Microphone(device, chunk_ms=100) as microphone:
        device.advance(600)
        found = b"".join(itertools.islice(microphone, 5))
    expected = resample(resample(noise(400, -20), 24_000, rate), rate, 24_000)
    assert found[:16_000] == expected[:16_000]
    assert microphone.sample_rate == rate


def test_a_telephone_gets_its_own_format(device: VirtualDevice) -> None:
    device.hear(speech("Hello"))
    with Microphone(device, form="g711_ulaw", chunk_ms=30) as microphone:
        device.advance(120)
        chunk = microphone.read(timeout=LIMIT)
    assert chunk is not None
    assert len(chunk) == 240
    assert ULAW.to_pcm(chunk) != bytes(480)


def test_when_nobody_reads_the_oldest_is_dropped_and_counted(device: VirtualDevice) -> None:
    heard = noise(1_000, -20)
    device.hear(heard)
    with Microphone(device, max_queue_ms=200) as microphone:
        device.advance(1_000)
        assert (microphone.queued_ms, microphone.dropped_ms) == (200, 800)
        assert b"".join(itertools.islice(microphone, 10)) == heard[-9_600:]
        assert microphone.queued_ms == 0


def test_the_level_is_shown_also_while_nobody_reads(device: VirtualDevice) -> None:
    microphone = Microphone(device)
    assert (microphone.rms_dbfs, microphone.peak_dbfs, microphone.queued_ms) == (-math.inf, -math.inf, 0)
    device.hear(noise(100, -20))
    with microphone:
        device.advance(100)
        assert microphone.rms_dbfs == pytest.approx(-20, abs=2)
        assert microphone.peak_dbfs > microphone.rms_dbfs


def test_reading_ends_with_its_time_and_with_the_microphone(device: VirtualDevice) -> None:
    microphone = Microphone(device)
    with pytest.raises(UsageError, match="not open"):
        microphone.read()
    with microphone:
        with pytest.raises(WaitTimeout):
            microphone.read(timeout=0.01)
        reading = spawn(list, microphone)
        device.advance(40)
        microphone.close()
        assert [len(chunk) for chunk in reading.result()] == [960, 960]
        assert microphone.read() is None
    with pytest.raises(UsageError, match="closed"):
        microphone.open()


def test_a_device_that_is_pulled_out_is_an_error_behind_what_it_has_recorded(device: VirtualDevice) -> None:
    with Microphone(device) as microphone:
        device.advance(20)
        device.unplug()
        assert microphone.read(timeout=LIMIT) == bytes(960)
        with pytest.raises(DeviceFailed, match="unplugged"):
            next(microphone)


def test_a_device_that_falls_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsync.devices.opened._STALL_SECONDS", 0.05)
    device = VirtualDevice(period_ms=1_000)
    with Microphone(device, chunk_ms=2_000) as microphone, pytest.raises(DeviceFailed, match="recorded nothing"):
        microphone.read(timeout=LIMIT)


@pytest.mark.parametrize("options", [{"chunk_ms": 0}, {"chunk_ms": 2.5}, {"max_queue_ms": -1}, {"form": "mp3"}])
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Microphone(**options)  # type: ignore[arg-type]


def test_a_microphone_in_real_time_makes_a_turn() -> None:
    device = VirtualDevice(sample_rate=48_000, hears=speech("Hello") + PCM16.silence(100))
    with RealtimeSession(Simulator(pace=False)) as session, Microphone(device) as microphone:
        with session.expect("response.done", timeout=LIMIT) as done:
            for chunk in itertools.islice(microphone, 60):
                session.append_audio(chunk)
        assert done.event.response.status == "completed"
