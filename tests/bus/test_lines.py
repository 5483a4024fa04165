"""The lines of a session that is held: they break, expire, are restored; and what readers notice of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtsync import OpenAI
from rtsync.bus import CLOSED, MOVED, SessionDirectory
from rtsync.bus.engine import Entry
from rtsync.bus.watch import Feed
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT, TEXT, USER, Memory, answer_in, ask, say, until, worker


@pytest.fixture
def directory(service: SimulatorServer) -> Iterator[SessionDirectory]:
    """One that holds its sessions."""
    with holding(service) as made:
        yield made


def holding(service: SimulatorServer, **options: Any) -> SessionDirectory:
    return SessionDirectory(target=OpenAI("any", api_key="any", base_url=service.openai_url), **options)


def test_a_session_moves_to_a_new_line_before_the_service_ends_it(memory: Memory) -> None:
    with (
        SimulatorServer(brain=memory, pace=False, max_session_seconds=4) as service,
        holding(service) as directory,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        _, last_id = ask(directory, session_id, "the first")
        deadline = time.monotonic() + LIMIT
        while service.lines < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # The time is what is tested.
        with directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT) as stream:
            say(directory, session_id, "the second")
            seen: list[str] = []
            assert answer_in(stream, seen.append) == "I know: the first, the second"
        assert not {kind for kind in seen if kind.startswith(("rtsync.", "session."))}


def test_a_response_that_the_service_cuts_by_ending_the_session_is_asked_for_again(memory: Memory) -> None:
    with (
        SimulatorServer(brain=memory, pace=False, max_session_seconds=2) as service,
        holding(service) as directory,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            say(directory, session_id, "slowly")
            cut = until(stream, "response.created")["response"]["id"]
            moved = until(stream, MOVED)
            assert (moved["cause"], moved["again"], moved["lost"]) == ("line_lost", [cut], [])
            memory.go.set()
            assert answer_in(stream) == "I know: slowly"
        assert memory.asked == 2


def test_a_response_that_was_cut_is_given_up_where_that_is_wished(memory: Memory) -> None:
    with (
        SimulatorServer(brain=memory, pace=False, faults="reset@on=response.output_text.delta,first=1") as service,
        holding(service, responses="fail") as directory,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            say(directory, session_id, "the first")
            cut = until(stream, "response.created")["response"]["id"]
            moved = until(stream, MOVED)
            assert moved["again"] == []
            assert {"what": "response", "id": cut, "reason": "it was running"} in moved["lost"]
            say(directory, session_id, "the second")
            assert answer_in(stream) == "I know: the first, the second"
        assert memory.asked == 2


def test_a_long_conversation_is_restored_within_the_time_that_is_promised(memory: Memory) -> None:
    with (
        SimulatorServer(brain=memory, pace=False, faults="end@events=1250,first=1") as service,
        holding(service) as directory,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            for number in range(600):
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"{number}"}]}
                directory.send(session_id, USER, {"type": "conversation.item.create", "item": item})
                until(stream, "conversation.item.done")
            say(directory, session_id, "the last")
            began = time.monotonic()
            assert until(stream, MOVED)["lost"] == []
            assert time.monotonic() - began < 5.0
            expected = ", ".join([*(str(number) for number in range(600)), "the last"])
            assert answer_in(stream) == f"I know: {expected}"


def test_an_item_that_the_service_does_not_take_back_is_named(directory: SessionDirectory, memory: Memory) -> None:
    """A spoken turn without a transcript has nothing that could be given back."""
    with (
        SimulatorServer(brain=memory, pace=False, faults="end@on=response.done,first=1") as service,
        holding(service, audio=True) as speaking,
    ):
        config = {**TEXT, "audio": {"input": {"turn_detection": None, "transcription": None}}}
        session_id = speaking.open(USER, config=config, timeout=LIMIT)
        with speaking.stream(session_id, USER, heartbeat=LIMIT) as stream:
            speaking.send(session_id, USER, {"type": "input_audio_buffer.append", "audio": "AAAA" * 4000})
            speaking.send(session_id, USER, {"type": "input_audio_buffer.commit"})
            item_id = until(stream, "input_audio_buffer.committed")["item_id"]
            speaking.send(session_id, USER, {"type": "response.create"})
            until(stream, "response.done")
            lost = until(stream, MOVED)["lost"]
        assert [(each["what"], each["id"]) for each in lost] == [("item", item_id)]


def test_an_item_that_the_service_refuses_to_have_back_is_named(memory: Memory) -> None:
    """The output of a call that was deleted."""
    with (
        SimulatorServer(brain=memory, pace=False, faults="end@on=response.done,first=1") as service,
        holding(service) as directory,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        call = {"id": "item_c", "type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
        output = {"id": "item_o", "type": "function_call_output", "call_id": "call_1", "output": "nothing"}
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            for item in (call, output):
                directory.send(session_id, USER, {"type": "conversation.item.create", "item": item})
            directory.send(session_id, USER, {"type": "conversation.item.delete", "item_id": "item_c"})
            say(directory, session_id, "hello")
            until(stream, "response.done")
            lost = until(stream, MOVED)["lost"]
            assert [(each["what"], each["id"]) for each in lost] == [("item", "item_o")]
            say(directory, session_id, "still there")
            assert answer_in(stream) == "I know: hello, still there"


def test_what_ends_for_good_ends_the_session_with_its_cause(memory: Memory) -> None:
    with (
        SimulatorServer(brain=memory, pace=False, faults="close=4000,reason=Enough@on=response.done") as service,
        holding(service) as directory,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            say(directory, session_id, "hello")
            notice = until(stream, CLOSED)
        assert (notice["cause"], notice["error"]["data"]["code"]) == ("server", 4000)
        assert directory.info(session_id, USER).cause == "server"


def test_a_session_that_kills_whoever_holds_it_is_given_up(bus: str, service: SimulatorServer, tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text("import os\ndef prepare(session, info): os._exit(1)\n", encoding="utf-8")
    with SessionDirectory(bus) as directory:
        session_id = directory.open(USER, config=TEXT, timeout=0)
        options = ("--lease", "0.3", "--prepare", "deadly:prepare")
        for _ in range(5):
            with worker(bus, service, *options, PYTHONPATH=str(tmp_path)) as victim:
                assert victim.end().status == 1
        with (
            worker(bus, service, *options, PYTHONPATH=str(tmp_path)) as survivor,
            directory.stream(session_id, USER, heartbeat=LIMIT) as stream,
        ):
            assert "5 workers in a row" in until(stream, CLOSED)["message"]
            survivor.signal(signal.SIGTERM)
            assert survivor.end().status == 0


def test_nothing_is_put_behind_what_a_reader_had_no_room_for() -> None:
    feed = Feed("rt_1")
    entries = [Entry(f"{number}-0", b"{}") for number in range(1, 2001)]
    feed.put(entries[:10])
    assert (len(feed.queue), feed.behind) == (0, True)  # It has not begun to read.
    feed.behind = False
    feed.put(entries[:900])
    assert len(feed.queue) == 900
    feed.put(entries[900:1100])
    feed.put(entries[1100:1110])
    assert (len(feed.queue), feed.behind) == (0, True)


def test_many_threads_may_send_to_one_session(directory: SessionDirectory) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)

    def send(place: int) -> None:
        for number in range(20):
            text = {"type": "input_text", "text": f"{place}.{number}"}
            item = {"type": "message", "role": "user", "content": [text]}
            directory.send(session_id, USER, {"type": "conversation.item.create", "item": item})

    threads = [threading.Thread(target=send, args=(place,)) for place in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    said, _ = ask(directory, session_id, "the last")
    words = said.removeprefix("I know: ").split(", ")
    assert sorted(words[:-1]) == sorted(f"{place}.{number}" for place in range(10) for number in range(20))
    for place in range(10):  # Each thread's in its order.
        mine = [int(word.partition(".")[2]) for word in words[:-1] if word.startswith(f"{place}.")]
        assert mine == sorted(mine)
