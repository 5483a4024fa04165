"""What pocketsphinx understands of real words: its grammar, phrases, any words; and what it cannot."""

from __future__ import annotations

import sys
import threading

import pytest

from rtsync.audio import PCM16, resample
from rtsync.simulator import Cancellation, EarsFailed, Pocketsphinx, SimulatorServer
from rtsync.simulator.senses import ears_named
from rtsync.vocabulary.errors import ConfigurationError
from tests.simulator.sounds import coded, mixed, noise
from tests.simulator.spoken import spoken
from tests.simulator.talk import Talk

IN_THE_GRAMMAR = [
    "hello there", "good morning", "how are you today", "what is the weather in paris", "get weather for tokyo",
    "say a couple of paragraphs", "turn on the light", "turn the music off", "my name is alice", "what time is it",
    "transfer me to support", "four seven one", "thank you very much", "good bye",
]  # fmt: skip
PREFIX = "conversation.item.input_audio_transcription"
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "any"}, "turn_detection": None}}}


@pytest.fixture(scope="module")
def ears() -> Pocketsphinx:
    return Pocketsphinx()


def heard(ears: Pocketsphinx, text: str, voice: str = "rms") -> str:
    return ears(spoken(text, voice).pcm, PCM16.sample_rate)


@pytest.mark.parametrize("voice", ["slt", "rms", "awb"])
@pytest.mark.parametrize("sentence", IN_THE_GRAMMAR)
def test_a_sentence_of_the_grammar_is_understood(ears: Pocketsphinx, sentence: str, voice: str) -> None:
    assert heard(ears, sentence, voice) == sentence


def test_the_same_sound_is_always_the_same_words(ears: Pocketsphinx) -> None:
    hard = [mixed(spoken(text).pcm, noise(4000, -40)) for text in (*IN_THE_GRAMMAR, "where are my keys")]
    heard_before = [_words(ears, pcm) for pcm in hard]
    assert [_words(ears, pcm) for pcm in reversed(hard)] == heard_before[::-1]


def _words(ears: Pocketsphinx, pcm: bytes) -> str | None:
    try:
        return ears(pcm, PCM16.sample_rate)
    except EarsFailed:
        return None


def test_telephone_sound_is_understood_too(ears: Pocketsphinx) -> None:
    pcm = resample(spoken("what is the weather in paris").pcm, PCM16.sample_rate, 8000)
    assert ears(pcm, 8000) == "what is the weather in paris"


def test_phrases_of_ones_own_are_understood_one_or_several() -> None:
    ears = Pocketsphinx(phrases=["Start the engine", "more  coffee", "don't panic"])
    assert heard(ears, "more coffee") == "more coffee"
    assert heard(ears, "start the engine more coffee") == "start the engine more coffee"


def test_a_grammar_of_ones_own_takes_the_place() -> None:
    ears = Pocketsphinx(grammar="#JSGF V1.0;\ngrammar g;\npublic <order> = (one | two) (pizza | salad);\n")
    assert heard(ears, "two pizza") == "two pizza"


def test_with_the_open_vocabulary_anything_is_written_down() -> None:
    ears = Pocketsphinx(open_vocabulary=True)
    assert heard(ears, "the quick brown fox jumps over the lazy dog", "slt").startswith("the quick brown fox")
    assert ears(b"", 24000) == ""


def test_silence_is_no_sentence(ears: Pocketsphinx) -> None:
    for pcm in (b"", bytes(100), bytes(48000)):
        with pytest.raises(EarsFailed, match="grammar"):
            ears(pcm, 24000)


def test_nothing_understood_is_a_failed_transcription_and_the_next_item_is_heard() -> None:
    with SimulatorServer(pace=False, ears="pocketsphinx") as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("session.update", session={"type": "realtime", **TRANSCRIBED})
        talk.until("session.updated")
        talk.send("input_audio_buffer.append", audio=coded(bytes(48000)))
        talk.send("input_audio_buffer.commit")
        failed = talk.until(f"{PREFIX}.failed")[-1]
        talk.send("input_audio_buffer.append", audio=coded(spoken("hello there").pcm))
        talk.send("input_audio_buffer.commit")
        completed = talk.until(f"{PREFIX}.completed")[-1]
    assert failed["error"]["code"] == "audio_unintelligible"
    assert "grammar" in failed["error"]["message"]
    assert completed["transcript"] == "hello there"


def test_many_threads_are_heard_one_after_the_other(ears: Pocketsphinx) -> None:
    said = [IN_THE_GRAMMAR[at % 4] for at in range(12)]
    sounds = [spoken(sentence).pcm for sentence in said]
    found: list[str | None] = [None] * len(said)

    def listen(at: int) -> None:
        found[at] = ears(sounds[at], PCM16.sample_rate)

    threads = [threading.Thread(target=listen, args=(at,)) for at in range(len(said))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == said


def test_ears_that_nobody_waits_for_stop(ears: Pocketsphinx) -> None:
    over = Cancellation()
    over.set()
    with pytest.raises(EarsFailed, match="ended"):
        ears.hear(spoken("hello there").pcm, PCM16.sample_rate, over)
    assert heard(ears, "hello there") == "hello there"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"grammar": "#JSGF V1.0;\ngrammar g;\npublic <a> = yes | zxcv // no\n | Nope;\n"}, "has no zxcv, Nope"),
        ({"grammar": "#JSGF V1.0;\ngrammar g;\n<a> = yes;\n"}, "a public rule"),
        ({"phrases": ["number 5"]}, "letters"),
        ({"phrases": []}, "at least one"),
        ({"phrases": ["yes"], "open_vocabulary": True}, "give it one"),
    ],
)
def test_a_grammar_that_cannot_be_used_is_told_at_once(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Pocketsphinx(**options)  # type: ignore[arg-type]


def test_by_name_there_is_one_for_all_servers() -> None:
    assert ears_named("pocketsphinx") is ears_named("auto")
    with pytest.raises(ConfigurationError, match="builtin, pocketsphinx"):
        SimulatorServer(ears="whisper")


def test_ears_that_are_not_installed_are_told_with_the_line_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'rtsync\[simulator-voice\]'"):
        Pocketsphinx()
