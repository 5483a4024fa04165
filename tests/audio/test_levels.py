"""Samples, levels and gain."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.audio import LevelMeter, apply_gain, peak_dbfs, rms_dbfs
from rtsync.audio.pcm import FULL_SCALE, lower_rate, pcm_bytes, rms, samples
from tests.audio.reference import audioop
from tests.audio.tones import tone

even_bytes = st.binary().map(lambda data: data[: len(data) & ~1])


@given(st.binary())
def test_samples_are_little_endian_and_an_odd_byte_is_left_out(data: bytes) -> None:
    found = samples(data)
    assert len(found) == len(data) // 2
    assert pcm_bytes(found) == data[: len(data) & ~1]


def test_levels_are_measured_against_full_scale() -> None:
    half = pcm_bytes(array("h", [FULL_SCALE // 2, -FULL_SCALE // 2] * 10))
    assert round(rms_dbfs(half), 2) == round(peak_dbfs(half), 2) == -6.02
    full = tone(24_000, 100, amplitude=32_767)
    assert (round(rms_dbfs(full), 2), round(peak_dbfs(full), 2)) == (-3.01, 0.0)
    assert peak_dbfs(pcm_bytes(array("h", [0, -FULL_SCALE]))) == 0.0
    assert rms(array("h")) == 0.0


@pytest.mark.parametrize("quiet", [b"", bytes(480)])
def test_silence_has_no_level(quiet: bytes) -> None:
    assert rms_dbfs(quiet) == peak_dbfs(quiet) == -math.inf


@given(even_bytes)
def test_levels_are_those_of_audioop(pcm: bytes) -> None:
    assert int(rms(samples(pcm))) == audioop.rms(pcm, 2)
    highest = audioop.max(pcm, 2)
    assert peak_dbfs(pcm) == (20 * math.log10(highest / FULL_SCALE) if highest else -math.inf)


@given(even_bytes, st.floats(-60, 60))
def test_gain_saturates_as_that_of_audioop(pcm: bytes, gain_db: float) -> None:
    """Which rounds down, where ours rounds to the nearest."""
    reference = samples(audioop.mul(pcm, 2, 10 ** (gain_db / 20)))
    assert all(
        ours - theirs in (0, 1) for ours, theirs in zip(samples(apply_gain(pcm, gain_db)), reference, strict=True)
    )


def test_gain_is_in_decibels() -> None:
    sound = tone(24_000, 440, amplitude=8_000)
    assert round(rms_dbfs(apply_gain(sound, -12.0)) - rms_dbfs(sound), 2) == -12.0
    assert apply_gain(sound, 0) == sound
    assert not any(apply_gain(sound, -math.inf))


@pytest.mark.parametrize("measure", [rms_dbfs, peak_dbfs, lambda pcm: apply_gain(pcm, 3), LevelMeter(24_000).feed])
def test_half_a_sample_has_no_level(measure: object) -> None:
    with pytest.raises(ConfigurationError, match="odd number of bytes, 3"):
        measure(b"abc")  # type: ignore[operator]


def test_a_meter_rises_at_once_and_falls_slowly() -> None:
    meter = LevelMeter(8_000, fall_db_per_s=20.0)
    assert (meter.rms_dbfs, meter.peak_dbfs) == (-math.inf, -math.inf)
    loud = tone(8_000, 400, 0.1, amplitude=32_767)
    assert meter.feed(loud) == meter.rms_dbfs == rms_dbfs(loud)
    assert meter.peak_dbfs == peak_dbfs(loud)
    assert meter.feed(bytes(8_000)) == -math.inf  # half a second
    assert round(meter.peak_dbfs, 2) == -10.0
    meter.feed(loud)
    assert round(meter.peak_dbfs, 2) == 0.0


def test_a_meter_needs_a_rate() -> None:
    with pytest.raises(ConfigurationError, match="sample rate"):
        LevelMeter(0)


def test_a_lower_rate_keeps_slow_waves_and_flattens_fast_ones() -> None:
    slow = array("h", [int(8000 * math.sin(2 * math.pi * 200 * n / 24000)) for n in range(2400)])
    fast = array("h", [8000, -4000, -4000] * 800)
    assert abs(rms(samples(lower_rate(pcm_bytes(slow), 3))) - rms(slow)) < 100
    assert rms(samples(lower_rate(pcm_bytes(fast), 3))) == 0
    assert len(lower_rate(pcm_bytes(slow) + b"\0\0", 3)) == 1600
