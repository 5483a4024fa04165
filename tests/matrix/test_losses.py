"""An open session whose line ends in every way there is; without reconnecting."""

from __future__ import annotations

import time

import pytest

from tests.line.recorder import serve
from tests.loopback import LIMIT, Certificates
from tests.matrix.conftest import SLACK
from tests.matrix.house import House, reticent
from tests.matrix.losses import LOSSES, Loss
from tests.matrix.waiters import Told, Waiters, assert_same_end
from tests.session.service import session_to

ROWS = [pytest.param(loss, over, id=f"{loss}-{over}") for loss in LOSSES for over in loss.over]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("loss", "over"), ROWS)
def test_every_end_is_bounded_told_to_all_and_called_by_its_name(
    loss: Loss, over: str, certificates: Certificates
) -> None:
    house = House(reticent)
    server, options = serve(house.play, certificates if over == "wss" else None)
    with server, session_to(server, **options, **loss.options) as session, Told(session) as told:
        room = house.room()
        waiters = Waiters(session, room, deaf=loss.deaf, blocked=loss.blocked)
        began = time.monotonic()
        loss.fault(room)
        ended = told.closed
        assert time.monotonic() - began < loss.within + SLACK
        assert (type(ended), ended.cause, ended.code) == (loss.kind, loss.cause, loss.code)
        assert ended.retryable is loss.again
        assert "interrupted" not in str(ended)  # Which is the word for Ctrl+C.
        waiters.assert_all_end_with(ended, loss.sender)
        assert_same_end(session, ended)
        if loss.answered:
            assert room.peer.finished.wait(LIMIT)
            assert room.closed_with is not None
            assert room.closed_with.code == loss.code
