"""When what is played begins to sound, and ceases to: as the speaker tells, and as turns know it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rtsync import RealtimeSession, Simulator, Turn
from rtsync.devices import Speaker, VirtualDevice
from rtsync.devices.playhead import Playhead
from rtsync.devices.speaker import Sounding
from rtsync.edges.latch import Latch
from tests.devices.test_attached import ITEM, STARTED, agreeing, item, sound, sound_done, tone
from tests.devices.watched import LIMIT, Lines, WatchedSpeaker
from tests.session.service import conversing, response


@pytest.fixture
def device() -> VirtualDevice:
    return VirtualDevice(stepped=True)


def told(soundings: list[Sounding]) -> list[tuple[str, bool]]:
    return [(sounding.item_id, sounding.ended) for sounding in soundings]


def eventually(true: Callable[[], bool]) -> None:
    """Look again and again: what is noted in a turn wakes nobody."""
    never = Latch()
    looks = (never.wait(0.01) or true() for _ in range(round(LIMIT * 100)))
    assert true() or any(looks)


# -- the speaker ------------------------------------------------------------------------------------------------------


def test_a_speaker_tells_what_begins_to_sound_and_what_ends(device: VirtualDevice) -> None:
    calls: list[None] = []
    with Speaker(device) as speaker:
        watch = speaker.watch(lambda: calls.append(None))
        speaker.play(tone(50), item_id="a")
        speaker.play(tone(50), item_id="b")
        speaker.play(tone(50))
        assert not watch
        device.advance(20)
        assert told(list(watch.take())) == [("a", False)]
        device.advance(60)
        assert told(list(watch.take())) == [("b", False), ("a", True)]
        device.advance(200)
        assert told(list(watch.take())) == [("b", True)]
        assert calls


def test_an_item_that_may_go_on_has_not_ended(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        watch = speaker.watch(lambda: None)
        speaker.play(tone(50), item_id="a")
        device.advance(100)
        assert told(list(watch.take())) == [("a", False)]
        speaker.finish("a")
        device.advance(20)
        assert told(list(watch.take())) == [("a", True)]


def test_what_is_stopped_sounds_no_more_and_what_was_not_heard_never_began(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        watch = speaker.watch(lambda: None)
        speaker.play(tone(50), item_id="a")
        speaker.play(tone(50), item_id="b")
        device.advance(30)
        speaker.stop()
        device.advance(200)
        assert told(list(watch.take())) == [("a", False), ("a", True)]


def test_the_moments_are_those_of_the_clock() -> None:
    ended = Latch()
    with Speaker(VirtualDevice()) as speaker:
        watch = speaker.watch(lambda: ended.set() if len(watch._soundings) > 1 else None)
        speaker.play(tone(200), item_id="a")
        speaker.finish("a")
        assert ended.wait(LIMIT)
        begun, over = watch.take()
    assert over.at - begun.at >= 0.199


def test_what_waits_in_the_device_has_not_begun() -> None:
    playhead: Playhead[str] = Playhead(1_000)
    playhead.hand([("a", 10)], 1.0)
    assert playhead.begun(0.9) == []
    assert playhead.begun(1.0) == [("a", 1.0)]
    assert playhead.end_of("a") == pytest.approx(1.01)
    playhead.hand([("b", 10)], 2.0)
    playhead.stop(1.9)
    assert playhead.begun(3.0) == []


def test_who_watches_no_more_is_not_told(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        one, other = speaker.watch(lambda: None), speaker.watch(lambda: None)
        one.close()
        speaker.play(tone(50), item_id="a")
        device.advance(20)
        assert not one
        assert other


def test_hundreds_of_items_are_told_of_once_each(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        watch = speaker.watch(lambda: None)
        soundings = []
        for number in range(600):
            speaker.play(tone(3), item_id=f"item_{number}")
            if number % 10 == 9:
                device.advance(40)
                soundings += told(list(watch.take()))
    soundings += told(list(watch.take()))
    assert sorted(soundings) == sorted((f"item_{n}", ended) for n in range(600) for ended in (False, True))


# -- a session --------------------------------------------------------------------------------------------------------


def test_a_turn_knows_when_it_was_heard() -> None:
    lines = Lines()
    lines.give("One two three.")
    with RealtimeSession(Simulator(brain=lines, pace=False)) as session, Speaker("virtual") as speaker:
        session.attach(speaker)
        session.ask("Hello", timeout=LIMIT)
        eventually(lambda: session.turns[-1].silent_at is not None)
        turn = session.stats.last_turn
        assert turn is not None
        assert turn.to_played is not None
        moments = [turn.asked_at, turn.first_audio_at, turn.played_at, turn.silent_at]
        assert moments == sorted(moments, key=lambda moment: moment or 0)


def test_the_first_sample_is_noted_though_no_event_follows(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), added(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        assert session.turns[-1].played_at is None
        device.advance(10)
        eventually(lambda: session.turns[-1].played_at is not None)
        assert session.turns[-1].silent_at is None
        service.say(sound_done())

        def is_silent() -> bool:
            device.advance(10)
            return session.turns[-1].silent_at is not None

        eventually(is_silent)


def test_what_was_interrupted_was_silent_from_then_on(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), added(), sound(tone(500)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        device.advance(100)
        with session.expect("conversation.item.truncated", timeout=LIMIT):
            service.say(STARTED)
        eventually(lambda: session.turns[0].silent_at is not None)
        turn: Turn = session.turns[0]
        assert turn.played_at is not None
        assert turn.heard_ms == 100


def test_a_player_that_tells_nothing_plays_as_well() -> None:
    class Leg:
        def __init__(self) -> None:
            self.heard = threading.Event()

        def play(self, sound: bytes, **place: object) -> None:
            self.heard.set()

        def finish(self, item_id: str | None, content_index: int) -> None:
            pass

        def stop(self) -> tuple[()]:
            return ()

    leg = Leg()
    with RealtimeSession(Simulator(pace=False)) as session:
        session.attach(leg)
        session.ask("Hello", timeout=LIMIT)
        assert leg.heard.wait(LIMIT)
        assert session.turns[-1].played_at is None


def added() -> dict[str, object]:
    """The item belongs to the response."""
    return {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item()["item"]}
