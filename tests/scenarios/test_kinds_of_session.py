"""Sessions of other kinds: transcription, translation, and a preview endpoint (protocol 3.5)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from rtsync import Azure, OpenAI, SessionClosed, Target
from tests.loopback import ScriptedServer
from tests.scenarios.replay import frames_of, replayed, sound
from tests.scenarios.test_conversations import heard_all, told
from tests.session.service import target_of

GA_SIGNALS = [
    "session.created",
    "session.updated",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def for_transcription(server: ScriptedServer) -> OpenAI:
    return target_of(server).for_transcription()


def for_translation(server: ScriptedServer) -> OpenAI:
    return target_of(server).for_translation()


def preview(server: ScriptedServer) -> Azure:
    return Azure(endpoint=server.http_url, deployment="mine", api_key="k", api_version="2024-10-01-preview")


def test_a_transcription_session() -> None:
    pcm = {"type": "audio/pcm", "rate": 24000}
    heard = {"format": pcm, "transcription": {"model": "gpt-4o-mini-transcribe"}}
    with replayed("transcription", for_transcription) as replay:
        session = replay.session
        session.update(audio={"input": {**heard, "turn_detection": {"type": "server_vad"}}})
        session.append_audio(sound(4800))
        session.wait_for("input_audio_buffer.speech_started")
        assert session.commit_audio().item_id == "item_1"
        words = session.wait_for("conversation.item.input_audio_transcription.completed")
        conversation = replay.finish()
    assert words.transcript == "Hello from the gateway."
    deltas = [event.delta for event in replay.seen if event.type.endswith("transcription.delta")]
    assert "".join(deltas) == words.transcript
    assert list(map(told, conversation.items)) == [("item_1", "user", "completed", "Hello from the gateway.")]
    assert (conversation.config["type"], conversation.config["object"]) == (
        "transcription",
        "realtime.transcription_session",
    )
    assert conversation.config["audio"]["input"]["transcription"]["model"] == "gpt-4o-mini-transcribe"
    assert (conversation.responses, conversation.rate_limits, conversation.usage.responses) == ((), [], 0)
    assert not conversation.speaking
    assert heard_all(replay)


def test_a_translation_session() -> None:
    with replayed("translation", for_translation) as replay:
        session = replay.session
        session.update(
            audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "fr"}}
        )
        spoken = session.events()
        session.send({"type": "session.input_audio_buffer.append", "audio": sound(9600)})
        session.wait_for("session.input_transcript.delta")
        session.send({"type": "session.close"})
        events = list(spoken)  # Ends with the connection, which the service closes in order.
        with pytest.raises(SessionClosed) as closed:
            session.send({"type": "session.close"})
    assert [event.type for event in events] == [
        "session.output_audio.delta",
        "session.output_transcript.delta",
        "session.input_transcript.delta",
        "session.output_audio.delta",
        "session.closed",
    ]
    assert [event.delta for event in events if "transcript" in event.type] == ["Bonjour", "Hello"]
    assert closed.value.code == 1000
    config = session.conversation.config
    assert (config["type"], config["audio"]["output"]["language"]) == ("translation", "fr")
    assert heard_all(replay)


def test_a_text_answer_of_a_preview_endpoint(caplog: pytest.LogCaptureFixture) -> None:
    with replayed("preview_text", preview) as replay:
        session = replay.session
        session.update(output_modalities=["text"])
        response = session.ask("Say hi")
        conversation = replay.finish()
    assert (response.text, response.status) == ("Hi!", "completed")
    assert list(map(told, conversation.items)) == [
        ("item_1", "user", "completed", "Say hi"),
        ("item_2", "assistant", "completed", "Hi!"),
    ]
    assert [item.data["content"][0]["type"] for item in conversation.items] == ["input_text", "output_text"]
    assert (conversation.config["output_modalities"], conversation.config["type"]) == (["text"], "realtime")
    assert conversation.config["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert conversation.usage.total_tokens == 82
    assert [limit["name"] for limit in conversation.rate_limits] == ["requests", "tokens"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("aim", [preview, target_of], ids=["preview path", "GA path"])
def test_the_signals_of_the_preview_are_those_of_ga(aim: Callable[[ScriptedServer], Target]) -> None:
    """The names are translated, and what GA says and the preview leaves out is added in its place."""
    frames = [(who, what if who == "server" else {"type": what["type"]}) for who, what in frames_of("preview_text")]
    with replayed("preview_text", aim, frames=frames) as replay:
        session = replay.session
        deltas: list[str] = []
        session.on("response.text.delta", lambda session, event: deltas.append(event.delta))
        session.update(output_modalities=["text"])
        response = session.ask("Say hi")
        conversation = replay.finish()
    assert replay.seen_types == GA_SIGNALS
    assert (response.text, deltas) == ("Hi!", ["Hi!"])
    assert [told(item) for item in conversation.items] == [
        ("item_1", "user", "completed", "Say hi"),
        ("item_2", "assistant", "completed", "Hi!"),
    ]
    wire_types = [event.wire_type for event in replay.seen]
    assert [kind for kind in wire_types if kind][:-1] == replay.sent_types
    assert wire_types.count("") == 2
