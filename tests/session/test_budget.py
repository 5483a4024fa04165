"""Budgets: what a session has used, and how it ends when that is enough."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from rtsync import (
    Budget,
    CloseCause,
    ConfigurationError,
    Prices,
    RealtimeSession,
    ResponseFailed,
    SessionClosed,
    Simulator,
    Spending,
    Usage,
    budget_spent,
    session_closed,
)
from rtsync.simulator import FunctionCall, Turn
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, done, response, spawn, whole_response
from tests.session.successive import at_once, attend, resuming, watched

PRICES = Prices(input_text=4, cached_text="0.40", input_audio=32, output_text=16, output_audio=64)
GOODBYE = "Say goodbye."
USAGE = {
    "total_tokens": 30,
    "input_tokens": 10,
    "output_tokens": 20,
    "input_token_details": {"text_tokens": 10},
    "output_token_details": {"text_tokens": 20},
}


class Told:
    """What `budget_spent` and `session_closed` tell of one session."""

    def __init__(self, session: RealtimeSession) -> None:
        self.heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        budget_spent.connect(self._spent, sender=session)
        session_closed.connect(self._closed, sender=session)

    def _spent(self, session: RealtimeSession, spending: Spending) -> None:
        self.heard.put(spending)

    def _closed(self, _session: RealtimeSession, error: SessionClosed) -> None:
        self.heard.put(error)

    def next(self) -> Any:
        return self.heard.get(timeout=LIMIT)


class Model:
    """A brain that says a word, goes on when the test lets it, and says goodbye where it was told to."""

    def __init__(self, *, pause: bool = False) -> None:
        self.turns: list[Turn] = []
        self.began = threading.Semaphore(0)
        self.go_on = threading.Event()
        if not pause:
            self.go_on.set()

    def __call__(self, turn: Turn) -> Iterator[str]:
        self.turns.append(turn)
        if GOODBYE in turn.instructions:
            yield "Goodbye."
            return
        yield "Well "
        self.began.release()
        while not (self.go_on.is_set() or turn.cancelled.wait(0.001)):
            pass
        yield "then."


@contextmanager
def talking(brain: Callable[..., Any], budget: Budget | None, **options: Any) -> Iterator[tuple[RealtimeSession, Told]]:
    config = {"output_modalities": ["text"], "instructions": "You are a clerk."}
    session = RealtimeSession(Simulator(brain=brain, pace=False), config=config, budget=budget, **options)
    told = Told(session)
    with session:
        yield session, told


def used_up(service: Service, event: Json) -> None:
    """Every answer takes 30 tokens."""
    if event["type"] == "response.create":
        events = whole_response(event, f"resp_{event['event_id']}", "word")
        events[-1]["response"]["usage"] = USAGE
        service.say(*events)
    else:
        attend(service, event)


def budget_error(call: Callable[[], Any]) -> SessionClosed:
    with pytest.raises(SessionClosed) as closed:
        call()
    assert closed.value.cause is CloseCause.BUDGET
    assert not closed.value.retryable
    return closed.value


# -- what was used ----------------------------------------------------------------------------------------------------


def test_what_was_used_can_be_seen_without_limits() -> None:
    with talking(Model(), None) as (session, _):
        before = session.budget
        assert (before.tokens, before.cost, before.budget, before.spent) == (0, None, None, None)
        used = [session.ask("Hi").usage or {} for _ in range(3)]
        after = session.budget
        assert after.tokens == sum(usage["total_tokens"] for usage in used)
        assert after.usage == session.conversation.usage
        assert after.usage.responses == 3
        assert after.seconds > before.seconds
    ended = session.budget
    assert (ended.tokens, ended.seconds) == (after.tokens, session.budget.seconds)


def test_before_it_is_open_a_session_has_used_nothing() -> None:
    session = RealtimeSession(Simulator(), budget=Budget(max_cost=1, prices=PRICES))
    used = session.budget
    assert (used.tokens, used.seconds, used.cost, used.usage) == (0, 0.0, Decimal(0), Usage())
    session.close()


def test_with_prices_it_is_seen_what_it_cost() -> None:
    with talking(Model(), Budget(prices=PRICES)) as (session, told):
        usages = [session.ask("Hi").usage or {} for _ in range(2)]
        cost = Decimal(0)
        for usage in usages:
            cached = usage["input_token_details"]["cached_tokens"]
            cost += (usage["input_tokens"] - cached) * 4 + cached * Decimal("0.40") + usage["output_tokens"] * 16
        assert session.budget.cost == cost / 1_000_000
        assert session.state == "open"
        assert told.heard.empty()


def test_transcriptions_of_the_user_are_counted() -> None:
    told = {"type": "tokens", "total_tokens": 24, "input_tokens": 16, "input_token_details": {"audio_tokens": 16}}
    kind = "conversation.item.input_audio_transcription.completed"
    with conversing(budget=Budget(max_tokens=100)) as (session, service):
        for number in range(4):
            item = {"item_id": f"i{number}", "content_index": 0, "transcript": "Hi"}
            service.say({"type": kind, **item, "usage": told})
        session.wait_for(kind, where=lambda event: event.item_id == "i3", timeout=LIMIT)
        assert (session.budget.tokens, session.budget.usage.transcriptions) == (96, 4)
        service.say({"type": kind, "item_id": "i9", "content_index": 0, "transcript": "Hi", "usage": told})
        error = budget_error(lambda: session.wait_for("never", timeout=LIMIT))
        assert "120 of 100 tokens" in str(error)


def test_minutes_that_have_no_price_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    with conversing(budget=Budget(max_cost=1, prices=PRICES)) as (session, service):
        for number in range(3):
            item = {"item_id": f"i{number}", "content_index": 0, "transcript": "Hi"}
            service.say({"type": kind, **item, "usage": {"type": "duration", "seconds": 3}})
        session.wait_for(kind, where=lambda event: event.item_id == "i2", timeout=LIMIT)
        assert session.budget.unpriced == ("transcription_seconds",)
    assert caplog.text.count("no price for transcription_seconds") == 1


# -- the end ----------------------------------------------------------------------------------------------------------


def test_the_answer_that_reaches_the_limit_is_whole_and_the_next_one_is_refused() -> None:
    with conversing(used_up, budget=Budget(max_tokens=60)) as (session, _):
        told = Told(session)
        assert session.respond().wait(LIMIT).text == "word"
        assert session.budget.spent is None
        assert session.respond().wait(LIMIT).text == "word"
        error = budget_error(session.respond)
        assert "60 of 60 tokens" in str(error)
        spending = told.next()
        assert (spending.tokens, spending.spent) == (60, "60 of 60 tokens")
        closed = told.next()
        assert closed.cause is CloseCause.BUDGET
        assert session.state == "closed"
    assert session.budget.spent == "60 of 60 tokens"
    assert session.budget.tokens == 60


def test_whoever_asks_right_behind_the_answer_that_reaches_the_limit_is_refused() -> None:
    for _ in range(100):
        with conversing(used_up, budget=Budget(max_tokens=30)) as (session, service):
            session.respond().wait(LIMIT)
            budget_error(session.respond)
            service.hear("response.create")
            assert service.heard_nothing_more()


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.respond(),
        lambda session: session.respond(conversation="none"),
        lambda session: session.ask("Hi"),
        lambda session: session.send({"type": "response.create"}),
        lambda session: session.wait_for("never", timeout=LIMIT),
        lambda session: list(session.events()),
        lambda session: list(session.responses()),
    ],
)
def test_everything_ends_with_the_cause(call: Callable[[RealtimeSession], Any]) -> None:
    with conversing(used_up, budget=Budget(max_tokens=30)) as (session, _):
        session.respond().wait(LIMIT)
        assert "30 of 30 tokens" in str(budget_error(lambda: call(session)))


def test_those_who_wait_for_their_turn_are_refused_when_it_comes() -> None:
    model = Model(pause=True)
    with talking(model, Budget(max_tokens=1)) as (session, _):
        running = session.respond()
        waiting = [spawn(session.respond) for _ in range(3)]
        while session.stats.waiting < 3:
            time.sleep(0.001)
        model.go_on.set()
        assert running.wait(LIMIT).text == "Well then."
        for each in waiting:
            budget_error(each.result)
    assert len(model.turns) == 1


def test_what_runs_when_the_limit_is_reached_may_end() -> None:
    model = Model(pause=True)
    with talking(model, Budget(max_tokens=1, grace=LIMIT)) as (session, told):
        running = session.respond(conversation="none", input=[])
        assert model.began.acquire(timeout=LIMIT)
        other = session.respond(instructions=GOODBYE).wait(LIMIT)  # Reaches the limit.
        assert other.text == "Goodbye."
        assert isinstance(told.next(), Spending)
        budget_error(session.respond)
        assert not running.done
        model.go_on.set()
        assert running.wait(LIMIT).text == "Well then."
        assert told.next().cause is CloseCause.BUDGET


def test_what_takes_longer_than_the_grace_is_cancelled() -> None:
    model = Model(pause=True)
    with talking(model, Budget(max_seconds=0.05, grace=0.05, farewell=GOODBYE)) as (session, told):
        running = session.respond()
        with pytest.raises(ResponseFailed) as failed:
            running.wait(LIMIT)
        assert failed.value.status in ("cancelled", "lost")
        told.next()
        assert told.next().cause is CloseCause.BUDGET


def test_answers_that_voice_detection_begins_behind_the_limit_are_cancelled() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(response("response.created", "resp_1", metadata=event["response"]["metadata"]))
        elif event["type"] == "response.cancel":
            service.say(response("response.done", event["response_id"], status="cancelled"))

    with conversing(answer, budget=Budget(max_tokens=30, grace=LIMIT)) as (session, service):
        told = Told(session)
        running = session.respond()
        service.say(done("resp_beside", usage=USAGE))
        assert isinstance(told.next(), Spending)
        service.say(response("response.created", "resp_2"), done("resp_1", "Well"))
        assert running.wait(LIMIT).text == "Well"
        service.hear("response.create")
        assert service.hear("response.cancel")["response_id"] == "resp_2"
        assert told.next().cause is CloseCause.BUDGET


# -- the last words ---------------------------------------------------------------------------------------------------


def test_the_last_words_are_said_counted_and_without_tools() -> None:
    model = Model()
    with talking(model, Budget(max_tokens=1, farewell=GOODBYE)) as (session, told):
        words: list[str] = []
        session.on("response.output_text.done", lambda _session, event: words.append(event.text))
        first = session.ask("Hi")
        budget_error(lambda: session.ask("And now?"))
        assert session.state == "closed"
        assert told.next().tokens == (first.usage or {})["total_tokens"]
        assert told.next().cause is CloseCause.BUDGET
    assert words == ["Well then.", "Goodbye."]
    assert (model.turns[-1].instructions, model.turns[-1].tool_choice) == (f"You are a clerk.\n\n{GOODBYE}", "none")
    assert session.budget.usage.responses == 2
    assert session.budget.tokens > (first.usage or {})["total_tokens"]


def test_leaving_the_block_with_the_refusal_does_not_cut_the_last_words_off() -> None:
    for _ in range(30):
        words: list[str] = []
        with pytest.raises(SessionClosed), talking(Model(), Budget(max_tokens=1, farewell=GOODBYE)) as (session, _):
            session.on("response.output_text.done", lambda _session, event, words=words: words.append(event.text))
            while True:
                session.ask("Hi")
        assert words == ["Well then.", "Goodbye."]


def test_handlers_are_refused_at_once() -> None:
    refused: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def more(session: RealtimeSession, _event: Any) -> None:
        try:
            session.respond(timeout=LIMIT)
        except SessionClosed as error:
            refused.put(error)

    with talking(Model(), Budget(max_tokens=1, farewell=GOODBYE)) as (session, told):
        session.once("response.done", more)
        session.respond()
        error = refused.get(timeout=LIMIT)
        assert isinstance(error, SessionClosed)
        assert error.cause is CloseCause.BUDGET
        while not isinstance(told.next(), SessionClosed):
            pass
        assert session.budget.usage.responses == 2


def test_last_words_that_take_too_long_are_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    def brain(turn: Turn) -> Iterator[str]:
        yield "Good"
        if GOODBYE in turn.instructions:
            turn.cancelled.wait(LIMIT)

    with talking(brain, Budget(max_tokens=1, farewell=GOODBYE, grace=0.3)) as (session, _):
        session.ask("Hi")
        budget_error(lambda: session.wait_for("never", timeout=LIMIT))
    assert "took longer than 0.3 s" in caplog.text


def test_a_service_that_refuses_the_last_words_is_left_without_them(caplog: pytest.LogCaptureFixture) -> None:
    def answer(service: Service, event: Json) -> None:
        if event["response"].get("tool_choice") == "none":
            refused = {"type": "invalid_request_error", "code": "no", "message": "No.", "event_id": event["event_id"]}
            service.say({"type": "error", "error": refused})
        else:
            used_up(service, event)

    with conversing(answer, budget=Budget(max_tokens=1, farewell=GOODBYE)) as (session, _):
        session.respond().wait(LIMIT)
        budget_error(lambda: session.wait_for("never", timeout=LIMIT))
    assert "the last words of the session could not be said" in caplog.text


def test_the_last_words_are_guarded_and_not_replaced() -> None:
    with talking(Model(), Budget(max_tokens=1, farewell=GOODBYE)) as (session, _):
        session.guard(lambda text, _: "Goodbye" in text, interval=0)
        session.ask("Hi")
        budget_error(session.respond)
    assert session.budget.usage.responses == 2


# -- time and money ---------------------------------------------------------------------------------------------------


def test_a_session_ends_when_its_time_is_up() -> None:
    began = time.monotonic()
    with talking(Model(), Budget(max_seconds=0.2, farewell=GOODBYE)) as (session, told):
        error = budget_error(lambda: session.wait_for("never", timeout=LIMIT))
        assert "of 0.2 seconds" in str(error)
        assert time.monotonic() - began >= 0.2
        assert "of 0.2 seconds" in told.next().spent
    assert session.budget.usage.responses == 1
    assert session.budget.seconds >= 0.2


def test_time_that_is_not_up_ends_with_the_session() -> None:
    with talking(Model(), Budget(max_seconds=3600)) as (session, told):
        session.ask("Hi")
        waiting = session.stats.waiting
        assert any(thread.name.startswith("rtsync-budget") for thread in threading.enumerate())
    assert waiting == 0
    assert told.next().cause is CloseCause.USER
    assert not any(thread.name.startswith("rtsync-budget") for thread in threading.enumerate())


def test_tokens_and_money_need_no_thread_until_they_are_spent() -> None:
    with talking(Model(), Budget(max_tokens=10**9, max_cost=10**9, prices=PRICES)) as (session, _):
        session.ask("Hi")
        assert not any(thread.name.startswith("rtsync-budget") for thread in threading.enumerate())


def test_tokens_may_be_spent_before_the_time_is_up() -> None:
    with talking(Model(), Budget(max_seconds=3600, max_tokens=1)) as (session, told):
        session.ask("Hi")
        assert "tokens" in str(budget_error(session.respond))
        assert "tokens" in told.next().spent
        assert told.next().cause is CloseCause.BUDGET
        assert told.heard.empty()


def test_a_session_ends_when_its_money_is_spent() -> None:
    budget = Budget(max_cost="0.0007", prices=Prices(input_text=4, output_text=16))
    with conversing(used_up, budget=budget) as (session, _):  # 0.00036 each
        session.respond().wait(LIMIT)
        session.respond().wait(LIMIT)
        assert "a cost of 0.000720 of 0.0007" in str(budget_error(session.respond))
        assert session.budget.cost == Decimal("0.00072")


def test_the_time_goes_on_and_the_tokens_add_up_over_lines() -> None:
    with resuming(used_up, reconnect=at_once(), budget=Budget(max_tokens=60, max_seconds=3600)) as (session, services):
        session.respond().wait(LIMIT)
        seconds = session.budget.seconds
        with watched(session) as signals:
            services[1].peer.reset()
            signals.until("reconnected")
        session.respond(timeout=LIMIT).wait(LIMIT)
        assert session.stats.lines == 2
        assert session.budget.seconds > seconds
        assert "60 of 60 tokens" in str(budget_error(session.respond))


def test_time_that_is_up_while_the_line_is_lost_ends_the_session() -> None:
    def never(service: Service, event: Json) -> None:
        attend(service, event)

    policy = at_once(first_delay=3600.0, longest_delay=3600.0)
    with resuming(never, reconnect=policy, budget=Budget(max_seconds=0.3, farewell=GOODBYE, grace=0.2)) as (
        session,
        services,
    ):
        services[1].peer.reset()
        error = budget_error(lambda: session.wait_for("never", timeout=LIMIT))
        assert "of 0.3 seconds" in str(error)


def test_closing_and_the_end_of_a_budget_may_meet() -> None:
    for _ in range(100):
        with conversing(used_up, budget=Budget(max_tokens=30, max_seconds=3600, farewell=GOODBYE)) as (session, _):
            told = Told(session)
            session.respond().wait(LIMIT)
            session.close()
            assert session.state == "closed"
            told.next()
            assert told.next().cause in (CloseCause.USER, CloseCause.BUDGET)


def test_a_budget_that_is_spent_in_the_middle_of_a_call_of_a_function() -> None:
    """The program is about to answer the call: its output is taken, and no response to it."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    refused: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def run(session: RealtimeSession, event: Any) -> None:
        if event.item.type != "function_call":
            return
        session.wait_for("response.done", settled=False, timeout=LIMIT)
        try:
            session.add_item({"type": "function_call_output", "call_id": event.item.call_id, "output": "1"})
            session.respond()
        except SessionClosed as error:
            refused.put(error)

    def brain(turn: Turn) -> Iterator[Any]:
        yield "Goodbye." if GOODBYE in turn.instructions else FunctionCall("f", "{}")

    with talking(brain, Budget(max_tokens=1, farewell=GOODBYE)) as (session, told):
        session.update(tools=[tool])
        session.on("response.output_item.done", run)
        session.respond()
        error = refused.get(timeout=LIMIT)
        assert isinstance(error, SessionClosed)
        assert error.cause is CloseCause.BUDGET
        told.next()
        assert told.next().cause is CloseCause.BUDGET


def test_with_inline_handlers_the_signal_comes_in_their_thread() -> None:
    threads: list[str] = []

    def note(_session: RealtimeSession, spending: Spending) -> None:
        threads.append(threading.current_thread().name.rpartition("-")[0])

    budgets = (Budget(max_tokens=1), Budget(max_seconds=0.1))
    for budget in budgets:
        with talking(Model(), budget, handlers="inline") as (session, _):
            budget_spent.connect(note, sender=session)
            session.ask("Hi")
            budget_error(lambda: session.wait_for("never", timeout=LIMIT))
    assert threads == ["rtsync-reader"] * 2


@pytest.mark.parametrize("budget", [5, {"max_tokens": 5}, "60 s"])
def test_a_budget_that_is_none_is_refused(budget: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget must be a Budget"):
        RealtimeSession(Simulator(), budget=budget)
