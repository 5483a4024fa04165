"""The two pure halves of a speaker: what is to be played, and what was heard."""

from __future__ import annotations

import random

import pytest

from rtsync.audio import FORMATS, PCM16, ULAW, resample
from rtsync.devices.playhead import Playhead
from rtsync.devices.playlist import Playlist
from tests.simulator.sounds import noise


def all_of(playlist: Playlist[str], frame_count: int) -> tuple[bytes, dict[str, int]]:
    made, counts = b"", dict[str, int]()
    while taken := playlist.take(frame_count):
        if not taken[0]:
            return made, counts
        made += taken[0]
        for part, count in taken[1]:
            counts[part] = counts.get(part, 0) + count
    raise AssertionError


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
def test_every_part_arrives_whole_at_the_rate_of_the_device(rate: int, form: object) -> None:
    chosen = FORMATS[getattr(form, "name", "")]
    chance = random.Random(rate)
    playlist: Playlist[str] = Playlist(rate)
    sounds = {name: chosen.from_pcm(noise(300, -20)[: 2 * 3 * chosen.sample_rate // 10]) for name in "ab"}
    for name, data in sounds.items():
        at = 0
        while at < len(data):
            size = chance.randrange(2, 2_000) & ~1
            playlist.add(name, chosen, data[at : at + size])
            at += size
    playlist.end("b", chosen)
    made, counts = all_of(playlist, 441)
    expected = [resample(chosen.to_pcm(data), chosen.sample_rate, rate) for data in sounds.values()]
    assert made == b"".join(expected)
    assert counts == {name: len(pcm) // 2 for name, pcm in zip("ab", expected, strict=True)}
    assert playlist.is_empty
    assert playlist.queued_ms == 0


def test_a_format_may_change_within_a_part() -> None:
    playlist: Playlist[str] = Playlist(24_000)
    playlist.add("a", PCM16, PCM16.silence(40))
    playlist.add("a", ULAW, ULAW.silence(40))
    playlist.end("a", ULAW)
    assert all_of(playlist, 240)[1] == {"a": 1_920}


def test_what_waits_is_counted_and_can_be_thrown_away() -> None:
    playlist: Playlist[str] = Playlist(24_000)
    playlist.add("a", PCM16, PCM16.silence(100))
    playlist.take(480)
    assert playlist.queued_ms == pytest.approx(80)
    playlist.clear()
    assert (playlist.queued_ms, playlist.is_empty, playlist.take(480)) == (0, True, (b"", []))


def test_what_the_device_has_and_has_not_sounded_was_not_heard() -> None:
    playhead: Playhead[str] = Playhead(1_000)
    playhead.hand([("a", 10), ("b", 10)], starts_at=5.0)  # 20 ms, heard from second 5 on
    assert [playhead.heard("a", now) for now in (4.9, 5.0, 5.005, 5.01, 6.0)] == [0, 0, 5, 10, 10]
    assert [playhead.heard("b", now) for now in (5.0, 5.01, 5.015, 5.02)] == [0, 0, 5, 10]
    assert (playhead.is_silent(5.019), playhead.is_silent(5.02)) == (False, True)


def test_after_a_stop_nothing_more_is_heard() -> None:
    playhead: Playhead[str] = Playhead(1_000)
    playhead.hand([("a", 100)], starts_at=0.0)
    playhead.stop(0.04)
    assert (playhead.heard("a", 1.0), playhead.is_silent(0.04)) == (40, True)
    playhead.forget("a")
    assert playhead.heard("a", 1.0) == 0


def test_what_has_sounded_long_ago_is_not_remembered_one_by_one() -> None:
    playhead: Playhead[str] = Playhead(1_000)
    for period in range(10_000):
        playhead.hand([("a", 10)], starts_at=period / 100)
    assert len(playhead._sounding) <= 2
    assert playhead.heard("a", 100.0) == 100_000
