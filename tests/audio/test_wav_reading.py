"""WAV files: every way to write samples, sizes that lie, and files that are refused by name."""

from __future__ import annotations

import io
import math
import random
import struct
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.audio import WavReader
from tests.audio.reference import audioop
from tests.audio.wavs import ALAW, FLOAT, PCM, SUBFORMAT, ULAW, chunk, extensible, layout, riff, wav, written_by_wave

SOUND = array("h", [0, 1, -1, 300, -300, 32_767, -32_768, 12_345]).tobytes()
BYTES = random.Random(7).randbytes(24_000)


def read(source: object) -> bytes:
    with WavReader(source) as reader:  # type: ignore[arg-type]
        return b"".join(reader)


def test_a_wav_of_the_standard_library_is_read_as_it_was_written() -> None:
    with WavReader(written_by_wave(BYTES, sample_rate=16_000)) as reader:
        assert (reader.sample_rate, reader.channels, reader.encoding) == (16_000, 1, "16-bit PCM")
        assert (reader.frame_count, reader.duration_ms) == (12_000, 750)
        assert reader.read(10) == BYTES[:20]
        assert b"".join(reader) == BYTES[20:]
        assert reader.read(10) == b""


@pytest.mark.parametrize("sample_bytes", [1, 2, 3, 4])
def test_integers_of_any_width_are_those_of_audioop(sample_bytes: int) -> None:
    width = len(BYTES) - len(BYTES) % sample_bytes
    data = BYTES[:width]
    signed = audioop.bias(data, 1, 128) if sample_bytes == 1 else data
    assert read(written_by_wave(data, sample_bytes=sample_bytes)) == audioop.lin2lin(signed, sample_bytes, 2)


@pytest.mark.parametrize(("tag", "expand"), [(ULAW, audioop.ulaw2lin), (ALAW, audioop.alaw2lin)])
def test_g711_is_that_of_audioop(tag: int, expand: Callable[[bytes, int], bytes]) -> None:
    assert read(wav(BYTES, tag, sample_rate=8_000, bits=8)) == expand(BYTES, 2)


@pytest.mark.parametrize(("code", "bits"), [("f", 32), ("d", 64)])
def test_floats_have_full_scale_at_one_and_are_clipped_beyond(code: str, bits: int) -> None:
    values = [0.0, 0.5, -0.5, -1.0, 1.0, 2.0, -7.0, 1e30, 1 / 32_768, math.inf, -math.inf, math.nan]
    made = read(wav(array(code, values).tobytes(), FLOAT, bits=bits))
    wanted = [0, 16_384, -16_384, -32_768, 32_767, 32_767, -32_768, 32_767, 1, 32_767, -32_768, 0]
    assert list(array("h", made)) == wanted


@given(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=60), st.integers(1, 8))
def test_several_channels_become_their_mean(values: list[int], channels: int) -> None:
    values = values * channels
    made = array("h", read(wav(array("h", values).tobytes(), channels=channels)))
    frames = [values[at : at + channels] for at in range(0, len(values), channels)]
    assert len(made) == len(frames)
    assert all(abs(ours - sum(frame) / channels) <= 0.5 for ours, frame in zip(made, frames, strict=True))


def test_two_channels_are_those_of_audioop() -> None:
    """Which rounds each half down."""
    stereo = BYTES[: len(BYTES) // 4 * 4]
    ours = array("h", read(wav(stereo, channels=2)))
    theirs = array("h", audioop.tomono(stereo, 2, 0.5, 0.5))
    assert all(a - b in (0, 1) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("tag", "bits", "valid_bits", "data", "wanted"),
    [
        (PCM, 16, 16, SOUND, SOUND),
        (PCM, 24, 20, b"\xf0\x34\x12\x00\x00\x80", b"\x34\x12\x00\x80"),
        (PCM, 32, 24, b"\x00\xff\x34\x12", b"\x34\x12"),
        (FLOAT, 32, 32, struct.pack("<f", 0.25), struct.pack("<h", 8_192)),
        (ULAW, 8, 8, b"\x80", struct.pack("<h", 32_124)),
    ],
)
def test_an_extensible_header_says_the_same(tag: int, bits: int, valid_bits: int, data: bytes, wanted: bytes) -> None:
    file = riff(chunk(b"fmt ", extensible(tag, 1, 24_000, bits, valid_bits)), chunk(b"data", data))
    assert read(file) == wanted


def test_chunks_before_and_behind_the_sound_are_passed_over() -> None:
    file = riff(
        chunk(b"JUNK", bytes(27)),
        chunk(b"fmt ", layout(PCM, 1, 24_000, 16) + b"\0\0"),
        chunk(b"LIST", b"INFOodd"),
        chunk(b"data", SOUND),
        chunk(b"LIST", b"INFO noise"),
    )
    assert read(file) == SOUND


@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (36, 0), (0x7FFFF024, 0x7FFFF000), (0x80000024, 0x80000000), (0xFFFFFFFF, 0)],
    ids=["ffmpeg", "nothing", "killed", "sox", "arecord", "mixed"],
)
def test_a_size_that_nobody_knew_goes_to_the_end(riff_size: int, data_size: int) -> None:
    file = riff(
        chunk(b"fmt ", layout(PCM, 1, 24_000, 16)), chunk(b"data", SOUND + b"\1", data_size)[:-1], size=riff_size
    )
    with WavReader(file) as reader:
        assert reader.frame_count == len(SOUND) // 2
        assert b"".join(reader) == SOUND  # and not the half sample with which it was cut off
    with WavReader(iter([file])) as piped:
        assert (piped.frame_count, piped.duration_ms) == (None, None)
        assert b"".join(piped) == SOUND


def test_a_size_of_gigabytes_is_believed_where_they_are_there(tmp_path: Path) -> None:
    path = tmp_path / "large.wav"
    size = 0x8000_0000
    with path.open("wb") as file:
        file.write(riff(chunk(b"fmt ", layout(PCM, 1, 24_000, 16)), chunk(b"data", b"", size), size=size + 48))
        file.seek(size, io.SEEK_CUR)  # a hole, which takes no room
        file.write(chunk(b"LIST", b"INFO"))
    with WavReader(path) as reader:
        assert reader.frame_count == size // 2


def test_a_sound_of_no_samples_is_no_unknown_size() -> None:
    with WavReader(written_by_wave(b"")) as reader:
        assert (reader.frame_count, reader.read(1)) == (0, b"")
    file = riff(chunk(b"fmt ", layout(PCM, 1, 24_000, 16)), chunk(b"data", b""), chunk(b"LIST", b"INFO"))
    assert read(file) == b""


def test_what_is_shorter_than_it_says_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigurationError, match=r"cut off: of 24000 bytes of sound 23000 are there.*ffmpeg"):
        WavReader(wav(BYTES)[:-1000])


def test_what_comes_through_a_pipe_is_refused_where_it_ends() -> None:
    with WavReader(iter([wav(BYTES)[:-1000]])) as reader:
        assert reader.frame_count == 12_000
        assert reader.read(11_000) == BYTES[:22_000]
        with pytest.raises(ConfigurationError, match="cut off: of 24000 bytes of sound 23000 are there"):
            reader.read(1_000)


FMT = chunk(b"fmt ", layout(PCM, 1, 24_000, 16))
REFUSED = {
    "empty": (b"", "is empty: 0 bytes"),
    "four bytes": (b"RIFF", "is no WAV file"),
    "text": (b"hello, world, this is text", "is no WAV file.*ffmpeg"),
    "raw": (bytes(1000), "is no WAV file"),
    "avi": (riff(FMT, kind=b"AVI "), "is no WAV file"),
    "mp3": (b"ID3\x04" + bytes(60), "is MP3; ffmpeg -i INPUT -ac 1 -ar 24000 -c:a pcm_s16le OUTPUT.wav makes one"),
    "mp3 frames": (b"\xff\xfb\x90\x64" + bytes(60), "is MP3"),
    "aac": (b"\xff\xf1\x50\x80" + bytes(60), "is AAC"),
    "ogg": (b"OggS" + bytes(60), "is Ogg"),
    "flac": (b"fLaC" + bytes(60), "is FLAC"),
    "m4a": (b"\0\0\0\x1cftypM4A " + bytes(60), "is MP4"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(60), "is WebM"),
    "aiff": (b"FORM\0\0\0\0AIFF" + bytes(60), "is AIFF"),
    "rf64": (riff(FMT, magic=b"RF64"), "is RF64, a WAV of more than 4 GiB; ffmpeg"),
    "rifx": (riff(FMT, magic=b"RIFX"), "big-endian"),
    "ms adpcm": (wav(bytes(256), 0x02, bits=4), r"holds Microsoft ADPCM \(format tag 0x0002\).*ffmpeg"),
    "ima adpcm": (wav(bytes(256), 0x11, bits=4), "holds IMA ADPCM"),
    "mp3 in wav": (wav(bytes(256), 0x55, bits=0), r"holds MP3 \(format tag 0x0055\).*PCM of 8 to 32 bits"),
    "gsm": (wav(bytes(65), 0x31, bits=0), "holds GSM 6.10"),
    "unheard of": (wav(bytes(256), 0x1234), r"an unknown encoding \(format tag 0x1234\)"),
    "64-bit pcm": (wav(bytes(256), PCM, bits=64), "holds 64-bit PCM"),
    "other guid": (
        riff(chunk(b"fmt ", extensible(PCM, 1, 24_000, 16, 16, b"\1" + SUBFORMAT[1:])), chunk(b"data", SOUND)),
        "unknown GUID.*ffmpeg",
    ),
    "extensible without guid": (
        riff(chunk(b"fmt ", extensible(PCM, 1, 24_000, 16, 16)[:18]), chunk(b"data", SOUND)),
        "unknown GUID",
    ),
    "no channels": (wav(SOUND, channels=0), "damaged 'fmt ' chunk: 0 channels"),
    "no rate": (wav(SOUND, sample_rate=0), "damaged 'fmt ' chunk: 1 channels, 0 Hz"),
    "wrong frames": (
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", PCM, 2, 24_000, 48_000, 2, 16)), chunk(b"data", SOUND)),
        "damaged.*2 channels, 24000 Hz, 16 bits, 2 bytes a frame",
    ),
    "short format": (riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", SOUND)), "damaged 'fmt ' chunk"),
    "endless format": (riff(chunk(b"fmt ", bytes(16), 0xFFFFFFF0)), "damaged 'fmt ' chunk"),
    "no format": (riff(chunk(b"data", SOUND)), "has no 'fmt ' chunk before its sound"),
    "no sound": (riff(FMT), "there is no 'data' chunk"),
    "cut in a chunk": (riff(FMT, chunk(b"LIST", b"INFO", 1000)), "ends before its sound begins"),
    "half a frame": (wav(SOUND + b"\1"), "17 bytes of sound are no whole number of 2-byte frames"),
    "half a stereo frame": (wav(SOUND + b"\1\1", channels=2), "18 bytes of sound are no whole number of 4-byte frames"),
}


@pytest.mark.parametrize(("file", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_name(file: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "that file.wav"
    path.write_bytes(file)
    for source in (file, io.BytesIO(file), iter([file[:5], file[5:]])):
        with pytest.raises(ConfigurationError, match=f"^The sound .*{reason}"):
            WavReader(source)
    with pytest.raises(ConfigurationError, match=f"that file.wav.*{reason.replace('INPUT', '.*that file.wav.*')}"):
        WavReader(path)


def test_a_refusal_is_a_value_error_and_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.wav cannot be read: No such file"):
        WavReader(tmp_path / "nowhere.wav")


def test_a_given_file_stays_open_and_an_opened_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(SOUND))
    with path.open("rb") as file:
        assert read(file) == SOUND
        assert not file.closed
    with WavReader(str(path)) as reader:
        assert reader.read(2) == SOUND[:4]
    with pytest.raises(ValueError, match="closed file"):
        reader.read(1)


def test_a_wav_within_a_file_begins_where_the_file_stands() -> None:
    file = io.BytesIO(b"before" + wav(SOUND))
    file.seek(6)
    with WavReader(file) as reader:
        assert reader.frame_count == 8
        assert b"".join(reader) == SOUND


@given(st.binary(max_size=200))
def test_rubbish_is_refused_and_nothing_else_happens(rubbish: bytes) -> None:
    for file in (rubbish, b"RIFF\xff\xff\xff\xffWAVE" + rubbish, riff(FMT) + rubbish):
        try:
            read(file)
        except ConfigurationError:
            continue
