"""What becomes of sessions when Redis is restarted, hangs, or is not there."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from rtsync import BusUnavailable, UnknownSession
from rtsync.bus import CLOSED, MOVED, SessionDirectory
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT, TEXT, USER, Memory, answer_in, ask, say, texts_of, until, worker
from tests.bus.redis_server import RedisServer
from tests.loopback import reserved_port


def test_sessions_go_on_when_a_redis_that_keeps_its_data_is_restarted(
    durable_redis: RedisServer, service: SimulatorServer, memory: Memory
) -> None:
    with SessionDirectory(durable_redis.url) as directory, worker(durable_redis.url, service):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        _, last_id = ask(directory, session_id, "the first")
        with directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT) as stream:
            say(directory, session_id, "slowly")
            until(stream, "response.output_text.delta")
            durable_redis.kill()
            memory.go.set()  # The answer goes on while there is no bus.
            durable_redis.start()
            seen: list[str] = []
            assert answer_in(stream, seen.append).endswith("the first, slowly")
        assert ask(directory, session_id, "the last")[0] == "I know: the first, slowly, the last"
        assert directory.info(session_id, USER).state == "open"


def test_sessions_that_redis_has_forgotten_are_brought_back_by_who_holds_them(
    own_redis: RedisServer, service: SimulatorServer, memory: Memory
) -> None:
    with SessionDirectory(own_redis.url) as directory, worker(own_redis.url, service):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        first, last_id = ask(directory, session_id, "the first")
        with directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT) as stream:
            say(directory, session_id, "slowly")
            until(stream, "response.output_text.delta")
            own_redis.restart()
            memory.go.set()
            assert until(stream, "response.done")["response"]["status"] == "completed"
            said = texts_of(directory.snapshot(session_id, USER).items)
            assert said == ["the first", first, "slowly", "I know: the first, slowly"]
            say(directory, session_id, "the last")
            assert answer_in(stream) == "I know: the first, slowly, the last"


def test_an_idle_session_that_redis_has_forgotten_is_brought_back_too(
    own_redis: RedisServer, service: SimulatorServer
) -> None:
    with SessionDirectory(own_redis.url) as directory, worker(own_redis.url, service):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        ask(directory, session_id, "the first")
        own_redis.restart()
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                assert directory.info(session_id, USER).state == "open"
                break
            except UnknownSession:
                assert time.monotonic() < deadline
                time.sleep(0.02)  # It is brought back when its holder renews.
        assert ask(directory, session_id, "the last")[0] == "I know: the first, the last"


def test_a_session_that_nobody_remembers_ends_with_a_cause(own_redis: RedisServer, service: SimulatorServer) -> None:
    with SessionDirectory(own_redis.url, lease=0.5) as directory:
        with worker(own_redis.url, service) as one:
            session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
            stream = directory.stream(session_id, USER, heartbeat=LIMIT)
            until(stream, "session.updated")
            one.process.kill()
            one.process.wait()
        own_redis.restart()
        notice = until(stream, CLOSED)
        assert notice["cause"] == "forgotten"
        assert "has lost this session" in notice["message"]
        assert list(stream) == []
        with pytest.raises(UnknownSession):
            directory.send(session_id, USER, {"type": "response.create"})


@pytest.mark.parametrize("how", ["gone", "hanging"])
def test_calls_end_in_their_time_when_redis_does_not_answer(own_redis: RedisServer, how: str) -> None:
    with SessionDirectory(own_redis.url, bus_timeout=0.6) as directory:
        session_id = directory.open(USER, timeout=0)
        stream = directory.stream(session_id, USER, heartbeat=0.2)
        own_redis.kill() if how == "gone" else own_redis.pause()
        for call in (
            lambda: directory.open(USER),
            lambda: directory.send(session_id, USER, {"type": "response.create"}),
            lambda: directory.stream(session_id, USER),
            lambda: directory.snapshot(session_id, USER),
            lambda: directory.close(session_id, USER),
        ):
            began = time.monotonic()
            with pytest.raises(BusUnavailable, match=f"127.0.0.1:{own_redis.port}"):
                call()
            assert time.monotonic() - began < 5.0
        assert tuple(next(stream))[1] is None  # A reader bears it for a while, with heartbeats.
        own_redis.start() if how == "gone" else own_redis.resume()


def test_a_reader_is_told_when_redis_stays_away(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsync.bus.reading._PATIENCE", 0.5)
    with SessionDirectory(own_redis.url, bus_timeout=0.4) as directory:
        stream = directory.stream(directory.open(USER, timeout=0), USER, heartbeat=LIMIT)
        own_redis.kill()
        with pytest.raises(BusUnavailable, match="cannot be reached"):
            next(stream)
        with pytest.raises(StopIteration):
            next(stream)
        own_redis.start()


def test_a_worker_without_a_bus_waits_without_haste_and_takes_up_its_work(
    service: SimulatorServer, own_redis: RedisServer
) -> None:
    own_redis.kill()
    with worker(own_redis.url, service) as one, SessionDirectory(own_redis.url) as directory:
        one.read_error("cannot be reached")
        before = _cpu_seconds(one.process.pid)
        threading.Event().wait(2.0)  # The time is what is tested.
        assert _cpu_seconds(one.process.pid) - before < 0.5
        own_redis.start()
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        assert ask(directory, session_id, "hello")[0] == "I know: hello"


def test_a_worker_can_be_stopped_without_a_bus(own_redis: RedisServer, service: SimulatorServer) -> None:
    with worker(own_redis.url, service) as one, SessionDirectory(own_redis.url) as directory:
        directory.open(USER, config=TEXT, timeout=LIMIT)
        own_redis.kill()
        one.read_error("cannot be reached")
        one.signal(signal.SIGTERM)
        ended = one.end()
        assert ended.status == 0
        assert "Traceback" not in ended.err
        assert ended.seconds < 10.0


def _cpu_seconds(process: int) -> float:
    with open(f"/proc/{process}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_wrong_credentials_are_named_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    with RedisServer(tmp_path_factory.mktemp("secret"), password="opensesame") as server:
        for url in (server.url, server.url.replace("redis://", "redis://:wrong@")):
            with SessionDirectory(url, bus_timeout=20.0) as directory:
                began = time.monotonic()
                with pytest.raises(BusUnavailable, match="refuses"):
                    directory.open(USER)
                assert time.monotonic() - began < 10.0
        right = server.url.replace("redis://", "redis://:opensesame@")
        with SessionDirectory(right) as directory:
            assert directory.sessions(USER) == []


def test_a_service_that_is_away_while_a_session_moves_is_waited_for(bus: str, memory: Memory) -> None:
    with (
        reserved_port() as port,
        SessionDirectory(bus) as directory,
        SimulatorServer(brain=memory, pace=False, port=port) as first,
        worker(bus, first),
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        _, last_id = ask(directory, session_id, "the first")
        stream = directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT)
        first.crash()
        first.stop()
        with SimulatorServer(brain=memory, pace=False, port=port):
            assert until(stream, MOVED)["cause"] == "line_lost"
            say(directory, session_id, "the second")
            assert answer_in(stream) == "I know: the first, the second"
