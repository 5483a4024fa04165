"""The same losses with `reconnect`: what passes is got over with nothing lost that was acknowledged, the rest ends."""

from __future__ import annotations

import json
import time

import pytest

from rtsync import CloseCause, ConnectionLost, RealtimeSession, Reconnect, SessionClosed
from tests.line.recorder import serve
from tests.loopback import LIMIT, Certificates, ScriptedServer
from tests.matrix.conftest import SLACK
from tests.matrix.house import House, Json, Room, attentive
from tests.matrix.losses import LOSSES, Loss
from tests.matrix.waiters import Told, Waiters, assert_same_end
from tests.session.service import session_to, spawn

pytestmark = pytest.mark.usefixtures("nothing_left")

SOON = Reconnect(restore="conversation", first_delay=0.01, longest_delay=0.05)
CONFIG = {"instructions": "Be brief.", "output_modalities": ["text"]}


def talk(session: RealtimeSession) -> None:
    """A conversation of every kind of item that a client may create."""
    session.add_item({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Rules."}]})
    session.ask("Are you there?", timeout=LIMIT)
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": json.dumps({"at": "it"})}
    session.add_item(call)
    session.add_item({"type": "function_call_output", "call_id": "call_1", "output": "seen"})
    session.add_item(
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "First?"}]}, after="root"
    )


def opened_again(house: House, session: RealtimeSession, number: int = 2) -> Room:
    """The room of the next connection, once the session is open on it."""
    room = house.room(number)
    deadline = time.monotonic() + LIMIT
    while session.state != "open":
        assert time.monotonic() < deadline, session.state
        time.sleep(0.001)
    return room


def essence(item: Json) -> Json:
    """What of an item must be the same on a new connection: all but what the service adds."""
    return {name: value for name, value in item.items() if name not in ("status", "object")}


def assert_restored(before: Room, after: Room) -> None:
    """Everything acknowledged is there, in order, said once; and only what was confirmed is configured."""
    known = list(before.items)
    assert list(after.items)[: len(known)] == known
    assert [essence(after.items[item_id]) for item_id in known] == [essence(before.items[item_id]) for item_id in known]
    created = [event["item"]["id"] for event in after.sent("conversation.item.create")]
    assert created == list(dict.fromkeys(created))
    assert after.config == before.config


def assert_nothing_twice(before: Room, after: Room, *, filling: bool) -> None:
    """Nothing that was handed over goes out again; what was cut goes out `filling` times."""
    if filling:
        after.hear("matrix.filling")
    assert not {event["event_id"] for event in before.events} & {event["event_id"] for event in after.events}
    assert len(after.sent("response.create")) == 1  # That of the thread that waited for its turn.
    assert len(after.sent("session.update")) == 1
    assert len(after.sent("matrix.filling")) == filling


def assert_told(told: Told, loss: Loss) -> None:
    """The loss was told once, and the return once, with what was lost."""
    back = told.back
    [gone] = told.losses
    assert (gone["attempt"], gone["cause"], type(gone["error"])) == (1, loss.cause, loss.kind)
    assert 0 <= gone["delay"] <= SOON.first_delay
    assert (back["attempt"], back["cause"], back["renewed"]) == (1, loss.cause, False)
    lost = [(one.what, one.id) for one in back["lost"]]
    assert ("event", "session.update") in lost
    assert [what for what, _id in lost].count("response") == 1


REPEATED = [pytest.param(loss, over, id=f"{loss}-{over}") for loss in LOSSES if loss.again for over in loss.over]
FINAL = [loss for loss in LOSSES if not loss.again]


@pytest.mark.parametrize(("loss", "over"), REPEATED)
def test_what_passes_is_got_over_and_nothing_acknowledged_is_lost(
    loss: Loss, over: str, certificates: Certificates
) -> None:
    house = House()
    server, options = serve(house.play, certificates if over == "wss" else None)
    with (
        server,
        session_to(server, reconnect=SOON, config=CONFIG, **options, **loss.options) as session,
        Told(session) as told,
    ):
        talk(session)
        first = house.room()
        first.quiet = True
        waiters = Waiters(session, first, deaf=loss.deaf, blocked=loss.blocked)
        began = time.monotonic()
        loss.fault(first)
        second = opened_again(house, session)
        assert time.monotonic() - began < loss.within + SLACK
        waiters.assert_those_end_that_were_lost(loss.kind, loss.cause, loss.sender)
        waiters.assert_the_others_go_on(second)
        assert_told(told, loss)
        assert_restored(first, second)
        assert_nothing_twice(first, second, filling=loss.blocked and not loss.sender)
        assert session.ask("Still there?", timeout=LIMIT).text == "yes"
        assert server.connections == 2
        session.close()
        assert told.closed.cause is CloseCause.USER


@pytest.mark.parametrize("loss", FINAL, ids=str)
def test_what_does_not_pass_ends_the_session_at_once(loss: Loss) -> None:
    house = House()
    with (
        ScriptedServer(house.play) as server,
        session_to(server, reconnect=SOON, config=CONFIG, **loss.options) as session,
        Told(session) as told,
    ):
        room = house.room()
        room.quiet = True
        waiters = Waiters(session, room, deaf=loss.deaf, blocked=loss.blocked)
        loss.fault(room)
        ended = told.closed
        assert (type(ended), ended.cause, ended.code, ended.retryable) == (loss.kind, loss.cause, loss.code, False)
        waiters.assert_all_end_with(ended, loss.sender)
        assert_same_end(session, ended)
        assert not told.losses
        assert server.connections == 1


# -- once more, before it is over -------------------------------------------------------------------------------------

STRIKING = [loss for loss in LOSSES if not (loss.deaf or loss.blocked)]
"""The losses that need nobody to wait, and no silence."""


class Struck:
    """A house whose second connection has its loss in the middle of being restored, at the `at`-th event."""

    def __init__(self, loss: Loss, at: int) -> None:
        self._loss = loss
        self._at = at
        self.house = House(self._answer)

    def _answer(self, room: Room, event: Json) -> None:
        if room.peer.number == 2 and len(room.events) == self._at:
            self._loss.fault(room)
        else:
            attentive(room, event)


@pytest.mark.parametrize("at", [1, 4, 7])
@pytest.mark.parametrize("loss", [loss for loss in STRIKING if loss.again], ids=str)
def test_what_passes_is_got_over_in_the_middle_of_restoring(loss: Loss, at: int) -> None:
    house = Struck(loss, at).house
    with (
        ScriptedServer(house.play) as server,
        session_to(server, reconnect=SOON, config=CONFIG, **loss.options) as session,
        Told(session) as told,
    ):
        talk(session)
        house.room().peer.reset()
        third = opened_again(house, session, 3)
        assert_restored(house.room(), third)
        assert (told.back["attempt"], told.back["cause"], told.back["lost"]) == (2, CloseCause.NETWORK, ())
        assert [type(lost["error"]) for lost in told.losses] == [ConnectionLost, loss.kind]
        assert session.ask("Still there?", timeout=LIMIT).text == "yes"


@pytest.mark.parametrize("loss", [loss for loss in STRIKING if not loss.again], ids=str)
def test_what_does_not_pass_ends_the_session_in_the_middle_of_restoring(loss: Loss) -> None:
    house = Struck(loss, 4).house
    with (
        ScriptedServer(house.play) as server,
        session_to(server, reconnect=SOON, config=CONFIG, **loss.options) as session,
        Told(session) as told,
    ):
        talk(session)
        waiting = spawn(lambda: session.wait_for("matrix.over", timeout=None))
        house.room().peer.reset()
        ended = told.closed
        assert (ended.cause, ended.retryable) == (loss.cause, False)
        assert isinstance(ended.__cause__, SessionClosed)
        assert (type(ended.__cause__), ended.__cause__.code) == (loss.kind, loss.code)
        with pytest.raises(SessionClosed):
            waiting.result()
        assert_same_end(session, ended)
        assert server.connections == 2
