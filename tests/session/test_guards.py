"""Guards: what the model says is looked at while it says it, and what must not be said is stopped."""

from __future__ import annotations

import queue
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from rtsync import (
    ConfigurationError,
    RealtimeSession,
    Response,
    ResponseFailed,
    SessionClosed,
    Simulator,
    Verdict,
    WaitTimeout,
    event_sent,
    handler_failed,
    response_guarded,
)
from rtsync.devices import VirtualDevice
from rtsync.simulator import FunctionCall, Turn
from tests.devices.watched import Lines, WatchedSpeaker
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, delta, done, error, response, spawn, whole_response
from tests.session.successive import at_once, attend, resuming

NICE = "Be nice."


class Model:
    """A brain that answers with what it was given, word by word, and nicely where it was told to be nice.

    `pause` keeps it between two words until the test lets it go on, or it is cut off.
    """

    def __init__(self, text: str = "this is a bad answer that goes on and on", *, pause: bool = True) -> None:
        self.text = text
        self.nice = "All is fine."
        self.turns: list[Turn] = []
        self._pause = pause

    def __call__(self, turn: Turn) -> Iterator[str]:
        self.turns.append(turn)
        if NICE in turn.instructions:
            yield self.nice
            return
        for word in self.text.split():
            yield f"{word} "
            if self._pause and word == "bad" and turn.cancelled.wait(LIMIT):
                return


class Sent:
    """What a session sends, by type."""

    def __init__(self, session: RealtimeSession) -> None:
        self.events: list[Json] = []
        event_sent.connect(self._take, sender=session)

    def _take(self, _session: RealtimeSession, event: Json) -> None:
        self.events.append(event)

    def types(self, *but: str) -> list[str]:
        return [event["type"] for event in self.events if event["type"] not in but]

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["type"] == kind]


class Told:
    """What `response_guarded` tells of one session."""

    def __init__(self, session: RealtimeSession) -> None:
        self.heard: queue.SimpleQueue[tuple[Response, Verdict]] = queue.SimpleQueue()
        response_guarded.connect(self._take, sender=session)

    def _take(self, _session: RealtimeSession, response: Response, verdict: Verdict) -> None:
        self.heard.put((response, verdict))

    def next(self) -> tuple[Response, Verdict]:
        return self.heard.get(timeout=LIMIT)


def no_bad(text: str, _response: Response) -> str | None:
    return NICE if "bad" in text else None


def text_session(brain: Callable[..., Any], **options: Any) -> RealtimeSession:
    config = {"output_modalities": ["text"], "instructions": "You are a clerk."}
    return RealtimeSession(Simulator(brain=brain, pace=False), config=config, **options)


@contextmanager
def guarded(brain: Callable[..., Any], check: Any = no_bad, **options: Any) -> Iterator[RealtimeSession]:
    """An open session of text with one guard that looks as often as it can."""
    with text_session(brain) as session:
        session.guard(check, **{"interval": 0, **options})
        yield session


def said_in(session: RealtimeSession) -> list[tuple[str | None, str]]:
    return [(item.role, item.text) for item in session.conversation.items]


def failure_of(response: Response) -> ResponseFailed:
    with pytest.raises(ResponseFailed) as failed:
        response.wait(LIMIT)
    return failed.value


# -- what is said while it is said ------------------------------------------------------------------------------------


def test_an_answer_that_is_fine_is_left_alone() -> None:
    seen: list[tuple[str, bool]] = []
    go_on = threading.Semaphore(0)

    def model(turn: Turn) -> Iterator[str]:
        for word in ("One", " two", " three"):
            yield word
            assert go_on.acquire(timeout=LIMIT)

    def check(text: str, response: Response) -> None:
        seen.append((text, response.done))
        go_on.release()

    with guarded(model, check) as session:
        answer = session.ask("Count!")
        assert (answer.text, answer.status) == ("One two three", "completed")
        assert (answer.verdict, answer.replacement) == (None, None)
        assert said_in(session) == [("user", "Count!"), ("assistant", "One two three")]
    assert seen == [("One", False), ("One two", False), ("One two three", False), ("One two three", True)]


def test_an_answer_is_stopped_in_the_middle_and_another_one_comes_in_its_place() -> None:
    model = Model()
    with guarded(model) as session:
        sent, told = Sent(session), Told(session)
        answer = session.ask("Hi", max_output_tokens=500, metadata={"of": "mine"})
        assert (answer.text, answer.status, answer.verdict) == ("All is fine.", "completed", None)
        assert said_in(session) == [("user", "Hi"), ("assistant", "All is fine.")]
        assert sent.types() == [
            "conversation.item.create", "response.create", "response.cancel", "conversation.item.delete",
            "response.create",
        ]  # fmt: skip
        first, second = (event["response"] for event in sent.of("response.create"))
        assert second["instructions"] == f"You are a clerk.\n\n{NICE}"
        assert (second["max_output_tokens"], second["metadata"]["of"]) == (500, "mine")
        assert second["metadata"]["rtsync"] != first["metadata"]["rtsync"]
        stopped, verdict = told.next()
        assert stopped.id == sent.of("response.cancel")[0]["response_id"]
        assert (stopped.status, stopped.verdict) == ("cancelled", verdict)
        assert verdict.guard.endswith("no_bad")
        replacement = stopped.replacement
        assert replacement is not None
        assert replacement.id == answer.id


def test_who_holds_a_stopped_response_is_told_and_finds_the_other_one() -> None:
    with guarded(Model()) as session:
        stopped = session.respond()
        failed = failure_of(stopped)
        assert (failed.reason, failed.status, failed.text) == ("guarded", "cancelled", "this is a bad ")
        assert "no_bad" in str(failed)
        assert "is a bad" not in str(failed)
        assert stopped.verdict == Verdict(instructions=NICE, guard=stopped.verdict.guard, keep_heard=True)  # type: ignore[union-attr]
        replacement = stopped.replacement
        assert replacement is not None
        assert replacement.wait(LIMIT).text == "All is fine."
        assert replacement.replacement is None


def test_a_stream_gives_what_came_and_then_the_failure() -> None:
    with guarded(Model()) as session:
        pieces: list[str] = []
        with pytest.raises(ResponseFailed) as failed:
            pieces.extend(session.respond().text_deltas(timeout=LIMIT))
            pytest.fail("the stream ended well")
        assert failed.value.reason == "guarded"


def test_the_instructions_of_a_response_of_its_own_are_kept_for_the_other_one() -> None:
    model = Model()
    with guarded(model) as session:
        session.ask("Hi", instructions="You are a poet.")
    assert [turn.instructions for turn in model.turns] == ["You are a poet.", f"You are a poet.\n\n{NICE}"]


@pytest.mark.parametrize(
    ("said", "options", "added"),
    [
        (True, {"instructions": NICE}, NICE),
        (Verdict("bad"), {"instructions": NICE}, NICE),
        (Verdict("bad", instructions=NICE), {"instructions": "Be quick."}, NICE),
        (NICE, {"instructions": "Be quick."}, NICE),
    ],
    ids=repr,
)
def test_a_guard_may_say_in_several_ways_what_is_to_follow(said: object, options: Json, added: str) -> None:
    model = Model()
    with guarded(model, lambda text, _: said if "bad" in text else False, **options) as session:
        assert session.ask("Hi").text == "All is fine."
    assert model.turns[-1].instructions == f"You are a clerk.\n\n{added}"


def test_without_any_instructions_the_model_is_told_that_it_was_stopped() -> None:
    turns: list[Turn] = []

    def model(turn: Turn) -> Iterator[str]:
        turns.append(turn)
        yield "bad" if len(turns) == 1 else "good"

    with guarded(model, lambda text, _: "bad" in text) as session:
        assert session.ask("Hi").text == "good"
    assert turns[1].instructions.startswith("You are a clerk.\n\nThe answer that you were about to give was stopped")


def test_a_verdict_may_ask_for_no_other_answer() -> None:
    model = Model()
    with guarded(model, lambda text, _: Verdict("enough", replace=False) if "bad" in text else None) as session:
        stopped = session.respond()
        assert failure_of(stopped).reason == "guarded"
        assert stopped.replacement is None
        assert stopped.verdict is not None
        assert stopped.verdict.reason == "enough"
        with pytest.raises(ResponseFailed):
            session.ask("Hi")
        assert said_in(session) == [("user", "Hi")]
    assert len(model.turns) == 2


def test_what_the_program_says_of_the_reason_is_not_in_messages_and_reprs() -> None:
    check = lambda text, _: Verdict(f"it said {text}", replace=False)  # noqa: E731
    with guarded(Model("secretive words", pause=False), check) as session:
        failed = failure_of(stopped := session.respond())
        assert "secretive" not in f"{failed!r}{failed}{stopped!r}{stopped.verdict!r}{stopped.verdict}"


def test_a_guard_that_is_slow_misses_nothing_and_is_called_less_often() -> None:
    words = [f"{number} " for number in range(400)]
    first, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def check(text: str, _response: Response) -> None:
        seen.append(text)
        first.set()
        assert go_on.wait(LIMIT)

    def answer(service: Service, event: Json) -> None:
        events = whole_response(event, "resp_1", *words)
        service.say(*events[:2])
        assert first.wait(LIMIT)
        service.say(*events[2:])

    with conversing(answer) as (session, _service):
        session.guard(check, interval=0)
        answered = session.respond()
        session.wait_for("response.done", timeout=LIMIT)
        assert answered.done
        go_on.set()
        assert answered.wait(LIMIT).text == "".join(words)
    assert seen == ["0 ", "".join(words)]


def test_a_growing_answer_is_looked_at_no_more_often_than_asked_and_its_end_at_once() -> None:
    seen, looked_at = list[str](), threading.Event()

    def check(text: str, _response: Response) -> None:
        seen.append(text)
        looked_at.set()

    def model(turn: Turn) -> Iterator[str]:
        for number in range(200):
            yield f"{number} "
            assert number < 100 or looked_at.wait(LIMIT)

    with text_session(model) as session:
        session.guard(check, interval=30)
        began = time.monotonic()
        text = session.ask("Count!").text
        assert time.monotonic() - began < LIMIT
    assert len(seen) == 2
    assert seen[-1] == text


def test_several_guards_are_asked_in_order_and_the_first_that_objects_decides() -> None:
    asked: list[str] = []

    def first(text: str, _response: Response) -> None:
        asked.append("first")

    def second(text: str, _response: Response) -> Verdict | None:
        asked.append("second")
        return Verdict("second", instructions=NICE) if "bad" in text else None

    def third(text: str, _response: Response) -> Verdict | None:
        asked.append("third")
        return Verdict("third", instructions=NICE) if "bad" in text else None

    with text_session(Model("bad", pause=False)) as session:
        for check in (first, second, third):
            assert session.guard(check) is check
        told = Told(session)
        session.ask("Hi")
        assert told.next()[1].reason == "second"
    assert asked[:2] == ["first", "second"]


def test_guards_are_set_up_by_decorators_and_before_opening() -> None:
    session = text_session(Model())

    @session.guard
    def polite(text: str, response: Response) -> str | None:
        return no_bad(text, response)

    @session.guard(interval=0, replacements=2)
    def short(text: str, response: Response) -> bool:
        return len(text) > 1000

    with session:
        assert session.ask("Hi").text == "All is fine."
    assert (polite.__name__, short.__name__) == ("polite", "short")


def test_speech_is_checked_by_its_transcript() -> None:
    seen: list[str] = []

    def check(text: str, _response: Response) -> None:
        seen.append(text)

    with RealtimeSession(Simulator(brain=lambda turn: ["Spoken words."], pace=False)) as session:
        session.guard(check)
        assert session.ask("Hi").transcript == "Spoken words."
    assert seen[-1] == "Spoken words."


def test_where_nothing_was_said_nobody_is_asked() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    with guarded(lambda turn: [FunctionCall("f", "{}")], lambda text, _: Verdict("asked")) as session:
        session.update(tools=[tool])
        assert len(session.ask("Call!").function_calls) == 1


# -- at the end, and too late -----------------------------------------------------------------------------------------


def test_an_answer_that_is_stopped_when_it_is_complete_is_not_cancelled() -> None:
    def check(text: str, response: Response) -> str | None:
        return NICE if response.done and "bad" in text else None

    with guarded(Model(pause=False), check) as session:
        sent = Sent(session)
        stopped = session.respond()
        failed = failure_of(stopped)
        assert (failed.reason, failed.status) == ("guarded", "completed")
        assert sent.types("response.create") == ["conversation.item.delete"]
        assert session.ask("Again").text == "All is fine."
        assert [role for role, _ in said_in(session)] == ["assistant", "user", "assistant"]


def test_one_that_ends_before_the_cancellation_arrives_is_stopped_all_the_same() -> None:
    asked: list[Json] = []

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            asked.append(event)
            metadata = event["response"]["metadata"]
            number = f"resp_{len(asked)}"
            if len(asked) == 1:
                service.say(response("response.created", number, metadata=metadata), delta("bad", number))
            else:
                service.say(*whole_response(event, number, "good"))
        elif event["type"] == "response.cancel":
            refused = error(code="response_cancel_not_active", event_id=event["event_id"])
            service.say(done("resp_1", "bad", metadata=asked[0]["response"]["metadata"]), refused)

    for _ in range(100):
        asked.clear()
        with conversing(answer) as (session, _service):
            session.guard(no_bad, interval=0)
            stopped = session.respond()
            assert failure_of(stopped).status == "completed"
            replacement = stopped.replacement
            assert replacement is not None
            assert replacement.wait(LIMIT).text == "good"


def test_guards_and_ends_of_answers_meet_at_every_moment() -> None:
    """The model goes on while it is being stopped: the trip comes anywhere, also behind the last word."""
    chance = random.Random(7)

    def model(turn: Turn) -> Iterator[str]:
        if NICE in turn.instructions:
            yield "All is fine."
            return
        length = chance.randint(1, 12)
        bad = chance.randint(0, length - 1)
        for number in range(length):
            yield "bad " if number == bad else "word "
            if chance.random() < 0.3:
                turn.cancelled.wait(chance.choice((0.0, 0.001, 0.005)))

    with guarded(model) as session:
        errors: list[Any] = []
        session.on("error", lambda _session, event: errors.append(event.error.code))
        for number in range(100):
            answer = session.ask(f"Question {number}")
            assert answer.text == "All is fine."
        assert {role for role, text in said_in(session) if "bad" in text} == set()
        assert [text for role, text in said_in(session) if role == "assistant"] == ["All is fine."] * 100
        assert set(errors) <= {"response_cancel_not_active"}


# -- round and round --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replacements", [0, 1, 3])
def test_replacements_are_guarded_too_and_end_at_their_limit(replacements: int) -> None:
    model = Model()
    with guarded(model, lambda text, _: "Try again." if "bad" in text else None, replacements=replacements) as session:
        with pytest.raises(ResponseFailed) as failed:
            session.ask("Hi")
        assert failed.value.reason == "guarded"
        assert said_in(session) == [("user", "Hi")]
        chain = []
        following: Response | None = session.respond()
        while following is not None:
            chain.append(following)
            assert failure_of(following).reason == "guarded"
            following = following.replacement
        assert len(chain) == replacements + 1
    assert len(model.turns) == 2 * (replacements + 1)


def test_whoever_waits_for_a_turn_gets_it_behind_the_other_answer() -> None:
    model = Model()
    checking, go_on = threading.Event(), threading.Event()

    def check(text: str, response: Response) -> str | None:
        if "bad" in text:
            checking.set()
            assert go_on.wait(LIMIT)
        return no_bad(text, response)

    with guarded(model, check) as session:
        sent = Sent(session)
        stopped = session.respond()
        assert checking.wait(LIMIT)
        others = [spawn(lambda: session.respond(instructions=f"Later. {NICE}", timeout=LIMIT)) for _ in range(3)]
        while session.stats.waiting < 3:
            time.sleep(0.001)
        go_on.set()
        failure_of(stopped)
        for other in others:
            other.result().wait(LIMIT)
        asked = [event["response"].get("instructions") for event in sent.of("response.create")]
        assert asked == [None, f"You are a clerk.\n\n{NICE}", *[f"Later. {NICE}"] * 3]


# -- whose answers ----------------------------------------------------------------------------------------------------


def test_answers_that_nobody_asked_for_are_guarded_too() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(*whole_response(event, "resp_2", "good"))
        elif event["type"] == "response.cancel":
            service.say(response("response.done", "resp_1", status="cancelled"))

    for _ in range(100):
        with conversing(answer) as (session, service):
            session.guard(no_bad, interval=0)
            told = Told(session)
            with session.responses(timeout=LIMIT) as unasked:
                service.say(response("response.created", "resp_1"), delta("this is ba"), delta("d"))
                assert service.hear()["type"] == "response.cancel"
                create = service.hear("response.create")
                stopped = next(unasked)
            assert failure_of(stopped).reason == "guarded"
            assert stopped.replacement is not None
            assert stopped.replacement.wait(LIMIT).text == "good"
            assert create["response"]["instructions"] == NICE
            assert told.next()[0].id == "resp_1"


def test_an_answer_asked_for_by_an_event_of_the_programs_own_is_guarded_too() -> None:
    with guarded(Model()) as session:
        told = Told(session)
        session.send({"type": "response.create"})
        stopped, _ = told.next()
        assert failure_of(stopped).reason == "guarded"
        assert stopped.replacement is not None
        assert stopped.replacement.wait(LIMIT).text == "All is fine."


def test_an_answer_beside_the_conversation_is_replaced_beside_it() -> None:
    model = Model()
    lines = threading.Event()

    def brain(turn: Turn) -> Iterator[str]:
        if (turn.metadata or {}).get("beside"):
            yield from model(turn)
        else:
            yield "In the conversation."
            lines.wait(LIMIT)

    with guarded(brain) as session:
        sent = Sent(session)
        main = session.respond()
        beside = session.respond(conversation="none", input=[], metadata={"beside": "yes"})
        assert failure_of(beside).reason == "guarded"
        assert beside.replacement is not None
        assert beside.replacement.wait(LIMIT).text == "All is fine."
        last = sent.of("response.create")[-1]["response"]
        assert (last["conversation"], last["input"], last["metadata"]["beside"]) == ("none", [], "yes")
        assert not main.done
        lines.set()
        assert main.wait(LIMIT).text == "In the conversation."
        assert "conversation.item.delete" not in sent.types()


def test_a_guard_may_ask_the_model_itself() -> None:
    def brain(turn: Turn) -> Iterator[str]:
        if turn.instructions.startswith("Is this rude?"):
            yield "bad: yes"
        else:
            yield from Model(pause=False)(turn)

    with text_session(brain) as session:

        @session.guard
        def judged(text: str, response: Response) -> str | None:
            if not response.done or text == "All is fine.":
                return None
            asked = session.respond(conversation="none", instructions=f"Is this rude? {text}", input=[])
            return NICE if "yes" in asked.wait(LIMIT).text else None

        assert session.ask("Hi").text == "All is fine."


def test_a_guard_may_wait_for_the_answer_that_it_looks_at() -> None:
    with guarded(Model("word", pause=False), lambda text, response: response.wait(LIMIT) is None) as session:
        assert session.ask("Hi").text == "word "


def test_no_other_answer_is_asked_for_when_the_conversation_has_gone_on() -> None:
    checking, go_on = threading.Event(), threading.Event()

    def check(text: str, response: Response) -> str | None:
        if response.done and "bad" in text:
            checking.set()
            assert go_on.wait(LIMIT)
            return NICE
        return None

    model = Model("bad", pause=False)
    with guarded(model, check) as session:
        stopped = session.respond()
        assert checking.wait(LIMIT)
        later = session.respond(instructions=NICE)
        session.wait_for("response.done", where=lambda event: event.response.id == later.id, timeout=LIMIT)
        go_on.set()
        assert failure_of(stopped).reason == "guarded"
        assert stopped.replacement is None
        assert later.wait(LIMIT).text == "All is fine."
        assert said_in(session) == [("assistant", "All is fine.")]
    assert len(model.turns) == 2


def test_no_other_answer_is_asked_for_while_somebody_speaks() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            metadata = event["response"]["metadata"]
            speaks = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_u"}
            heard = {"type": "session.updated", "session": {"audio": {"input": {"turn_detection": {"type": "x"}}}}}
            service.say(heard, response("response.created", "resp_1", metadata=metadata), delta("bad"), speaks)
            details = {"type": "cancelled", "reason": "turn_detected"}
            service.say(response("response.done", "resp_1", status="cancelled", status_details=details))
        elif event["type"] == "response.cancel":  # It may be on its way when the service has cancelled by itself.
            service.say(error(code="response_cancel_not_active", event_id=event["event_id"]))

    with conversing(answer) as (session, service):
        session.guard(no_bad, interval=0)
        stopped = session.respond()
        assert failure_of(stopped).reason == "guarded"
        assert stopped.replacement is None
        service.hear("response.create")
        while not service.heard_nothing_more():
            service.hear("response.cancel")


def test_what_somebody_else_has_stopped_is_not_replaced() -> None:
    looked = threading.Event()

    def check(text: str, response: Response) -> str | None:
        looked.set()
        return NICE if response.done else None

    stops: tuple[Callable[[RealtimeSession, Response], object], ...] = (
        lambda session, response: response.cancel(),
        lambda session, response: session.cancel(),
        lambda session, response: session.interrupt(),
    )
    for stop in stops:
        with guarded(Model(), check) as session:
            looked.clear()
            stopped = session.respond()
            assert looked.wait(LIMIT)
            stop(session, stopped)
            assert failure_of(stopped).reason == "guarded"
            assert stopped.replacement is None
            assert said_in(session) == []


def test_an_answer_with_calls_that_will_be_answered_is_not_replaced() -> None:
    """The model speaks again when it has the outputs."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}

    def late(text: str, response: Response) -> str | None:
        return NICE if response.done else None

    with guarded(lambda turn: ["bad", FunctionCall("f", "{}")], late) as session:
        session.update(tools=[tool])
        stopped = session.respond()
        assert failure_of(stopped).status == "completed"
        assert stopped.replacement is None
        assert [item.type for item in session.conversation.items] == ["function_call"]


# -- guards that fail -------------------------------------------------------------------------------------------------


class Failures:
    """What `handler_failed` tells of one session."""

    def __init__(self, session: RealtimeSession) -> None:
        self.heard: queue.SimpleQueue[tuple[Any, BaseException]] = queue.SimpleQueue()
        handler_failed.connect(self._take, sender=session)

    def _take(self, _session: RealtimeSession, handler: Any, error: BaseException, **_: Any) -> None:
        self.heard.put((handler, error))


def broken(text: str, response: Response) -> None:
    raise KeyError("broken")


def leaving(text: str, response: Response) -> None:
    raise SystemExit


def talkative(text: str, response: Response) -> object:
    return 7


@pytest.mark.parametrize(("check", "kind"), [(broken, KeyError), (talkative, TypeError), (leaving, SystemExit)])
def test_what_cannot_be_checked_is_stopped(check: Any, kind: type[BaseException]) -> None:
    with guarded(Model("fine words", pause=False), check) as session:
        failures = Failures(session)
        stopped = session.respond()
        assert failure_of(stopped).reason == "guarded"
        assert stopped.replacement is None
        handler, error = failures.heard.get(timeout=LIMIT)
        assert handler is check
        assert type(error) is kind
        assert said_in(session) == []
        assert failure_of(session.respond()).reason == "guarded"


def test_a_guard_may_be_told_to_pass_what_it_cannot_check() -> None:
    with guarded(Model("fine words", pause=False), broken, on_error="pass") as session:
        failures = Failures(session)
        assert session.ask("Hi").text == "fine words "
        assert failures.heard.get(timeout=LIMIT)[0] is broken


def test_a_guard_that_raised_is_asked_again_when_there_is_more() -> None:
    raised = threading.Event()

    def flaky(text: str, response: Response) -> str | None:
        if not raised.is_set():
            raised.set()
            raise ConnectionError
        return no_bad(text, response)

    def model(turn: Turn) -> Iterator[str]:
        if NICE in turn.instructions:
            yield "All is fine."
        else:
            yield "This is"
            assert raised.wait(LIMIT)
            yield " bad"

    with guarded(model, flaky, on_error="pass") as session:
        assert session.ask("Hi").text == "All is fine."


async def _coroutine(text: str, response: Response) -> None:
    pass


@pytest.mark.parametrize(
    ("check", "options", "said"),
    [
        (7, {}, "must be callable"),
        (_coroutine, {}, "coroutine function"),
        (lambda text: None, {}, "two arguments"),
        (no_bad, {"instructions": 7}, "instructions must be"),
        (no_bad, {"replacements": -1}, "replacements must be"),
        (no_bad, {"replacements": True}, "replacements must be"),
        (no_bad, {"on_error": "ignore"}, "on_error must be"),
        (no_bad, {"interval": -1}, "interval"),
        (no_bad, {"interval": None}, "interval"),
    ],
)
def test_a_guard_that_is_none_is_refused_when_it_is_set_up(check: Any, options: Json, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RealtimeSession(Simulator()).guard(check, **options)


# -- beside handlers --------------------------------------------------------------------------------------------------


def test_handlers_that_do_not_return_hold_up_no_guard() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stuck(_session: RealtimeSession, _event: Any) -> None:
        inside.set()
        assert go_on.wait(LIMIT)

    with guarded(Model()) as session:
        session.on("response.output_text.delta", stuck)
        sent = Sent(session)
        session.send({"type": "response.create"})
        assert inside.wait(LIMIT)
        while sent.types().count("response.create") < 2:
            assert session.state == "open"
            time.sleep(0.001)
        go_on.set()


def test_a_handler_may_wait_for_an_answer_that_is_being_stopped() -> None:
    came: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    held: queue.SimpleQueue[Response] = queue.SimpleQueue()

    def wait(_session: RealtimeSession, _event: Any) -> None:
        came.put(failure_of(held.get(timeout=LIMIT)).reason)

    with guarded(Model()) as session:
        session.once("response.created", wait)
        held.put(session.respond())
        assert came.get(timeout=LIMIT) == "guarded"


def test_handlers_hear_of_it_between_the_two_answers() -> None:
    order: list[str] = []
    model = Model()

    def note(_session: RealtimeSession, **data: Any) -> None:
        order.append("guarded")

    with guarded(model) as session:
        session.on("response.output_text.delta", lambda _session, event: order.append(event.response_id))
        response_guarded.connect(note, sender=session)
        session.ask("Hi")
        first, last = order[0], order[-1]
        at = order.index("guarded")
        assert set(order[:at]) == {first}
        assert set(order[at + 1 :]) == {last}
        assert first != last


def test_with_inline_handlers_the_signal_comes_in_their_thread() -> None:
    threads: list[str] = []

    def note(_session: RealtimeSession, **data: Any) -> None:
        threads.append(threading.current_thread().name)

    with text_session(Model(), handlers="inline") as session:
        session.guard(no_bad)
        response_guarded.connect(note, sender=session)
        session.ask("Hi")
    assert [name.rpartition("-")[0] for name in threads] == ["rtsync-reader"]


def test_a_session_without_guards_has_no_thread_for_them() -> None:
    with text_session(Model("fine", pause=False)) as session:
        session.ask("Hi")
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtsync-guard")]
        session.guard(no_bad)
        session.ask("Hi")
        assert [thread for thread in threading.enumerate() if thread.name.startswith("rtsync-guard")]


def test_a_forgotten_session_is_collected_although_it_has_guards() -> None:
    session = text_session(Model("fine", pause=False)).open()
    session.guard(no_bad)
    session.ask("Hi")
    gone = weakref.ref(session)
    with pytest.warns(ResourceWarning, match="dropped while open"):
        del session
    assert gone() is None


# -- the end of the session, and of lines -----------------------------------------------------------------------------


class Held:
    """A guard that finds everything fine, when the test lets it."""

    def __init__(self) -> None:
        self.checking, self.go_on = threading.Event(), threading.Event()

    def __call__(self, text: str, response: Response) -> None:
        self.checking.set()
        assert self.go_on.wait(LIMIT)


def test_closing_ends_those_who_wait_for_a_guard() -> None:
    for _ in range(100):
        check = Held()
        with conversing(lambda service, event: service.say(*whole_response(event, "resp_1", "word"))) as (session, _):
            session.guard(check, interval=0)
            waiting = spawn(session.respond().wait, LIMIT)
            assert check.checking.wait(LIMIT)
            closing = spawn(session.close)
            check.go_on.set()
            assert waiting.result().text == "word"
            closing.result()


def test_closing_does_not_wait_for_ever_for_a_guard(caplog: pytest.LogCaptureFixture) -> None:
    check = Held()
    with guarded(Model("word", pause=False), check) as session:
        answered = session.respond()
        session.wait_for("response.done", timeout=LIMIT)
        with pytest.raises(WaitTimeout, match="the guards are not"):
            answered.wait(0.01)
        began = time.monotonic()
        session.close(timeout=0.3)
        assert time.monotonic() - began < LIMIT / 2
        check.go_on.set()
    assert "close() did not wait any longer for a guard" in caplog.text


def test_a_guard_may_close_the_session() -> None:
    for _ in range(20):
        with text_session(Model()) as session:
            held: list[RealtimeSession] = [session]

            def check(text: str, response: Response, held: list[RealtimeSession] = held) -> str | None:
                if "bad" in text:
                    held[0].close()
                return no_bad(text, response)

            session.guard(check, interval=0)
            stopped = session.respond()
            with pytest.raises((ResponseFailed, SessionClosed)):
                stopped.wait(LIMIT)
            assert stopped.replacement is None


def test_a_session_that_closes_while_an_answer_is_stopped_ends() -> None:
    """The service never answers the cancellation."""

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(response("response.created", metadata=event["response"]["metadata"]), delta("bad"))

    for _ in range(100):
        with conversing(answer) as (session, service):
            session.guard(no_bad, interval=0)
            stopped = session.respond()
            service.hear("response.create")
            service.hear("response.cancel")
            session.close()
            assert failure_of(stopped).reason == "guarded"
            assert stopped.replacement is None


def _slow_to_cancel(service: Service, event: Json) -> None:
    """As the service does, but every answer is bad and none ends."""
    if event["type"] == "response.create":
        metadata = event["response"]["metadata"]
        item = {"type": "message", "role": "assistant", "id": "item_bad", "status": "in_progress", "content": []}
        service.say(
            response("response.created", "resp_bad", metadata=metadata),
            {"type": "response.output_item.added", "response_id": "resp_bad", "output_index": 0, "item": item},
            {"type": "conversation.item.added", "previous_item_id": None, "item": item},
            {**delta("bad", "resp_bad"), "item_id": "item_bad", "content_index": 0},
        )
    else:
        attend(service, event)


def test_a_line_that_is_lost_while_an_answer_is_stopped_takes_the_other_one_along() -> None:
    for _ in range(25):
        with resuming(_slow_to_cancel, attend) as (session, services):
            session.guard(no_bad, interval=0)
            stopped = session.respond()
            services[1].hear("response.create")
            services[1].hear("response.cancel")
            services[1].peer.reset()
            assert failure_of(stopped).reason == "guarded"
            assert stopped.replacement is None
            assert session.respond().wait(LIMIT).text == "Yes."


def test_with_responses_again_the_other_one_comes_on_the_next_line() -> None:
    policy = at_once(restore="conversation", responses="again")
    for _ in range(25):
        with resuming(_slow_to_cancel, attend, reconnect=policy) as (session, services):
            session.guard(no_bad, interval=0)
            stopped = session.respond()
            services[1].hear("response.create")
            services[1].hear("response.cancel")
            services[1].peer.reset()
            assert failure_of(stopped).reason == "guarded"
            assert stopped.replacement is not None
            assert stopped.replacement.wait(LIMIT).text == "Yes."
            assert session.item("item_bad") is None


def test_an_answer_that_is_asked_for_again_on_the_next_line_is_guarded_there() -> None:
    def silent(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(
                response("response.created", "resp_0", metadata=event["response"]["metadata"]), delta("ba", "resp_0")
            )

    asked: list[Json] = []

    def rude(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            asked.append(event)
            service.say(*whole_response(event, f"resp_{len(asked)}", "bad" if len(asked) == 1 else "good"))
        else:
            attend(service, event)

    policy = at_once(restore="conversation", responses="again")
    with resuming(silent, rude, reconnect=policy) as (session, services):
        session.guard(no_bad, interval=0)
        answer = session.respond()
        services[1].hear("response.create")
        session.wait_for("response.output_text.delta", timeout=LIMIT)
        services[1].peer.reset()
        assert failure_of(answer).reason == "guarded"
        assert answer.replacement is not None
        assert answer.replacement.wait(LIMIT).text == "good"


# -- sound ------------------------------------------------------------------------------------------------------------


class OnceHeard:
    """A guard that objects to what is bad when the test lets it."""

    def __init__(self) -> None:
        self.may = threading.Event()

    def __call__(self, text: str, response: Response) -> str | None:
        if "bad" not in text:
            return None
        assert self.may.wait(LIMIT)
        return NICE


class Talk(NamedTuple):
    session: RealtimeSession
    lines: Lines
    speaker: WatchedSpeaker
    device: VirtualDevice
    check: OnceHeard


@contextmanager
def speaking(**options: Any) -> Iterator[Talk]:
    """A session that speaks, with a guard, on a speaker whose clock is the test's."""
    lines, device = Lines(), VirtualDevice(sample_rate=24_000, stepped=True, keep_ms=1_000_000)
    with (
        RealtimeSession(Simulator(brain=lines, pace=False)) as session,
        WatchedSpeaker(device) as speaker,
    ):
        session.guard(check := OnceHeard(), interval=0, **options)
        session.attach(speaker)
        yield Talk(session, lines, speaker, device, check)


@pytest.mark.parametrize("keep_heard", [True, False])
def test_what_is_played_stops_and_is_cut_where_it_was_heard(keep_heard: bool) -> None:
    with speaking(keep_heard=keep_heard) as (session, lines, speaker, device, check):
        sent = Sent(session)
        lines.give("This is a bad answer that goes on for a while.", stays=True)
        lines.give("Fine.")
        with session.expect("response.output_item.added", timeout=LIMIT) as begun:
            stopped = session.respond()
        item_id = begun.event.item.id
        speaker.until(lambda: speaker.given_ms(item_id) > 500)
        device.advance(300)
        check.may.set()
        assert failure_of(stopped).reason == "guarded"
        assert stopped.replacement is not None
        assert stopped.replacement.wait(LIMIT).transcript == "Fine."
        if keep_heard:
            (cut,) = sent.of("conversation.item.truncate")
            assert (cut["item_id"], cut["content_index"]) == (item_id, 0)
            assert abs(cut["audio_end_ms"] - 300) <= 20
            item = session.item(item_id)
            assert item is not None
            assert (item.truncated_ms, item.transcript) == (cut["audio_end_ms"], "")
        else:
            assert session.item(item_id) is None
            assert sent.of("conversation.item.truncate") == []
        speaker.until(lambda: any(part.item_id != item_id for part in speaker.heard()))


def test_what_nobody_has_heard_yet_is_deleted() -> None:
    with speaking() as (session, lines, speaker, _device, check):
        lines.give("This is a bad answer.", stays=True)
        lines.give("Fine.")
        with session.expect("response.output_item.added", timeout=LIMIT) as begun:
            stopped = session.respond()
        item_id = begun.event.item.id
        speaker.until(lambda: speaker.given_ms(item_id) > 200)
        check.may.set()
        failure_of(stopped)
        assert session.item(item_id) is None


def test_speech_that_no_speaker_of_the_session_plays_is_deleted() -> None:
    lines = Lines()
    with RealtimeSession(Simulator(brain=lines, pace=False)) as session:
        session.guard(no_bad, interval=0)
        lines.give("This is bad.", stays=True)
        lines.give("Fine.")
        stopped = session.respond()
        failure_of(stopped)
        assert stopped.replacement is not None
        assert stopped.replacement.wait(LIMIT).transcript == "Fine."
        assert [item.transcript for item in session.conversation.items] == ["Fine."]


# -- dialects ---------------------------------------------------------------------------------------------------------


def test_guards_work_on_preview_endpoints() -> None:
    config = {"output_modalities": ["text"], "instructions": "You are a clerk."}
    model = Model()
    with RealtimeSession(Simulator(brain=model, pace=False, dialect="preview"), config=config) as session:
        session.guard(no_bad, interval=0)
        assert session.ask("Hi").text == "All is fine."
        assert said_in(session) == [("user", "Hi"), ("assistant", "All is fine.")]
