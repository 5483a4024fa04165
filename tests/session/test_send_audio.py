"""`send_audio`: what goes out, when, and how it ends."""

from __future__ import annotations

import base64
import io
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rtsync import (
    ConfigurationError,
    ConnectionLost,
    Event,
    RealtimeSession,
    SessionClosed,
    Simulator,
    UsageError,
)
from rtsync.audio import ALAW, PCM16, ULAW, AudioFormat, chunks, read_audio, write_wav
from tests.loopback import LIMIT, Peer, PeerClosed, ScriptedServer, realtime_greeting
from tests.session.service import Json, Service, conversing, session_to, spawn, target_of
from tests.session.sounds import Listener, counting, detection, input_audio
from tests.session.successive import Succession, resuming

HOUR_MS = 3_600_000
FLAT_BYTES = 8 << 20


class Talk:
    """A session with a service that listens."""

    def __init__(self, session: RealtimeSession, listener: Listener) -> None:
        self.session = session
        self._listener = listener

    def heard(self) -> bytes:
        """Everything that was sent so far."""
        self.session.commit_audio()
        return self._listener.heard

    def chunk_lengths(self) -> list[int]:
        self.session.commit_audio()
        return [len(chunk) for chunk in self._listener.chunks]


@contextmanager
def talking(audio: Json | None = None) -> Iterator[Talk]:
    """The session is greeted with `audio`."""
    listener = Listener()
    services = Succession(listener, audio=audio or input_audio())
    with ScriptedServer(services.play) as server, session_to(server) as session:
        yield Talk(session, listener)


# -- what goes out ----------------------------------------------------------------------------------------------------


def _as_path(sound: bytes, folder: Path) -> Any:
    write_wav(folder / "sound.wav", sound)
    return folder / "sound.wav"


class Device:
    """Chunks that say their format, by a `read` that is no file's."""

    form = PCM16

    def __init__(self, sound: bytes) -> None:
        self._chunks = chunks(sound)

    def read(self, *, timeout: float = 1.0) -> bytes | None:
        return next(self._chunks, None)

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


SOURCES: dict[str, Callable[[bytes, Path], Any]] = {
    "path": _as_path,
    "str": lambda sound, folder: str(_as_path(sound, folder)),
    "bytes": lambda sound, folder: _as_path(sound, folder).read_bytes(),
    "file": lambda sound, folder: io.BytesIO(_as_path(sound, folder).read_bytes()),
    "iterator": lambda sound, folder: iter([sound[:1_001], sound[1_001:]]),
    "device": lambda sound, folder: Device(sound),
    "reader": lambda sound, folder: read_audio(sound, sample_rate=24_000),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_any_source_arrives_whole_and_in_chunks_for_voice_detection(kind: str, tmp_path: Path) -> None:
    sound = counting(1_010)
    raw: Any = {"sample_rate": 24_000} if kind == "iterator" else {}
    with talking() as talk:
        assert talk.session.send_audio(SOURCES[kind](sound, tmp_path), pace=False, **raw) == 1_010
        assert talk.heard() == sound
        assert talk.chunk_lengths() == [PCM16.byte_count(40)] * 25 + [PCM16.byte_count(10)]


@pytest.mark.parametrize("form", [PCM16, ULAW, ALAW])
def test_the_session_says_what_format_it_hears(form: AudioFormat) -> None:
    with talking(input_audio({"type": form.type})) as talk:
        assert talk.session.send_audio(counting(400), sample_rate=24_000, pace=False) == 400
        assert len(talk.heard()) == form.byte_count(400)


def test_a_format_that_is_given_wins() -> None:
    sound = counting(400, ULAW)
    with talking() as talk:
        assert talk.session.send_audio(sound, source_format=ULAW, form="g711_ulaw", pace=False) == 400
        assert talk.heard() == sound


def test_a_session_that_says_nothing_of_audio_hears_pcm16() -> None:
    listener = Listener()
    with conversing(listener) as (session, _service):
        session.send_audio(counting(400), sample_rate=24_000, pace=False)
        assert Talk(session, listener).heard() == counting(400)


@pytest.mark.parametrize("dialect", ["ga", "preview"])
def test_both_dialects_hear_g711(dialect: Any) -> None:
    config = {"audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}}
    with RealtimeSession(Simulator(pace=False, dialect=dialect), config=config) as session:
        assert session.send_audio(counting(400), sample_rate=24_000, pace=False) == 400
        item = session.retrieve_item(session.commit_audio().item_id).item
        assert len(item.content[0].audio) * 3 // 4 == pytest.approx(ULAW.byte_count(400), abs=2)


def test_other_rates_are_resampled() -> None:
    with talking() as talk:
        assert talk.session.send_audio(bytes(16_000), sample_rate=8_000, pace=False) == 1_000
        assert len(talk.heard()) == PCM16.byte_count(1_000)


@pytest.mark.parametrize(
    ("turn_detection", "silence_ms"),
    [
        (None, 0),
        (detection(), 700),
        (detection(silence_duration_ms=200), 400),
        ({"type": "server_vad"}, 700),
        ({"type": "semantic_vad", "eagerness": "high"}, 2_200),
        ({"type": "semantic_vad", "eagerness": "auto"}, 4_200),
    ],
)
def test_voice_detection_gets_the_silence_that_it_needs(turn_detection: Json | None, silence_ms: int) -> None:
    with talking(input_audio(turn_detection=turn_detection)) as talk:
        sent_ms = talk.session.send_audio(counting(200), sample_rate=24_000, pace=False)
        assert sent_ms == 200 + silence_ms
        assert talk.heard() == counting(200) + PCM16.silence(silence_ms)


def test_silence_that_is_given_wins_and_is_the_formats_own() -> None:
    with talking(input_audio({"type": "audio/pcmu"}, detection())) as talk:
        assert talk.session.send_audio(counting(80, ULAW), source_format=ULAW, silence_ms=50, pace=False) == 130
        assert talk.heard() == counting(80, ULAW) + ULAW.silence(50)


def test_a_translation_session_is_sent_its_own_events() -> None:
    listener = Listener()
    services = Succession(listener)
    with ScriptedServer(services.play) as server, RealtimeSession(target_of(server).for_translation()) as session:
        session.send_audio(counting(40), sample_rate=24_000, pace=False)
        assert services[1].hear()["type"] == "session.input_audio_buffer.append"


def test_progress_tells_what_is_sent_of_how_much() -> None:
    told: list[tuple[int, int | None]] = []
    with talking() as talk:
        talk.session.send_audio(
            counting(100), sample_rate=24_000, silence_ms=20, pace=False, progress=lambda *now: told.append(now)
        )
        assert told == [(40, 120), (80, 120), (100, 120), (120, 120)]
        told.clear()
        talk.session.send_audio(
            iter([counting(60)]), sample_rate=24_000, pace=False, progress=lambda *now: told.append(now)
        )
        assert told == [(40, None), (60, None)]


# -- when ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pace", "seconds"), [(True, 0.36), (2.0, 0.18), (False, 0.0)])
def test_no_chunk_goes_out_before_it_is_due(pace: bool | float, seconds: float) -> None:
    began = time.monotonic()
    with talking() as talk:
        talk.session.send_audio(counting(400), sample_rate=24_000, pace=pace)
    assert seconds <= time.monotonic() - began < seconds + LIMIT


@pytest.mark.unmeasured
def test_an_hour_goes_through_in_the_memory_of_a_moment_and_arrives_to_the_sample() -> None:
    block = counting(1_000, ULAW)
    counted = {"bytes": 0, "wrong": 0}

    def script(peer: Peer) -> None:
        realtime_greeting(peer, audio=input_audio({"type": "audio/pcmu"}, detection()))
        expected = _encoded(block)
        try:
            while True:
                said = peer.recv_json().get("audio", "")
                counted["bytes"] += len(said) * 3 // 4 - said.count("=")
                counted["wrong"] += said != expected
        except PeerClosed:
            return

    told = []
    with ScriptedServer(script) as server, session_to(server) as session:
        tracemalloc.start()
        try:
            sent_ms = session.send_audio(
                (block for _ in range(HOUR_MS // 1_000)),
                source_format=ULAW,
                chunk_ms=1_000,
                silence_ms=0,
                pace=False,
                progress=lambda sent, _total: told.append(sent),
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sent_ms == HOUR_MS
    assert told == list(range(1_000, HOUR_MS + 1, 1_000))
    assert counted == {"bytes": ULAW.byte_count(HOUR_MS), "wrong": 0}
    assert peak < FLAT_BYTES


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- how it ends ------------------------------------------------------------------------------------------------------


def a_minute(session: RealtimeSession, **options: Any) -> int:
    return session.send_audio(counting(60_000), sample_rate=24_000, **options)


def test_another_thread_stops_it() -> None:
    begun = threading.Event()
    with talking(input_audio(turn_detection=detection())) as talk:
        sending = spawn(lambda: a_minute(talk.session, progress=lambda *_: begun.set()))
        assert begun.wait(LIMIT)
        talk.session.stop_audio()
        sent_ms = sending.result()
        assert sent_ms < 60_000
        assert talk.heard() == counting(60_000)[: PCM16.byte_count(sent_ms)]  # and no silence


def test_it_wakes_from_a_long_pause_to_be_stopped() -> None:
    begun = threading.Event()
    with talking() as talk:
        sending = spawn(lambda: a_minute(talk.session, chunk_ms=60_000 - 1, progress=lambda *_: begun.set()))
        assert begun.wait(LIMIT)
        talk.session.stop_audio()
        assert sending.result() == 60_000 - 1


def test_progress_and_handlers_stop_it() -> None:
    with talking() as talk:
        session = talk.session
        stop_at = {"ms": 80}

        def progress(sent_ms: int, _total: int | None) -> None:
            if sent_ms >= stop_at["ms"]:
                session.stop_audio()

        assert a_minute(session, pace=False, progress=progress) == 80
    with conversing(lambda service, event: service.say({"type": "input_audio_buffer.speech_started"})) as (other, _):
        other.on("input_audio_buffer.speech_started", lambda session, event: session.stop_audio())
        assert a_minute(other) < 60_000


def test_stopping_nothing_is_no_stop_of_the_next() -> None:
    with talking() as talk:
        talk.session.stop_audio()
        assert talk.session.send_audio(counting(80), sample_rate=24_000) == 80


def test_one_source_at_a_time() -> None:
    begun = threading.Event()
    with talking() as talk:
        sending = spawn(lambda: a_minute(talk.session, progress=lambda *_: begun.set()))
        assert begun.wait(LIMIT)
        with pytest.raises(UsageError, match="already at work"):
            talk.session.send_audio(counting(40), sample_rate=24_000)
        talk.session.stop_audio()
        sending.result()
        assert talk.session.send_audio(counting(40), sample_rate=24_000) == 40


def test_what_progress_raises_ends_it() -> None:
    def progress(_sent: int, _total: int | None) -> None:
        raise LookupError("mine")

    with talking() as talk:
        with pytest.raises(LookupError, match="mine"):
            talk.session.send_audio(counting(80), sample_rate=24_000, progress=progress)
        assert talk.session.send_audio(counting(80), sample_rate=24_000) == 80


def test_ctrl_c_in_the_middle_of_a_pause_leaves_a_session_that_goes_on() -> None:
    def interrupt(*_: Any) -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    with talking() as talk:
        with pytest.raises(KeyboardInterrupt):
            a_minute(talk.session, chunk_ms=30_000, progress=interrupt)
        assert talk.session.send_audio(counting(80), sample_rate=24_000) == 80
        assert talk.heard() == counting(30_000) + counting(80)


def test_closing_the_session_ends_it() -> None:
    begun = threading.Event()
    with talking() as talk:
        sending = spawn(lambda: a_minute(talk.session, progress=lambda *_: begun.set()))
        assert begun.wait(LIMIT)
        talk.session.close()
        with pytest.raises(SessionClosed, match="close"):
            sending.result()


def test_a_source_that_fails_lets_the_next_one_speak() -> None:
    def source() -> Iterator[bytes]:
        yield counting(80)
        raise OSError("the pipe broke")

    with talking() as talk:
        with pytest.raises(OSError, match="the pipe broke"):
            talk.session.send_audio(source(), sample_rate=24_000)
        assert talk.session.send_audio(counting(80), sample_rate=24_000) == 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "sample_rate"),
        ({"sample_rate": 24_000, "pace": 0}, "pace"),
        ({"sample_rate": 24_000, "pace": "slow"}, "pace"),
        ({"sample_rate": 24_000, "silence_ms": -1}, "silence_ms"),
        ({"sample_rate": 24_000, "chunk_ms": 0}, "chunk_ms"),
        ({"sample_rate": 24_000, "form": "mp3"}, "no audio format"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(options: Json, said: str) -> None:
    with talking() as talk:
        with pytest.raises(ConfigurationError, match=said):
            talk.session.send_audio(counting(80), **options)
        assert talk.heard() == b""


def test_a_session_that_is_not_open_says_so() -> None:
    with pytest.raises(UsageError, match="not open"):
        RealtimeSession(Simulator()).send_audio(bytes(4_800), sample_rate=24_000)


def test_the_reader_thread_is_not_kept_from_reading() -> None:
    raised: list[BaseException] = []

    def handler(session: RealtimeSession, event: Event) -> None:
        try:
            session.send_audio(counting(80), sample_rate=24_000)
        except UsageError as error:
            raised.append(error)

    with conversing(lambda service, event: service.say({"type": "echo"}), handlers="inline") as (session, _service):
        session.on("echo", handler)
        with session.expect("echo"):
            session.send({"type": "input_audio_buffer.clear"})
    assert len(raised) == 1


# -- when the line breaks -------------------------------------------------------------------------------------------


class Breaking(Listener):
    """Breaks the line at its n-th append."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __call__(self, service: Service, event: Json) -> None:
        super().__call__(service, event)
        if len(self.chunks) == self._number:
            service.peer.reset()


def _appends(second: Listener, talk: RealtimeSession) -> bytes:
    talk.commit_audio()
    return second.heard


def test_a_turn_that_a_lost_line_has_cut_is_not_half_sent() -> None:
    first, second = Breaking(5), Listener()
    with resuming(first, second, greeting={"audio": input_audio()}) as (session, services):
        with pytest.raises(ConnectionLost):
            session.send_audio(counting(4_000), sample_rate=24_000, pace=4.0)
        assert services[2]
        session.send({"type": "input_audio_buffer.clear"})
        assert session.state == "open"
        # What may have gone to the new line is the one chunk that was being sent.
        before = _appends(second, session)
        assert len(before) <= PCM16.byte_count(40)
        session.send_audio(counting(400), sample_rate=24_000, pace=False)
        assert _appends(second, session) == before + counting(400)


def test_where_nobody_was_speaking_it_goes_on_and_nothing_is_sent_twice() -> None:
    first, second = Breaking(5), Listener()
    with resuming(first, second, greeting={"audio": input_audio(turn_detection=detection())}) as (session, _services):
        assert session.send_audio(counting(4_000), sample_rate=24_000, pace=4.0, silence_ms=0) == 4_000
        whole, rest = counting(4_000), _appends(second, session)
        assert whole.startswith(first.heard)
        assert rest
        assert whole.find(rest) >= len(first.heard)


def test_without_reconnecting_the_end_of_the_line_is_the_end_of_it() -> None:
    with conversing(Breaking(3)) as (session, _service):
        with pytest.raises(SessionClosed):
            a_minute(session)
        assert session.state == "closed"
