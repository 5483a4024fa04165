"""WAV files as they are written: for other programs, to any place, all or nothing."""

from __future__ import annotations

import io
import os
import random
import threading
import wave
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.audio import ALAW, PCM16, ULAW, AudioFormat, WavReader, WavWriter, write_wav
from tests.audio.wavs import written_by_wave

SOUND = random.Random(3).randbytes(9_600)


class Pipe(io.RawIOBase):
    """Takes bytes and never goes back."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.taken += data
        return len(data)


def test_the_standard_library_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert write_wav(path, SOUND) == 200
    with wave.open(str(path)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 24_000)
        assert reader.readframes(1 << 20) == SOUND


@given(st.lists(st.binary(max_size=99), max_size=9), st.integers(4_000, 192_000))
def test_it_is_the_same_file_as_that_of_the_standard_library(pieces: list[bytes], sample_rate: int) -> None:
    even = [*pieces, b"\1" * (len(b"".join(pieces)) % 2)]
    file = io.BytesIO()
    write_wav(file, even, sample_rate=sample_rate)
    assert file.getvalue() == written_by_wave(b"".join(even), sample_rate=sample_rate)


@pytest.mark.parametrize("form", [PCM16, ULAW, ALAW], ids=lambda form: form.name)
@pytest.mark.parametrize("size", [0, 2, 1_001, 1_002])
def test_every_format_comes_back(form: AudioFormat, size: int) -> None:
    data = SOUND[: size - size % form.sample_bytes]
    file = io.BytesIO()
    assert write_wav(file, data, form) == form.duration_ms(len(data))
    assert len(file.getvalue()) == 8 + int.from_bytes(file.getvalue()[4:8], "little")
    assert len(file.getvalue()) % 2 == 0
    with WavReader(file.getvalue()) as reader:
        assert (reader.sample_rate, reader.duration_ms) == (form.sample_rate, form.duration_ms(len(data)))
        assert b"".join(reader) == form.to_pcm(data)


def test_a_pipe_gets_a_header_that_goes_to_the_end() -> None:
    pipe = Pipe()
    with WavWriter(pipe) as writer:
        writer.write(SOUND)
        assert writer.duration_ms == 200
    assert not pipe.closed
    with WavReader(pipe.taken) as reader:
        assert b"".join(reader) == SOUND


def test_a_named_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found = []
    reading = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reading.start()
    write_wav(path, SOUND)
    reading.join(30)
    assert found[0].endswith(SOUND)
    assert path.is_fifo()


def test_a_file_is_written_from_where_it_stands_and_stays_open() -> None:
    file = io.BytesIO(b"before")
    file.seek(6)
    write_wav(file, SOUND)
    assert file.getvalue() == b"before" + written_by_wave(SOUND)
    assert file.tell() == len(file.getvalue())


def test_a_path_has_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with WavWriter(path) as writer:
        writer.write(SOUND)
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == written_by_wave(SOUND)
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_link_leads_to_the_new_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_wav(link, SOUND)
    assert link.is_symlink()
    assert real.read_bytes() == written_by_wave(SOUND)


def test_a_body_that_raises_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")

    def failing() -> object:
        yield SOUND
        raise KeyError("no more")

    with pytest.raises(KeyError):
        write_wav(path, failing())  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_place_that_is_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    writer = WavWriter(path)
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        writer.close()
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_program_leaves_can_be_read(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav")
    writer.write(SOUND + b"\1" * (1 << 16))
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".a.wav.")
    with WavReader(left) as reader:
        assert reader.read(4_800) == SOUND
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_half_a_sample_is_refused_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(ConfigurationError, match="odd number of bytes"):
        write_wav(path, [b"abc", b"de"])
    assert list(tmp_path.iterdir()) == []


def test_a_closed_writer_takes_nothing_and_closes_again() -> None:
    writer = WavWriter(io.BytesIO())
    writer.close()
    writer.close()
    with pytest.raises(ConfigurationError, match="closed"):
        writer.write(SOUND)


def test_more_than_a_wav_can_hold_is_refused() -> None:
    class Endless(bytes):
        def __len__(self) -> int:
            return 0xFFFFFFFF

    with pytest.raises(ConfigurationError, match="at most 4 GiB"), WavWriter(io.BytesIO()) as writer:
        writer.write(Endless())


@pytest.mark.parametrize(
    ("target", "reason"),
    [(io.StringIO(), "path or a binary file"), (17, "path or a binary file"), (b"a", "binary file")],
)
def test_what_takes_no_bytes_is_refused(target: object, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        WavWriter(target)  # type: ignore[arg-type]


@pytest.mark.parametrize("sound", ["text", array("h", [1, 2]), [17], [None]])
def test_what_is_no_sound_is_refused(sound: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="pieces of bytes, not of"):
        write_wav(tmp_path / "a.wav", sound)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be written: No such file"):
        WavWriter(tmp_path / "nowhere" / "a.wav")
    with pytest.raises(ConfigurationError, match=r"cannot be written: Is a directory"):
        WavWriter(tmp_path)


@pytest.mark.parametrize("sample_rate", [0, -1, 3_999, 24_000.0])
def test_a_rate_that_makes_no_sense_is_refused(sample_rate: object) -> None:
    with pytest.raises(ConfigurationError, match="sample rate"):
        WavWriter(io.BytesIO(), sample_rate=sample_rate)  # type: ignore[arg-type]
