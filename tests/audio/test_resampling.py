"""Other sample rates: tones arrive, what cannot arrive is gone, counts are exact, and cutting changes nothing."""

from __future__ import annotations

import itertools
import math
import random
from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.audio import LOWEST_SAMPLE_RATE, Resampler, resample
from tests.audio.tones import AMPLITUDE, error_db, level_db, tone

USUAL = (8_000, 16_000, 24_000, 44_100, 48_000)
ODD = ((11_025, 24_000), (24_000, 22_050), (192_000, 44_100), (192_000, 4_000), (4_000, 192_000), (16_001, 24_000))
ROUTES = [*itertools.permutations(USUAL, 2), *ODD]
PASSED_DB = -60
GONE_DB = -60

rates = st.one_of(
    st.sampled_from([*USUAL, 11_025, 12_000, 22_050, 32_000, 96_000]), st.integers(LOWEST_SAMPLE_RATE, 60_000)
)


def _noise(count: int) -> bytes:
    return random.Random(count).randbytes(2 * count)


@pytest.mark.parametrize(("from_rate", "to_rate"), ROUTES)
@pytest.mark.parametrize("share", [0.03, 0.4, 0.85])
def test_a_tone_within_the_band_arrives_as_it_was(from_rate: int, to_rate: int, share: float) -> None:
    hz = share * min(from_rate, to_rate) / 2
    arrived = resample(tone(from_rate, hz), from_rate, to_rate)
    assert error_db(arrived, to_rate, hz) < PASSED_DB


@pytest.mark.parametrize(("from_rate", "to_rate"), [route for route in ROUTES if route[0] > route[1]])
@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.98])
def test_a_tone_above_the_new_band_is_gone(from_rate: int, to_rate: int, place: float) -> None:
    lowest, highest = to_rate / 2 * 1.0001, from_rate / 2
    hz = lowest + place * (highest - lowest)
    assert level_db(resample(tone(from_rate, hz), from_rate, to_rate), to_rate) < GONE_DB


@pytest.mark.parametrize(("from_rate", "to_rate"), [route for route in ROUTES if route[0] < route[1]])
def test_a_higher_rate_brings_no_images(from_rate: int, to_rate: int) -> None:
    """What is beside the tone is far below it, wherever a mirror image could stand."""
    hz = 0.7 * from_rate / 2
    assert error_db(resample(tone(from_rate, hz), from_rate, to_rate), to_rate, hz) < PASSED_DB


@settings(max_examples=40)
@given(rates, rates, st.integers(0, 2000))
@example(44_100, 24_000, 44_100)
@example(16_001, 24_000, 16_001)
def test_the_count_is_exact(from_rate: int, to_rate: int, count: int) -> None:
    assert len(resample(bytes(2 * count), from_rate, to_rate)) == 2 * math.ceil(count * to_rate / from_rate)


@settings(max_examples=40)
@given(rates, rates, st.integers(1, 1500), st.lists(st.integers(0, 900), max_size=12))
@example(44_100, 24_000, 3_000, [1, 2, 3, 999])
@example(16_001, 24_000, 3_000, [1, 2, 3, 999])
@pytest.mark.unmeasured
def test_cutting_changes_no_byte(from_rate: int, to_rate: int, count: int, cuts: list[int]) -> None:
    pcm = _noise(count)
    resampler = Resampler(from_rate, to_rate)
    places = sorted({0, len(pcm), *(cut for cut in cuts if cut < len(pcm))})
    pieces = [resampler.feed(pcm[start:end]) for start, end in itertools.pairwise(places)]
    assert b"".join(pieces) + resampler.flush() == resample(pcm, from_rate, to_rate)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(24_000, 8_000), (8_000, 24_000), (44_100, 24_000)])
def test_byte_by_byte_is_the_same_as_at_once(from_rate: int, to_rate: int) -> None:
    pcm = _noise(1_000)
    resampler = Resampler(from_rate, to_rate)
    pieces = [resampler.feed(pcm[at : at + 1]) for at in range(len(pcm))]
    assert b"".join(pieces) + resampler.flush() == resample(pcm, from_rate, to_rate)


@pytest.mark.parametrize(("from_rate", "to_rate"), ROUTES)
def test_what_is_too_loud_is_clipped_and_does_not_wrap(from_rate: int, to_rate: int) -> None:
    """A full-scale square wave overshoots in any filter; a value that wraps would jump across the whole range."""
    half = from_rate // 200
    square = array("h", ([32_767] * half + [-32_768] * half) * 25)
    made = array("h", resample(square.tobytes(), from_rate, to_rate))
    assert (max(made), min(made)) == (32_767, -32_768)
    for n in range(to_rate // 100, len(made) - to_rate // 100):
        place = n * 200 / to_rate % 2
        if 0.4 < place < 0.6:
            assert made[n] > 30_000
        elif 1.4 < place < 1.6:
            assert made[n] < -30_000


@pytest.mark.parametrize(("from_rate", "to_rate"), ROUTES)
def test_silence_stays_silence_and_a_constant_stays_itself(from_rate: int, to_rate: int) -> None:
    assert not any(resample(bytes(2 * (from_rate // 10)), from_rate, to_rate))
    constant = array("h", [-12_345] * (from_rate // 10))
    made = array("h", resample(constant.tobytes(), from_rate, to_rate))
    assert set(made[to_rate // 50 : -to_rate // 50]) == {-12_345}


@pytest.mark.parametrize(("from_rate", "to_rate"), ROUTES)
def test_what_comes_out_is_close_behind_what_went_in(from_rate: int, to_rate: int) -> None:
    """Half a filter of the lower rate, and a group of 10 ms at most."""
    resampler = Resampler(from_rate, to_rate)
    given = len(resampler.feed(bytes(2 * from_rate)))
    behind_ms = 1000 * (2 * to_rate - given) / (2 * to_rate)
    assert behind_ms <= 1000 * 34 / min(from_rate, to_rate) + 11


@pytest.mark.parametrize(("from_rate", "to_rate"), ROUTES)
def test_rounding_leans_to_neither_side(from_rate: int, to_rate: int) -> None:
    """Cutting off the fractions would move everything by half a step."""
    hz = 0.03 * min(from_rate, to_rate)
    made = array("h", resample(tone(from_rate, hz, 0.5, 300.0), from_rate, to_rate))
    period = to_rate / hz
    whole = round(int(len(made) // period) * period)
    assert abs(sum(made[:whole]) / whole) < 0.25


def test_rates_with_nothing_in_common_are_nearly_as_good() -> None:
    hz = 0.85 * 16_001 / 2
    assert error_db(resample(tone(16_001, hz), 16_001, 24_000), 24_000, hz) < -73


def test_the_same_rate_is_the_same_sound() -> None:
    pcm = _noise(777)
    assert resample(pcm, 24_000, 24_000) == pcm


def test_a_resampler_begins_anew_after_its_end() -> None:
    resampler = Resampler(44_100, 24_000)
    pcm = tone(44_100, 440, 0.1, AMPLITUDE)
    first = resampler.feed(pcm) + resampler.flush()
    assert resampler.feed(pcm) + resampler.flush() == first
    assert resampler.flush() == b""


def test_what_is_no_sound_is_no_silence() -> None:
    with pytest.raises(TypeError):
        Resampler(24_000, 8_000).feed(960)  # type: ignore[arg-type]


def test_a_sound_that_ends_within_a_sample_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="odd number of bytes"):
        resample(b"\0\0\0", 24_000, 8_000)


@pytest.mark.parametrize("rate", [0, -8_000, 3_999, 192_001, 24_000.0, "24000", True, None])
def test_a_rate_that_makes_no_sense_is_refused(rate: object) -> None:
    with pytest.raises(ConfigurationError, match="sample rate is a whole number of Hz"):
        Resampler(24_000, rate)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="from_rate"):
        resample(b"", rate, 24_000)  # type: ignore[arg-type]
