"""A hundred thousand damaged frames: the session lives, and the good events between them all arrive, in order."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from rtsync import Event, RealtimeSession
from tests.loopback import LIMIT, TEXT, Peer, PeerClosed, ScriptedServer, frame, realtime_greeting
from tests.mutations.mutants import mutants
from tests.session.service import Json, session_to

BATCH = 100  # frames, the last of them good
BATCHES = 250
SEEDS = (1, 2, 3, 4)  # of connections: 100,000 frames in all
AHEAD = 4  # batches that the service may send before the client has seen them; more would outrun the history


def good(number: int) -> Json:
    """A good event that can be told from all others."""
    item = {
        "id": f"good_{number}",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": f"Good {number}"}],
    }
    return {"type": "conversation.item.added", "event_id": f"good_{number}", "item": item}


def is_good(event: Event) -> bool:
    return str(event.get("event_id")).startswith("good_")


class Flood:
    """The service's side: batches of damaged frames with a good one at the end, as fast as the client takes them."""

    def __init__(self, seed: int) -> None:
        self._mutants = mutants(seed)
        self.ahead = threading.Semaphore(AHEAD)
        self.unreadable = 0

    def play(self, peer: Peer) -> None:
        realtime_greeting(peer)
        for number in range(BATCHES):
            assert self.ahead.acquire(timeout=LIMIT)
            peer.send_raw(b"".join(frame(TEXT, text) for text in self._batch(number)))
        update = peer.recv_json()
        peer.send_json({"type": "session.updated", "session": update["session"]})
        with pytest.raises(PeerClosed) as closed:
            peer.recv_json()
        assert closed.value.code == 1000

    def _batch(self, number: int) -> Iterator[str]:
        for text in itertools.islice(self._mutants, BATCH - 1):
            self.unreadable += not _is_object(text)
            yield text
        yield json.dumps(good(number))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.unmeasured
def test_damaged_frames_neither_end_a_session_nor_lose_the_good_ones(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    flood = Flood(seed)
    handled: list[str] = []
    counted = itertools.count()
    with ScriptedServer(flood.play) as server:
        session = session_to(server)
        session.on("*", lambda session, event: next(counted))

        @session.on("conversation.item.added")
        def note(_session: RealtimeSession, event: Event) -> None:
            if is_good(event):
                handled.append(event.event_id)

        with session:
            for number in range(BATCHES):
                wanted = f"good_{number}"
                event = session.wait_for("conversation.item.added", where=is_good)
                assert event.event_id == wanted
                assert handled[number] == wanted  # Its handlers have run.
                flood.ahead.release()
            session.update(instructions="Still there?")
            conversation = session.conversation
            assert session.state == "open"
    assert len(handled) == BATCHES
    assert [item.text for item in conversation.items if item.id.startswith("good_")] == [
        f"Good {number}" for number in range(BATCHES)
    ]
    assert next(counted) > BATCH * BATCHES * 0.9
    refused = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(message.endswith("ignored") for message in refused)
    assert {record.levelno for record in caplog.records if record.name.startswith("rtsync")} <= {logging.WARNING}
    assert len(refused) > 0
    assert abs(len(refused) - flood.unreadable) <= 5
