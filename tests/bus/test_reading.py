"""What readers are told when more has come than the bus keeps."""

from __future__ import annotations

import pytest

from rtsync.bus import GAP
from rtsync.bus.addresses import engine_for
from rtsync.bus.engine import Batch
from rtsync.bus.reading import EventStream
from rtsync.bus.watch import Watcher
from tests.bus.conversing import LIMIT
from tests.bus.test_engines import claimed, registered


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_reader_is_told_of_the_gap_when_more_comes_at_once_than_is_kept(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """The thread that reads for all is as late here as where its process was paused."""
    engine = engine_for("memory://" if kind == "memory" else request.getfixturevalue("bus"), timeout=LIMIT)()
    registered(engine, max_events=20)
    claim = claimed(engine)
    watcher = Watcher(engine)
    try:
        with EventStream(engine, watcher, "rt_1", "ann", None, heartbeat=LIMIT, revival=LIMIT) as stream:
            for number in range(3):
                engine.publish([Batch(claim, number + 1, [b'{"type":"one"}'])])
                assert next(stream).type == "one"
            engine.publish([Batch(claim, 4, [b'{"type":"many"}'] * 1000)])
            assert next(stream).type == GAP
            assert next(stream).type == "many"
    finally:
        watcher.stop(LIMIT)
        engine.close()
