"""Turns heard in made sound, by plain calls: offsets, settings, noise, interruption, idleness (protocol 3.5, 4.2)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rtsync.audio.formats import ALAW, ULAW, AudioFormat
from rtsync.simulator.desk import Desk
from tests.simulator.desks import Event, desk_with, heard, kinds, only, told
from tests.simulator.sounds import mixed, noise, silence, speech

SPOKEN = speech()  # 2.4 s without a pause
TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
]


def listening(**detection: Any) -> Desk:
    return desk_with(turn_detection={"type": "server_vad", **detection})


def offsets(events: list[Event]) -> list[int]:
    names = ("audio_start_ms", "audio_end_ms")
    return [event[name] for event in events for name in names if name in event]


def audio_of(desk: Desk, item_id: str) -> bytes:
    (retrieved,) = told(desk, "conversation.item.retrieve", item_id=item_id).events
    return base64.b64decode(retrieved["item"]["content"][0]["audio"])


def test_a_turn_is_told_in_the_documented_order_under_one_id() -> None:
    desk = listening()
    answer = heard(desk, silence(1000) + SPOKEN + silence(1000))
    assert kinds(answer.events) == TURN
    assert len({event["item_id"] for event in answer.events[:3]} | {answer.events[3]["item"]["id"]}) == 1
    assert [writer.id for writer in answer.started] == [answer.events[-1]["response"]["id"]]
    assert answer.events[3]["item"]["content"] == [{"type": "input_audio", "transcript": None}]


def test_offsets_count_the_padding_before_and_the_silence_behind() -> None:
    desk = listening()
    answer = heard(desk, silence(1000) + SPOKEN + silence(1000))
    start, end = offsets(answer.events)
    assert 700 <= start <= 760  # the breath before the first vowel is hardly heard
    assert 3560 <= end <= 3600
    assert len(audio_of(desk, answer.events[2]["item_id"])) == (end - start) * 48


@pytest.mark.parametrize("chunk", [46, 777, 960, 4801, 1 << 20])
def test_it_does_not_matter_how_the_audio_is_cut(chunk: int) -> None:
    audio = silence(500) + SPOKEN[:48000] + silence(400) + SPOKEN[:48000] + silence(400)
    expected = heard(listening(create_response=False), audio)
    found = heard(listening(create_response=False), audio, chunk)
    assert len(offsets(expected.events)) == 4
    assert offsets(found.events) == offsets(expected.events)


@pytest.mark.parametrize("form", [ULAW, ALAW], ids=lambda form: form.name)
def test_turns_are_heard_on_the_telephone(form: AudioFormat) -> None:
    desk = desk_with(format={"type": form.type}, turn_detection={"type": "server_vad"})
    audio = silence(1000, form) + speech(form=form) + silence(1000, form)
    answer = heard(desk, audio, 160)
    start, end = offsets(answer.events)
    assert kinds(answer.events) == TURN
    assert (700 <= start <= 760, 3560 <= end <= 3600) == (True, True)
    assert len(audio_of(desk, answer.events[2]["item_id"])) == (end - start) * 8


@pytest.mark.parametrize("decibels", [-60, -50, -40, -34])
@pytest.mark.parametrize("seed", [1, 2])
def test_steady_noise_neither_starts_a_turn_nor_hides_one(decibels: int, seed: int) -> None:
    clean = b"".join([silence(700) + SPOKEN] * 2) + silence(800)
    loud = mixed(clean, noise(len(clean) // 48, decibels, seed))
    answer = heard(listening(create_response=False), loud)
    assert kinds(answer.events).count("input_audio_buffer.committed") == 2
    assert heard(listening(), noise(len(clean) // 48, decibels, seed)).events == []


def test_speech_from_the_first_sample_on_is_heard() -> None:
    start, end = offsets(heard(listening(), SPOKEN + silence(300)).events)
    assert (start, 2560 <= end <= 2600) == (0, True)


def test_silence_and_clicks_are_no_speech() -> None:
    click = b"\xff\x3f" * 48 + bytes(4800)
    assert heard(listening(), silence(2000) + click * 20).events == []


@pytest.mark.parametrize(("silence_ms", "turns"), [(100, 2), (200, 2), (500, 1)])
def test_how_much_silence_ends_a_turn_is_a_setting(silence_ms: int, turns: int) -> None:
    desk = listening(silence_duration_ms=silence_ms, create_response=False)
    answer = heard(desk, SPOKEN + silence(400) + SPOKEN + silence(600))
    ends = [event["audio_end_ms"] for event in answer.events if event["type"].endswith("speech_stopped")]
    assert len(ends) == turns
    assert abs(ends[-1] - (2400 + 400 + 2400 + silence_ms)) <= 40


@pytest.mark.parametrize(("padding_ms", "earliest"), [(0, 1020), (300, 720), (5000, 0)])
def test_how_much_is_kept_before_speech_is_a_setting(padding_ms: int, earliest: int) -> None:
    answer = heard(listening(prefix_padding_ms=padding_ms), silence(1000) + SPOKEN)
    assert abs(answer.events[0]["audio_start_ms"] - earliest) <= 20


def test_a_turn_does_not_begin_in_the_one_before() -> None:
    desk = listening(prefix_padding_ms=1000, create_response=False)
    _, end, start, _ = offsets(heard(desk, SPOKEN + silence(260) + SPOKEN + silence(400)).events)
    assert start == end


def test_a_high_threshold_wants_louder_speech() -> None:
    quiet = mixed(silence(1000) + SPOKEN + silence(1000), noise(10, -90) + silence(4390))
    whisper = b"".join(
        int(int.from_bytes(quiet[at : at + 2], "little", signed=True) / 16).to_bytes(2, "little", signed=True)
        for at in range(0, len(quiet), 2)
    )  # 24 dB less: -45 dBFS
    assert kinds(heard(listening(threshold=0.3), whisper).events) == TURN
    assert heard(listening(threshold=1.0), whisper).events == []


def test_a_turn_need_not_be_answered() -> None:
    answer = heard(listening(create_response=False), SPOKEN + silence(400))
    assert kinds(answer.events) == TURN[:-1]
    assert answer.started == []


@pytest.mark.parametrize(("eagerness", "wait_ms"), [("high", 500), ("medium", 1000), ("auto", 1000), ("low", 2000)])
def test_semantic_detection_waits_as_eager_as_it_is(eagerness: str, wait_ms: int) -> None:
    desk = desk_with(turn_detection={"type": "semantic_vad", "eagerness": eagerness})
    answer = heard(desk, SPOKEN + silence(2500))
    assert kinds(answer.events) == TURN
    assert abs(answer.events[1]["audio_end_ms"] - 2400 - wait_ms) <= 40


def test_without_detection_nothing_is_heard_until_the_client_commits() -> None:
    desk = desk_with(turn_detection=None)
    assert heard(desk, SPOKEN + silence(1000)).events == []
    answer = told(desk, "input_audio_buffer.commit")
    assert kinds(answer.events) == TURN[2:5]
    assert len(audio_of(desk, answer.events[0]["item_id"])) == 3400 * 48


def test_a_commit_during_speech_keeps_the_id_and_says_no_stop() -> None:
    desk = listening()
    (started,) = heard(desk, silence(500) + SPOKEN).events
    answer = told(desk, "input_audio_buffer.commit")
    assert kinds(answer.events) == TURN[2:5]
    assert answer.events[0]["item_id"] == started["item_id"]
    assert heard(desk, silence(1000)).events == []


def test_after_a_clear_a_new_turn_has_a_new_id_and_time_goes_on() -> None:
    desk = listening()
    (first,) = heard(desk, SPOKEN).events
    told(desk, "input_audio_buffer.clear")
    second = heard(desk, silence(600) + SPOKEN).events[0]
    assert second["item_id"] != first["item_id"]
    assert 2680 <= second["audio_start_ms"] <= 2760


def test_time_goes_on_when_the_format_changes() -> None:
    desk = listening()
    heard(desk, silence(1005))
    told(desk, "session.update", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    answer = heard(desk, silence(1000, ULAW) + speech(form=ULAW))
    assert 1700 <= answer.events[0]["audio_start_ms"] <= 1765


def test_two_turns_in_one_append_are_two_turns() -> None:
    desk = listening()
    answer = heard(desk, (SPOKEN + silence(600)) * 2, chunk=1 << 20)
    first, second = answer.started
    assert not desk.is_active(first.id)  # the second turn interrupted it
    assert desk.is_active(second.id)
    done = only(answer.events, "response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def answering(desk: Desk, words: str = "Once upon a time") -> str:
    """The default response has begun to speak; its id."""
    (writer,) = told(desk, "response.create").started
    desk.say(writer.id, words)
    return writer.id


def test_speaking_into_an_answer_ends_it() -> None:
    desk = listening()
    answering(desk)
    assert kinds(heard(desk, SPOKEN).events) == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]


def test_an_answer_may_be_left_to_go_on_and_then_no_other_can_begin() -> None:
    desk = listening(interrupt_response=False)
    response_id = answering(desk)
    events = heard(desk, SPOKEN + silence(400)).events
    assert desk.is_active(response_id)
    assert kinds(events) == [*TURN[:-1], "error"]
    assert events[-1]["error"]["code"] == "conversation_already_has_active_response"


def test_out_of_band_responses_are_not_interrupted() -> None:
    desk = listening()
    (writer,) = told(desk, "response.create", response={"conversation": "none"}).started
    assert kinds(heard(desk, SPOKEN).events) == ["input_audio_buffer.speech_started"]
    assert desk.is_active(writer.id)


def test_idleness_counts_from_the_end_of_playback() -> None:
    desk = listening(idle_timeout_ms=5000)
    heard(desk, silence(1000))
    response_id = answering(desk, "extraordinary")  # a second of sound, from 1000 ms on
    heard(desk, silence(400))
    desk.end(response_id)
    assert heard(desk, silence(5590)).events == []
    answer = heard(desk, silence(20))
    assert kinds(answer.events) == ["input_audio_buffer.timeout_triggered", *TURN[2:]]
    assert offsets(answer.events) == [2000, 7000]
    assert len(audio_of(desk, answer.events[0]["item_id"])) == 5000 * 48
    assert answer.events[0]["item_id"] == answer.events[1]["item_id"]


def test_idleness_ends_when_somebody_speaks_and_never_begins_without_an_answer() -> None:
    desk = listening(idle_timeout_ms=5000, create_response=False)
    assert heard(desk, silence(6000)).events == []
    desk.end(answering(desk))
    assert "input_audio_buffer.timeout_triggered" not in kinds(heard(desk, SPOKEN + silence(9000)).events)


def test_a_transcription_session_hears_turns_and_answers_none() -> None:
    desk = desk_with("transcription", turn_detection={"type": "server_vad"})
    assert kinds(heard(desk, SPOKEN + silence(400)).events) == TURN[:-1]


def test_an_hour_of_silence_is_not_kept_for_ever() -> None:
    desk = desk_with(turn_detection=None)
    for _ in range(5):
        heard(desk, bytes(14 << 20), chunk=14 << 20)
    answer = told(desk, "input_audio_buffer.commit")
    assert len(audio_of(desk, answer.events[0]["item_id"])) == 64 << 20
