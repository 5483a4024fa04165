"""Long sounds: memory stays flat, and nothing drifts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from rtsync.audio import PCM16, Resampler, WavWriter, read_audio
from tests.audio.tones import error_db, tone
from tests.audio.wavs import PCM, chunk, layout, riff

HOUR_MS = 3_600_000
BLOCK_MS = 1_000
FLAT_BYTES = 1 << 20


class Sink:
    """A pipe that counts what goes into it."""

    def __init__(self) -> None:
        self.taken = 0

    def write(self, data: bytes) -> None:
        self.taken += len(data)


def _an_hour() -> Iterator[bytes]:
    yield riff(chunk(b"fmt ", layout(PCM, 1, 24_000, 16)), chunk(b"data", b"", PCM16.byte_count(HOUR_MS)))
    block = PCM16.silence(BLOCK_MS)
    for _ in range(HOUR_MS // BLOCK_MS):
        yield block


def test_an_hour_goes_through_in_the_memory_of_a_moment() -> None:
    sink = Sink()
    tracemalloc.start()
    try:
        with WavWriter(sink) as writer:
            for piece in read_audio(_an_hour(), chunk_ms=1_000):
                writer.write(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert writer.duration_ms == HOUR_MS
    assert sink.taken > PCM16.byte_count(HOUR_MS)
    assert peak < FLAT_BYTES


@pytest.mark.parametrize(("from_rate", "to_rate"), [(24_000, 8_000), (11_025, 8_000), (4_001, 4_000)])
def test_a_resampler_keeps_no_more_than_its_filters_need(from_rate: int, to_rate: int) -> None:
    """One filter, two, and the one without groups."""
    resampler = Resampler(from_rate, to_rate)
    block = tone(from_rate, 400, 0.1)
    tracemalloc.start()
    try:
        kept = [_kept_after(resampler, block) for _ in range(5)]
    finally:
        tracemalloc.stop()
    assert kept[-1] - kept[1] < 10 * len(block)  # a third of what was fed meanwhile


def _kept_after(resampler: Resampler, block: bytes) -> int:
    """Bytes that are allocated after ten more blocks."""
    for _ in range(10):
        resampler.feed(block)
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(24_000, 8_000), (44_100, 24_000), (24_000, 44_100), (16_001, 16_000)]
)
@pytest.mark.unmeasured
def test_a_tone_is_in_step_after_a_minute_as_it_was_at_first(from_rate: int, to_rate: int) -> None:
    second = tone(from_rate, 400, 1.0)
    resampler = Resampler(from_rate, to_rate)
    before = sum(len(resampler.feed(second)) for _ in range(60)) // 2
    last = resampler.feed(second)
    assert error_db(last, to_rate, 400, first_sample=before) < -60
