"""Who speaks next when the model calls tools: the table, by plain calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rtsync.pure.tool_turns import Ask, Call, Output, Round, Rounds, Stop, following

HOLDER = object()


def called(rounds: Rounds, call_id: str = "call_1", response_id: str = "resp_1", **fields: Any) -> Call:
    call = rounds.called(response_id, HOLDER, call_id, name="f", arguments="{}", **fields)
    assert call is not None
    return call


def sent(rounds: Rounds) -> Output:
    """The output that is due, which goes out."""
    output = rounds.due()
    assert isinstance(output, Output)
    rounds.sent(output)
    return output


def given(rounds: Rounds, call: Call, text: str = "out", **fields: Any) -> Output:
    """A call that is answered, and whose output the service has."""
    rounds.answered(call, text, **fields)
    output = sent(rounds)
    rounds.confirmed(output)
    return output


def asked(rounds: Rounds) -> Ask:
    """The response that is due, which is asked for."""
    ask = rounds.due()
    assert isinstance(ask, Ask)
    rounds.asked(ask)
    return ask


def due_again() -> tuple[Rounds, Ask]:
    """A round whose follow-up was asked for."""
    rounds = Rounds(16)
    given(rounds, called(rounds))
    rounds.ended("resp_1", "completed")
    return rounds, asked(rounds)


# -- one round ---------------------------------------------------------------------------------------------------------


def test_an_output_is_due_at_once_and_a_response_when_all_is_there() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    assert rounds.due() is None
    rounds.answered(call, "out")
    output = sent(rounds)
    assert {**output.item, "id": None} == {
        "id": None, "type": "function_call_output", "call_id": "call_1", "output": "out",
    }  # fmt: skip
    rounds.ended("resp_1", "completed")
    assert rounds.due() is None
    rounds.confirmed(output)
    ask = asked(rounds)
    assert (ask.depth, ask.last) == (1, False)
    assert rounds.due() is None
    rounds.began("resp_2", ask)
    assert rounds.idle
    assert [one.holder for one in rounds.decided] == [HOLDER]


def test_a_response_waits_for_every_call() -> None:
    rounds = Rounds(16)
    first, second = called(rounds, "call_1"), called(rounds, "call_2")
    given(rounds, first)
    rounds.ended("resp_1", "completed")
    assert rounds.due() is None
    given(rounds, second)
    assert isinstance(rounds.due(), Ask)


def test_a_response_waits_for_the_end_of_the_one_before() -> None:
    rounds = Rounds(16)
    given(rounds, called(rounds))
    assert rounds.due() is None
    rounds.ended("resp_1", "completed")
    assert isinstance(rounds.due(), Ask)


def test_a_call_is_known_once_for_ever() -> None:
    rounds, ask = due_again()
    rounds.began("resp_2", ask)
    for response_id in ("resp_1", "resp_2"):
        assert rounds.called(response_id, None, "call_1", name="f", arguments="{}") is None
    assert rounds.idle


def test_a_call_is_answered_once() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    assert rounds.answered(call, "first") is not None
    assert rounds.answered(call, "second") is None
    assert sent(rounds).item["output"] == "first"
    assert rounds.due() is None


@pytest.mark.parametrize("status", ["cancelled", "failed", "lost"])
def test_nothing_follows_a_response_that_did_not_go_well_but_its_calls_are_answered(status: str) -> None:
    rounds = Rounds(16)
    call = called(rounds)
    rounds.ended("resp_1", status)
    assert [one.response_id for one in rounds.decided] == ["resp_1"]
    given(rounds, call)
    assert rounds.due() is None
    assert rounds.idle


def test_a_response_that_was_cut_short_behind_its_calls_is_followed() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    rounds.ended("resp_1", "incomplete")
    given(rounds, call)
    assert isinstance(rounds.due(), Ask)


def test_calls_that_ask_for_no_response_lead_to_none() -> None:
    rounds = Rounds(16)
    first, second = called(rounds, "call_1"), called(rounds, "call_2")
    rounds.ended("resp_1", "completed")
    given(rounds, first, responds=False)
    given(rounds, second, responds=False)
    assert rounds.due() is None
    assert rounds.idle


def test_one_that_asks_for_a_response_is_enough() -> None:
    rounds = Rounds(16)
    first, second = called(rounds, "call_1"), called(rounds, "call_2")
    rounds.ended("resp_1", "completed")
    given(rounds, first, responds=False)
    given(rounds, second)
    assert isinstance(rounds.due(), Ask)


def test_outputs_that_are_all_refused_lead_to_nothing() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    rounds.ended("resp_1", "completed")
    rounds.answered(call, "out")
    rounds.refused(sent(rounds))
    assert rounds.due() is None
    assert rounds.idle


# -- interruption ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["called", "answered", "sent", "confirmed", "ended", "due"])
def test_an_interruption_at_any_moment_leaves_the_answers_and_takes_the_response(moment: str) -> None:
    rounds = Rounds(16)
    call = called(rounds)

    def at(name: str) -> None:
        if name == moment:
            assert rounds.interrupted() == ([call] if name == "called" else [])

    at("called")
    rounds.answered(call, "out")
    at("answered")
    output = sent(rounds)
    at("sent")
    rounds.confirmed(output)
    at("confirmed")
    rounds.ended("resp_1", "completed")
    at("ended")
    at("due")
    assert rounds.due() is None
    assert rounds.idle
    assert len(rounds.decided) == 1


def test_a_response_that_begins_behind_an_interruption_is_stopped() -> None:
    rounds, ask = due_again()
    rounds.interrupted()
    rounds.began("resp_2", ask)
    assert rounds.due() == Stop("resp_2")
    assert rounds.due() is None
    assert rounds.idle


def test_one_response_can_be_stopped_and_others_go_on() -> None:
    rounds = Rounds(16)
    first, second = called(rounds, "call_1", "resp_1"), called(rounds, "call_2", "resp_2", out_of_band=True)
    assert rounds.stopped("resp_1") == [first]
    assert rounds.stopped("resp_9") == []
    assert rounds.interrupted() == [first]
    rounds.answered(second, "out")
    rounds.ended("resp_2", "completed")
    assert [one.response_id for one in asked(rounds).rounds] == ["resp_2"]


def test_while_somebody_speaks_nothing_is_asked_for() -> None:
    rounds = Rounds(16)
    rounds.speaks(True)
    given(rounds, called(rounds))
    rounds.ended("resp_1", "completed")
    assert rounds.due() is None
    rounds.speaks(False)
    assert isinstance(rounds.due(), Ask)


# -- other responses ---------------------------------------------------------------------------------------------------


def test_a_response_that_begins_behind_the_last_output_has_seen_it() -> None:
    rounds = Rounds(16)
    given(rounds, called(rounds))
    rounds.ended("resp_1", "completed")
    rounds.began("resp_v", None)
    assert rounds.due() is None
    assert rounds.idle


def test_a_response_that_begins_before_the_last_output_has_not() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    rounds.ended("resp_1", "completed")
    rounds.began("resp_v", None)
    given(rounds, call)
    assert isinstance(rounds.due(), Ask)


def test_a_response_beside_the_conversation_has_seen_nothing() -> None:
    rounds = Rounds(16)
    given(rounds, called(rounds))
    rounds.ended("resp_1", "completed")
    rounds.began("resp_o", None, out_of_band=True)
    assert isinstance(rounds.due(), Ask)


def test_a_follow_up_that_lost_the_race_is_due_again_or_not_wanted_any_more() -> None:
    rounds, ask = due_again()
    rounds.unasked(ask, again=True)
    again = asked(rounds)
    rounds.began("resp_v", None)
    rounds.unasked(again, again=True)
    assert rounds.due() is None
    assert rounds.idle


def test_a_follow_up_that_is_refused_is_never_due_again() -> None:
    rounds, ask = due_again()
    rounds.unasked(ask, again=False)
    assert rounds.due() is None
    assert len(rounds.decided) == 1
    assert rounds.idle


def test_rounds_that_are_complete_together_share_one_response() -> None:
    rounds = Rounds(16)
    first, second = called(rounds, "call_1", "resp_1"), called(rounds, "call_2", "resp_2")
    rounds.ended("resp_1", "completed")
    rounds.ended("resp_2", "completed")
    given(rounds, first)
    given(rounds, second)
    assert [one.response_id for one in asked(rounds).rounds] == ["resp_1", "resp_2"]


def test_the_row_of_rounds_ends_without_tools_and_then_for_good() -> None:
    rounds = Rounds(2)
    lasts = []
    for number in range(4):
        call = called(rounds, f"call_{number}", f"resp_{number}")
        rounds.ended(f"resp_{number}", "completed")
        given(rounds, call)
        if rounds.due() is None:
            break
        ask = asked(rounds)
        lasts.append(ask.last)
        rounds.began(f"resp_{number + 1}", ask)
    assert lasts == [False, False, True]
    assert rounds.idle


# -- later -------------------------------------------------------------------------------------------------------------


def test_what_comes_later_is_a_call_and_its_output() -> None:
    rounds, ask = due_again()
    call = ask.rounds[0].calls[0]
    rounds.began("resp_2", ask)
    rounds.delivered(call, "late")
    first, second = sent(rounds), sent(rounds)
    assert [first.item["type"], second.item["type"]] == ["function_call", "function_call_output"]
    assert first.item["call_id"] == second.item["call_id"] != "call_1"
    assert rounds.due() is None
    rounds.confirmed(first)
    rounds.interrupted()
    rounds.confirmed(second)
    late = asked(rounds)
    assert late.depth == 2
    rounds.began("resp_3", late)
    assert rounds.idle


# -- beside the conversation -------------------------------------------------------------------------------------------


def test_beside_the_conversation_no_item_is_due_and_each_round_has_a_response_of_its_own() -> None:
    rounds = Rounds(16)
    for number in (1, 2):
        call = called(rounds, f"call_{number}", f"resp_{number}", out_of_band=True)
        rounds.answered(call, "out")
        rounds.ended(f"resp_{number}", "completed")
    first, second = asked(rounds), asked(rounds)
    assert [len(first.rounds), len(second.rounds)] == [1, 1]
    rounds.began("resp_3", second, out_of_band=True)
    rounds.began("resp_4", first, out_of_band=True)
    assert rounds.idle


def test_what_is_asked_beside_the_conversation_has_call_and_output_as_its_input() -> None:
    user = {"type": "message", "role": "user", "content": []}
    options = {"conversation": "none", "input": [user], "instructions": "Be brief.", "tool_choice": "required"}
    rounds = Rounds(16)
    call = called(rounds, out_of_band=True, options=options)
    rounds.answered(call, "out")
    rounds.ended("resp_1", "completed")
    said: list[dict[str, Any]] = [
        {"id": "item_1", "type": "message", "role": "assistant", "content": [{"type": "audio", "transcript": "Well"}]},
        {"id": "item_2", "type": "message", "role": "assistant", "content": []},
        {"id": "item_3", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"id": "item_4", "type": "mcp_call"},
    ]
    assert following(asked(rounds), said, ()) == {
        "conversation": "none",
        "instructions": "Be brief.",
        "input": [
            user,
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Well"}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "out"},
        ],
    }


def test_without_an_input_of_its_own_the_conversation_is_its_input() -> None:
    inside = Round("resp_1", None, {"conversation": "none"}, out_of_band=True)
    assert following(Ask((inside,), 1, False), [], ["item_1"])["input"] == [{"type": "item_reference", "id": "item_1"}]


@pytest.mark.parametrize(
    ("choice", "last", "then"),
    [
        (None, False, None),
        ("auto", False, "auto"),
        ("none", False, "none"),
        ("required", False, None),
        ("auto", True, "none"),
    ],
)
def test_a_forced_choice_is_not_repeated(choice: str | None, last: bool, then: str | None) -> None:
    options = {} if choice is None else {"tool_choice": choice}
    ask = Ask((Round("resp_1", None, options),), 1, last)
    assert following(ask, [], ()) == ({} if then is None else {"tool_choice": then})


# -- from line to line -------------------------------------------------------------------------------------------------


def test_nothing_is_due_between_two_lines() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    rounds.ended("resp_1", "completed")
    rounds.lost()
    rounds.answered(call, "out")
    assert rounds.due() is None
    assert rounds.restored({"call_1"}, set()) == []
    assert isinstance(rounds.due(), Output)


def test_what_was_not_confirmed_is_due_again_with_the_same_id() -> None:
    rounds = Rounds(16)
    rounds.answered(called(rounds), "out")
    rounds.ended("resp_1", "completed")
    output = sent(rounds)
    rounds.lost()
    rounds.restored({"call_1"}, set())
    assert sent(rounds) is output
    rounds.confirmed(output)
    assert isinstance(rounds.due(), Ask)


def test_what_is_there_already_is_not_due_again() -> None:
    rounds = Rounds(16)
    rounds.answered(called(rounds), "out")
    rounds.ended("resp_1", "completed")
    sent(rounds)
    rounds.lost()
    rounds.restored({"call_1"}, {"call_1"})
    assert isinstance(rounds.due(), Ask)


@pytest.mark.parametrize("moment", ["open", "answered", "due", "asked"])
def test_a_conversation_that_does_not_know_the_call_gets_nothing(moment: str) -> None:
    rounds = Rounds(16)
    call = called(rounds)
    rounds.ended("resp_1", "completed")
    if moment != "open":
        rounds.answered(call, "out")
    if moment in ("due", "asked"):
        rounds.confirmed(sent(rounds))
    ask = asked(rounds) if moment == "asked" else None
    rounds.lost()
    if ask is not None:
        rounds.unasked(ask, again=True)
    assert rounds.restored(set(), set()) == [call]
    rounds.answered(call, "out")
    assert rounds.due() is None
    assert rounds.idle
    assert len(rounds.decided) == 1


def test_a_response_that_was_running_is_nobodys_and_its_calls_are_answered() -> None:
    rounds = Rounds(16)
    call = called(rounds)
    assert rounds.lost() == [HOLDER]
    rounds.restored({"call_1"}, set())
    other = called(rounds, "call_2")  # A server that begins to count anew.
    assert other.round is not call.round
    given(rounds, call)
    assert rounds.due() is None
    given(rounds, other)
    rounds.ended("resp_1", "completed")
    assert isinstance(rounds.due(), Ask)


def test_a_follow_up_that_was_not_begun_is_due_again() -> None:
    rounds, ask = due_again()
    rounds.unasked(ask, again=True)
    rounds.lost()
    rounds.restored({"call_1"}, {"call_1"})
    assert isinstance(rounds.due(), Ask)


def test_what_came_later_is_whole_on_the_next_line() -> None:
    rounds, ask = due_again()
    rounds.began("resp_2", ask)
    rounds.delivered(ask.rounds[0].calls[0], "late")
    first = sent(rounds)
    rounds.confirmed(first)
    rounds.lost()
    rounds.restored(set(), set())
    assert sent(rounds) is first
    second = sent(rounds)
    rounds.confirmed(first)
    rounds.confirmed(second)
    assert isinstance(rounds.due(), Ask)


def test_ids_that_are_remembered_are_bounded() -> None:
    rounds = Rounds(16)
    for number in range(20_000):
        rounds.answered(called(rounds, f"call_{number}", f"resp_{number}"), "out")
        rounds.confirmed(sent(rounds))
        rounds.ended(f"resp_{number}", "failed")
        rounds.decided.clear()
    assert rounds.idle
    assert len(rounds._known) == 10_000


# -- whatever happens --------------------------------------------------------------------------------------------------


class Service(RuleBasedStateMachine):
    """A table and a service that keeps every promise, in any order of events and with lines that end."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = Rounds(3)
        self.number = 0
        self.running: str | None = None  # The response to the conversation,
        self.asking: Ask | None = None  # or what was asked for.
        self.calls: dict[str, Call] = {}
        self.open: list[Call] = []
        self.underway: list[Output] = []
        self.conversation: list[tuple[str, str]] = []  # What the service has: calls and outputs.
        self.online = True

    def do_due(self) -> None:
        while (due := self.rounds.due()) is not None:
            assert self.online
            if isinstance(due, Output):
                self.rounds.sent(due)
                self.underway.append(due)
            elif isinstance(due, Ask):
                if self.running is not None:  # The floor is not free.
                    return
                assert self.asking is None
                self.rounds.asked(due)
                self.asking = due

    @precondition(lambda self: self.online and self.running is None and self.asking is None)
    @rule()
    def somebody_asks(self) -> None:
        self.number += 1
        self.running = f"resp_{self.number}"
        self.rounds.began(self.running, None)
        self.do_due()

    @precondition(lambda self: self.asking is not None)
    @rule(race=st.booleans())
    def service_begins(self, race: bool) -> None:
        ask, self.asking = self.asking, None
        assert ask is not None
        self.number += 1
        self.running = f"resp_{self.number}"
        self.rounds.began(self.running, None if race else ask)
        if race:
            self.rounds.unasked(ask, again=True)
        self.do_due()

    @precondition(lambda self: self.running is not None)
    @rule()
    def model_calls(self) -> None:
        self.number += 1
        call = called(self.rounds, f"call_{self.number}", self.running or "")
        self.calls[call.call_id] = call
        self.open.append(call)
        self.conversation.append(("call", call.call_id))
        self.do_due()

    @precondition(lambda self: self.running is not None)
    @rule(status=st.sampled_from(["completed", "completed", "cancelled", "failed"]))
    def response_ends(self, status: str) -> None:
        running, self.running = self.running, None
        self.rounds.ended(running or "", status)
        self.do_due()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), responds=st.booleans())
    def tool_answers(self, data: st.DataObject, responds: bool) -> None:
        call = data.draw(st.sampled_from(self.open))
        self.open.remove(call)
        self.rounds.answered(call, "out", responds=responds)
        self.do_due()

    @precondition(lambda self: self.underway and self.online)
    @rule(told=st.booleans())
    def service_takes(self, told: bool) -> None:
        output = self.underway[0]
        entry = output.item["type"].removeprefix("function_").removeprefix("call_"), output.item["call_id"]
        assert entry not in self.conversation
        self.conversation.append(entry)
        self.underway.pop(0)
        if told:
            self.rounds.confirmed(output)
            self.do_due()
        else:
            self.lose(restored=True)

    @rule()
    def user_interrupts(self) -> None:
        self.rounds.interrupted()
        self.do_due()

    @precondition(lambda self: self.online)
    @rule(restored=st.booleans())
    def lose(self, restored: bool) -> None:
        ask, self.asking, self.running, self.online = self.asking, None, None, False
        self.underway.clear()
        if ask is not None:
            self.rounds.unasked(ask, again=True)
        self.rounds.lost()
        assert self.rounds.due() is None
        if not restored:
            self.conversation.clear()
        calls = {call_id for kind, call_id in self.conversation if kind == "call"}
        outputs = {call_id for kind, call_id in self.conversation if kind == "output"}
        self.rounds.restored(calls, outputs)
        self.online = True
        self.do_due()

    @invariant()
    def what_was_answered_is_answered_in_the_conversation_or_on_its_way(self) -> None:
        known = {call_id for kind, call_id in self.conversation if kind == "call" and call_id in self.calls}
        outputs = {call_id for kind, call_id in self.conversation if kind == "output"}
        underway = {output.item["call_id"] for output in self.underway}
        waiting = {call.call_id for call in self.open}
        assert known <= outputs | underway | waiting

    @invariant()
    def an_idle_table_forgets(self) -> None:
        if not (self.open or self.underway or self.running or self.asking):
            assert self.rounds.idle


TestService = Service.TestCase
TestService.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
