"""The device that is not there keeps time like one that is."""

from __future__ import annotations

import time

import pytest

from rtsync import ConfigurationError, UsageError
from rtsync.devices import Microphone, Speaker, VirtualDevice
from tests.simulator.sounds import noise


def test_time_passes_by_steps_only() -> None:
    device = VirtualDevice(stepped=True)
    with Speaker(device) as speaker, Microphone(device) as microphone:
        speaker.play(noise(100, -20))
        device.hear(noise(50, -20))
        for _ in range(100):
            device.advance(0.7)
        assert device.now() == pytest.approx(0.07)
        assert speaker.played_ms() == 70
        assert microphone.queued_ms == 70
        assert device.played == noise(100, -20)[: len(device.played)]


def test_a_thousand_steps_do_not_drift() -> None:
    device = VirtualDevice(stepped=True, sample_rate=44_100, keep_ms=0)
    with Microphone(device, max_queue_ms=100_000) as microphone:
        for _ in range(1_000):
            device.advance(60.0)
        assert microphone.queued_ms + microphone.dropped_ms == 60_000


def test_in_real_time_it_is_as_fast_as_the_clock() -> None:
    device = VirtualDevice()
    with Microphone(device) as microphone:
        began = time.monotonic()
        for _ in range(25):
            microphone.read()
        assert time.monotonic() - began >= 0.45
        with pytest.raises(UsageError, match="stepped"):
            device.advance(10)


def test_only_the_newest_of_what_was_played_is_kept() -> None:
    device = VirtualDevice(stepped=True, keep_ms=100)
    with Speaker(device) as speaker:
        for _ in range(100):
            speaker.play(noise(100, -20))
            device.advance(100)
        assert len(device.played) <= 2 * 2 * 2_400 + 480


@pytest.mark.parametrize("options", [{"sample_rate": 100}, {"period_ms": 0}, {"period_ms": 2.5}, {"hears": b"\0"}])
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        VirtualDevice(**options)  # type: ignore[arg-type]
