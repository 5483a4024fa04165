"""What type checkers see of the public face. mypy reads this file in CI; running it proves that it also works."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, assert_type

import rtsync
from rtsync import (
    Azure,
    Event,
    OpenAI,
    QueueDispatcher,
    RealtimeSession,
    Response,
    Responses,
    Simulator,
    State,
    Subscription,
    Target,
)
from rtsync.audio import PCM16, ULAW, AudioFormat, AudioReader, Resampler, audio_format, chunks, read_audio, write_wav
from rtsync.gui import Dispatcher
from rtsync.vocabulary.server_events import ErrorEvent, ResponseDone, SessionUpdated


def on_event(session: RealtimeSession, event: Event) -> None:
    assert_type(event.type, str)


def test_a_session_is_typed_from_its_opening_to_its_end() -> None:
    with RealtimeSession(Simulator(pace=False)) as session:
        assert_type(session, RealtimeSession)
        assert_type(session.state, State)
        assert_type(session.send({"type": "response.create"}), str)
        assert_type(session.wait_for("response.done"), ResponseDone)
        with session.expect("session.updated") as expected:
            assert_type(session.update(instructions="Be brief."), Event)
        assert_type(expected.event, SessionUpdated)
        with session.events("response.done", "error") as events:
            assert isinstance(events, Subscription)
        with session.responses(timeout=1) as responses:
            assert_type(responses, Responses)
            assert_type(session.send_audio(PCM16.silence(100), sample_rate=24_000, pace=False), int)
            session.send({"type": "response.create"})
            assert_type(next(responses), Response)


def test_handlers_keep_their_own_type() -> None:
    session = RealtimeSession(Simulator(), handlers=QueueDispatcher())

    @session.on("response.done")
    def decorated(session: RealtimeSession, event: ResponseDone) -> int:
        return 1

    assert_type(session.on("error", on_event)(session, ErrorEvent({"type": "error"})), None)
    assert decorated(session, ResponseDone({})) == 1
    session.off("response.done", decorated)


def test_a_response_is_typed() -> None:
    with RealtimeSession(Simulator(pace=False)) as session:
        response = session.ask("Hello")
        assert_type(response, Response)
        assert_type(response.text, str)
        assert_type(response.text_deltas(), Iterator[str])
        assert_type(response.save(io.BytesIO()), int)
        assert_type(response.audio_format, AudioFormat)
        assert_type(response.audio_chunks(), Iterator[bytes])
        assert_type(response.usage, dict[str, Any] | None)
        assert_type(response.wait(1), Response)


def test_sound_is_typed() -> None:
    with read_audio(PCM16.silence(20)[:-1] + b"\1", source_format="pcm16") as reader:
        assert_type(reader, AudioReader)
        assert_type(reader.duration_ms, int | None)
        assert_type(next(reader), bytes)
    assert_type(rtsync.audio.resample(b"", 8_000, 24_000), bytes)
    assert_type(Resampler(8_000, 24_000).flush(), bytes)
    assert_type(write_wav(io.BytesIO(), [b""], ULAW), int)
    assert_type(audio_format("pcm16"), AudioFormat)
    assert_type(list(chunks(b"")), list[bytes])


def test_targets_share_one_type() -> None:
    targets: list[Target] = [OpenAI(api_key="k"), Azure("https://r.example", "d", api_key="k"), Simulator()]
    assert_type(targets[0].url, str)
    assert [target.dialect for target in targets] == ["ga", "ga", "ga"]


def test_the_face_names_what_it_exports() -> None:
    assert sorted(rtsync.__all__, key=str.casefold) == sorted(set(rtsync.__all__), key=str.casefold)
    assert all(hasattr(rtsync, name) for name in rtsync.__all__)
    assert all(hasattr(rtsync.audio, name) for name in rtsync.audio.__all__)


def test_a_call_into_a_main_loop_returns_what_it_calls_returns() -> None:
    dispatcher = Dispatcher()  # In its own thread it is a plain call.
    assert_type(dispatcher.call(len, "text"), int)
    assert_type(dispatcher.call(int, "ff", base=16, timeout=None), int)
