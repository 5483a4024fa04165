"""The hub of waits by plain calls, where the order of what two threads do can be chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rtsync import CloseCause, Event, FellBehind, ServerError, SessionClosed, UsageError, WaitTimeout
from rtsync.pure.runs import Run
from rtsync.threads.waiting import Hub
from rtsync.vocabulary.deadline import Deadline
from tests.loopback import LIMIT
from tests.session.service import spawn

DONE = "response.done"


class Settled:
    """A delivery whose handlers have run when the test says so."""

    def __init__(self) -> None:
        self.at_once = True
        self.inside = False
        self.pending: list[tuple[int, Callable[[], None]]] = []
        self.asked: list[int] = []
        self.awaited = threading.Event()
        self.hopeless = False

    @property
    def running(self) -> tuple[object, ...]:
        return (self,) if self.inside else ()

    def in_handler(self) -> bool:
        return self.inside

    handling: tuple[int, object] = (0, None)

    def check_may_wait(self, settled: bool) -> None:
        pass

    def when_settled(self, sequence: int, wake: Callable[[], None]) -> None:
        self.asked.append(sequence)
        if self.at_once:
            wake()
        else:
            self.pending.append((sequence, wake))
            self.awaited.set()

    def forget(self, wake: Callable[[], None]) -> None:
        self.pending = [pair for pair in self.pending if pair[1] != wake]

    def gave_up(self, sequence: int) -> bool:
        return self.hopeless

    def stuck(self) -> str | None:
        return None if self.at_once else "stubborn has been running for 1.0 s"


@pytest.fixture
def settled() -> Settled:
    return Settled()


@pytest.fixture
def hub(settled: Settled) -> Hub:
    return Hub(settled)


def publish(hub: Hub, kind: str = DONE, **fields: object) -> int:
    hub.publish(Event({"type": kind, **fields}), 10)
    return hub.newest


def test_an_event_that_arrives_while_the_past_is_searched_does_not_beat_an_older_one(hub: Hub) -> None:
    hub.note_send()
    publish(hub, number=1)

    def slow(event: Event) -> bool:
        if event.number == 1 and hub.newest == 1:
            publish(hub, number=2)  # As the reader would, meanwhile.
        return True

    assert hub.wait(None, slow, LIMIT, settled=True).number == 1
    assert hub.wait(None, lambda event: True, LIMIT, settled=True).number == 2


def test_the_end_that_comes_while_the_past_is_searched_does_not_beat_an_event(hub: Hub) -> None:
    hub.note_send()
    publish(hub)

    def slow(_event: Event) -> bool:
        hub.end(SessionClosed("over"))
        return True

    assert hub.wait(None, slow, LIMIT, settled=True).type == DONE
    with pytest.raises(SessionClosed):
        hub.wait(None, lambda _event: True, LIMIT, settled=True)


def test_an_event_is_handed_out_when_its_handlers_have_run(hub: Hub, settled: Settled) -> None:
    settled.at_once = False
    hub.note_send()
    publish(hub)
    with pytest.raises(WaitTimeout, match="stubborn"):
        hub.wait({DONE}, None, 0.01, settled=True)
    assert settled.asked == [1]
    assert settled.pending == []  # Nobody waits any longer, and nothing is kept for it.
    assert hub.wait({DONE}, None, 0, settled=False).type == DONE


def test_an_end_that_no_handler_will_see_out_ends_the_waits_for_handlers(hub: Hub, settled: Settled) -> None:
    settled.at_once = False

    def wait() -> None:
        hub.note_send()
        publish(hub)
        hub.wait({DONE}, None, None, settled=True)

    waiting = spawn(wait)
    assert settled.awaited.wait(LIMIT)
    hub.end(SessionClosed("overflow", cause=CloseCause.OVERFLOW))
    settled.hopeless = True
    settled.pending[0][1]()
    with pytest.raises(SessionClosed, match="overflow"):
        waiting.result()


def test_inside_a_handler_no_wait_waits_for_handlers(hub: Hub, settled: Settled) -> None:
    settled.at_once, settled.inside = False, True
    hub.note_send()
    publish(hub)
    assert hub.wait({DONE}, None, 0, settled=True).type == DONE


def test_errors_go_to_the_window_that_owns_them(hub: Hub) -> None:
    mine = hub.note_send()
    theirs = spawn(hub.window).result()
    fault = ServerError("No.")
    hub.publish(Event({"type": "error"}), 10, fault, theirs)
    with pytest.raises(WaitTimeout):
        hub.wait({DONE}, None, 0, settled=True)
    hub.publish(Event({"type": "error"}), 10, fault, mine)
    with pytest.raises(ServerError) as raised:
        hub.wait({DONE}, None, 0, settled=True)
    assert raised.value is not fault


def test_every_raised_end_is_a_copy_with_its_cause(hub: Hub) -> None:
    end = SessionClosed("over", code=1011, cause=CloseCause.SERVER)
    end.__cause__ = OSError("why")
    hub.end(end)
    with pytest.raises(SessionClosed) as raised:
        hub.wait({DONE}, None, None, settled=True)
    assert raised.value is not end
    assert raised.value.__cause__ is end.__cause__
    assert raised.value.code == 1011


def test_a_predicate_that_fails_leaves_no_waiter_behind(hub: Hub) -> None:
    hub.note_send()
    publish(hub)
    with pytest.raises(ZeroDivisionError):
        hub.wait(None, lambda _event: 1 / 0, LIMIT, settled=True)
    assert hub._waiters == []


def test_an_expectation_counts_as_a_wait_of_its_window(hub: Hub) -> None:
    hub.note_send()
    waiter, start = hub.expect({DONE}, None, settled=True)
    publish(hub, "session.updated")
    publish(hub)
    assert hub.collect(waiter, Deadline(LIMIT), start).type == DONE
    hub.note_send()
    with pytest.raises(WaitTimeout):
        hub.wait({"session.updated"}, None, 0, settled=True)


def test_an_overrun_is_raised_in_place_of_a_younger_match(hub: Hub) -> None:
    hub.note_send()
    for number in range(3000):
        publish(hub, number=number)
    with pytest.raises(UsageError, match="no longer kept"):
        hub.wait({DONE}, None, 0, settled=True)
    assert hub.wait({DONE}, lambda event: event.number == 2999, 0, settled=True).number == 2999


def test_a_request_is_a_send_and_a_wait_in_one(hub: Hub) -> None:
    hub.note_request()
    publish(hub)
    hub.note_send()
    with pytest.raises(WaitTimeout):
        hub.wait({DONE}, None, 0, settled=True)


def test_the_thread_that_opens_sees_everything_from_the_beginning(hub: Hub) -> None:
    publish(hub, "session.created")
    hub.open_window()
    assert hub.wait({"session.created"}, None, 0, settled=True)


DELTA = "response.output_text.delta"


def test_each_event_of_a_window_is_returned_once(hub: Hub) -> None:
    hub.note_send()
    for number in range(3):
        publish(hub, number=number)
    assert [hub.wait({DONE}, None, 0, settled=True).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(WaitTimeout):
        hub.wait({DONE}, None, 0, settled=True)


def test_a_thread_sees_only_its_own_window(hub: Hub) -> None:
    hub.note_send()
    publish(hub)
    with pytest.raises(WaitTimeout):
        spawn(hub.wait, {DONE}, None, 0, True).result()
    assert hub.wait({DONE}, None, 0, settled=True)


def test_one_event_answers_the_waits_of_several_threads(hub: Hub) -> None:
    waiting = [spawn(hub.wait, {DONE}, None, LIMIT, True) for _ in range(20)]
    _until_they_wait(hub, 20)
    publish(hub, number=7)
    assert [one.result().number for one in waiting] == [7] * 20
    assert hub._waiters == []


def test_the_end_wakes_everyone_with_an_exception_of_his_own(hub: Hub) -> None:
    def wait() -> SessionClosed:
        with pytest.raises(SessionClosed) as raised:
            hub.wait({DONE}, None, LIMIT, settled=True)
        return raised.value

    waiting = [spawn(wait) for _ in range(100)]
    _until_they_wait(hub, 100)
    hub.end(SessionClosed("over", code=1011))
    raised = [one.result() for one in waiting]
    assert {error.code for error in raised} == {1011}
    assert len({id(error) for error in raised}) == 100
    assert hub._waiters == []


def _until_they_wait(hub: Hub, count: int) -> None:
    deadline = Deadline(LIMIT)
    while len(hub._waiters) < count:
        assert not deadline.passed


def test_what_came_before_the_end_is_still_returned_once(hub: Hub) -> None:
    hub.note_send()
    publish(hub, number=1)
    hub.end(SessionClosed("over"))
    assert hub.wait({DONE}, None, None, settled=True).number == 1
    with pytest.raises(SessionClosed):
        hub.wait({DONE}, None, None, settled=True)


def test_an_error_that_answers_the_thread_is_raised_once_and_then_the_wait_goes_on(hub: Hub) -> None:
    window = hub.note_send()
    hub.publish(Event({"type": "error"}), 10, ServerError("No."), window)
    publish(hub)
    with pytest.raises(ServerError, match="No"):
        hub.wait({DONE}, None, 0, settled=True)
    assert hub.wait({DONE}, None, 0, settled=True).type == DONE


def test_a_match_before_the_error_comes_first(hub: Hub) -> None:
    window = hub.note_send()
    publish(hub)
    hub.publish(Event({"type": "error"}), 10, ServerError("No."), window)
    assert hub.wait({DONE}, None, 0, settled=True).type == DONE
    with pytest.raises(ServerError):
        hub.wait({DONE}, None, 0, settled=True)


def test_who_waits_for_errors_gets_the_event(hub: Hub) -> None:
    window = hub.note_send()
    hub.publish(Event({"type": "error"}), 10, ServerError("No."), window)
    assert hub.wait({"error"}, None, 0, settled=True).type == "error"


def test_an_error_wakes_the_thread_that_it_answers_while_it_sleeps(hub: Hub) -> None:
    def ask() -> object:
        windows.append(hub.note_send())
        with pytest.raises(ServerError, match="No"):
            hub.wait({DONE}, None, LIMIT, settled=True)
        return None

    windows: list[object] = []
    asking = spawn(ask)
    _until_they_wait(hub, 1)
    hub.publish(Event({"type": "error"}), 10, ServerError("No."), windows[0])
    asking.result()


def test_a_wait_that_runs_out_says_what_came_folded(hub: Hub) -> None:
    hub.note_send()
    for kind in ["response.created", DELTA, DELTA, DELTA, "vendor." + "x" * 1000]:
        publish(hub, kind)
    with pytest.raises(WaitTimeout, match=rf"no '{DONE}' or 'session.updated' within 0 s") as raised:
        hub.wait({"session.updated", DONE}, None, 0, settled=True)
    assert raised.value.arrived[:2] == ("response.created", f"{DELTA} x 3")
    assert f"response.created, {DELTA} x 3, vendor.xxx" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_wait_that_runs_out_in_silence_says_that_and_who_is_stuck(hub: Hub, settled: Settled) -> None:
    hub.note_send()
    with pytest.raises(WaitTimeout, match=r"arrived: nothing$") as raised:
        hub.wait({DONE}, lambda _event: True, 0, settled=True)
    assert f"'{DONE}' that matches" in str(raised.value)
    settled.at_once = False
    with pytest.raises(WaitTimeout, match="nothing; the handler stubborn has been running"):
        hub.wait({DONE}, None, 0, settled=True)
    assert hub._waiters == []


def test_a_sleeping_wait_is_handed_its_event_only_when_the_handlers_have_run(hub: Hub, settled: Settled) -> None:
    settled.at_once = False
    waiting = spawn(hub.wait, {DONE}, None, LIMIT, True)
    _until_they_wait(hub, 1)
    publish(hub)
    [(sequence, wake)] = settled.pending
    assert sequence == 1
    assert waiting.thread.is_alive()
    wake()
    assert waiting.result().type == DONE


def test_a_predicate_that_fails_on_a_new_event_fails_its_own_wait_alone(hub: Hub) -> None:
    failing = spawn(hub.wait, None, lambda _event: 1 / 0, LIMIT, True)
    other = spawn(hub.wait, {DONE}, None, LIMIT, True)
    _until_they_wait(hub, 2)
    publish(hub)
    with pytest.raises(ZeroDivisionError):
        failing.result()
    assert other.result().type == DONE


def test_an_expectation_begins_where_it_is_made_and_finds_nothing_older(hub: Hub) -> None:
    hub.note_send()
    publish(hub, number=1)
    waiter, start = hub.expect({DONE}, None, settled=True)
    publish(hub, number=2)
    assert start == 1
    assert hub.collect(waiter, Deadline(LIMIT), start).number == 2


def test_an_expectation_that_nobody_collects_is_gone(hub: Hub) -> None:
    waiter, _ = hub.expect({DONE}, None, settled=True)
    hub.cancel(waiter)
    hub.cancel(waiter)
    publish(hub)
    assert hub._waiters == []
    assert waiter.entry is None


def test_nothing_can_be_expected_of_a_session_that_is_over(hub: Hub) -> None:
    hub.end(SessionClosed("over"))
    with pytest.raises(SessionClosed):
        hub.expect({DONE}, None, settled=True)


@pytest.mark.unmeasured
def test_a_loop_over_all_deltas_never_reports_a_loss(hub: Hub) -> None:
    hub.note_send()
    for number in range(3000):
        publish(hub, DELTA, number=number)
        assert hub.wait({DELTA}, None, 0, settled=True).number == number


def test_an_answer_is_never_missed_whether_it_comes_before_during_or_after_the_wait(hub: Hub) -> None:
    for number in range(2000):
        hub.note_send()
        publishing = spawn(publish, hub) if number % 2 else None
        if publishing is None:
            publish(hub)
        assert hub.wait({DONE}, None, LIMIT, settled=True).type == DONE
        if publishing is not None:
            publishing.result()


def test_a_session_that_is_over_ends_a_wait_that_events_were_too_many_for(hub: Hub) -> None:
    hub.note_send()
    for _ in range(3000):
        publish(hub, "response.output_text.delta")
    with pytest.raises(FellBehind):
        hub.wait({"response.output_text.delta"}, None, 0, settled=True)
    hub.end(SessionClosed("overflow", cause=CloseCause.OVERFLOW))
    for where in (None, lambda _event: False):
        with pytest.raises(SessionClosed):
            hub.wait({"response.output_text.delta"}, where, 0, settled=True)


def test_a_handler_does_not_find_its_own_event_which_may_be_on_its_way_still(hub: Hub, settled: Settled) -> None:
    publish(hub, number=1)
    settled.inside, settled.handling = True, (2, None)  # As where a handler is faster than the reader.
    waiters = []
    for act in (lambda: None, hub.note_send):
        act()
        waiters.append(hub.expect([DONE], None, settled=True))
    task = spawn(lambda: hub.wait([DONE], None, LIMIT, settled=True))
    while len(hub._waiters) < 3:
        threading.Event().wait(0.001)
    publish(hub, number=2)
    publish(hub, number=3)
    assert task.result().number == 3
    assert [hub.collect(waiter, Deadline(LIMIT), start).number for waiter, start in waiters] == [3, 3]


def test_a_run_is_offered_event_by_event_to_those_who_want_its_types(hub: Hub) -> None:
    asked: list[int] = []

    def third(event: Event) -> bool:
        asked.append(event.number)
        return len(asked) == 3

    wanted, _ = hub.expect(["a.delta"], third, settled=False)
    other, _ = hub.expect([DONE], None, settled=False)
    data = [{"type": kind, "number": number} for number, kind in enumerate(["a.delta", "b.delta"] * 5)]
    run = Run(data, ["a.delta", "b.delta"] * 5, [10] * 10, [b"0123456789"] * 10)
    run.number(1)
    hub.publish_run(run)
    assert asked == [0, 2, 4]
    assert wanted.entry is not None
    assert (wanted.entry.sequence, hub.newest, other.done) == (5, 10, False)
    hub.cancel(other)
