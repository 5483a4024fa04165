"""Tools while lines come and go: every call is answered once, in the conversation that knows it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import rtsync
from rtsync import RealtimeSession, Reconnect, ServerError, SessionClosed, Tool
from tests.loopback import LIMIT
from tests.session.actors import Told
from tests.session.service import Json, Service, error, response, spawn
from tests.session.successive import Succession, at_once, attend, resuming, watched
from tests.session.test_tools_interrupted import Gate, calling, quick

WHOLE = at_once(restore="conversation")
CONFIG = at_once(restore="config")


class Script:
    """The service's ends of a session's lines: each gives the first `response.create` that it hears a call.

    Attributes:
        given: every output that any line was given, by call id.
        asked: every `response.create`, with the number of its line.
    """

    def __init__(self, *, calls: int = 1, name: str = "stubborn") -> None:
        self.given: list[tuple[int, Json]] = []
        self.asked: list[int] = []
        self.holds: Callable[[int, Json], bool] = lambda line, event: False
        self._left = calls
        self._name = name

    def line(self, number: int) -> Callable[[Service, Json], None]:
        """How connection `number` answers."""

        def answer(service: Service, event: Json) -> None:
            if event["type"] == "response.create":
                self.asked.append(number)
            if event["type"] == "conversation.item.create" and event["item"]["type"] == "function_call_output":
                self.given.append((number, event["item"]))
            if self.holds(number, event):
                return
            if event["type"] == "response.create" and self._left:
                self._left -= 1
                service.say(*calling(event, self._name))
            else:
                attend(service, event)

        return answer

    def until_given(self, session: RealtimeSession, count: int) -> None:
        """Wait until the session has nothing left to answer."""
        with session.events("conversation.item.done", timeout=LIMIT) as items:
            while len(self.given) < count:
                next(items)


def cut(session: RealtimeSession, services: Succession, number: int = 1) -> Json:
    """Cut connection `number`; what `reconnected` said."""
    with watched(session) as signals:
        services[number].peer.reset()
        return signals.until("reconnected")


def heard_until(service: Service, kind: str, **fields: Any) -> Json:
    """The next client event of that type; others are passed over."""
    while True:
        event = service.hear()
        if event["type"] == kind and all(event["item"].get(name) == value for name, value in fields.items()):
            return event


def test_a_tool_that_runs_while_the_line_is_lost_answers_on_the_next_one() -> None:
    gate, script = Gate(), Script()
    with resuming(script.line(1), script.line(2), reconnect=WHOLE, tools=[gate.stubborn]) as (session, services):
        first = session.respond().wait()
        assert gate.running.wait(LIMIT)
        cut(session, services)
        gate.open.set()
        assert first.final().text == "Yes."
    assert [(line, item["output"]) for line, item in script.given] == [(2, "done")]
    assert script.asked == [1, 2]


def test_an_output_that_was_not_acknowledged_is_delivered_again_under_the_same_id() -> None:
    script = Script(name="quick")
    script.holds = lambda line, event: line == 1 and event.get("item", {}).get("type") == "function_call_output"
    with resuming(script.line(1), script.line(2), reconnect=WHOLE, tools=[quick]) as (session, services):
        first = session.respond().wait()
        heard_until(services[1], "conversation.item.create", type="function_call_output")
        cut(session, services)
        assert first.final().text == "Yes."
    assert [line for line, _ in script.given] == [1, 2]
    assert len({item["id"] for _, item in script.given}) == 1


def test_an_output_that_was_acknowledged_is_restored_and_not_delivered_again() -> None:
    script = Script(name="quick")
    script.holds = lambda line, event: line == 1 and script.asked == [1, 1] and event["type"] == "response.create"
    with resuming(script.line(1), script.line(2), reconnect=WHOLE, tools=[quick]) as (session, services):
        first = session.respond().wait()
        heard_until(services[1], "response.create")
        heard_until(services[1], "response.create")
        cut(session, services)
        assert first.final().text == "Yes."
        restored = [services[2].hear() for _ in range(4)]
    assert [event["type"] for event in restored] == [
        "session.update",
        "conversation.item.create",  # The call
        "conversation.item.create",  # and its output, as restored.
        "response.create",
    ]
    # Once on the first line, once by the restoration.
    assert Counter(line for line, _ in script.given) == {1: 1, 2: 1}
    assert script.asked == [1, 1, 2]


def test_where_the_conversation_is_not_restored_the_output_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    gate, script = Gate(), Script()
    caplog.set_level("INFO", logger="rtsync")
    lines = script.line(1), script.line(2)
    with (
        resuming(*lines, reconnect=CONFIG, tools=[gate.stubborn]) as (session, services),
        Told(session) as told,
    ):
        first = session.respond().wait()
        assert gate.running.wait(LIMIT)
        cut(session, services)
        assert first.final().id == first.id
        gate.open.set()
        told.until("finished")
        session.add_item({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]})
        assert session.respond().final().text == "Yes."
        assert session.tool_calls == ()
        assert heard_until(services[2], "session.update")["session"]["tools"][0]["name"] == "stubborn"
    assert script.given == []
    assert "does not know of 1 calls" in caplog.text


def test_a_tool_learns_that_its_conversation_is_gone() -> None:
    gate, script = Gate(), Script(name="gentle")
    lines = script.line(1), script.line(2)
    with resuming(*lines, reconnect=CONFIG, tools=[gate.gentle]) as (session, services), Told(session) as told:
        session.respond().wait()
        assert gate.running.wait(LIMIT)
        cut(session, services)
        assert gate.saw_cancellation.wait(LIMIT)
        assert told.until("finished").error == "cancelled: the conversation was lost with its line"
    assert script.given == []


def test_the_tools_come_back_with_the_configuration() -> None:
    script = Script(calls=0)
    with resuming(script.line(1), reconnect=CONFIG, tools=[quick]) as (session, services):
        session.tool(Gate().stubborn)
        cut(session, services)
        update = heard_until(services[2], "session.update")
        assert [tool["name"] for tool in update["session"]["tools"]] == ["quick", "stubborn"]


def test_a_response_that_is_lost_with_its_calls_leads_to_nothing_and_they_are_answered() -> None:
    gate, script = Gate(), Script(calls=0)

    def first_line(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(*calling(event, "stubborn")[:-1])
        else:
            attend(service, event)

    with resuming(first_line, script.line(2), reconnect=WHOLE, tools=[gate.stubborn]) as (session, services):
        first = session.respond()
        assert gate.running.wait(LIMIT)
        cut(session, services)
        gate.open.set()
        heard_until(services[2], "conversation.item.create", type="function_call_output")
        with pytest.raises(Exception, match="line"):
            first.final()
    assert script.asked == []
    assert [item["output"] for _, item in script.given] == ["done"]


def test_a_response_that_is_asked_for_again_calls_anew() -> None:
    gate, script = Gate(), Script(name="quick")

    def first_line(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            service.say(*calling(event, "stubborn", call_id="call_0")[:-1])
        else:
            attend(service, event)

    again = at_once(restore="conversation", responses="again")
    tools = [gate.stubborn, quick]
    with resuming(first_line, script.line(2), reconnect=again, tools=tools) as (session, services):
        first = session.respond()
        assert gate.running.wait(LIMIT)
        cut(session, services)
        assert first.final().text == "Yes."
        gate.open.set()
        heard_until(services[2], "conversation.item.create", type="function_call_output", call_id="call_0")
    assert sorted(item["output"] for _, item in script.given) == ["done", "quick"]


def test_a_long_job_delivers_on_the_next_line_and_is_followed_by_a_response() -> None:
    gate, script = Gate("42"), Script()
    job = Tool(gate.stubborn, working="Soon.", timeout=None)
    with resuming(script.line(1), script.line(2), reconnect=CONFIG, tools=[job]) as (session, services):
        assert session.respond().final().text == "Yes."
        cut(session, services)
        with session.responses(timeout=LIMIT) as more:
            gate.open.set()
            assert next(more).wait().text == "Yes."
    assert [(line, item["output"]) for line, item in script.given] == [(1, "Soon."), (2, "42")]


def test_many_lines_are_lost_in_the_middle() -> None:
    """Whatever a line breaks off, the call is answered once in the conversation that goes on."""
    lines = 6
    script = Script(name="quick")
    answers = [script.line(number) for number in range(1, lines + 1)]
    with resuming(*answers, reconnect=at_once(restore="conversation", attempts=50), tools=[quick]) as (
        session,
        services,
    ):
        script.holds = lambda line, event: line < lines and event.get("item", {}).get("type") == "function_call_output"
        first = session.respond().wait()
        for number in range(1, lines):
            heard_until(services[number], "conversation.item.create", type="function_call_output")
            cut(session, services, number)
        assert first.final().text == "Yes."
    assert [line for line, _ in script.given] == [1, 2, 3, 4, 5, 6]
    assert len({item["id"] for _, item in script.given}) == 1
    assert script.asked == [1, 6]


def test_a_call_that_is_told_twice_runs_once() -> None:
    ran: list[int] = []

    def count() -> int:
        ran.append(1)
        return len(ran)

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and not ran:
            events = calling(event, "count")
            service.say(*(each for each in events for _ in range(2)))
        else:
            attend(service, event)

    with resuming(answer, tools=[count]) as (session, services):
        assert session.respond().final().text == "Yes."
        heard = [services[1].hear()["type"] for _ in range(4)]
        assert heard == ["session.update", "response.create", "conversation.item.create", "response.create"]
    assert ran == [1]


def test_a_server_that_tells_of_calls_at_the_end_only() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and not answer.called:  # type: ignore[attr-defined]
            answer.called = True  # type: ignore[attr-defined]
            service.say(calling(event, "quick")[-1])
        else:
            attend(service, event)

    answer.called = False  # type: ignore[attr-defined]
    with resuming(answer, tools=[quick]) as (session, _):
        assert session.respond().final().text == "Yes."


def test_a_refused_output_is_not_repeated_and_leads_to_nothing(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(name="quick")

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "conversation.item.create":
            service.say(error(event_id=event["event_id"], code="invalid_tool_call_id"))
        else:
            script.line(1)(service, event)

    with resuming(answer, tools=[quick]) as (session, services):
        first = session.respond()
        assert first.final().id == first.id
        assert session.tool_calls == ()
        session.send({"type": "input_audio_buffer.clear"})
        heard = [services[1].hear()["type"] for _ in range(4)]
        assert heard[2:] == ["conversation.item.create", "input_audio_buffer.clear"]
    assert "invalid_tool_call_id" in caplog.text


def test_an_output_that_is_there_already_counts_as_taken() -> None:
    script = Script(name="quick")

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "conversation.item.create":
            service.say(error(event_id=event["event_id"], param="item.id", message="It already exists."))
        else:
            script.line(1)(service, event)

    with resuming(answer, tools=[quick]) as (session, _):
        assert session.respond().final().text == "Yes."


def test_a_refused_follow_up_is_the_error_of_who_waits_for_it() -> None:
    script = Script(name="quick")

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and script.asked:
            service.say(error(event_id=event["event_id"], code="invalid_value"))
        else:
            script.line(1)(service, event)

    with resuming(answer, tools=[quick]) as (session, _), pytest.raises(ServerError):
        session.respond().final()


def test_a_follow_up_that_comes_second_waits_for_the_first() -> None:
    script = Script(name="quick")
    refused: list[Json] = []

    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.create" and script.asked and not refused:
            refused.append(event)
            # A response of voice detection, of which the client hears when it is refused.
            service.say(error(event_id=event["event_id"], code="conversation_already_has_active_response"))
        else:
            script.line(1)(service, event)

    with resuming(answer, tools=[quick]) as (session, services):
        first = session.respond().wait()
        heard_until(services[1], "response.create")
        heard_until(services[1], "response.create")
        services[1].say(response("response.created", "resp_v"), response("response.done", "resp_v"))
        # It began behind the output, and so has seen it.
        assert first.final().id == first.id


def test_a_session_that_cannot_be_won_back_says_so_to_who_waits_for_a_tool() -> None:
    gate, script = Gate(), Script(name="gentle")
    tools = [gate.gentle]
    with resuming(script.line(1), reconnect=Reconnect(attempts=1, first_delay=0.0), tools=tools) as (session, services):
        first = session.respond().wait()
        assert gate.running.wait(LIMIT)
        asked = spawn(first.final)
        services[1].peer.send_json({"type": "error", "error": {"code": "x", "message": "No.", "type": "server_error"}})
        services[1].peer.close(1008)
        with pytest.raises(SessionClosed):
            asked.result()
        assert gate.saw_cancellation.wait(LIMIT)


def test_a_renewal_in_the_middle_of_a_tool() -> None:
    gate, script = Gate(), Script()
    greeting = {"expires_at": lambda: time.time() + 2}
    lines = script.line(1), script.line(2)
    with (
        resuming(*lines, reconnect=WHOLE, greeting=greeting, tools=[gate.stubborn]) as (session, _),
        watched(session) as signals,
    ):
        first = session.respond().wait()
        assert gate.running.wait(LIMIT)
        assert signals.until("reconnected")["renewed"]
        gate.open.set()
        assert first.final().text == "Yes."
    assert [item["output"] for _, item in script.given] == ["done"]


def test_inline_handlers_hear_of_tools_over_several_lines() -> None:
    gate, script = Gate(), Script()
    told: list[tuple[str, str]] = []

    def note(session: RealtimeSession, call: Any) -> None:
        told.append((call.status, threading.current_thread().name.rpartition("-")[0]))

    lines = script.line(1), script.line(2)
    with (
        resuming(*lines, reconnect=WHOLE, tools=[gate.stubborn], handlers="inline") as (session, services),
        rtsync.tool_started.connected_to(note, session),
        rtsync.tool_finished.connected_to(note, session),
    ):
        first = session.respond().wait()
        assert gate.running.wait(LIMIT)
        cut(session, services)
        gate.open.set()
        first.final()
        session.close()
    assert told == [("running", "rtsync-reader"), ("completed", "rtsync-reader")]
