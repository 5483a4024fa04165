"""`Bell` and `Latch`: nobody sleeps through a ring, and nothing stays behind."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rtsync.edges import latch as latches
from rtsync.edges.latch import Bell, Latch, sleep_on
from tests.loopback import LIMIT
from tests.session.service import spawn


def test_what_is_true_already_is_not_waited_for() -> None:
    bell = Bell()
    assert bell.wait_until(lambda: True, 0)
    assert bell.wait_until(lambda: True, None)
    assert bell._gates == []


def test_what_stays_false_runs_out() -> None:
    bell = Bell()
    asked: list[int] = []

    def never() -> bool:
        asked.append(1)
        return False

    assert not bell.wait_until(never, 0.02)
    assert len(asked) >= 2
    assert not bell.wait_until(lambda: False, 0)
    assert bell._gates == []


def test_a_ring_has_everybody_look_again() -> None:
    bell, facts = Bell(), set[int]()

    def listen(number: int) -> bool:
        return bell.wait_until(lambda: number in facts, LIMIT)

    waiting = [spawn(listen, number) for number in range(50)]
    for number in range(50):
        facts.add(number)
        bell.ring()
    assert all(one.result() for one in waiting)
    assert bell._gates == []


def test_no_ring_is_slept_through() -> None:
    bell, count = Bell(), 0

    def listen(until: int) -> bool:
        return bell.wait_until(lambda: count >= until, LIMIT)

    for until in range(1, 2000):
        listening = spawn(listen, until) if until % 100 == 0 else None
        count = until
        bell.ring()
        assert listening is None or listening.result()


def test_two_threads_answer_each_other_ten_thousand_times() -> None:
    bells, turn = (Bell(), Bell()), 0

    def play(mine: int) -> bool:
        nonlocal turn

        def is_mine() -> bool:
            return turn == mine

        for _ in range(10_000):
            if not bells[mine].wait_until(is_mine, LIMIT):
                return False
            turn = 1 - mine
            bells[1 - mine].ring()
        return True

    players = [spawn(play, mine) for mine in (0, 1)]
    assert [player.result() for player in players] == [True, True]


def test_a_wait_uses_no_processor_time() -> None:
    latch = Latch()
    used: list[float] = []

    def wait() -> None:
        before = time.thread_time()
        latch.wait()
        used.append(time.thread_time() - before)

    waiting = spawn(wait)
    waiting.thread.join(0.3)
    latch.set()
    waiting.result()
    assert used[0] < 0.02


def test_a_latch_is_set_for_ever() -> None:
    latch = Latch()
    assert not latch
    assert not latch.wait(0)
    waiting = [spawn(lambda: latch.wait(LIMIT)) for _ in range(20)]
    latch.set()
    latch.set()
    assert all(one.result() for one in waiting)
    assert latch
    assert latch.wait(0)


def test_an_exception_in_the_question_leaves_nothing_behind() -> None:
    bell, asked = Bell(), []

    def question() -> bool:
        asked.append(1)
        if len(asked) == 2:
            raise ZeroDivisionError
        return False

    try:
        bell.wait_until(question, LIMIT)
    except ZeroDivisionError:
        pass
    assert bell._gates == []


def test_ringing_from_many_threads_at_once_is_fine() -> None:
    bell, stop = Bell(), threading.Event()

    def ring() -> None:
        for _ in range(5000):
            bell.ring()

    ringing = [spawn(ring) for _ in range(4)]
    waiting = [spawn(lambda: bell.wait_until(stop.is_set, LIMIT)) for _ in range(20)]
    for one in ringing:
        one.result()
    stop.set()
    bell.ring()
    assert all(one.result() for one in waiting)


def test_a_ring_between_the_question_and_the_sleep_is_heard() -> None:
    bell, answers = Bell(), [False, False, True]

    def question() -> bool:
        if len(answers) == 2:  # Asked behind the entry in the list: what rings now must not be slept through.
            bell.ring()
        return answers.pop(0)

    assert bell.wait_until(question, None)
    assert bell._gates == []


def test_a_ring_without_listeners_is_not_saved_up() -> None:
    bell = Bell()
    bell.ring()
    assert not bell.wait_until(lambda: False, 0.01)


def test_the_last_answer_counts_when_the_time_is_over() -> None:
    answers = iter([False, False, True])
    assert Bell().wait_until(lambda: next(answers), 0.01)


def test_setting_a_latch_wakes_a_thousand_waiters() -> None:
    latch = Latch()
    waiting = [spawn(lambda: latch.wait(LIMIT)) for _ in range(1000)]
    latch.set()
    assert all(one.result() for one in waiting)


def test_setting_and_waiting_race_a_thousand_times_and_nobody_is_forgotten() -> None:
    for _ in range(1000):
        latch = Latch()
        waiting = spawn(latch.wait, LIMIT)
        latch.set()
        assert waiting.result()


def interrupt_the_main_thread_in_its_sleep(stop: threading.Event) -> None:
    """As a signal that comes in the moment before the sleep: its handler is due, and the sleep does not end by it."""
    stat = Path(f"/proc/self/task/{threading.main_thread().native_id}/stat")
    asleep = 0
    while asleep < 20 and not stop.wait(0.002):
        asleep = asleep + 1 if stat.read_text().rpartition(")")[2].split()[0] == "S" else 0
    if asleep == 20:
        _thread.interrupt_main()


@pytest.mark.parametrize("timeout", [None, 2 * LIMIT])
def test_a_main_thread_hears_a_signal_that_does_not_end_its_sleep(timeout: float | None) -> None:
    gate, over = threading.Lock(), threading.Event()
    gate.acquire()
    interrupting = spawn(interrupt_the_main_thread_in_its_sleep, over)
    try:
        with pytest.raises(KeyboardInterrupt):
            sleep_on(gate, timeout)
    finally:
        over.set()
        interrupting.result()


def in_the_main_thread(wait: Callable[[], bool]) -> bool:
    return wait()


def in_another_thread(wait: Callable[[], bool]) -> bool:
    return bool(spawn(wait).result())


@pytest.mark.parametrize("there", [in_the_main_thread, in_another_thread])
def test_a_sleep_of_several_parts_is_as_long_as_it_was_to_be_and_ends_when_it_can(
    there: Callable[[Callable[[], bool]], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latches, "_LOOK_UP", 0.01)
    gate = threading.Lock()
    gate.acquire()
    began = time.monotonic()
    assert not there(lambda: sleep_on(gate, 0.1))
    assert time.monotonic() - began >= 0.1
    for timeout in (None, LIMIT):
        releasing = threading.Timer(0.1, gate.release)
        releasing.start()
        assert there(lambda timeout=timeout: sleep_on(gate, timeout))  # type: ignore[misc]
        releasing.join()
