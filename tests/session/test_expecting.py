"""`expect`: the wait begins before the body of the block runs."""

from __future__ import annotations

import pytest

from rtsync import ServerError, SessionClosed, UsageError, WaitTimeout
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, error, spawn

DELETE = {"type": "conversation.item.delete", "item_id": "item_1"}


def deleted(item_id: str) -> Json:
    return {"type": "conversation.item.deleted", "item_id": item_id}


def obey(service: Service, event: Json) -> None:
    service.say(deleted(event["item_id"]))


def test_what_arrives_within_the_block_is_not_missed() -> None:
    with conversing() as (session, service):
        with session.expect("conversation.item.deleted") as gone:
            service.say(deleted("item_1"))
            session.wait_for("conversation.item.deleted")  # Surely there.
        assert gone.event.item_id == "item_1"


def test_what_arrived_before_the_block_does_not_count() -> None:
    with conversing(obey) as (session, service):
        session.send(DELETE)
        session.wait_for("conversation.item.deleted")
        with session.expect("conversation.item.deleted") as gone:
            service.say(deleted("item_2"))
        assert gone.event.item_id == "item_2"


def test_overlapping_requests_get_each_its_own_answer() -> None:
    with conversing(obey) as (session, _service):

        def answer_to(item_id: str) -> str:
            with session.expect("conversation.item.deleted", where=lambda event: event.item_id == item_id) as gone:
                session.send({**DELETE, "item_id": item_id})
            return str(gone.event.item_id)

        names = [f"item_{number}" for number in range(20)]
        assert [one.result() for one in [spawn(answer_to, name) for name in names]] == names


def test_nested_blocks_each_get_their_event() -> None:
    with conversing(obey) as (session, _service):
        with (
            session.expect("conversation.item.deleted", where=lambda event: event.item_id == "b") as second,
            session.expect("conversation.item.deleted", where=lambda event: event.item_id == "a") as first,
        ):
            session.send({**DELETE, "item_id": "b"})
            session.send({**DELETE, "item_id": "a"})
        assert (first.event.item_id, second.event.item_id) == ("a", "b")


def test_an_event_that_a_wait_in_the_body_took_is_still_the_expected_one() -> None:
    with conversing(obey) as (session, _service):
        with session.expect("conversation.item.deleted") as gone:
            session.send(DELETE)
            taken = session.wait_for("conversation.item.deleted")
        assert gone.event is taken


def test_an_exception_of_the_body_cancels_the_wait() -> None:
    with conversing() as (session, _service):
        with pytest.raises(ZeroDivisionError), session.expect("conversation.item.deleted", timeout=None):
            raise ZeroDivisionError
        assert not session._core.hub._waiters


def test_an_expectation_that_is_not_met_in_time_says_so() -> None:
    with conversing() as (session, _service):
        expectation = session.expect("conversation.item.deleted", timeout=0.1)
        with pytest.raises(WaitTimeout, match=r"no 'conversation.item.deleted' within 0\.1 s"), expectation:
            pass
        with pytest.raises(UsageError, match="has ended"):
            _ = expectation.event
        assert not session._core.hub._waiters


def test_a_refusal_of_what_the_body_sent_is_raised() -> None:
    def refuse(service: Service, event: Json) -> None:
        service.say(error(event_id=event["event_id"]))

    with (
        conversing(refuse) as (session, _service),
        pytest.raises(ServerError),
        session.expect("conversation.item.deleted", timeout=LIMIT),
    ):
        session.send(DELETE)


def test_the_end_of_the_session_ends_an_expectation() -> None:
    with conversing() as (session, service):
        with pytest.raises(SessionClosed, match="1011"), session.expect("conversation.item.deleted", timeout=None):
            service.peer.close(1011, "oops")
        with pytest.raises(SessionClosed), session.expect("conversation.item.deleted"):
            pytest.fail("the session has ended")


def test_the_event_is_there_only_behind_the_block() -> None:
    with conversing() as (session, service), session.expect("conversation.item.deleted") as gone:
        with pytest.raises(UsageError, match="with block"):
            _ = gone.event
        service.say(deleted("item_1"))
