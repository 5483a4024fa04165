"""One program gives one transcript, whichever dialect the endpoint speaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import Event, RealtimeSession, ServerError, Simulator, Snapshot
from rtsync.vocabulary.targets import Dialect
from tests.loopback import LIMIT

Told = dict[str, Any]
FREE = {"rate_limits.updated"}  # Its position is free (protocol 3.4).
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def text(session: RealtimeSession) -> Told:
    session.update(output_modalities=["text"], instructions="Be brief.")
    streamed: list[str] = []
    session.on("response.output_text.delta", lambda session, event: streamed.append(event.delta))
    answers = [session.ask(words, timeout=LIMIT).text for words in ("Say a couple paragraphs!", "And one sentence.")]
    return {"answers": answers, "streamed": "".join(streamed)}


def speech(session: RealtimeSession) -> Told:
    session.update(audio={"input": {"turn_detection": None}, "output": {"voice": "ash"}})
    answer = session.ask("Good morning", timeout=LIMIT)
    return {"transcript": answer.transcript, "text": answer.text, "audio": len(answer.audio) > 48_000}


def tool_call(session: RealtimeSession) -> Told:
    session.update(output_modalities=["text"], tools=[WEATHER])
    asked = session.ask("Please use get_weather for Tokyo", timeout=LIMIT)
    (call,) = asked.function_calls
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"celsius": 21}'}
    session.add_item(output)
    arguments = json.loads(call["arguments"])
    return {"name": call["name"], "arguments": arguments, "answer": session.respond().wait(LIMIT).text}


def beside(session: RealtimeSession) -> Told:
    session.update(output_modalities=["text"])
    session.ask("Good morning", timeout=LIMIT)
    words = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Only this"}]}
    titles = []
    for number in range(2):  # One after the other, so that their events come in one order.
        title = session.respond(conversation="none", input=[words], metadata={"n": str(number)}).wait(LIMIT)
        titles.append((title.text, title.metadata["n"]))
    return {"titles": titles}


def mistakes(session: RealtimeSession) -> Told:
    told: Told = {}
    requests: dict[str, Callable[[], object]] = {
        "cancel": session.cancel,
        "commit": session.commit_audio,
        "delete": lambda: session.delete_item("item_nowhere"),
        "update": lambda: session.update(output_modalities=["smell"]),
        "respond": lambda: session.respond(conversation="elsewhere"),
    }
    for name, request in requests.items():
        with pytest.raises(ServerError) as refused:
            request()
        told[name] = (refused.value.type, refused.value.code, refused.value.request)
    session.update(output_modalities=["text"])
    return {**told, "after": session.ask("Still there?", timeout=LIMIT).text}


def of_turns(conversation: Snapshot) -> list[Told]:
    """The transcript: who said what."""
    return [
        {"type": item.type, "role": item.role, "status": item.status, "said": item.text or item.transcript}
        for item in conversation.items
    ]


def settings(conversation: Snapshot) -> Told:
    """What both dialects can say of a session."""
    config = conversation.config
    shared = {name: config[name] for name in ("type", "output_modalities", "instructions", "tools", "tool_choice")}
    return {**shared, "voice": config["audio"]["output"]["voice"], "format": config["audio"]["input"]["format"]}


def run(target: Simulator, program: Callable[[RealtimeSession], Told]) -> tuple[Told, list[str], set[str]]:
    """What a program found, what the session knew then, and the signals on the way; and the names on the wire."""
    seen: list[Event] = []
    session = RealtimeSession(target)
    session.on("*", lambda session, event: seen.append(event))
    with session:
        told = program(session)
        session.update()  # Behind it everything has arrived, and all handlers have run.
        conversation = session.conversation
    found = {**told, "turns": of_turns(conversation), "settings": settings(conversation)}
    found["responses"] = [each.status for each in conversation.responses]
    found["tokens"] = (conversation.usage.responses, conversation.usage.output_text_tokens)
    kinds = [event.type for event in seen if event.type not in FREE]
    signals = [kind for before, kind in zip([None, *kinds], kinds, strict=False) if kind != before]
    return found, signals, {event.wire_type for event in seen}


@pytest.mark.parametrize("program", [text, speech, tool_call, beside, mistakes], ids=lambda program: program.__name__)
def test_a_program_finds_the_same_on_both_dialects(program: Callable[[RealtimeSession], Told]) -> None:
    ga, ga_signals, ga_names = run(Simulator(pace=False), program)
    preview, preview_signals, preview_names = run(Simulator(pace=False, dialect="preview"), program)
    assert preview == ga
    assert preview_signals == ga_signals
    assert "conversation.item.created" in preview_names - ga_names
    assert "conversation.item.done" in ga_names - preview_names


def test_what_the_programs_find_is_what_was_said() -> None:
    """So that the same is not the same nothing."""
    found, signals, _ = run(Simulator(pace=False, dialect="preview"), text)
    assert found["streamed"] == "".join(found["answers"])
    assert [turn["role"] for turn in found["turns"]] == ["user", "assistant"] * 2
    assert [turn["said"] for turn in found["turns"]][1::2] == found["answers"]
    assert "scripted brain of the rtsync simulator" in found["answers"][0]
    assert signals.count("response.output_text.done") == 2
    assert found["settings"]["instructions"] == "Be brief."


@pytest.mark.parametrize("dialect", ["ga", "preview"])
def test_a_transcription_session_is_the_same_on_both(dialect: Dialect) -> None:
    audio = {"input": {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}}
    target = Simulator(pace=False, dialect=dialect).for_transcription()
    with RealtimeSession(target, config={"audio": audio}) as session:
        assert session.conversation.config["type"] == "transcription"
        session.append_audio(bytes(48_000))
        committed = session.commit_audio()
        heard = session.wait_for("conversation.item.input_audio_transcription.completed")
        assert heard.item_id == committed.item_id
        item = session.item(committed.item_id)
        assert item is not None
        assert item.transcript == heard.transcript != ""
