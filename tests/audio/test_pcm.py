"""Samples, loudness, formats, and G.711 compared with the ``audioop`` of old."""

from __future__ import annotations

import math
import warnings
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.audio.formats import ALAW, FORMATS, PCM16, ULAW, audio_format
from rtsync.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from rtsync.audio.pcm import FULL_SCALE, loudness, lower_rate, pcm_bytes, rms, samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.11 and 3.12; later it is audioop-lts
    import audioop

EVERY_SAMPLE = pcm_bytes(array("h", range(-32768, 32768)))
EVERY_CODE = bytes(range(256))


def test_every_sample_becomes_the_byte_that_audioop_makes_of_it() -> None:
    assert pcm_to_ulaw(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert pcm_to_alaw(EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE, 2)


def test_every_byte_becomes_the_sample_that_audioop_makes_of_it() -> None:
    assert ulaw_to_pcm(EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)
    assert alaw_to_pcm(EVERY_CODE) == audioop.alaw2lin(EVERY_CODE, 2)


@pytest.mark.parametrize("form", [ULAW, ALAW], ids=lambda form: form.name)
def test_a_code_survives_the_way_through_pcm(form: type) -> None:
    found = audio_format(form.name)  # type: ignore[attr-defined]
    again = found.from_pcm(found.to_pcm(EVERY_CODE))
    # Mu-law has two zeros; only one of them can come back.
    assert all(a == b or {a, b} == {0x7F, 0xFF} for a, b in zip(again, EVERY_CODE, strict=True))


@given(st.binary())
def test_samples_are_little_endian_and_an_odd_byte_is_left_out(data: bytes) -> None:
    found = samples(data)
    assert len(found) == len(data) // 2
    assert pcm_bytes(found) == data[: len(data) & ~1]


def test_loudness_is_measured_against_full_scale() -> None:
    half = array("h", [FULL_SCALE // 2, -FULL_SCALE // 2] * 10)
    assert rms(half) == FULL_SCALE // 2
    assert round(loudness(half), 2) == -6.02
    assert loudness(array("h", [0] * 4)) == -math.inf
    assert rms(array("h")) == 0.0


def test_a_lower_rate_keeps_slow_waves_and_flattens_fast_ones() -> None:
    slow = array("h", [int(8000 * math.sin(2 * math.pi * 200 * n / 24000)) for n in range(2400)])
    fast = array("h", [8000, -4000, -4000] * 800)
    assert abs(rms(samples(lower_rate(pcm_bytes(slow), 3))) - rms(slow)) < 100
    assert rms(samples(lower_rate(pcm_bytes(fast), 3))) == 0
    assert len(lower_rate(pcm_bytes(slow) + b"\0\0", 3)) == 1600


@pytest.mark.parametrize(
    ("value", "rate", "per_ms"),
    [
        ({"type": "audio/pcm", "rate": 24000}, 24000, 48),
        ("g711_ulaw", 8000, 8),
        ({"type": "audio/pcma"}, 8000, 8),
        ("audio/pcmu", 8000, 8),
    ],
)
def test_a_format_is_found_under_every_name(value: object, rate: int, per_ms: int) -> None:
    found = audio_format(value)  # type: ignore[arg-type]
    assert (found.sample_rate, found.bytes_per_ms, found.duration_ms(100 * per_ms + 1)) == (rate, per_ms, 100)
    assert FORMATS[found.name] is found


def test_pcm_is_itself() -> None:
    assert PCM16.to_pcm(b"ab") == PCM16.from_pcm(b"ab") == b"ab"
    with pytest.raises(KeyError):
        audio_format("mp3")
