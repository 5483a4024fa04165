"""Who holds a response is told of it in the order of the events."""

from __future__ import annotations

from rtsync.pure.responses import Record
from rtsync.threads.following import Follower
from rtsync.vocabulary.errors import SessionClosed
from rtsync.vocabulary.events import Event


def test_a_response_is_over_when_its_end_is_told_with_its_number_and_not_when_it_is_noted() -> None:
    follower = Follower(Record("m"), {})
    follower.notify(3)
    follower.record.apply(Event({"type": "response.done", "response": {"id": "r", "status": "completed"}}))
    assert (follower.record.done, follower.over, follower.sequence) == (True, False, 3)
    follower.notify(7)
    assert (follower.over, follower.sequence) == (True, 7)


def test_a_response_whose_line_is_lost_is_over() -> None:
    follower = Follower(Record("m"), {})
    follower.notify(3)
    assert not follower.over
    follower.notify(0, SessionClosed("the line is gone"))
    assert follower.over
