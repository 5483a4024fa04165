"""Any sound as chunks of a session's format."""

from __future__ import annotations

import base64
import io
import itertools
import os
import random
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.audio import ALAW, PCM16, ULAW, AudioFormat, chunks, read_audio, resample
from tests.audio.tones import error_db, tone
from tests.audio.wavs import chunk, layout, riff, wav, written_by_wave

SOUND = random.Random(5).randbytes(14_400)  # 300 ms at 24 kHz
TONE_HZ = 440


def _cut(data: bytes, size: int = 777) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


class Reading:
    """A file that can only be read."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 100))


SOURCES: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda data, path: data,
    "bytearray": lambda data, path: bytearray(data),
    "memoryview": lambda data, path: memoryview(data),
    "path": lambda data, path: path,
    "text path": lambda data, path: str(path),
    "file": lambda data, path: io.BytesIO(data),
    "pipe": lambda data, path: Reading(data),
    "list": lambda data, path: _cut(data),
    "generator": lambda data, path: (piece for piece in _cut(data, 1)),
}
every_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)


@every_source
def test_a_wav_comes_from_anywhere(make: Callable[[bytes, Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(SOUND))
    reader = read_audio(make(wav(SOUND), path))
    assert (reader.sample_rate, reader.duration_ms) == (24_000, 300)
    assert list(reader) == list(chunks(SOUND))


@every_source
def test_raw_samples_come_from_anywhere(make: Callable[[bytes, Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(SOUND)
    reader = read_audio(make(SOUND, path), sample_rate=24_000)
    assert reader.duration_ms in (300, None)
    assert list(reader) == list(chunks(SOUND))


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("form", [PCM16, ULAW, ALAW], ids=lambda form: form.name)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_becomes_the_sessions(sample_rate: int, form: AudioFormat, channels: int) -> None:
    """The codec of telephones costs 36 dB; nothing else may cost more than 60."""
    mono = array("h", tone(sample_rate, TONE_HZ, 0.3))
    file = wav(array("h", [value for value in mono for _ in range(channels)]).tobytes(), 1, channels, sample_rate)
    reader = read_audio(file, form, chunk_ms=40)
    cut = list(reader)
    assert [form.duration_ms(len(piece)) for piece in cut] == [40] * 7 + [20]
    sound = form.to_pcm(b"".join(cut))
    assert error_db(sound, form.sample_rate, TONE_HZ) < (-60 if form is PCM16 else -36)


@given(
    st.binary(min_size=2, max_size=4000).map(lambda data: data[: len(data) & ~1]),
    st.sampled_from([8_000, 24_000, 44_100]),
    st.integers(1, 60),
)
def test_it_is_what_resampling_at_once_gives(pcm: bytes, sample_rate: int, chunk_ms: int) -> None:
    expected = resample(pcm, sample_rate, 24_000)
    assert b"".join(read_audio(wav(pcm, sample_rate=sample_rate), chunk_ms=chunk_ms)) == expected


@pytest.mark.parametrize("form", [ULAW, ALAW], ids=lambda form: form.name)
def test_a_telephones_sound_goes_through_as_it_is(form: AudioFormat) -> None:
    line = form.from_pcm(SOUND)
    assert b"".join(read_audio(line, form, source_format=form)) == line
    assert b"".join(read_audio(wav(line, 7 if form is ULAW else 6, sample_rate=8_000, bits=8), form)) == line


@pytest.mark.parametrize("named", ["g711_ulaw", {"type": "audio/pcmu"}, ULAW])
def test_formats_have_their_names_here_too(named: Any) -> None:
    assert b"".join(read_audio(b"\x80" * 800, named, source_format=named)) == b"\x80" * 800


def test_raw_pcm_of_the_wire_needs_no_rate() -> None:
    assert b"".join(read_audio(SOUND, source_format="pcm16")) == SOUND


def test_nothing_is_read_ahead() -> None:
    taken = []

    def live() -> Iterable[bytes]:
        for number in itertools.count():
            taken.append(number)
            yield bytes(960)

    reader = read_audio(live(), sample_rate=24_000)
    assert taken == [0]
    next(reader)
    next(reader)
    assert taken == [0, 1]


def test_a_pipe_of_the_system_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, wav(SOUND))
    os.close(writing)
    with open(reading, "rb") as pipe:
        reader = read_audio(pipe)
        assert reader.duration_ms == 300  # the header says it
        assert b"".join(reader) == SOUND


def test_a_reader_that_is_closed_has_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(SOUND))
    with read_audio(path) as reader:
        assert len(next(reader)) == 960
    assert list(reader) == []
    reader.close()


def test_a_given_file_or_generator_can_be_gone_on_with() -> None:
    file = io.BytesIO(SOUND)
    pieces = iter(_cut(SOUND, 960))
    for source in (file, pieces):
        with read_audio(source, sample_rate=24_000) as reader:
            next(reader)
    assert file.read(1) == SOUND[960:961]
    assert next(pieces) == SOUND[960:1920]


TEXT = base64.b64encode(SOUND)
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "0 bytes": (b"", {}, "The sound is empty: 0 bytes"),
    "0 raw bytes": (b"", {"sample_rate": 24_000}, "is empty: 0 bytes"),
    "no pieces": ([], {"sample_rate": 24_000}, "is empty"),
    "empty pieces": ([b"", b""], {"sample_rate": 24_000}, "is empty"),
    "a wav of no samples": (written_by_wave(b""), {}, "is a WAV without a sound: 0 samples"),
    "no rate": (SOUND, {}, "is no WAV. If it is raw PCM16, say its rate, sample_rate=24000; if it is G.711"),
    "odd": (SOUND + b"\0", {"sample_rate": 24_000}, "the number of bytes is odd.*g711_ulaw"),
    "another rate": (
        wav(SOUND, sample_rate=16_000),
        {"sample_rate": 24_000},
        "a WAV at 16000 Hz, not at sample_rate=24000",
    ),
    "a format for a wav": (
        wav(SOUND),
        {"source_format": "pcm16"},
        "says itself what it holds: leave source_format out",
    ),
    "a slow wav": (wav(SOUND, sample_rate=1_000), {}, "from_rate=1000"),
    "rate 0": (SOUND, {"sample_rate": 0}, "sample_rate=0: a sample rate is a whole number of Hz"),
    "rate as text": (SOUND, {"sample_rate": "24000"}, "sample_rate='24000'"),
    "unknown format": (SOUND, {"source_format": "opus"}, "'opus' is no audio format"),
    "unknown output": (SOUND, {"form": "opus"}, "'opus' is no audio format"),
    "chunks of nothing": (SOUND, {"chunk_ms": 0}, "chunk_ms=0"),
    "base64": (TEXT, {"sample_rate": 24_000}, "base64 text, as events carry sound: base64.b64decode"),
    "mp3": (b"ID3\4" + SOUND, {"sample_rate": 24_000}, "is MP3, and no sound that can be read; ffmpeg -i INPUT"),
    "mp3 frames": (b"\xff\xfb" + SOUND, {}, "is MP3"),
    "ogg": (b"OggS" + SOUND, {"sample_rate": 24_000}, "is Ogg"),
    "truncated": (wav(SOUND)[:-1], {}, "cut off"),
    "adpcm": (riff(chunk(b"fmt ", layout(2, 1, 8_000, 4)), chunk(b"data", SOUND)), {}, "Microsoft ADPCM"),
    "text file": (io.StringIO("hello"), {}, "open it in binary"),
    "text pieces": (["hello"], {"sample_rate": 24_000}, "pieces of bytes, not of str"),
    "samples": (array("h", [1, 2, 3]), {"sample_rate": 24_000}, "pieces of bytes, not of int"),
    "a number": (17, {}, "a path, bytes, a binary file or an iterable of bytes, not int"),
    "nothing": (None, {}, "not NoneType"),
    "no such file": ("nowhere.wav", {}, "nowhere.wav cannot be read: No such file"),
    "a folder": (".", {}, "cannot be read: Is a directory"),
}


@pytest.mark.parametrize(("source", "options", "reason"), REFUSED.values(), ids=REFUSED)
def test_wrong_input_is_refused_at_once_with_the_reason(source: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        read_audio(source, **options)


def test_a_stream_that_ends_within_a_sample_is_refused_where_it_ends() -> None:
    reader = read_audio(iter([SOUND, b"\0"]), sample_rate=24_000)
    with pytest.raises(ConfigurationError, match="number of bytes is odd"):
        list(reader)


def test_a_file_that_reads_text_is_refused() -> None:
    class Texts:
        def read(self, size: int) -> str:
            return "a" * size

    with pytest.raises(ConfigurationError, match="gave str, not bytes"):
        read_audio(Texts())  # type: ignore[arg-type]


def test_raw_samples_may_begin_like_a_frame_of_mp3() -> None:
    pcm = b"\xff\xfb" + SOUND
    assert b"".join(read_audio(pcm, sample_rate=24_000)) == pcm


def test_raw_samples_begin_where_the_file_stands() -> None:
    file = io.BytesIO(b"header" * 80 + SOUND)
    file.seek(480)
    reader = read_audio(file, sample_rate=24_000)
    assert reader.duration_ms == 300
    assert b"".join(reader) == SOUND


def test_a_constant_is_no_base64() -> None:
    assert b"".join(read_audio(b"Ab" * 480, sample_rate=24_000)) == b"Ab" * 480


def test_a_telephones_silence_is_no_base64() -> None:
    line = b"\x55" * 800
    assert b"".join(read_audio(line, ALAW, source_format=ALAW)) == line
