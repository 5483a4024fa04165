"""Desks for tests by plain calls."""

from __future__ import annotations

from typing import Any

from rtsync.simulator.desk import Answer, Desk
from rtsync.simulator.dialect import Dialect
from rtsync.simulator.session_config import SessionConfig
from tests.simulator.sounds import coded

Event = dict[str, Any]


def desk_with(kind: str = "realtime", dialect: Dialect = Dialect.GA, **audio_input: Any) -> Desk:
    """A desk of the default settings, but for these of ``audio.input``."""
    desk = Desk(SessionConfig(dialect, kind, model="gpt-realtime"), now=lambda: 0.0, obfuscation=False)
    if audio_input:
        (updated,) = told(desk, "session.update", session={"type": kind, "audio": {"input": audio_input}}).events
        assert updated["type"] == "session.updated", updated
    return desk


def told(desk: Desk, kind: str, **fields: Any) -> Answer:
    return desk.answer({"type": kind, **fields})


def heard(desk: Desk, audio: bytes, chunk: int = 4800) -> Answer:
    """All that an audio stream, cut into chunks of so many bytes, causes."""
    answer = Answer()
    for at in range(0, len(audio), chunk):
        answer.add(told(desk, "input_audio_buffer.append", audio=coded(audio[at : at + chunk])))
    return answer


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def only(events: list[Event], kind: str) -> Event:
    (found,) = [event for event in events if event["type"] == kind]
    return found
