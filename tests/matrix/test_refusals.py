"""A session that cannot be opened, for every reason there is; without reconnecting."""

from __future__ import annotations

import time

import pytest

from rtsync import ConnectFailed
from tests.loopback import LIMIT, Certificates
from tests.matrix.conftest import SLACK
from tests.matrix.refusals import REFUSALS, SHORT, Credential, Refusal, reach
from tests.matrix.waiters import Told, assert_same_end
from tests.session.service import Task, spawn

ROWS = [pytest.param(refusal, over, id=f"{refusal}-{over}") for refusal in REFUSALS for over in refusal.over]


def failure(task: Task) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as raised:
        task.result()
    return raised.value


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("refusal", "over"), ROWS)
def test_every_refusal_is_bounded_told_to_all_and_called_by_its_name(
    refusal: Refusal, over: str, certificates: Certificates
) -> None:
    options = {"connect_timeout": SHORT} if refusal.late else {}
    key = Credential()
    with refusal.place(0, certificates if over == "wss" else None) as place:
        port = place[1] if isinstance(place, tuple) else place.port
        session = reach(port, over, certificates, key, **options)
        with Told(session) as told:
            opening = spawn(session.open)
            assert key.asked.wait(LIMIT)
            assert session.state == "connecting"
            events = session.events()
            others = [
                spawn(lambda: session.wait_for("session.created", timeout=None)),
                spawn(lambda: list(events)),
            ]
            began = time.monotonic()
            key.given.set()
            failed = failure(opening)
            assert time.monotonic() - began < (SHORT if refusal.late else 0) + SLACK
            assert type(failed) is refusal.kind
            assert failed.phase in refusal.phases
            assert failed.status == refusal.status
            assert failed.retryable is refusal.again
            if refusal.wait is None:
                assert failed.retry_after is None
            else:
                assert failed.retry_after is not None
                assert refusal.wait[0] <= failed.retry_after <= refusal.wait[1]
            for other in others:
                again = failure(other)
                assert (type(again), again.phase, str(again)) == (type(failed), failed.phase, str(failed))
            assert_same_end(session, failed)
            assert told.nothing
            session.close()
