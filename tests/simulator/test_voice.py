"""The synthesised voice: how long, how loud, in which format, in which pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.audio.formats import ALAW, PCM16, ULAW, AudioFormat
from rtsync.audio.levels import rms_dbfs
from rtsync.simulator.usage import pieces
from rtsync.simulator.voice import Speaker, Speech

TEXT = "Good morning! How are you, Привет, 42?"


def test_the_same_words_sound_the_same() -> None:
    assert Speaker().say(TEXT) == Speaker().say(TEXT)
    assert Speaker("ash").say(TEXT) != Speaker("marin").say(TEXT) != Speaker({"id": "voice_1"}).say(TEXT)


@pytest.mark.parametrize(("text", "duration_ms"), [("", 0), ("one", 400), ("ba", 200), ("ba, ba.", 760), ("  \t ", 0)])
def test_syllables_and_pauses_make_the_length(text: str, duration_ms: int) -> None:
    assert Speaker().duration_ms(text) == duration_ms
    assert len(Speaker().say(text)) == duration_ms * 48


def test_speed_changes_the_length() -> None:
    assert Speaker(speed=0.5).duration_ms("ba") == 400
    assert Speaker(speed=1.5).duration_ms("ba") == 130


@pytest.mark.parametrize("form", [PCM16, ULAW, ALAW], ids=lambda form: form.name)
def test_every_format_is_as_long_and_about_as_loud(form: AudioFormat) -> None:
    audio = Speaker(form=form).say(TEXT)
    assert form.duration_ms(len(audio)) == Speaker().duration_ms(TEXT)
    assert -30 < rms_dbfs(form.to_pcm(audio)) < -15


@given(st.text(max_size=60))
def test_a_text_sounds_the_same_said_whole_or_token_by_token_in_time(text: str) -> None:
    speech = Speech(Speaker())
    chunks = [chunk for piece in pieces(text) for chunk in speech.say(piece)] + speech.rest()
    assert b"".join(chunks) == speech.sent
    assert speech.sent_ms == sum(Speaker().duration_ms(piece) for piece in pieces(text))


def test_chunks_have_the_services_sizes() -> None:
    speech = Speech(Speaker())
    assert [len(chunk) for chunk in speech.say("extraordinarily so")] == [4800, 7200, *[12000] * 4]
    assert (speech.sent_ms, speech.spoken_ms) == (1250, 1400)
    assert [len(chunk) for chunk in speech.rest()] == [7200]
    assert (speech.sent_ms, speech.rest()) == (1400, [])
