"""Any sound as chunks of a session's format: WAV or raw, at any rate, from anywhere."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any, Self

from rtsync.audio.chunking import DEFAULT_CHUNK_MS, checked_chunk_ms, chunks
from rtsync.audio.containers import HEAD_BYTES, conversion, foreign_container, looks_like_base64
from rtsync.audio.formats import PCM16, AudioFormat, audio_format
from rtsync.audio.pcm import checked_sample_rate
from rtsync.audio.resampling import Resampler
from rtsync.audio.sources import AudioSource, Input
from rtsync.audio.wav_reading import WavReader
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["AudioReader", "read_audio"]

Format = AudioFormat | str | Mapping[str, Any]
"""A format, or one of its names, or the GA object of a session."""


def read_audio(
    source: AudioSource,
    form: Format = PCM16,
    *,
    sample_rate: int | None = None,
    source_format: Format | None = None,
    chunk_ms: int = DEFAULT_CHUNK_MS,
) -> AudioReader:
    """``source`` in the format ``form``, in chunks of ``chunk_ms``: what a session is to be sent.

    A WAV says itself what it holds. Anything else is raw mono samples, and you say what they are: PCM16 at
    ``sample_rate``, or ``source_format`` at its own rate. What is at another rate is resampled. Nothing is read ahead,
    and memory does not grow with the source::

        for chunk in read_audio("question.wav"):
            session.append_audio(chunk)

    Args:
        source: a path, bytes, a binary file (read from where it stands; it stays open), or an iterable of bytes in
            pieces of any size.
        form: what comes out.
        sample_rate: Hz, of raw samples. With a WAV it may only repeat what that says.
        source_format: of raw samples, where they are not PCM16; not with a WAV.
        chunk_ms: milliseconds of a chunk, 1 to 60,000; the last one may be shorter.

    Raises:
        ConfigurationError: at once: no sound in it; raw sound without a rate; a WAV that is damaged, cut off or
            compressed; another kind of file; base64 text; an odd number of bytes of PCM16. While reading: what can only
            be seen then, of a source whose end is not known.

    Threads: one thread at a time; opening and reading block as long as the source does.
    """
    return AudioReader(
        source,
        form,
        sample_rate=sample_rate,
        source_format=source_format,
        chunk_ms=chunk_ms,
    )


class AudioReader:
    """What ``read_audio`` gives: an iterator of chunks, which closes what it opened at its end, or before in ``with``.

    Attributes:
        form: of the chunks.
        chunk_ms: their length in milliseconds.
        sample_rate: of the source, in Hz.
        duration_ms: of the source, in whole milliseconds; None where its end is not known.
    """

    def __init__(
        self,
        source: AudioSource,
        form: Format,
        *,
        sample_rate: int | None,
        source_format: Format | None,
        chunk_ms: int,
    ) -> None:
        self.form = audio_format(form)
        self.chunk_ms = checked_chunk_ms(chunk_ms)
        raw = _raw_format(sample_rate, source_format)
        self._input = Input(source)
        try:
            self._sound = _opened(self._input, sample_rate, raw, said=source_format is not None)
            self.sample_rate = self._sound.sample_rate
            self.duration_ms = self._sound.duration_ms
            self._piece_samples = max(1, self.sample_rate * self.chunk_ms // 1000)
            resampler = Resampler(self.sample_rate, self.form.sample_rate)
            self._converted = self._as_it_is() if self._fits() else self._convert(resampler)
            self._chunks = chunks(self._converted, self.form, self.chunk_ms)
        except BaseException:
            self._input.close()
            raise

    def _fits(self) -> bool:
        """Whether the source is raw sound in the format that is wanted."""
        raw = self._sound
        return isinstance(raw, _Raw) and raw.form == self.form and raw.sample_rate == self.form.sample_rate

    def _as_it_is(self) -> Generator[bytes]:
        assert isinstance(self._sound, _Raw)
        with self._input:
            while data := self._sound.read_coded(self._piece_samples):
                yield data

    def _convert(self, resampler: Resampler) -> Generator[bytes]:
        """The sound in its new format, in pieces about as long as a chunk."""
        with self._input:
            while pcm := self._sound.read(self._piece_samples):
                yield self.form.from_pcm(resampler.feed(pcm))
            yield self.form.from_pcm(resampler.flush())

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """Stop, and close the source if it was opened here."""
        self._converted.close()
        self._input.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Raw:
    """Samples without a header."""

    def __init__(self, source: Input, form: AudioFormat, sample_rate: int) -> None:
        self._input = source
        self.form = form
        self.sample_rate = sample_rate
        if form == PCM16 and source.left is not None and source.left % 2:
            raise _odd(source)
        self.duration_ms = None if source.left is None else source.left // form.sample_bytes * 1000 // sample_rate

    def read(self, sample_count: int) -> bytes:
        return self.form.to_pcm(self.read_coded(sample_count))

    def read_coded(self, sample_count: int) -> bytes:
        """Without a conversion, which costs time and would make one of the two zeros of mu-law the other."""
        data = self._input.read(sample_count * self.form.sample_bytes)
        if len(data) % self.form.sample_bytes:
            raise _odd(self._input)
        return data


def _raw_format(sample_rate: int | None, source_format: Format | None) -> tuple[AudioFormat, int] | None:
    """What raw samples are said to be; None where nothing is said."""
    if source_format is None and sample_rate is None:
        return None
    form = PCM16 if source_format is None else audio_format(source_format)
    return form, form.sample_rate if sample_rate is None else checked_sample_rate(sample_rate)


def _opened(
    source: Input, sample_rate: int | None, raw: tuple[AudioFormat, int] | None, *, said: bool
) -> WavReader | _Raw:
    head = source.peek(HEAD_BYTES)
    if not head:
        raise ConfigurationError(f"{source.title} is empty: 0 bytes")
    if head.startswith(b"RIFF"):
        if said:
            raise ConfigurationError(
                f"{source.title} is a WAV, which says itself what it holds: leave source_format out"
            )
        return _checked_wav(WavReader(source), source, sample_rate)
    found = foreign_container(head, raw=raw is not None)
    if found:
        raise ConfigurationError(f"{source.title} is {found}, and no sound that can be read; {conversion(source.name)}")
    if raw is None:
        raise ConfigurationError(
            f"{source.title} is no WAV. If it is raw PCM16, say its rate, sample_rate=24000; if it is G.711, "
            f'source_format="g711_ulaw"; else {conversion(source.name)}'
        )
    if raw[0] == PCM16 and looks_like_base64(head):
        raise ConfigurationError(f"{source.title} is base64 text, as events carry sound: base64.b64decode() it first")
    return _Raw(source, *raw)


def _checked_wav(wav: WavReader, source: Input, sample_rate: int | None) -> WavReader:
    if sample_rate not in (None, wav.sample_rate):
        raise ConfigurationError(
            f"{source.title} is a WAV at {wav.sample_rate} Hz, not at sample_rate={sample_rate}: leave that out"
        )
    if wav.frame_count == 0:
        raise ConfigurationError(f"{source.title} is a WAV without a sound: 0 samples")
    return wav


def _odd(source: Input) -> ConfigurationError:
    return ConfigurationError(
        f"{source.title} is no PCM16: that has two bytes a sample, and the number of bytes is odd. "
        'Is it G.711 (source_format="g711_ulaw"), or cut off?'
    )
