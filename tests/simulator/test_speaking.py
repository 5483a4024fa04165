"""Answers in sound over the wire: events, sizes, formats, cancelling, truncating, voice (protocol 3.5, 4.3, 5.2)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest

from rtsync.audio.formats import audio_format
from rtsync.audio.levels import rms_dbfs
from rtsync.simulator import SimulatorServer, Turn
from tests.simulator.documented import check_ga, check_preview
from tests.simulator.sounds import coded, silence, speech
from tests.simulator.talk import PREVIEW, Event, Talk

AUDIO = "response.output_audio.delta"
TRANSCRIPT = "response.output_audio_transcript.delta"


def sound(events: list[Event], kind: str = AUDIO) -> list[bytes]:
    return [base64.b64decode(event["delta"]) for event in events if event["type"] == kind]


def answer_to(talk: Talk, text: str, **response: Any) -> list[Event]:
    talk.send("conversation.item.create", item={"type": "message", "role": "user", "content": [words(text)]})
    talk.send("response.create", response=response)
    return talk.until("rate_limits.updated")


def words(text: str) -> Event:
    return {"type": "input_text", "text": text}


def without_deltas(events: list[Event]) -> list[str]:
    return [event["type"] for event in events if not event["type"].endswith(".delta")]


def test_an_answer_is_spoken_in_the_documented_chunks_behind_its_transcript(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        events = answer_to(talk, "Hello")
    for event in events:
        check_ga(event)
    chunks = sound(events)
    assert [len(chunk) for chunk in chunks[:-1]] == [4800, 7200, *[12000] * (len(chunks) - 3)]
    assert 0 < len(chunks[-1]) <= 12000
    assert all("obfuscation" not in event for event in events if event["type"] == AUDIO)
    kinds = [event["type"] for event in events]
    assert kinds.index(TRANSCRIPT) < kinds.index(AUDIO)
    assert rms_dbfs(b"".join(chunks)) > -30


def test_the_item_shows_its_transcript_and_keeps_its_sound(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        events = answer_to(talk, "Hello")
        (item,) = events[-2]["response"]["output"]
        talk.send("conversation.item.retrieve", item_id=item["id"])
        (retrieved,) = talk.until("conversation.item.retrieved")
    transcript = "".join(event["delta"] for event in events if event["type"] == TRANSCRIPT)
    assert item["content"] == [{"type": "output_audio", "transcript": transcript}]
    check_ga(retrieved)
    (part,) = retrieved["item"]["content"]
    assert (part["type"], part["transcript"], part["format"]) == ("output_audio", transcript, "pcm16")
    assert base64.b64decode(part["audio"]) == b"".join(sound(events))


def test_the_preview_speaks_under_its_own_names(simulator: SimulatorServer) -> None:
    with Talk(simulator, PREVIEW) as talk:
        talk.until("session.created")
        talk.send("session.update", session={"output_audio_format": "g711_ulaw"})
        talk.until("session.updated")
        events = answer_to(talk, "Hello")
    for event in events:
        check_preview(event)
    chunks = sound(events, "response.audio.delta")
    assert [len(chunk) for chunk in chunks[:3]] == [800, 1200, 2000]
    assert without_deltas(events)[-6:] == [
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert events[-2]["response"]["output"][0]["content"][0]["type"] == "audio"
    assert not any("obfuscation" in event for event in events)


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_every_output_format_lasts_as_long(simulator: SimulatorServer, kind: str) -> None:
    form = {"type": kind, "rate": 24000} if kind == "audio/pcm" else {"type": kind}
    with Talk(simulator) as talk:
        talk.until("session.created")
        talk.send("session.update", session={"type": "realtime", "audio": {"output": {"format": form}}})
        talk.until("session.updated")
        events = answer_to(talk, "Hello")
    audio = b"".join(sound(events))
    usage = events[-2]["response"]["usage"]["output_token_details"]
    assert usage["audio_tokens"] == round(audio_format(kind).duration_ms(len(audio)) / 50)
    assert rms_dbfs(audio_format(kind).to_pcm(audio)) > -30


def test_usage_adds_up_and_the_next_turn_counts_the_sound(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        first = answer_to(talk, "Hello")[-2]["response"]["usage"]
        second = answer_to(talk, "Again")[-2]["response"]["usage"]
    for usage in (first, second):
        inputs, outputs = usage["input_token_details"], usage["output_token_details"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["output_tokens"] == outputs["text_tokens"] + outputs["audio_tokens"]
        assert usage["input_tokens"] == sum(inputs[f"{kind}_tokens"] for kind in ("text", "audio", "image"))
        assert inputs["cached_tokens"] == sum(inputs["cached_tokens_details"].values())
    assert second["input_token_details"]["audio_tokens"] == first["output_token_details"]["audio_tokens"]
    assert second["input_token_details"]["cached_tokens"] == first["input_tokens"]


def test_a_token_cap_counts_the_sound_as_well(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        response = answer_to(talk, "Hello", max_output_tokens=40)[-2]["response"]
    assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert 20 < response["usage"]["output_tokens"] <= 40


class Endless:
    """A brain that speaks until it is cancelled."""

    def __call__(self, turn: Turn) -> Iterable[str]:
        while not turn.cancelled():
            yield "once upon a time "


@pytest.fixture
def talker() -> Iterable[SimulatorServer]:
    with SimulatorServer(brain=Endless()) as server:
        yield server


def cut_off(talk: Talk) -> tuple[Event, list[Event]]:
    """A response that is cancelled after its first sound, and all its events."""
    talk.send("response.create")
    events = talk.until(AUDIO)
    talk.send("response.cancel")
    events += talk.until("rate_limits.updated")
    return events[-2]["response"], events


def test_a_cancelled_answer_keeps_the_sound_that_was_sent(talker: SimulatorServer) -> None:
    with Talk(talker) as talk:
        talk.until("session.created")
        response, events = cut_off(talk)
        talk.send("conversation.item.retrieve", item_id=response["output"][0]["id"])
        (part,) = talk.receive()["item"]["content"]
    assert without_deltas(events)[4:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    audio = b"".join(sound(events))
    assert base64.b64decode(part["audio"]) == audio
    assert response["usage"]["output_token_details"]["audio_tokens"] == round(len(audio) / 48 / 50)


def test_truncating_takes_the_sound_behind_the_cut_and_the_transcript(talker: SimulatorServer) -> None:
    with Talk(talker) as talk:
        talk.until("session.created")
        response, events = cut_off(talk)
        length_ms = len(b"".join(sound(events))) // 48
        place = {"item_id": response["output"][0]["id"], "content_index": 0}
        talk.send("conversation.item.truncate", **place, audio_end_ms=length_ms + 1)
        refused = talk.receive()["error"]
        talk.send("conversation.item.truncate", **place, audio_end_ms=82)
        truncated = talk.receive()
        talk.send("conversation.item.truncate", **place, audio_end_ms=83)
        again = talk.receive()["error"]
        talk.send("conversation.item.retrieve", item_id=place["item_id"])
        (part,) = talk.receive()["item"]["content"]
    check_ga(truncated)
    assert refused["message"] == f"Audio content of {length_ms}ms is already shorter than {length_ms + 1}ms"
    assert again["message"] == "Audio content of 82ms is already shorter than 83ms"
    assert (refused["code"], refused["param"]) == ("invalid_value", "audio_end_ms")
    assert (len(base64.b64decode(part["audio"])), part["transcript"]) == (82 * 48, None)


def test_speaking_into_the_answer_ends_it_and_the_turn_is_answered(talker: SimulatorServer) -> None:
    with Talk(talker) as talk:
        talk.until("session.created")
        talk.send("response.create")
        talk.until(AUDIO)
        talk.send("input_audio_buffer.append", audio=coded(speech() + silence(400)))
        events = talk.until("input_audio_buffer.speech_started") + talk.until("response.done")
        turn = talk.until("response.created")
        answer = talk.until(AUDIO)
    for event in [*events, *turn, *answer]:
        check_ga(event)
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert [event["type"] for event in turn] == [
        "rate_limits.updated",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert turn[2]["previous_item_id"] == events[-1]["response"]["output"][0]["id"]


@pytest.mark.parametrize(
    ("target", "voice", "same", "rest", "param"),
    [
        ("/v1/realtime?model=gpt-realtime", {"audio": {"output": {"voice": "sage"}}},
         {"audio": {"output": {"voice": "alloy"}}}, {"instructions": "Be kind."}, "session.audio.output.voice"),
        (PREVIEW, {"voice": "sage"}, {"voice": "alloy"}, {"instructions": "Be kind."}, "session.voice"),
    ],
)  # fmt: skip
def test_the_voice_is_locked_by_the_first_sound(
    simulator: SimulatorServer, target: str, voice: Event, same: Event, rest: Event, param: str
) -> None:
    kind = {"type": "realtime"} if target.startswith("/v1") else {}
    with Talk(simulator, target) as talk:
        talk.until("session.created")
        answer_to(talk, "Hello")
        talk.send("session.update", session=kind | voice | rest)
        error = talk.receive()["error"]
        talk.send("session.update", session=kind | same)
        session = talk.receive()["session"]
    assert (error["code"], error["param"]) == ("cannot_update_voice", param)
    assert error["message"] == "Cannot update a conversation's voice if assistant audio is present."
    assert session["instructions"] != "Be kind."  # all or nothing


def test_before_the_first_sound_the_voice_is_free_and_later_only_out_of_band(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        answer_to(talk, "Hello")
        talk.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "sage"}}})
        assert talk.receive()["session"]["audio"]["output"]["voice"] == "sage"
        answer_to(talk, "Hello", output_modalities=["audio"])
        talk.send("response.create", response={"audio": {"output": {"voice": "echo"}}})
        assert talk.receive()["error"]["param"] == "response.audio.output.voice"
        talk.send("response.create", response={"conversation": "none", "audio": {"output": {"voice": "echo"}}})
        assert talk.until("response.done")[-1]["response"]["status"] == "completed"


def test_sound_is_made_faster_than_it_plays() -> None:
    """Paced like the service: each token of text, 25 ms of time, brings more sound than that."""
    with SimulatorServer() as server, Talk(server) as talk:
        talk.until("session.created")
        events = answer_to(talk, "Hello")
    tokens = sum(event["type"] == TRANSCRIPT for event in events)
    assert len(b"".join(sound(events))) / 48 > 4 * tokens * 25
