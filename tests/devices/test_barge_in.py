"""Somebody speaks into the answer, at a random moment, hundreds of times."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rtsync import Event, RealtimeSession, Simulator
from rtsync.audio import AudioFormat, audio_format
from rtsync.devices import Heard, VirtualDevice
from rtsync.edges.latch import Bell
from tests.devices.watched import LIMIT, Lines, WatchedSpeaker
from tests.simulator.sounds import silence, speech

WORDS = ("water", "table", "morning", "seven", "letter", "open", "garden", "paper")


class Talk:
    """A conversation in which the test plays the user, the model and the clock."""

    def __init__(self, session: RealtimeSession, speaker: WatchedSpeaker, device: VirtualDevice, lines: Lines) -> None:
        self.session, self.speaker, self.device, self.lines = session, speaker, device, lines
        self.form: AudioFormat = speaker.form
        self.received: dict[str, int] = {}
        self.truncated: list[tuple[str, int]] = []
        self.expected: list[tuple[str, int]] = []
        self.done: dict[str, str] = {}
        self.told = Bell()
        self.errors: list[Event] = []
        session.on("response.output_audio.delta", self._receive)
        session.on("conversation.item.truncated", self._cut)
        session.on("response.done", self._end)
        session.on("error", lambda _, event: self.errors.append(event))

    def _receive(self, _: RealtimeSession, event: Event) -> None:
        size = len(event.delta) * 3 // 4 - event.delta.count("=")
        self.received[event.item_id] = self.received.get(event.item_id, 0) + size

    def _cut(self, _: RealtimeSession, event: Event) -> None:
        self.truncated.append((event.item_id, event.audio_end_ms))
        self.told.ring()

    def _end(self, _: RealtimeSession, event: Event) -> None:
        self.done[event.response.id] = event.response.status
        self.told.ring()

    def speak(self) -> None:
        self.session.append_audio(speech("Stop it", self.form))

    def pause(self) -> None:
        self.session.append_audio(silence(600, self.form))

    def answer(self, text: str, *, stays: bool) -> str:
        """The model answers what was said; the item, once all of it that comes has reached the speaker."""
        self.lines.give(text, stays=stays)
        with self.session.expect("response.output_item.added", timeout=LIMIT) as begun:
            self.pause()
        item_id: str = begun.event.item.id
        assert self.lines.said.acquire(timeout=LIMIT)
        if stays:
            self.session.update(instructions="Go on.")  # Answered behind everything that was said.
        else:
            assert self.told.wait_until(lambda: begun.event.response_id in self.done, LIMIT)
        received_ms = self.form.duration_ms(self.received[item_id])
        assert received_ms > 300
        self.speaker.until(lambda: self.speaker.given_ms(item_id) == received_ms)
        return item_id


def last_stop(speaker: WatchedSpeaker, item_id: str) -> Heard:
    return next(part for stop in reversed(speaker.stops) for part in stop if part.item_id == item_id)


def barge_in(talk: Talk, chance: random.Random) -> None:
    """One turn: the model speaks, and somebody speaks into it, or the program calls `interrupt()`."""
    text = " ".join(chance.choices(WORDS, k=chance.randint(3, 12))) + "."
    item_id = talk.answer(text, stays=chance.random() < 0.5)
    given_ms = talk.speaker.given_ms(item_id)
    elapsed = chance.choice((0.0, chance.uniform(0, given_ms), chance.uniform(0, given_ms), given_ms + 100.0))
    talk.device.advance(elapsed)
    if chance.random() < 0.3:
        talk.session.interrupt()
        talk.speak()
    else:
        talk.speak()
    check(talk, item_id, min(elapsed, given_ms))


def check(talk: Talk, item_id: str, heard_ms: float) -> None:
    talk.session.wait_for("input_audio_buffer.speech_started", timeout=LIMIT)
    talk.speaker.until(lambda: any(part.item_id == item_id for stop in talk.speaker.stops for part in stop))
    told = last_stop(talk.speaker, item_id)
    assert abs(told.heard_ms - heard_ms) <= 20
    if not told.finished and told.heard_ms > 0:
        talk.expected.append((item_id, told.heard_ms))
    assert talk.told.wait_until(lambda: len(talk.truncated) == len(talk.expected), LIMIT)
    played = len(talk.device.played)
    talk.device.advance(40)
    assert not any(talk.device.played[played:])


@pytest.mark.parametrize(
    ("seed", "form", "device_rate"),
    [
        (1, "audio/pcm", 24_000),
        (2, "audio/pcm", 24_000),
        (3, "audio/pcm", 48_000),
        (4, "audio/pcmu", 48_000),
        (5, "audio/pcma", 8_000),
    ],
)
@pytest.mark.unmeasured
def test_a_hundred_interruptions_are_told_as_they_were_heard(seed: int, form: str, device_rate: int) -> None:
    chance, lines = random.Random(seed), Lines()
    device = VirtualDevice(sample_rate=device_rate, stepped=True, keep_ms=10_000_000)
    config: dict[str, Any] = {"audio": {way: {"format": {"type": form}} for way in ("input", "output")}}
    if form == "audio/pcm":
        config = {}
    with (
        RealtimeSession(Simulator(brain=lines, pace=False), config=config or None) as session,
        WatchedSpeaker(device, form=audio_format(form)) as speaker,
    ):
        talk = Talk(session, speaker, device, lines)
        session.attach(speaker)
        talk.speak()
        for _ in range(100):
            barge_in(talk, chance)
        talk.answer("This is the end.", stays=False)
        assert list(talk.done.values())[-1] == "completed"
        assert talk.errors == []
        assert talk.truncated == talk.expected
        assert len(talk.truncated) > 40
