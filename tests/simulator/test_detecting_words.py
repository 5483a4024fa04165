"""Real words between silences of known lengths: where the detectors hear them, clean and with noise under them."""

from __future__ import annotations

import random
import sys
from array import array
from collections.abc import Callable

import pytest

from rtsync.audio import PCM16, ULAW, AudioFormat, resample
from rtsync.audio.pcm import FULL_SCALE, pcm_bytes, samples
from rtsync.simulator import SimulatorServer
from rtsync.simulator.input_audio import InputAudio, SpeechStarted, SpeechStopped
from rtsync.simulator.senses import detector_named
from rtsync.simulator.vad import Detector, SpeechDetector
from rtsync.simulator.webrtc import WebrtcDetector
from rtsync.vocabulary.errors import ConfigurationError
from tests.simulator.sounds import coded, mixed, noise
from tests.simulator.spoken import Spoken, spoken
from tests.simulator.talk import Talk

SENTENCES = [
    "Hello there, how are you today?",
    "What is the weather in Paris?",
    "Turn on the light in the kitchen.",
    "My name is Ada and I live in London.",
    "Please say a couple of paragraphs.",
    "Yes.",
    "Stop.",
]
VOICES = ["slt", "rms", "awb"]
CLOSE_MS = 100
PREFIX_MS = 300
SILENCE_MS = 500

both = pytest.mark.parametrize("detector", [SpeechDetector, WebrtcDetector])
every_sentence = pytest.mark.parametrize("sentence", SENTENCES)
every_voice = pytest.mark.parametrize("voice", VOICES)


def turns(
    detector: Detector,
    pcm: bytes,
    form: AudioFormat = PCM16,
    *,
    threshold: float = 0.5,
    prefix_ms: int = PREFIX_MS,
    chunk: int = 4800,
) -> list[tuple[int, int]]:
    """Where speech was, paddings taken off, of every turn that was heard to its end."""
    sound = form.from_pcm(resample(pcm, PCM16.sample_rate, form.sample_rate))
    detection = {
        "type": "server_vad",
        "threshold": threshold,
        "prefix_padding_ms": prefix_ms,
        "silence_duration_ms": SILENCE_MS,
    }
    listening = InputAudio(form, detector)
    happened = [
        each for at in range(0, len(sound), chunk) for each in listening.append(sound[at : at + chunk], detection)
    ]
    starts = [each.audio_start_ms + prefix_ms for each in happened if isinstance(each, SpeechStarted)]
    ends = [each.audio_end_ms - SILENCE_MS for each in happened if isinstance(each, SpeechStopped)]
    return list(zip(starts, ends, strict=True))


def assert_close(heard: list[tuple[int, int]], words: Spoken) -> None:
    ((start_ms, end_ms),) = heard
    assert abs(start_ms - words.start_ms) <= CLOSE_MS, f"begins {start_ms - words.start_ms:+.0f} ms off"
    assert abs(end_ms - words.end_ms) <= CLOSE_MS, f"ends {end_ms - words.end_ms:+.0f} ms off"


def coming_and_going(duration_ms: int, decibels: float) -> bytes:
    """Noise whose level changes every 100 to 400 ms, by up to 18 dB."""
    made = random.Random(10)
    values = samples(noise(duration_ms, decibels))
    gains: list[float] = []
    while len(gains) < len(values):
        gains += [made.uniform(0.2, 1.6)] * made.randint(2400, 9600)
    pairs = zip(values, gains, strict=False)
    return pcm_bytes(array("h", [int(max(-FULL_SCALE, min(FULL_SCALE - 1, value * gain))) for value, gain in pairs]))


@both
@every_voice
@every_sentence
def test_words_are_heard_where_they_are(detector: type[Detector], voice: str, sentence: str) -> None:
    words = spoken(sentence, voice).between(1000, 1500)
    assert_close(turns(detector(), words.pcm), words)


@every_voice
@pytest.mark.parametrize("sentence", SENTENCES[:4])
@pytest.mark.parametrize("level", [-55, -50, -45])
def test_webrtc_hears_words_where_they_are_with_noise_under_them(level: int, voice: str, sentence: str) -> None:
    words = spoken(sentence, voice).between(1000, 1500)
    assert_close(turns(WebrtcDetector(), mixed(words.pcm, noise(len(words.pcm) // 48 + 1, level))), words)


@every_voice
@every_sentence
def test_webrtc_hears_one_turn_in_noise_that_comes_and_goes(voice: str, sentence: str) -> None:
    words = spoken(sentence, voice).between(1000, 1500)
    loud = mixed(words.pcm, coming_and_going(len(words.pcm) // 48 + 1, -40))
    ((start_ms, end_ms),) = turns(WebrtcDetector(), loud)
    assert start_ms < words.end_ms
    assert words.start_ms < end_ms < words.end_ms + 250


@pytest.mark.parametrize("make", [noise, coming_and_going])
def test_webrtc_takes_noise_alone_for_no_words(make: Callable[[int, float], bytes]) -> None:
    assert turns(WebrtcDetector(), make(6000, -40)) == []


@both
def test_words_in_the_first_moment_of_a_session_are_heard(detector: type[Detector]) -> None:
    words = spoken(SENTENCES[1], "slt")
    words = Spoken(words.pcm[round(words.start_ms) * 48 :], 0.0, words.end_ms - words.start_ms).between(0, 1500)
    assert_close(turns(detector(), words.pcm, prefix_ms=0), words)


@both
def test_two_sentences_are_two_turns(detector: type[Detector]) -> None:
    first = spoken(SENTENCES[0]).between(800, 1000)
    second = spoken(SENTENCES[1], "slt").between(200, 1500)
    offset_ms = len(first.pcm) / 48
    heard = turns(detector(), first.pcm + second.pcm)
    assert_close(heard[:1], first)
    assert_close(heard[1:], Spoken(b"", second.start_ms + offset_ms, second.end_ms + offset_ms))


@both
@pytest.mark.parametrize("chunk", [2, 479, 960, 7001, 1 << 20])
def test_the_pieces_of_a_stream_do_not_matter(detector: type[Detector], chunk: int) -> None:
    pcm = spoken(SENTENCES[3], "slt").between(1000, 1000).pcm
    assert turns(detector(), pcm, chunk=chunk) == turns(detector(), pcm)


@both
def test_over_the_telephone_words_are_where_they_are_too(detector: type[Detector]) -> None:
    words = spoken(SENTENCES[3]).between(1000, 1500)
    assert_close(turns(detector(), words.pcm, ULAW), words)


@both
def test_a_higher_threshold_wants_louder_words(detector: type[Detector]) -> None:
    words = spoken(SENTENCES[3]).between(1000, 1500)
    quiet = pcm_bytes(array("h", [value // 16 for value in samples(words.pcm)]))
    assert len(turns(detector(), quiet, threshold=0.3)) == 1
    assert turns(detector(), quiet, threshold=1.0) == []


@both
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 1.0])
def test_every_threshold_hears_clear_words(detector: type[Detector], threshold: float) -> None:
    ((start_ms, end_ms),) = turns(detector(), spoken(SENTENCES[3]).between(1000, 1500).pcm, threshold=threshold)
    assert 1000 < start_ms + CLOSE_MS < end_ms


def test_a_server_tells_where_words_are_as_the_protocol_defines_it() -> None:
    words = spoken(SENTENCES[1]).between(1000, 1200)
    with SimulatorServer(pace=False, vad="webrtc") as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("input_audio_buffer.append", audio=coded(words.pcm))
        events = talk.until("input_audio_buffer.committed")
    started, stopped, _ = events
    assert abs(started["audio_start_ms"] + 300 - words.start_ms) <= CLOSE_MS  # prefix padding is included
    assert abs(stopped["audio_end_ms"] - 200 - words.end_ms) <= CLOSE_MS  # so is the silence that ended it


def test_auto_is_webrtc_where_it_is_installed_and_the_default_is_energy_everywhere() -> None:
    assert detector_named("auto") is WebrtcDetector
    assert detector_named("energy") is SpeechDetector
    with pytest.raises(ConfigurationError, match="energy, webrtc, auto"):
        SimulatorServer(vad="silero")


def test_a_detector_that_is_not_installed_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'rtsync\[simulator-voice\]'"):
        SimulatorServer(vad="webrtc")
