"""Sound in pieces of a given length."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.audio import ALAW, PCM16, ULAW, AudioFormat, chunks

formats = st.sampled_from([PCM16, ULAW, ALAW])


@given(st.lists(st.binary(max_size=3000), max_size=8), formats, st.integers(1, 70))
def test_chunks_add_up_and_all_but_the_last_are_whole(pieces: list[bytes], form: AudioFormat, chunk_ms: int) -> None:
    sound = b"".join(pieces)
    cut = list(chunks(pieces, form, chunk_ms))
    assert b"".join(cut) == sound
    assert cut == list(chunks(sound, form, chunk_ms)) == list(chunks(memoryview(sound), form, chunk_ms))
    assert all(len(chunk) == form.byte_count(chunk_ms) for chunk in cut[:-1])
    assert all(0 < len(chunk) <= form.byte_count(chunk_ms) for chunk in cut)


def test_a_chunk_comes_as_soon_as_it_is_full() -> None:
    taken = []

    def live() -> Any:
        for number in range(4):
            taken.append(number)
            yield bytes(480)  # 10 ms

    first = next(chunks(live(), PCM16, 20))
    assert (len(first), taken) == (960, [0, 1])


@pytest.mark.parametrize("chunk_ms", [0, -1, 60_001, 1.5, "20", True, None])
def test_a_length_that_makes_no_sense_is_refused_at_once(chunk_ms: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number of milliseconds, 1 to 60000"):
        chunks(b"", PCM16, chunk_ms)
