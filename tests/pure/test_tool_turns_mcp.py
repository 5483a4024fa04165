"""Rounds with MCP servers: requests for approval, and calls that the service makes itself."""

from __future__ import annotations

import pytest

from rtsync.pure.tool_turns import Ask, Call, Output, Rounds


class Table:
    """Rounds in which one response has asked for approval, or the service has called."""

    def __init__(self, kind: str = "approval") -> None:
        self.rounds = Rounds(4)
        self.call = self.called("r1", "item_Q", kind)
        self.rounds.ended("r1", "completed")

    def called(self, response_id: str, item_id: str, kind: str) -> Call:
        call = self.rounds.called(response_id, None, item_id, name="search", arguments="{}", kind=kind)  # type: ignore[arg-type]
        assert call is not None
        return call

    def judged(self, approve: bool, reason: str | None = None) -> Output:
        output = self.rounds.judged(self.call, approve, reason)
        assert output is not None
        assert self.rounds.due() is output
        self.rounds.sent(output)
        self.rounds.confirmed(output)
        return output


def test_a_no_is_sent_with_its_reason_and_followed() -> None:
    table = Table()
    assert table.rounds.due() is None
    item = table.judged(False, "no").item
    assert {name: item[name] for name in item if name != "id"} == {
        "type": "mcp_approval_response",
        "approval_request_id": "item_Q",
        "approve": False,
        "reason": "no",
    }
    assert isinstance(table.rounds.due(), Ask)
    assert table.rounds.judged(table.call, True) is None


def test_a_yes_is_held_until_it_is_released() -> None:
    table = Table()
    assert "reason" not in table.judged(True).item
    assert table.call.held
    assert table.rounds.approved
    assert table.rounds.due() is None
    table.rounds.released(table.call)
    assert isinstance(table.rounds.due(), Ask)


def test_what_the_service_begins_meanwhile_goes_on_in_the_round() -> None:
    table = Table()
    table.judged(True)
    assert table.rounds.granted("item_Q") is table.call
    assert table.rounds.granted("other") is None
    table.called("r1", "item_M", "service")
    table.rounds.released(table.call)
    assert table.rounds.due() is None
    table.rounds.finished("item_M")
    assert isinstance(table.rounds.due(), Ask)


def test_a_response_that_begins_meanwhile_follows() -> None:
    table = Table()
    table.judged(True)
    table.rounds.began("r2", None)
    assert table.rounds.idle
    assert not table.rounds.approved


def test_a_call_of_the_services_is_followed_when_it_has_ended() -> None:
    table = Table("service")
    assert table.rounds.due() is None
    table.rounds.finished("item_Q")
    table.rounds.finished("item_Q")
    assert isinstance(table.rounds.due(), Ask)


def test_what_the_model_says_behind_a_call_is_the_answer() -> None:
    rounds = Rounds(4)
    for said, due in ((True, False), (False, True)):
        rounds.called(f"r{said}", None, f"item_{said}", name="search", arguments="", kind="service")
        rounds.finished(f"item_{said}")
        if said:
            rounds.spoke(f"r{said}")
        rounds.ended(f"r{said}", "completed")
        assert isinstance(rounds.due(), Ask) is due


def test_what_it_says_before_the_call_has_ended_is_not() -> None:
    rounds = Rounds(4)
    rounds.called("r1", None, "item_M", name="search", arguments="", kind="service")
    rounds.spoke("r1")
    rounds.ended("r1", "completed")
    rounds.finished("item_M")
    assert isinstance(rounds.due(), Ask)


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize(("has_messages", "due"), [(True, True), (False, False)])
def test_a_request_that_is_lost_is_made_anew_where_the_conversation_is_restored(
    decided: bool, has_messages: bool, due: bool
) -> None:
    table = Table()
    if decided:
        table.judged(True)
    table.rounds.lost()
    assert table.rounds.restored(set(), set(), has_messages=has_messages) == [table.call]
    assert isinstance(table.rounds.due(), Ask) is due
    table.rounds.judged(table.call, True)  # Late, and for nobody.
    assert table.rounds.idle is not due


def test_a_conversation_that_is_joined_again_knows_request_and_answer() -> None:
    table = Table()
    table.judged(True)
    table.rounds.lost()
    assert table.rounds.restored({"item_Q"}, {"item_Q"}) == []
    assert isinstance(table.rounds.due(), Ask)


def test_an_answer_that_was_not_confirmed_is_sent_again_where_the_request_is() -> None:
    table = Table()
    output = table.rounds.judged(table.call, False)
    assert output is not None
    table.rounds.sent(output)
    table.rounds.lost()
    table.rounds.restored({"item_Q"}, set())
    assert table.rounds.due() is output


def test_a_call_of_the_services_that_is_lost_leads_to_nothing() -> None:
    table = Table("service")
    table.rounds.lost()
    table.rounds.restored(set(), set())
    assert table.rounds.idle


def test_an_interruption_leaves_the_answer_and_takes_what_follows() -> None:
    table = Table()
    assert table.rounds.interrupted() == [table.call]
    table.judged(False, "the user interrupted")
    assert table.rounds.idle
