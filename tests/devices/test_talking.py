"""`session.talk()`: what is heard and played, how turns are taken, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import (
    ConfigurationError,
    ConnectionLost,
    DeviceFailed,
    OpenAI,
    RealtimeSession,
    Simulator,
    UsageError,
    reconnected,
)
from rtsync.audio import PCM16
from rtsync.devices import Microphone, VirtualDevice
from rtsync.edges.latch import Latch
from rtsync.session.talking import Talk
from rtsync.simulator import SimulatorServer
from tests.devices.test_attached import ITEM, STARTED, agreeing, detecting, item, sound, tone
from tests.devices.watched import LIMIT, Lines, WatchedSpeaker
from tests.session.service import Json, Service, Task, conversing, response, spawn
from tests.simulator.sounds import silence, speech

APPEND, CLEAR, COMMIT = "input_audio_buffer.append", "input_audio_buffer.clear", "input_audio_buffer.commit"


def obliging(service: Service, event: Json) -> None:
    """Answer as the service does, what a conversation sends."""
    kind = event["type"]
    if kind == CLEAR:
        service.say({"type": "input_audio_buffer.cleared"})
    elif kind == COMMIT:
        service.say({"type": "input_audio_buffer.committed", "item_id": "item_u", "previous_item_id": None})
    elif kind == "session.update":
        service.say({"type": "session.updated", "session": event["session"]})
    elif kind == "response.create":
        service.say(response("response.created", metadata=event["response"].get("metadata")), item(), sound(tone(500)))
    else:
        agreeing(service, event)


class Watcher:
    """`progress` that says when the conversation has come so far."""

    def __init__(self) -> None:
        self.talk: Talk | None = None
        self.begun = Latch()

    def __call__(self, talk: Talk) -> None:
        self.talk = talk
        self.begun.set()


class Room(VirtualDevice):
    """Says when something sounds in it."""

    def __init__(self) -> None:
        super().__init__()
        self.sounds = Latch()

    def put(self, pcm: bytes) -> None:
        super().put(pcm)
        if any(pcm):
            self.sounds.set()


@pytest.fixture
def device() -> VirtualDevice:
    return VirtualDevice(stepped=True)


def talking(session: RealtimeSession, *devices: Any, **manner: Any) -> Task:
    """A conversation in a thread of its own, which has begun when this returns."""
    watcher = Watcher()
    stepped = [each for each in devices if isinstance(each, VirtualDevice) and each.stepped]
    task = spawn(lambda: session.talk(*devices, progress=watcher, **manner))
    while not watcher.begun.wait(0.01) and not task.over:
        for each in stepped:
            each.advance(20)
    return task


def hear_all(service: Service, until: str) -> list[str]:
    """The types of client events up to the next of that type, without audio."""
    heard: list[str] = []
    while not heard or heard[-1] != until:
        kind = service.hear()["type"]
        heard += [] if kind == APPEND else [kind]
    return heard


# -- what is heard and played -----------------------------------------------------------------------------------------


def test_what_the_microphone_hears_is_said_and_the_answer_is_played() -> None:
    lines, room = Lines(), Room()
    lines.give("One two three.")
    with RealtimeSession(Simulator(brain=lines, pace=False)) as session:
        task = talking(session, room, room)
        room.hear(speech("Hello you") + PCM16.silence(800))
        assert session.wait_for("response.done", timeout=LIMIT).response.status == "completed"
        assert room.sounds.wait(LIMIT)
        session.stop_talking()
        assert task.result() is None
        assert session.state == "open"


def test_the_devices_that_were_opened_for_it_are_closed(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, _):
        task = talking(session, device, device)
        assert len(device._streams) == 2
        session.stop_talking()
        task.result()
        assert device._streams == []


def test_the_devices_that_were_given_stay_open(device: VirtualDevice) -> None:
    with (
        conversing(obliging) as (session, _),
        WatchedSpeaker(device) as speaker,
        Microphone(device) as microphone,
    ):
        for _ in range(2):
            device.advance(40)
            task = talking(session, microphone, speaker)
            session.stop_talking()
            task.result()
        device.advance(40)
        assert microphone.read(timeout=LIMIT) == bytes(960)
        session.attach(speaker)


def test_a_session_in_another_format_is_spoken_to_in_it(device: VirtualDevice) -> None:
    telephone = {"audio": {way: {"format": {"type": "audio/pcmu"}} for way in ("input", "output")}}
    with conversing(obliging, config=telephone) as (session, service):
        service.hear("session.update")
        task = talking(session, device, device)
        said = service.hear(APPEND)["audio"]
        with (
            Microphone(device) as microphone,
            pytest.raises(ConfigurationError, match=r"gives pcm16, .* for g711_ulaw"),
        ):
            session.talk(microphone, device)
        session.stop_talking()
        task.result()
    assert len(said) == 216  # 20 ms: 160 bytes as base64


def test_a_speaker_that_is_attached_goes_on_as_it_was(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, service), WatchedSpeaker(device) as speaker:
        playback = session.attach(speaker, interrupt=False)
        task = talking(session, device, speaker)
        service.say(response("response.created"), item(), sound(tone(50)), STARTED, sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 100)
        assert speaker.stops == []
        session.stop_talking()
        task.result()
        assert playback.on


def test_the_model_may_say_the_first_word(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, service), WatchedSpeaker(device) as speaker:
        task = talking(session, device, speaker, opening="Greet the user.")
        assert service.hear("response.create")["response"]["instructions"] == "Greet the user."
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        session.stop_talking()
        task.result()


def test_who_speaks_into_the_answer_stops_it_and_progress_sees_that(device: VirtualDevice) -> None:
    seen = Latch()

    def progress(talk: Talk) -> None:
        if talk.interruption is not None and talk.interruption.cuts:
            seen.set()

    with conversing(obliging) as (session, service), WatchedSpeaker(device) as speaker:
        task = spawn(lambda: session.talk(device, speaker, opening="Greet.", progress=progress))
        service.hear("response.create")
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        device.advance(100)
        service.say(detecting(), STARTED)
        assert hear_all(service, "conversation.item.truncate") == ["conversation.item.truncate"]
        while not seen.wait(0.01):
            device.advance(20)
        session.stop_talking()
        task.result()


# -- push to talk -----------------------------------------------------------------------------------------------------


class Key:
    """Somebody's key; says when it has been asked in the state that it is in."""

    def __init__(self) -> None:
        self.is_down = False
        self._asked = threading.Semaphore(0)

    def __call__(self) -> bool:
        self._asked.release()
        return self.is_down

    def turn(self, device: VirtualDevice, *, is_down: bool) -> None:
        self.is_down = is_down
        self.pass_time(device, 1)

    def pass_time(self, device: VirtualDevice, chunks: int) -> None:
        """So many chunks of 20 ms, each of them taken."""
        while self._asked.acquire(blocking=False):
            pass
        device.advance(20 * chunks)
        for _ in range(chunks):
            assert self._asked.acquire(timeout=LIMIT)


def test_a_key_begins_a_turn_and_ends_it(device: VirtualDevice) -> None:
    key = Key()
    with conversing(obliging, config={"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}) as (
        session,
        service,
    ):
        service.hear("session.update")
        task = spawn(lambda: session.talk(device, device, push_to_talk=key))
        turned_off = service.hear("session.update")["session"]
        assert turned_off["audio"] == {"input": {"turn_detection": None}}
        while not device._streams:
            pass
        key.pass_time(device, 5)
        assert service.heard_nothing_more()
        key.turn(device, is_down=True)
        key.pass_time(device, 9)
        key.turn(device, is_down=False)
        heard = [service.hear()["type"] for _ in range(12)]
        assert heard == [*[APPEND] * 10, COMMIT, "response.create"]
        session.stop_talking()
        task.result()


def test_a_key_interrupts_the_model(device: VirtualDevice) -> None:
    key = Key()
    with conversing(obliging) as (session, service), WatchedSpeaker(device) as speaker:
        task = spawn(lambda: session.talk(device, speaker, push_to_talk=key, opening="Greet."))
        service.hear("response.create")
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        key.pass_time(device, 5)
        key.turn(device, is_down=True)
        assert hear_all(service, "conversation.item.truncate") == ["response.cancel", "conversation.item.truncate"]
        session.stop_talking()
        task.result()


def test_a_key_that_was_only_touched_is_no_turn(device: VirtualDevice) -> None:
    key = Key()
    with conversing(obliging) as (session, service), Microphone(device) as microphone:
        task = spawn(lambda: session.talk(microphone, device, push_to_talk=key))
        key.turn(device, is_down=True)
        key.turn(device, is_down=False)
        assert hear_all(service, CLEAR) == [CLEAR]
        session.stop_talking()
        task.result()


def test_a_turn_of_which_a_lost_line_took_a_part_is_forgotten(device: VirtualDevice) -> None:
    key, back, asked = Key(), Latch(), []
    with (
        SimulatorServer(pace=False) as server,
        RealtimeSession(Simulator().at(server.url), reconnect=True) as session,
        Microphone(device) as microphone,
    ):
        session.on("input_audio_buffer.committed", lambda _, event: asked.append(event.type))
        task = spawn(lambda: session.talk(microphone, device, push_to_talk=key))
        key.turn(device, is_down=True)
        key.pass_time(device, 10)
        with reconnected.connected_to(lambda _, **data: back.set(), sender=session):
            server.strike("reset")
            assert back.wait(LIMIT)
        key.pass_time(device, 10)
        with session.expect("input_audio_buffer.cleared", timeout=LIMIT):
            key.turn(device, is_down=False)
        assert asked == []
        key.turn(device, is_down=True)
        key.pass_time(device, 10)
        with session.expect("input_audio_buffer.committed", timeout=LIMIT):
            key.turn(device, is_down=False)
        session.stop_talking()
        task.result()


def test_a_line_that_is_lost_with_the_question_ends_nothing_where_the_session_comes_back(device: VirtualDevice) -> None:
    key, back = Key(), Latch()
    resets: list[Json] = []

    def resetting_once(service: Service, event: Json) -> None:
        if event["type"] == COMMIT and not resets:
            resets.append(event)
            service.peer.reset()
        else:
            obliging(service, event)

    with conversing(resetting_once, reconnect=True) as (session, service), Microphone(device) as microphone:
        task = spawn(lambda: session.talk(microphone, device, push_to_talk=key))
        with reconnected.connected_to(lambda _, **data: back.set(), sender=session):
            key.turn(device, is_down=True)
            key.pass_time(device, 10)
            key.turn(device, is_down=False)
            assert back.wait(LIMIT)
        key.turn(device, is_down=True)
        key.pass_time(device, 10)
        key.turn(device, is_down=False)
        assert hear_all(service, "response.create") == [COMMIT, COMMIT, "response.create"]
        session.stop_talking()
        task.result()


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_stopping_cuts_off_the_answer_and_forgets_half_a_turn(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, service), WatchedSpeaker(device) as speaker:
        task = spawn(lambda: session.talk(device, speaker, opening="Greet."))
        service.hear("response.create")
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        device.advance(100)
        service.hear(APPEND)
        session.stop_talking()
        task.result()
        assert hear_all(service, CLEAR) == ["response.cancel", "conversation.item.truncate", CLEAR]


def test_it_is_stopped_where_no_sound_comes(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, _):
        task = talking(session, device, device)
        session.stop_talking()
        task.result()


def test_it_ends_in_its_time(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, _):
        session.talk(device, device, seconds=0.05)
        session.talk("virtual", "virtual", seconds=0.05)
        assert session.state == "open"


def test_closing_the_session_ends_it_well(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, _):
        task = talking(session, device, device)
        session.close()
        task.result()


def test_a_microphone_that_is_closed_ends_it_well(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, _), Microphone(device) as microphone:
        task = spawn(session.talk, microphone, device)
        microphone.close()
        task.result()


@pytest.mark.parametrize("push_to_talk", [None, lambda: False], ids=["speaking", "silent"])
def test_a_line_that_is_lost_ends_it_with_the_reason(
    device: VirtualDevice, push_to_talk: Callable[[], bool] | None
) -> None:
    with conversing(obliging) as (session, service):
        task = talking(session, device, device, push_to_talk=push_to_talk)
        service.peer.reset()
        while not task.over:
            device.advance(20)
        with pytest.raises(ConnectionLost):
            task.result()


def test_with_reconnect_a_lost_line_ends_nothing(device: VirtualDevice) -> None:
    lines, back = Lines(), Latch()
    lines.give("One two three.")
    with (
        SimulatorServer(brain=lines, pace=False) as server,
        RealtimeSession(Simulator().at(server.url), reconnect=True) as session,
    ):
        task = talking(session, device, device)
        with reconnected.connected_to(lambda _, **data: back.set(), sender=session):
            server.strike("reset")
            while not back.wait(0.01):
                device.advance(20)
        device.hear(speech("Hello you") + silence(800))
        device.advance(1_600)
        assert session.wait_for("response.done", timeout=LIMIT).response.status == "completed"
        session.stop_talking()
        task.result()


@pytest.mark.parametrize("which", ["microphone", "speaker"])
def test_a_device_that_is_pulled_out_ends_it_with_the_reason(which: str) -> None:
    heard, played = VirtualDevice(stepped=True), VirtualDevice(stepped=True)
    with conversing(obliging) as (session, service):
        task = talking(session, heard, played)
        (heard if which == "microphone" else played).unplug()
        service.say(response("response.created"), item(), sound(tone(50)))
        while not task.over:
            heard.advance(20)
        with pytest.raises(DeviceFailed, match=f"the {which} is gone: it was unplugged"):
            task.result()


def test_what_progress_raises_ends_it(device: VirtualDevice) -> None:
    def progress(talk: Talk) -> None:
        raise KeyError(repr(talk))

    with conversing(obliging) as (session, _), pytest.raises(KeyError, match="<Talk sending, <Microphone open"):
        session.talk("virtual", device, progress=progress)


# -- what cannot be ---------------------------------------------------------------------------------------------------


def test_nothing_else_speaks_meanwhile(device: VirtualDevice) -> None:
    with conversing(obliging) as (session, _):
        task = talking(session, device, device)
        with pytest.raises(UsageError, match=r"talk\(\) is already at work .* stop_talking\(\)"):
            session.talk(device, device)
        with pytest.raises(UsageError, match=r"talk\(\) is already at work"):
            session.send_audio(bytes(960), sample_rate=24_000)
        session.stop_audio()
        assert not task.over
        session.stop_talking()
        task.result()


def test_where_nobody_answers_it_is_refused() -> None:
    with (
        RealtimeSession(Simulator().for_transcription()) as session,
        pytest.raises(UsageError, match="nobody answers in a transcription"),
    ):
        session.talk("virtual", "virtual")


def test_before_the_session_is_open_it_is_refused() -> None:
    session = RealtimeSession(OpenAI(api_key="k"))
    with pytest.raises(UsageError, match="not open"):
        session.talk("virtual", "virtual")
    session.stop_talking()


@pytest.mark.parametrize("manner", [{"seconds": -1}, {"timeout": "1"}, {"push_to_talk": " "}, {"progress": 1}])
def test_what_makes_no_sense_is_refused(manner: Json) -> None:
    with conversing(obliging) as (session, _), pytest.raises(ConfigurationError, match=next(iter(manner))):
        session.talk("virtual", "virtual", **manner)


def test_a_device_that_is_not_there_is_named() -> None:
    with conversing(obliging) as (session, _), pytest.raises(ConfigurationError):
        session.talk("no such device", "virtual")
