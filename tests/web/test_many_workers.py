"""Three web workers, two that hold sessions, and a Redis: whoever answers, nothing is missed and nothing doubled."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

from rtsync.bus import SessionDirectory
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT, Memory, texts_of, worker
from tests.bus.redis_server import RedisServer
from tests.process.programs import Program

WEB_WORKERS, THREADS, MAX_STREAMS = 3, 8, 6
PROMISED = 5.0  # seconds in which another worker goes on; measured here, on a busy machine
GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--workers", str(WEB_WORKERS)),
    *("--threads", str(THREADS), "--bind", "127.0.0.1:0", "--error-logfile", "/dev/stdout"),
    "tests.web.served:application",
]
USER = "ann"


class Deployment:
    """What runs while the tests of this file do: Redis, gunicorn, and the service in this process."""

    def __init__(self, redis: RedisServer, service: SimulatorServer, memory: Memory, port: int) -> None:
        self.redis, self.service, self.memory, self.port = redis, service, memory, port

    def call(self, method: str, path: str, body: Any = None, *, user: str = USER) -> tuple[int, Any, str]:
        """Status, JSON and process of an answer, over a connection of its own, so that it lands anywhere."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/sessions{path}", data, {"X-User": user, "Connection": "close"})
            answer = connection.getresponse()
            said = answer.read()
            return answer.status, json.loads(said) if said else None, answer.headers["X-Worker"]
        finally:
            connection.close()

    def open(self, *, user: str = USER) -> str:
        status, said, _ = self.call("POST", "", user=user)
        assert status == 201, said
        return str(said["id"])

    def say(self, session_id: str, text: str, *, user: str = USER) -> None:
        """A user's turn, and the wish for an answer."""
        for event in (message(text), {"type": "response.create"}):
            status, said, _ = self.call("POST", f"/{session_id}/events", event, user=user)
            assert status == 202, said

    def read(self, session_id: str, *, user: str = USER, after: str | None = None) -> Reader:
        """A reader that is let in. Where too many read their process says so, and finds out by heartbeats who left."""
        deadline = time.monotonic() + LIMIT
        while (reader := Reader(self.port, session_id, user=user, after=after)).status == 429:
            reader.cut(inside=False, reset=False)
            assert time.monotonic() < deadline, "readers that have gone hold their threads"
            threading.Event().wait(0.05)  # As a page waits, for Retry-After.
        assert reader.status == 200
        return reader

    def texts(self, session_id: str, *, user: str = USER) -> list[str]:
        status, said, _ = self.call("GET", f"/{session_id}", user=user)
        assert status == 200, said
        return texts_of(said["items"])


def message(text: str) -> dict[str, Any]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"type": "conversation.item.create", "item": item}


class Sent(NamedTuple):
    """A server-sent event."""

    id: str
    type: str
    data: dict[str, Any]


class Reader:
    """A browser's EventSource, as far as it goes: reads, remembers the last id, can be cut."""

    def __init__(self, port: int, session_id: str, *, user: str, after: str | None) -> None:
        self.last_id = after
        headers = {"X-User": user} | ({"Last-Event-ID": after} if after else {})
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request("GET", f"/sessions/{session_id}/events", headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._answer.close()
        self._connection.close()

    def __iter__(self) -> Iterator[Sent]:
        fields: dict[str, str] = {}
        deadline = time.monotonic() + LIMIT
        while line := self._answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                self.last_id = fields.get("id", self.last_id)
                yield Sent(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
                deadline = time.monotonic() + LIMIT
            assert time.monotonic() < deadline, f"nothing came but heartbeats, behind {self.last_id}"
            if not name:
                fields = {}

    def until(self, kind: str) -> list[Sent]:
        """Read up to the next event of that type."""
        seen = []
        for event in self:
            seen.append(event)
            if event.type == kind:
                return seen
        raise AssertionError(f"the stream ended before {kind}: {[event.type for event in seen]}")

    def answer(self) -> tuple[str, list[str]]:
        """What the next response says, once it is done; and the types of all events up to there."""
        seen = self.until("response.done")
        said = ""
        for event in seen:
            if event.type == "response.created":
                said = ""
            elif event.type == "response.output_text.delta":
                said += event.data["delta"]
        return said, [event.type for event in seen]

    def cut(self, *, inside: bool, reset: bool) -> None:
        """End the connection, in the middle of an event or between two, by a reset or by an end."""
        if inside:
            self._answer.readline(4)
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._answer.close()
        self._connection.close()


class WebServer(Program):
    """It runs for as long as the tests of this file do."""

    limit = 600.0


@contextlib.contextmanager
def web_workers(redis: RedisServer, *options: str) -> Iterator[tuple[Program, int]]:
    """gunicorn and its port; it is sent SIGTERM, once, in the block, and ends well."""
    limits = {"MAX_STREAMS": str(MAX_STREAMS), "HEARTBEAT": "0.5"}
    with WebServer(command=[*GUNICORN, *options], RTSYNC_BUS=redis.url, **limits) as gunicorn:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", gunicorn.read_until("Listening at"))
        assert found is not None
        yield gunicorn, int(found[1])
        ended = gunicorn.end()
        assert ended.status == 0, ended
        assert "Traceback" not in ended.out + ended.err


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    memory = Memory()
    with (
        RedisServer(tmp_path_factory.mktemp("redis")) as redis,
        SimulatorServer(brain=memory, pace=False) as service,
        web_workers(redis) as (gunicorn, port),
    ):
        yield Deployment(redis, service, memory, port)
        gunicorn.signal(signal.SIGTERM)


@pytest.fixture
def deployment(everything: Deployment) -> Deployment:
    everything.memory.go.clear()
    return everything


@contextlib.contextmanager
def holders(deployment: Deployment, number: int = 2) -> Iterator[list[Program]]:
    """Processes that hold sessions, each ready."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(worker(deployment.redis.url, deployment.service)) for _ in range(number)]
        for each in made:
            each.read_error("holding sessions")
        yield made


def test_of_400_requests_that_land_anywhere_all_are_answered(deployment: Deployment) -> None:
    statuses: Counter[tuple[str, int]] = Counter()
    processes: Counter[str] = Counter()

    def converse(number: int) -> list[str]:
        """20 requests."""
        user = f"user-{number % 5}"

        def call(method: str, path: str, body: Any = None) -> Any:
            status, said, process = deployment.call(method, path, body, user=user)
            statuses[method, status] += 1
            processes[process] += 1
            return said

        session_id = call("POST", "")["id"]
        for turn in range(8):
            call("POST", f"/{session_id}/events", message(f"{number}.{turn}"))
            assert session_id in call("GET", "")["sessions"]
        call("POST", f"/{session_id}/events", {"type": "response.create"})
        with deployment.read(session_id, user=user) as reader:
            answer, _ = reader.answer()
        said = texts_of(call("GET", f"/{session_id}")["items"])
        assert said[-1] == answer
        call("DELETE", f"/{session_id}")
        return [answer]

    with holders(deployment), ThreadPoolExecutor(10) as clients:
        answers = list(clients.map(converse, range(20)))
    assert statuses == {("POST", 201): 20, ("POST", 202): 180, ("GET", 200): 180, ("DELETE", 204): 20}
    assert answers == [[f"I know: {', '.join(f'{number}.{turn}' for turn in range(8))}"] for number in range(20)]
    assert len(processes) == WEB_WORKERS


def test_a_reader_that_is_cut_ten_times_misses_and_doubles_nothing(deployment: Deployment) -> None:
    with holders(deployment, 1):
        session_id = deployment.open()
        seen: list[Sent] = []
        after, asked = None, 0
        for cut in range(10):
            deployment.say(session_id, f"question {cut}")
            asked += 1
            with deployment.read(session_id, after=after) as reader:
                seen += itertools.islice(reader, 3 + cut)
                after = reader.last_id
                reader.cut(inside=cut % 3 == 0, reset=cut % 2 == 0)
        with deployment.read(session_id, after=after) as reader:
            # Each question ends in an answer, or in an error: the service was still at the one before.
            while sum(event.type in ("response.done", "message") for event in seen) < asked:
                seen.append(next(iter(reader)))
        with deployment.read(session_id) as uncut:
            everything = list(itertools.islice(uncut, len(seen)))
        assert [event.id for event in seen] == [event.id for event in everything]
        assert seen == everything
        assert len({event.id for event in seen}) == len(seen) > 50


def test_when_a_holder_is_killed_the_reader_notices_a_signal_and_the_conversation_goes_on(
    deployment: Deployment,
) -> None:
    with holders(deployment) as processes:
        session_id = deployment.open()
        with deployment.read(session_id) as reader:
            deployment.say(session_id, "the first")
            assert reader.answer()[0] == "I know: the first"
            deployment.say(session_id, "slowly")
            reader.until("response.output_text.delta")
            killed = time.monotonic()
            _holder_of(deployment, session_id, processes).signal(signal.SIGKILL)
            deployment.memory.go.set()
            answer, types = reader.answer()
            assert time.monotonic() - killed < PROMISED
            assert answer == "I know: the first, slowly"
            assert [kind for kind in types if kind.startswith(("rtsync.", "session.", "error"))] == [
                "rtsync.session.moved"
            ]
            deployment.say(session_id, "the last")
            assert reader.answer()[0] == "I know: the first, slowly, the last"
        assert deployment.texts(session_id)[::2] == ["the first", "slowly", "the last"]


def _holder_of(deployment: Deployment, session_id: str, processes: list[Program]) -> Program:
    with SessionDirectory(deployment.redis.url) as directory:
        holder = directory.info(session_id, USER).holder
    assert holder is not None
    return next(process for process in processes if f":{process.process.pid}:" in holder)


def test_sessions_go_on_when_a_redis_that_forgets_is_restarted(deployment: Deployment) -> None:
    with holders(deployment), contextlib.ExitStack() as stack:
        session_ids = [deployment.open() for _ in range(3)]
        readers = [stack.enter_context(deployment.read(session_id)) for session_id in session_ids]
        for session_id, reader in zip(session_ids, readers, strict=True):
            deployment.say(session_id, "the first")
            assert reader.answer()[0] == "I know: the first"
        deployment.redis.restart()
        for session_id, reader in zip(session_ids, readers, strict=True):
            _until_back(deployment, session_id)
            deployment.say(session_id, "the second")
            assert reader.answer()[0] == "I know: the first, the second"
            assert deployment.texts(session_id)[::2] == ["the first", "the second"]


def _until_back(deployment: Deployment, session_id: str) -> None:
    """Its holder brings it back when it next renews its lease; until then there is no such session."""
    deadline = time.monotonic() + LIMIT
    while deployment.call("GET", f"/{session_id}")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_session_that_nobody_remembers_ends_with_a_cause(deployment: Deployment) -> None:
    with holders(deployment, 1) as [holder]:
        session_id = deployment.open()
        with deployment.read(session_id) as reader:
            reader.until("session.updated")
            holder.process.kill()
            holder.process.wait()
            deployment.redis.restart()
            seen = list(reader)
        assert [event.type for event in seen][-2:] == ["rtsync.session.closed", "rtsync.stream.end"]
        assert seen[-2].data["cause"] == "forgotten"
        assert seen[-1].data == {"type": "rtsync.stream.end", "cause": "closed", "again": False}
        assert deployment.call("GET", f"/{session_id}")[0] == 404


def test_readers_that_have_gone_give_their_threads_back(deployment: Deployment) -> None:
    with holders(deployment, 1):
        session_ids = [(deployment.open(user=user), user) for user in ("bob", "cid", "dan", "eve", "fay")]
        for _ in range(3):  # More often than there are threads.
            with contextlib.ExitStack() as stack:
                readers = [
                    stack.enter_context(deployment.read(session_id, user=user))
                    for session_id, user in session_ids
                    for _ in range(2)
                ]
                for number, reader in enumerate(readers):
                    reader.cut(inside=False, reset=number % 2 == 0)
        for session_id, user in session_ids:
            assert deployment.call("DELETE", f"/{session_id}", user=user)[0] == 204


def test_streams_end_with_the_web_worker_where_the_configuration_says_so(deployment: Deployment) -> None:
    """Not after gunicorn's graceful timeout, for which the test would not wait."""
    with (
        holders(deployment, 1),
        web_workers(deployment.redis, "--config", "python:tests.web.gunicorn_stops", "--graceful-timeout", "300") as (
            gunicorn,
            port,
        ),
    ):
        own = Deployment(deployment.redis, deployment.service, deployment.memory, port)
        session_id = own.open()
        with own.read(session_id) as reader:
            reader.until("session.updated")
            gunicorn.signal(signal.SIGTERM)
            seen = list(reader)
        assert seen[-1].data == {"type": "rtsync.stream.end", "cause": "stopped", "again": True}
        with deployment.read(session_id, after=reader.last_id) as again:  # As a browser does, with a worker that stays.
            deployment.say(session_id, "I am back")
            deployment.memory.go.set()
            assert again.answer()[0] == "I know: I am back"
