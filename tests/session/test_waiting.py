"""`wait_for`: it cannot miss, cannot hang, wakes at once, and says why it ended."""

from __future__ import annotations

import threading
import time

import pytest

from rtsync import (
    CloseCause,
    ConfigurationError,
    Event,
    OpenAI,
    RealtimeSession,
    ServerError,
    SessionClosed,
    UsageError,
    WaitTimeout,
    event_sent,
)
from tests.loopback import LIMIT
from tests.session.service import (
    Json,
    Service,
    conversing,
    delta,
    echo,
    error,
    response,
    spawn,
    whole_response,
)

UPDATE = {"type": "session.update", "session": {"type": "realtime"}}
CREATE = {"type": "response.create"}
SOON = 0.2  # seconds for a wait that is meant to run out


def updated(number: int = 0) -> Json:
    return {"type": "session.updated", "event_id": f"event_{number}", "number": number, "session": {}}


def arrived(session: RealtimeSession, service: Service, *events: Json) -> None:
    """Have `events` arrive before this returns."""
    with session.events("marker") as markers:
        service.say(*events, {"type": "marker"})
        next(markers)


# -- nothing is missed --------------------------------------------------------------------------------------------


def test_an_answer_that_came_before_the_wait_is_found() -> None:
    with conversing(lambda service, _: service.say(updated(), response("response.created"))) as (session, _service):
        with session.events("response.created", timeout=LIMIT) as answers:
            session.send(UPDATE)
            next(answers)
        assert session.wait_for("session.updated", timeout=0).type == "session.updated"
        assert session.wait_for("response.created", timeout=0).response.id == "resp_1"


def test_an_answer_that_is_there_before_send_returns_is_found() -> None:
    with conversing(lambda service, _: service.say(updated())) as (session, _service):
        answers = session.events("session.updated", timeout=LIMIT)

        def hold(_session: RealtimeSession, event: Json) -> None:  # In the sending thread, before send() returns.
            next(answers)

        event_sent.connect(hold, sender=session)
        session.send(UPDATE)
        assert session.wait_for("session.updated", timeout=0)


def test_the_thread_that_opened_the_session_finds_its_greeting() -> None:
    with conversing() as (session, _service):
        assert session.wait_for("session.created", timeout=0).session.id == "sess_loopback"


def test_an_event_is_returned_once_in_a_window() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, updated(1), updated(2))
        assert [session.wait_for("session.updated").number for _ in range(2)] == [1, 2]
        with pytest.raises(WaitTimeout):
            session.wait_for("session.updated", timeout=0)


def test_events_of_a_window_are_found_in_any_order() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, updated(), response("response.created"))
        assert session.wait_for("response.created", timeout=0)
        assert session.wait_for("session.updated", timeout=0)


def test_the_first_send_after_a_wait_opens_a_new_window() -> None:
    with conversing() as (session, service):
        session.send(UPDATE)
        arrived(session, service, updated(1), updated(2))
        assert session.wait_for("session.updated").number == 1
        session.send(UPDATE)
        with pytest.raises(WaitTimeout):
            session.wait_for("session.updated", timeout=0)
        service.say(updated(3))
        assert session.wait_for("session.updated").number == 3


def test_several_sends_without_a_wait_share_a_window() -> None:
    with conversing(lambda service, event: service.say(updated(len(event)))) as (session, service):
        session.send(UPDATE)
        arrived(session, service)
        session.send(UPDATE)
        session.wait_for("session.updated")
        assert session.wait_for("session.updated")


def test_what_a_thread_did_not_send_for_is_seen_from_its_first_wait_on() -> None:
    with conversing() as (session, service):
        arrived(session, service, updated(1))
        late = spawn(lambda: session.wait_for("session.updated"))
        while not session._core.hub._waiters:
            time.sleep(0)
        service.say(updated(2))
        assert late.result().number == 2


def test_a_blocking_sentence_leaves_nothing_to_the_next_sends_window() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            service.say(updated(1), updated(2))
        elif event["type"] == "response.create":
            service.say(*whole_response(event, "resp_1", "Hi"))

    with conversing(answer) as (session, service):
        session.update(instructions="Be brief.")
        session.respond().wait()
        arrived(session, service)
        session.send({"type": "input_audio_buffer.clear"})
        for name in ("session.updated", "response.done"):
            with pytest.raises(WaitTimeout, match="since this thread's send arrived: nothing"):
                session.wait_for(name, timeout=0)


def test_a_sentence_between_send_and_wait_does_not_hide_the_answer() -> None:
    def answer(service: Service, event: Json) -> None:
        service.say(*(whole_response(event) if event["type"] == "response.create" else (updated(),)))

    with conversing(answer) as (session, _service):
        session.send(CREATE)
        session.update(instructions="Be brief.")
        assert session.wait_for("response.done", timeout=LIMIT)


def test_the_wait_of_expect_is_a_wait_too_and_the_next_send_opens_a_new_window() -> None:
    with conversing() as (session, service):
        with session.expect("session.updated"):
            session.send(UPDATE)
            arrived(session, service, updated(), response("response.done"))
        session.send(CREATE)
        with pytest.raises(WaitTimeout):
            session.wait_for("response.done", timeout=0)


# -- what is waited for ---------------------------------------------------------------------------------------------


def test_several_types_end_a_wait_with_whichever_comes_first() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, response("response.created"), updated())
        found = [session.wait_for(["session.updated", "response.created"]).type for _ in range(2)]
        assert found == ["response.created", "session.updated"]


def test_a_predicate_chooses_the_event() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, updated(1), updated(2))
        assert session.wait_for(lambda event: event.get("number") == 2).number == 2
        service.say(updated(7))
        assert session.wait_for(lambda event: event.get("number") == 7).number == 7


def test_where_narrows_types_and_predicates() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, updated(1), updated(2), updated(3))
        assert session.wait_for("session.updated", where=lambda event: event.number > 1).number == 2
        chosen = session.wait_for(lambda event: event.type == "session.updated", where=lambda event: event.number != 1)
        assert chosen.number == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_predicate_that_raises_ends_its_own_wait_with_that(when: str) -> None:
    def clumsy(event: Event) -> bool:
        raise ZeroDivisionError("mine")

    with conversing() as (session, service):
        session.send(CREATE)
        if when == "before":
            arrived(session, service, updated())
        else:
            threading.Timer(0.05, service.say, [updated()]).start()
        with pytest.raises(ZeroDivisionError, match="mine"):
            session.wait_for("session.updated", where=clumsy)
        service.say(updated(2))
        assert session.wait_for("session.updated", where=lambda event: event.number == 2)


def test_a_predicate_that_exits_ends_its_own_wait_and_not_the_session() -> None:
    def leave(event: Event) -> bool:
        raise SystemExit(3)

    with conversing() as (session, service):
        waiting = spawn(lambda: session.wait_for("session.updated", where=leave))
        while not session._core.hub._waiters:
            time.sleep(0)
        service.say(updated())
        with pytest.raises(SystemExit):
            waiting.result()
        service.say(response("response.created"))
        assert session.wait_for("response.created")


def test_a_predicate_that_waits_is_told_at_once_that_it_waits_for_itself() -> None:
    with conversing() as (session, service):
        waiting = spawn(lambda: session.wait_for(lambda _event: session.wait_for("response.done")))
        while not session._core.hub._waiters:
            time.sleep(0)
        service.say(updated())
        with pytest.raises(UsageError, match="wait for itself"):
            waiting.result()


def test_unknown_types_can_be_waited_for() -> None:
    with conversing() as (session, service):
        service.say({"type": "something.brand.new", "value": [None, {"x": 1}]})
        assert session.wait_for("something.brand.new").to_dict()["value"] == [None, {"x": 1}]


def test_a_misspelt_type_warns_with_the_right_one() -> None:
    with conversing() as (session, service):
        service.say({"type": "respnse.done"})
        with pytest.warns(UserWarning, match=r"did you mean 'response.done'"):
            session.wait_for("respnse.done")


@pytest.mark.parametrize("wrong", [[], [1], 7, None])
def test_what_is_no_type_is_refused(wrong: object) -> None:
    with conversing() as (session, _service), pytest.raises((UsageError, TypeError)):
        session.wait_for(wrong)  # type: ignore[call-overload]


@pytest.mark.parametrize("wrong", [-1, "3", True, float("nan")])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(wrong: object) -> None:
    with conversing() as (session, _service), pytest.raises(ConfigurationError, match="timeout"):
        session.wait_for("response.done", timeout=wrong)  # type: ignore[call-overload]


# -- how it ends ----------------------------------------------------------------------------------------------------


def test_a_wait_that_runs_out_says_what_did_arrive() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, updated(), delta("a"), delta("b"), delta("c"))
        with pytest.raises(WaitTimeout, match=r"no 'response.done' within 0\.2 s.*delta x 3") as out:
            session.wait_for("response.done", timeout=SOON)
        assert out.value.arrived == ("session.created", "session.updated", "response.output_text.delta x 3", "marker")
        session.send(UPDATE)  # The session is still usable.


def test_a_wait_that_runs_out_when_nothing_came_says_so() -> None:
    with conversing() as (session, _service):
        session.send(UPDATE)
        session.wait_for("session.created")
        session.send(CREATE)
        with pytest.raises(WaitTimeout, match="arrived: nothing"):
            session.wait_for(lambda _event: True, timeout=0)


def test_an_error_that_names_what_this_thread_sent_is_raised() -> None:
    with conversing() as (session, service):
        mine = session.send(UPDATE)
        service.say(error(code="unknown_parameter", param="session.foo", message="Unknown.", event_id=mine))
        with pytest.raises(ServerError, match=r"session\.update was refused: Unknown") as raised:
            session.wait_for("session.updated")
        found = raised.value
        assert (found.code, found.param, found.event_id, found.request) == (
            "unknown_parameter", "session.foo", mine, "session.update",
        )  # fmt: skip
        assert found.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("hint", "blamed"),
    [
        ({"code": "conversation_already_has_active_response"}, "response.create"),
        ({"param": "session.audio.output"}, "session.update"),
        ({"message": "Error deleting item: no such item"}, "conversation.item.delete"),
        ({}, "session.update"),  # Nothing to go by: the oldest unanswered event.
    ],
)
def test_an_error_without_an_event_id_is_raised_for_what_it_can_answer(hint: Json, blamed: str) -> None:
    with conversing() as (session, service):
        session.send(UPDATE)
        session.send(CREATE)
        session.send({"type": "conversation.item.delete", "item_id": "item_1"})
        service.say(error(**hint))
        with pytest.raises(ServerError) as raised:
            session.wait_for("session.updated", timeout=LIMIT)
        assert raised.value.request == blamed


@pytest.mark.parametrize(
    "foreign", [{"event_id": "event_of_somebody_else"}, {"code": "session_expired"}, {"type": "server_error"}]
)
def test_an_error_that_answers_nothing_of_ours_is_not_raised(foreign: Json) -> None:
    with conversing() as (session, service):
        session.send(UPDATE)
        service.say(error(**foreign), updated())
        assert session.wait_for("session.updated", timeout=LIMIT)


def test_an_error_is_not_raised_in_another_thread() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        theirs = spawn(lambda: (session.send(UPDATE), session.wait_for("session.updated")))
        service.hear("response.create")
        service.say(error(event_id=service.hear("session.update")["event_id"]))
        with pytest.raises(ServerError):
            theirs.result()
        service.say(response("response.created"))
        assert session.wait_for("response.created", timeout=LIMIT)


def test_an_error_event_can_be_waited_for_like_any_other() -> None:
    with conversing(lambda service, event: service.say(error(event_id=event["event_id"]))) as (session, _service):
        session.send(UPDATE)
        assert session.wait_for("error").error.message == "No."


def test_an_error_is_raised_once_in_a_window() -> None:
    with conversing() as (session, service):
        mine = session.send(UPDATE)
        arrived(session, service, error(event_id=mine), response("response.created"))
        with pytest.raises(ServerError):
            session.wait_for("response.created")
        assert session.wait_for("response.created")


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (1011, "oops"), (4001, "")])
def test_the_end_of_the_session_ends_a_wait_with_its_code_and_reason(code: int, reason: str) -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        waiting = [spawn(lambda: session.wait_for("response.done", timeout=None)) for _ in range(2)]
        service.peer.close(code, reason)
        for one in waiting:
            with pytest.raises(SessionClosed) as raised:
                one.result()
            assert (raised.value.code, raised.value.reason) == (code, reason)
            assert raised.value.cause is CloseCause.SERVER
        with pytest.raises(SessionClosed):
            session.wait_for("response.done")


def test_each_wait_raises_an_exception_of_its_own() -> None:
    with conversing() as (session, service):
        waiting = [spawn(lambda: session.wait_for("response.done", timeout=None)) for _ in range(3)]
        service.peer.reset()
        errors = []
        for one in waiting:
            with pytest.raises(SessionClosed) as raised:
                one.result()
            errors.append(raised.value)
            assert raised.value.cause is CloseCause.NETWORK
        assert len({id(found) for found in errors}) == 3


def test_what_came_before_the_end_can_still_be_waited_for() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        service.say(response("response.done"))
        service.peer.close(1000)
        service.peer.finished.wait(0)
        with pytest.raises(SessionClosed):
            session.wait_for("never", timeout=LIMIT)
        assert session.wait_for("response.done", timeout=0)


def test_a_wait_before_opening_is_refused() -> None:
    session = RealtimeSession(OpenAI(api_key="k"))
    for wait in (session.wait_for, session.expect, session.events):
        with pytest.raises(UsageError, match="not open"):
            wait("response.done")


# -- settled --------------------------------------------------------------------------------------------------------


def test_handlers_of_everything_up_to_the_event_have_run_when_a_wait_returns() -> None:
    with conversing() as (session, service):
        printed = []

        def slow(_session: RealtimeSession, event: Event) -> None:
            time.sleep(0.01)
            printed.append(event.delta)

        session.on("response.output_text.delta", slow)
        session.send(CREATE)
        service.say(*(delta(str(number)) for number in range(20)), response("response.done"))
        session.wait_for("response.done")
        assert printed == [str(number) for number in range(20)]


def test_without_settled_a_wait_returns_while_handlers_still_run() -> None:
    with conversing() as (session, service):
        go_on = threading.Event()
        session.on("response.created", lambda _session, _event: go_on.wait(LIMIT))
        session.send(CREATE)
        service.say(response("response.created"), response("response.done"))
        try:
            assert session.wait_for("response.done", settled=False, timeout=LIMIT)
            assert not go_on.is_set()
        finally:
            go_on.set()


def test_a_wait_that_runs_out_because_a_handler_is_stuck_names_the_handler() -> None:
    with conversing() as (session, service):
        go_on = threading.Event()

        def stubborn(_session: RealtimeSession, _event: Event) -> None:
            go_on.wait(LIMIT)

        session.on("response.created", stubborn)
        session.send(CREATE)
        service.say(response("response.created"), response("response.done"))
        try:
            with pytest.raises(WaitTimeout, match=r"'response.done' arrived.*stubborn.*settled=False"):
                session.wait_for("response.done", timeout=SOON)
            with pytest.raises(WaitTimeout, match=r"no 'session.updated'.*the handler .*stubborn has been running"):
                session.wait_for("session.updated", timeout=SOON)
            assert session.wait_for("response.done", timeout=SOON, settled=False)
        finally:
            go_on.set()


# -- how it sleeps --------------------------------------------------------------------------------------------------


def test_a_waiting_thread_uses_no_processor_time() -> None:
    with conversing() as (session, service):
        used = []

        def wait() -> None:
            before = time.thread_time()
            session.wait_for("response.done")
            used.append(time.thread_time() - before)

        waiting = spawn(wait)
        waiting.thread.join(1.0)  # The second that it may sleep.
        service.say(response("response.done"))
        waiting.result()
        assert used[0] < 0.02


def test_a_wait_wakes_at_once() -> None:
    with conversing(echo) as (session, _service):
        took = []
        for _ in range(50):
            start = time.monotonic()
            session.send(UPDATE)
            session.wait_for("echo")
            took.append(time.monotonic() - start)
        assert sorted(took)[25] < 0.02  # A poll that deserves the name would cost more.


def test_two_threads_wait_for_the_same_event_and_for_different_ones() -> None:
    with conversing() as (session, service):
        same = [spawn(lambda: session.wait_for("response.done")) for _ in range(2)]
        other = spawn(lambda: session.wait_for("session.updated"))
        while len(session._core.hub._waiters) < 3:
            time.sleep(0)
        service.say(response("response.done"))
        assert [one.result().type for one in same] == ["response.done"] * 2
        assert not other.over
        service.say(updated())
        assert other.result().type == "session.updated"


@pytest.mark.parametrize("end", ["event", "close"])
def test_a_thousand_waiting_threads_are_all_woken(end: str) -> None:
    with conversing() as (session, service):
        stack = threading.stack_size(256 * 1024)
        try:
            waiting = [spawn(lambda: session.wait_for("response.done", timeout=LIMIT)) for _ in range(1000)]
        finally:
            threading.stack_size(stack)
        while len(session._core.hub._waiters) < 1000:
            time.sleep(0.01)
        if end == "event":
            service.say(response("response.done"))
            assert {one.result().type for one in waiting} == {"response.done"}
        else:
            session.close()
            for one in waiting:
                with pytest.raises(SessionClosed, match="close"):
                    one.result()
        assert not session._core.hub._waiters


@pytest.mark.unmeasured
def test_twenty_thousand_races_between_answer_and_wait_miss_nothing() -> None:
    with conversing(echo) as (session, _service):

        def race() -> int:
            found, mine = 0, list[str]()

            def is_mine(event: Event) -> bool:
                return bool(event.of == mine[-1])

            for _ in range(5000):
                mine.append(session.send(UPDATE))
                found += session.wait_for("echo", timeout=LIMIT, where=is_mine).of == mine[-1]
            return found

        assert [one.result() for one in [spawn(race) for _ in range(4)]] == [5000] * 4


# -- the history has an end -----------------------------------------------------------------------------------------


def test_an_answer_that_may_have_been_dropped_from_the_history_is_no_silent_miss() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, updated(1), *({"type": "response.created"} for _ in range(2100)))
        with pytest.raises(UsageError, match="no longer kept; wait sooner"):
            session.wait_for("session.updated", timeout=LIMIT)
        with pytest.raises(UsageError, match="no longer kept"):
            session.wait_for(lambda event: event.type == "session.updated", timeout=LIMIT)


def test_an_answer_is_found_behind_thousands_of_deltas() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, response("response.created"), *(delta("x") for _ in range(3000)))
        assert session.wait_for("response.created", timeout=0)
        service.say(response("response.done"))
        assert session.wait_for("response.done", timeout=LIMIT)


def test_a_thread_may_take_more_events_one_by_one_than_the_history_holds() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        for batch in range(20):
            service.say(*(delta(f"{batch}.{number}") for number in range(60)))
            taken = [session.wait_for("response.output_text.delta", timeout=LIMIT).delta for _ in range(60)]
            assert taken == [f"{batch}.{number}" for number in range(60)]


def test_a_thread_that_takes_events_too_slowly_is_told_that_some_are_gone() -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        arrived(session, service, *(delta(str(number)) for number in range(600)))
        with pytest.raises(UsageError, match="no longer kept"):
            session.wait_for("response.output_text.delta", timeout=0)
