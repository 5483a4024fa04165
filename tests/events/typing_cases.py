"""What a type checker must accept and refuse: read by mypy alone, see test_typing.py.

A line that must be refused says so with a `type: ignore`, which strict mypy reports when it is not needed.
"""

from __future__ import annotations

from typing import Any, assert_type

from rtsync import Event, RealtimeSession
from rtsync.session.typed_face import events, expect, on, once, wait_for
from rtsync.vocabulary.client_events import ClientEvent, ResponseCreate, SessionUpdate
from rtsync.vocabulary.server_events import (
    ConversationItemAdded,
    ErrorEvent,
    ResponseCreated,
    ResponseDone,
    ResponseOutputTextDelta,
    SessionUpdated,
    typed,
)
from rtsync.vocabulary.shapes import Array, ContentPart, Item, Usage


def waiting(session: RealtimeSession, name: str) -> None:
    assert_type(wait_for(session, "response.done"), ResponseDone)
    assert_type(wait_for(session, "response.done", timeout=None, settled=False), ResponseDone)
    assert_type(wait_for(session, "response.text.delta"), ResponseOutputTextDelta)
    assert_type(wait_for(session, "transcription_session.updated"), SessionUpdated)
    assert_type(wait_for(session, ["response.done", "error"]), Event)
    assert_type(wait_for(session, lambda event: event.type == "error"), Event)
    assert_type(wait_for(session, name), Event)
    wait_for(session, "error", where=lambda event: event.error.code == "unknown_parameter")
    wait_for(session, 5)  # type: ignore[call-overload]
    wait_for(session, "error", where=about_responses)  # type: ignore[arg-type]


def about_responses(event: ResponseDone) -> bool:
    return event.response.status == "completed"


def expecting(session: RealtimeSession) -> None:
    with expect(session, "conversation.item.added") as added:
        pass
    assert_type(added.event, ConversationItemAdded)
    with expect(session, ("error", "response.done")) as either:
        pass
    assert_type(either.event, Event)


def iterating(session: RealtimeSession) -> None:
    with events(session, "response.done", timeout=5) as found:
        for event in found:
            assert_type(event, ResponseDone)
    with events(session, "response.done", "error") as several:
        assert_type(next(several), Event)
    with events(session) as everything:
        assert_type(next(everything), Event)


def on_done(session: RealtimeSession, event: ResponseDone) -> int:
    return len(event.response.output)


def on_created(session: RealtimeSession, event: ResponseCreated) -> None: ...


def on_any(session: RealtimeSession, event: Event) -> None: ...


def by_keyword(session: RealtimeSession, **data: Any) -> None: ...


def connecting(session: RealtimeSession, name: str) -> None:
    assert_type(on(session, "response.done", on_done)(session, ResponseDone({})), int)
    on(session, "response.output_text.delta", lambda session, event: print(event.delta.upper(), end=""))
    for method in (on, once):
        method(session, "response.done", on_any)
    once(session, "response.done", on_done)
    on(session, "*", on_any)
    on(session, name, on_any)
    on(session, "response.done", by_keyword)
    on(session, "response.done", on_created)  # type: ignore[arg-type]
    once(session, "response.done", on_created)  # type: ignore[arg-type]
    on(session, "response.done", lambda: None)  # type: ignore[arg-type, misc]


def decorating(session: RealtimeSession) -> None:
    @on(session, "response.done")
    def done(session: RealtimeSession, event: ResponseDone) -> int:
        return 1

    @on(session, "error")
    def any_event(session: RealtimeSession, event: Event) -> None: ...

    @on(session, "response.done")  # type: ignore[arg-type]
    def wrong(session: RealtimeSession, event: ErrorEvent) -> None: ...

    assert_type(done(session, ResponseDone({})), int)


def reading(done: ResponseDone, added: ConversationItemAdded, error: ErrorEvent) -> None:
    assert_type(done.response.usage, Usage | None)
    assert_type(done.response.output, Array[Item])
    assert_type(done.response.output[:1], Array[Item])
    assert_type([part for item in done.response.output for part in item.content], list[ContentPart])
    assert_type(added.item.content[0].transcript, str | None)
    assert_type(done.response.output.to_list(), list[Any])
    assert_type(error.error.message, str)
    done.response.usage.total_tokens  # type: ignore[union-attr]  # noqa: B018
    done.response.status == "complete"  # type: ignore[comparison-overlap]  # noqa: B015


def telling_apart(event: Event) -> None:
    if isinstance(event, ResponseDone):
        assert_type(event.response.usage, Usage | None)
    assert_type(typed({}), Event)


def writing() -> list[ClientEvent]:
    create: ResponseCreate = {"type": "response.create", "response": {"conversation": "none", "metadata": {"a": "b"}}}
    update: SessionUpdate = {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["text"],
            "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}},
            "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
        },
    }
    create["response"]["voice"] = "alloy"  # type: ignore[typeddict-unknown-key]
    wrong: ResponseCreate = {"type": "response.create", "respnse": {}}  # type: ignore[typeddict-unknown-key]
    bare: SessionUpdate = {"type": "session.update"}  # type: ignore[typeddict-item]
    return [
        create,
        update,
        wrong,
        bare,
        {"type": "input_audio_buffer.append", "audio": b"\0\0"},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        },
        {"type": "session.update", "session": {"audio": {"output": {"language": "es"}}}},
    ]
