"""The formats of the wire and their names, and G.711 compared with the ``audioop`` of old."""

from __future__ import annotations

import pickle
from array import array
from typing import Any

import pytest

from rtsync import ConfigurationError
from rtsync.audio import ALAW, FORMATS, PCM16, ULAW, AudioFormat, audio_format, peak_dbfs
from rtsync.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from rtsync.audio.pcm import pcm_bytes
from tests.audio.reference import audioop

every_format = pytest.mark.parametrize("form", [PCM16, ULAW, ALAW], ids=lambda form: form.name)

EVERY_SAMPLE = pcm_bytes(array("h", range(-32768, 32768)))
EVERY_CODE = bytes(range(256))


def test_every_sample_becomes_the_byte_that_audioop_makes_of_it() -> None:
    assert pcm_to_ulaw(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert pcm_to_alaw(EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE, 2)


def test_every_byte_becomes_the_sample_that_audioop_makes_of_it() -> None:
    assert ulaw_to_pcm(EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)
    assert alaw_to_pcm(EVERY_CODE) == audioop.alaw2lin(EVERY_CODE, 2)


@pytest.mark.parametrize("form", [ULAW, ALAW], ids=lambda form: form.name)
def test_a_code_survives_the_way_through_pcm(form: AudioFormat) -> None:
    again = form.from_pcm(form.to_pcm(EVERY_CODE))
    # Mu-law has two zeros; only one of them can come back.
    assert all(a == b or {a, b} == {0x7F, 0xFF} for a, b in zip(again, EVERY_CODE, strict=True))


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
    assert audio_format(PCM16) is PCM16


@pytest.mark.parametrize("value", ["mp3", "", {"type": "audio/opus"}, {}, {"type": None}, None, 16, b"pcm16"])
def test_what_is_no_format_is_refused_with_the_names_of_those_there_are(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"no audio format.*pcm16.*g711_ulaw.*audio/pcma"):
        audio_format(value)


def test_pcm_at_another_rate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="24000 Hz, not 16000"):
        audio_format({"type": "audio/pcm", "rate": 16000})


@every_format
def test_silence_is_as_long_as_it_says_and_makes_no_sound(form: AudioFormat) -> None:
    quiet = form.silence(250)
    assert (len(quiet), form.duration_ms(len(quiet))) == (form.byte_count(250), 250)
    assert peak_dbfs(form.to_pcm(quiet)) < -70  # A-law has no zero: 8 is the least


@every_format
def test_a_format_is_a_value(form: AudioFormat) -> None:
    again = pickle.loads(pickle.dumps(form))
    assert again == form
    assert hash(again) == hash(form)
    assert repr(form) == f"<{form.name}, {form.sample_rate} Hz>"
    assert list(form.__rich_repr__()) == [form.name, ("sample_rate", form.sample_rate)]
