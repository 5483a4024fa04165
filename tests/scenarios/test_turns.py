"""Turns: found by voice detection, taken by hand, cancelled, interrupted (protocol 3.5)."""

from __future__ import annotations

import pytest

from rtsync import ResponseFailed, ServerError
from tests.scenarios.replay import replayed, sound
from tests.scenarios.test_conversations import heard_all, said, told


def test_a_turn_that_voice_detection_finds() -> None:
    speaking: list[bool] = []
    with replayed("vad_turn", handlers="inline") as replay:
        session = replay.session
        for kind in ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"):
            session.on(kind, lambda session, event: speaking.append(session.conversation.speaking))
        session.append_audio(sound(4800))
        assert session.wait_for("input_audio_buffer.speech_started").audio_start_ms == 1236
        session.append_audio(sound(4800))
        done = session.wait_for("response.done")
        conversation = replay.finish()
    assert speaking == [True, False]
    assert done.response.output[0].content[0].transcript == "Hi there!"
    assert list(map(told, conversation.items)) == [
        ("item_1", "user", "completed", "Hello"),
        ("item_2", "assistant", "completed", "Hi there!"),
    ]
    assert [(known.id, known.status) for known in conversation.responses] == [("resp_1", "completed")]
    assert conversation.config["audio"]["input"]["transcription"]["model"] == "gpt-4o-mini-transcribe"
    assert heard_all(replay)


def test_a_turn_taken_by_hand() -> None:
    with replayed("manual_turn") as replay:
        session = replay.session
        assert session.update(audio={"input": {"turn_detection": None}}).session.audio.input.turn_detection is None
        session.append_audio(sound(9600))
        assert session.commit_audio().item_id == "item_1"
        response = session.respond().wait()
        with pytest.raises(ServerError, match="buffer too small") as refused:
            session.commit_audio()
        conversation = replay.finish()
    assert response.transcript == "Hi there!"
    assert (refused.value.code, refused.value.request) == (
        "input_audio_buffer_commit_empty",
        "input_audio_buffer.commit",
    )
    assert list(map(told, conversation.items)) == [
        ("item_1", "user", "completed", ""),
        ("item_2", "assistant", "completed", "Hi there!"),
    ]
    assert conversation.config["audio"]["input"]["turn_detection"] is None
    assert heard_all(replay)


def test_an_answer_that_the_client_cancels() -> None:
    with replayed("cancel") as replay:
        session = replay.session
        session.add_item(said("Tell me a story."))
        response = session.respond()
        response.cancel()
        response.wait()
        with pytest.raises(ServerError, match="no active response") as refused:
            session.cancel()
        conversation = replay.finish()
    assert (response.status, response.transcript, response.audio) == ("cancelled", "Once upon", sound(4800))
    assert refused.value.code == "response_cancel_not_active"
    assert told(conversation.items[1]) == ("item_2", "assistant", "incomplete", "Once upon")
    assert [(known.id, known.status) for known in conversation.responses] == [("resp_1", "cancelled")]
    assert conversation.usage.output_tokens == 9
    assert heard_all(replay)


def test_an_answer_that_the_user_interrupts_is_truncated() -> None:
    with replayed("interruption") as replay:
        session = replay.session
        session.add_item(said("Tell me a story."))
        response = session.respond()
        session.append_audio(sound(4800))
        with pytest.raises(ResponseFailed) as interrupted:
            response.wait()
        assert session.conversation.speaking
        assert told(session.conversation.items[1]) == ("item_2", "assistant", "incomplete", "Once upon")
        session.truncate("item_2", audio_end_ms=820)
        cut = session.item("item_2")
        session.wait_for("response.done")
        conversation = replay.finish()
    assert (interrupted.value.status, interrupted.value.reason) == ("cancelled", "turn_detected")
    assert interrupted.value.text == "Once upon"
    assert cut is not None
    assert (cut.truncated_ms, cut.transcript) == (820, "")
    assert [(item.id, item.role, item.truncated_ms) for item in conversation.items] == [
        ("item_1", "user", None),
        ("item_2", "assistant", 820),
        ("item_3", "user", None),
        ("item_4", "assistant", None),
    ]
    assert conversation.items[3].transcript == "Hi there!"
    assert [(known.id, known.status) for known in conversation.responses] == [
        ("resp_1", "cancelled"),
        ("resp_2", "completed"),
    ]
    assert conversation.usage.responses == 2
    assert not conversation.speaking
    assert heard_all(replay)
