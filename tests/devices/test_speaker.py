"""A speaker on the virtual device."""

from __future__ import annotations

import threading
import time

import pytest

from rtsync import ConfigurationError, DeviceFailed, UsageError, WaitTimeout
from rtsync.audio import ULAW, peak_dbfs
from rtsync.devices import Speaker, VirtualDevice
from tests.devices.watched import LIMIT
from tests.session.service import spawn

ONE_SECOND = b"\1\2" * 24_000


@pytest.fixture
def device() -> VirtualDevice:
    return VirtualDevice(stepped=True)


def test_what_is_played_is_heard_as_time_passes(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        speaker.play(ONE_SECOND, item_id="a")
        speaker.play(ONE_SECOND, item_id="b", content_index=1)
        device.advance(1_234)
        assert (speaker.played_ms("a"), speaker.played_ms("b", 1), speaker.played_ms("c")) == (1_000, 234, 0)
        device.advance(1_000)
        assert [part.heard_ms for part in speaker.heard()] == [1_000, 1_000]
        assert speaker.queued_ms == 0


def test_stopping_throws_away_what_waits_and_says_what_was_heard(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        speaker.play(ONE_SECOND, item_id="a")
        speaker.play(ONE_SECOND, item_id="b")
        speaker.play(ONE_SECOND, item_id="c")
        device.advance(1_500)
        told = [(part.item_id, part.heard_ms, part.given_ms, part.finished) for part in speaker.stop()]
        assert told == [("a", 1_000, 1_000, True), ("b", 500, 1_000, False), ("c", 0, 1_000, False)]
        assert speaker.stop() == ()
        speaker.play(ONE_SECOND, item_id="c")
        device.advance(1_000)
        assert speaker.played_ms("c") == 0
        assert len(bytes(device.played).rstrip(b"\0")) == 2 * 36_000


def test_sound_of_no_item_is_played_again_after_a_stop(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        speaker.play(ONE_SECOND)
        device.advance(100)
        assert [(part.item_id, part.heard_ms) for part in speaker.stop()] == [(None, 100)]
        speaker.play(ONE_SECOND)
        device.advance(50)
        assert speaker.played_ms() == 50


def test_a_part_is_finished_when_it_has_ended_and_was_heard(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        speaker.play(ONE_SECOND, item_id="a")
        device.advance(1_100)
        assert [part.finished for part in speaker.heard()] == [False]
        speaker.finish("a")
        assert [part.finished for part in speaker.heard()] == [True]
        speaker.finish("unknown")


def test_many_items_are_not_remembered_for_ever(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        for number in range(1_000):
            speaker.play(ONE_SECOND[:480], item_id=str(number))
            device.advance(10)
        assert len(speaker.heard()) <= 256
        assert speaker.played_ms("999") == 10


def test_another_format_than_the_speakers_is_said_beside_the_sound(device: VirtualDevice) -> None:
    with Speaker(device, form="g711_ulaw") as speaker:
        speaker.play(ULAW.silence(100), item_id="a")
        speaker.play(ONE_SECOND, item_id="b", form="pcm16")
        device.advance(2_000)
        assert [part.heard_ms for part in speaker.heard()] == [100, 1_000]


def test_draining_waits_until_the_end_was_heard() -> None:
    device = VirtualDevice(sample_rate=16_000)
    with Speaker(device) as speaker:
        began = time.monotonic()
        speaker.play(ONE_SECOND[:14_400], item_id="a")
        speaker.drain(timeout=LIMIT)
        assert time.monotonic() - began >= 0.3
        assert speaker.heard()[0].finished
        assert peak_dbfs(device.played) > -60


def test_draining_ends_with_its_time_with_a_stop_and_with_the_speaker(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        speaker.drain(timeout=LIMIT)
        speaker.play(ONE_SECOND)
        with pytest.raises(WaitTimeout, match="1000 ms"):
            speaker.drain(timeout=0.01)
        waiting = spawn(speaker.drain)
        speaker.stop()
        waiting.result()
        speaker.play(ONE_SECOND)
        waiting = spawn(speaker.drain)
        speaker.close()
        waiting.result()


def test_a_device_that_is_pulled_out_is_an_error_and_no_hang(device: VirtualDevice) -> None:
    with Speaker(device) as speaker:
        speaker.play(ONE_SECOND)
        waiting = spawn(speaker.drain)
        device.unplug()
        with pytest.raises(DeviceFailed, match="unplugged"):
            waiting.result()
        with pytest.raises(DeviceFailed):
            speaker.play(ONE_SECOND)
        assert speaker.stop()[0].heard_ms == 0
    with pytest.raises(ConfigurationError, match="unplugged"):
        Speaker(device).open()


def test_a_device_that_falls_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsync.devices.opened._STALL_SECONDS", 0.05)
    with Speaker(VirtualDevice(period_ms=1_000)) as speaker:  # It asks for sound once a second.
        speaker.play(ONE_SECOND * 2)
        with pytest.raises(DeviceFailed, match="asked for nothing"):
            speaker.drain(timeout=LIMIT)


def test_what_cannot_be_played_is_refused(device: VirtualDevice) -> None:
    speaker = Speaker(device, max_queue_ms=1_500)
    with pytest.raises(UsageError, match="not open"):
        speaker.drain()
    with pytest.raises(UsageError, match="not open"):
        speaker.play(b"")
    assert (speaker.stop(), speaker.sample_rate, speaker.queued_ms, speaker.played_ms()) == ((), 0, 0, 0)
    with speaker:
        with pytest.raises(ConfigurationError, match="half"):
            speaker.play(b"\0")
        speaker.play(ONE_SECOND)
        with pytest.raises(UsageError, match="max_queue_ms"):
            speaker.play(ONE_SECOND)
        assert repr(speaker) == "<Speaker open, 24000 Hz>"
        assert speaker.open() is speaker
    speaker.close()
    with pytest.raises(UsageError, match="closed"):
        speaker.open()
    with pytest.raises(ConfigurationError, match="no audio format"):
        Speaker(form="mp3")


def test_playing_stopping_and_asking_from_many_threads_breaks_nothing() -> None:
    device = VirtualDevice(sample_rate=48_000, period_ms=1)
    over = threading.Event()

    def play(name: str) -> None:
        for number in range(200):
            speaker.play(ONE_SECOND[:960], item_id=f"{name}{number}")

    def ask() -> None:
        while not over.is_set():
            for part in speaker.heard():
                assert 0 <= part.heard_ms <= part.given_ms
            speaker.stop()

    with Speaker(device) as speaker:
        asking = spawn(ask)
        for task in [spawn(play, name) for name in "abc"]:
            task.result()
        over.set()
        asking.result()
        speaker.play(ONE_SECOND[:4_800], item_id="last")
        speaker.drain(timeout=LIMIT)
        assert speaker.played_ms("last") == 100
