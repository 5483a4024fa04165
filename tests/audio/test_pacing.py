"""When sound is due: exactly, for hours, and after a stall."""

from __future__ import annotations

import random

import pytest

from rtsync.audio.pacing import LONGEST_CATCH_UP_S, Pacer


def test_every_chunk_of_an_hour_is_due_on_the_clock_however_late_the_caller_wakes() -> None:
    lateness = random.Random(5)
    pacer, now = Pacer(100.0), 100.0
    for number in range(90_000):
        now += pacer.delay(number * 40, now)
        assert now == pytest.approx(100.0 + number * 0.04, abs=1e-6)
        now += lateness.uniform(0.0, 0.039)


@pytest.mark.parametrize(("speed", "due"), [(1.0, 2.0), (2.0, 1.0), (0.5, 4.0)])
def test_a_factor_stretches_the_schedule(speed: float, due: float) -> None:
    assert Pacer(0.0, speed).delay(2_000, 0.0) == due


def test_what_is_a_little_late_is_caught_up_with() -> None:
    pacer = Pacer(0.0)
    assert [pacer.delay(number * 100, 0.85) for number in range(9)] == [0.0] * 9
    assert pacer.delay(900, 0.85) == pytest.approx(0.05)


def test_a_long_stall_is_not_followed_by_a_long_burst() -> None:
    pacer = Pacer(0.0)
    assert pacer.delay(0, 0.0) == 0.0
    at_once = [number for number in range(1, 1_000) if pacer.delay(number * 100, 60.0) == 0.0]
    assert len(at_once) == LONGEST_CATCH_UP_S / 0.1 + 1  # with the one that was due when the stall ended
    assert pacer.delay(1_300, 60.0) == pytest.approx(0.2)
