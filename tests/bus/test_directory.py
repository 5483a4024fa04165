"""What applications do with a directory, on both kinds of bus; it holds the sessions itself here."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtsync import (
    BusUnavailable,
    ConfigurationError,
    ConnectFailed,
    OpenAI,
    RealtimeSession,
    ServerError,
    SessionClosed,
    Simulator,
    TooManySessions,
    UnknownSession,
    UsageError,
    session_closed,
)
from rtsync.bus import CLOSED, FAILED, GAP, SessionDirectory, SessionInfo, check
from rtsync.simulator import SimulatorServer
from rtsync.simulator.brains import FunctionCall, Turn
from tests.bus.conversing import LIMIT, TEXT, USER, Memory, answer_in, ask, say, texts_of, until
from tests.bus.redis_server import RedisServer
from tests.loopback import reserved_port

Make = Callable[..., SessionDirectory]


@pytest.fixture(params=["memory", "redis"])
def address(request: pytest.FixtureRequest) -> str:
    """Of a bus that no other test uses."""
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("bus"))


@pytest.fixture
def make(address: str, service: SimulatorServer) -> Iterator[Make]:
    """Makes directories that hold their sessions, and stops them in the end."""
    made = []

    def one(**options: Any) -> SessionDirectory:
        target = OpenAI("any", api_key="any", base_url=service.openai_url)
        directory = SessionDirectory(address, **{"target": target, "run_owners": True, **options})
        made.append(directory)
        return directory

    yield one
    for directory in made:
        directory.stop(timeout=LIMIT)


def opened(directory: SessionDirectory, **config: Any) -> str:
    return directory.open(USER, config={**TEXT, **config}, timeout=LIMIT)


def test_a_conversation_goes_over_the_bus(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    first, last_id = ask(directory, session_id, "the first")
    second, _ = ask(directory, session_id, "the second", last_id)
    assert (first, second) == ("I know: the first", "I know: the first, the second")
    said = texts_of(directory.snapshot(session_id, USER).items)
    assert said == ["the first", first, "the second", second]
    info = directory.info(session_id, USER)
    assert (info.state, info.backlog, info.claims) == ("open", 0, 1)


def test_a_stream_begins_with_what_the_service_said_first(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        assert [next(stream).type for _ in range(2)] == ["session.created", "session.updated"]


def test_what_was_confirmed_is_in_the_snapshot(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        until(stream, "session.updated")
        directory.send(
            session_id, USER, {"type": "session.update", "session": {"type": "realtime", "instructions": "Be"}}
        )
        until(stream, "session.updated")
        snapshot = directory.snapshot(session_id, USER)
    assert snapshot.settings == {**TEXT, "type": "realtime", "instructions": "Be"}
    assert snapshot.last_id == stream.last_id


def test_a_reader_that_is_cut_ten_times_misses_and_doubles_nothing(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    for number in range(10):
        say(directory, session_id, f"turn {number}")
        with directory.stream(session_id, USER, heartbeat=LIMIT) as whole:
            for _ in range(number + 1):
                answer_in(whole)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        expected = [next(stream).id for _ in range(100)]
    found: list[str] = []
    after = None
    for _ in range(10):
        with directory.stream(session_id, USER, after=after, heartbeat=LIMIT) as stream:
            found += [next(stream).id for _ in range(10)]
            after = stream.last_id
    assert found == expected
    assert len(set(found)) == 100


def test_a_reader_that_cannot_go_on_where_it_was_is_told(make: Make) -> None:
    directory = make(max_events=100)
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        first = next(stream).id
        for number in range(30):
            say(directory, session_id, f"turn {number}")
            answer_in(stream)
    with directory.stream(session_id, USER, after=first, heartbeat=LIMIT) as late:
        posted = next(late)
        assert (posted.type, posted.id) == (GAP, first)
        kept = [next(late).id for _ in range(50)]
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        assert [next(stream).id for _ in range(50)] == kept


def test_silence_is_told_by_heartbeats(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    last = directory.snapshot(session_id, USER).last_id
    with directory.stream(session_id, USER, after=last, heartbeat=0.05) as stream:
        assert [tuple(next(stream)) for _ in range(3)] == [(last, None)] * 3


@pytest.mark.unmeasured
def test_a_reader_that_does_not_read_holds_nobody_up(make: Make) -> None:
    directory = make(max_events=100_000)
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as idle:
        for number in range(100):
            assert ask(directory, session_id, f"turn {number}")[0].endswith(f"turn {number}")
        for number in range(100):  # And it finds everything, although more came than is queued for it.
            assert answer_in(idle).endswith(f"turn {number}")


def test_many_readers_of_a_session_get_the_same(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    last = directory.snapshot(session_id, USER).last_id
    found: list[list[str]] = []

    def read() -> None:
        with directory.stream(session_id, USER, after=last, heartbeat=LIMIT) as stream:
            ids = []
            for posted in stream:
                ids.append(posted.id)
                if posted.type == "response.done":
                    break
            found.append(ids)

    readers = [threading.Thread(target=read) for _ in range(10)]
    for reader in readers:
        reader.start()
    say(directory, session_id, "once")
    for reader in readers:
        reader.join(LIMIT)
    assert len(found) == 10
    assert all(ids == found[0] for ids in found)


def test_somebody_elses_session_is_refused_like_one_that_does_not_exist(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    calls: list[Callable[[str, str], object]] = [
        lambda session, owner: directory.send(session, owner, {"type": "response.create"}),
        lambda session, owner: directory.stream(session, owner),
        lambda session, owner: directory.snapshot(session, owner),
        lambda session, owner: directory.info(session, owner),
        lambda session, owner: directory.close(session, owner),
    ]
    for call in calls:
        refusals = []
        for session, owner in [(session_id, "user-8"), ("rt_nobodys", USER), ("../etc", USER), ("rt_é", USER)]:
            with pytest.raises(UnknownSession) as refused:
                call(session, owner)
            refusals.append(str(refused.value))
        assert len(set(refusals)) == 1
    assert directory.sessions("user-8") == []
    assert directory.info(session_id, USER).state == "open"


@pytest.mark.parametrize("owner", [None, "", 7, "x" * 257])
def test_there_is_no_session_without_an_owner(make: Make, owner: Any) -> None:
    directory = make()
    with pytest.raises(UsageError, match="no default"):
        directory.open(owner)
    with pytest.raises(UsageError, match="no default"):
        directory.info("rt_1", owner)


def test_more_sessions_than_allowed_are_refused(make: Make) -> None:
    directory = make(max_sessions=3, max_sessions_per_owner=2)
    first = opened(directory)
    opened(directory)
    with pytest.raises(TooManySessions) as refused:
        opened(directory)
    assert refused.value.limit == "owner"
    directory.open("user-8", config=TEXT, timeout=LIMIT)
    with pytest.raises(TooManySessions) as refused:
        directory.open("user-9", config=TEXT, timeout=LIMIT)
    assert refused.value.limit == "all"
    directory.close(first, USER)
    opened(directory)


def test_closing_ends_readers_and_the_line(make: Make) -> None:
    ended = threading.Event()

    def prepare(_session: RealtimeSession, _info: SessionInfo) -> None:
        session_closed.connect(lambda _, **data: ended.set(), sender=_session, weak=False)

    directory = make(prepare=prepare)
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        directory.close(session_id, USER)
        *_, last = stream
    assert last.event is not None
    assert (last.type, last.event.cause) == (CLOSED, "user")
    directory.close(session_id, USER)
    assert directory.info(session_id, USER).state == "closed"
    with pytest.raises(SessionClosed):
        directory.send(session_id, USER, {"type": "response.create"})
    with directory.stream(session_id, USER, after=last.id, heartbeat=0.1) as late:
        assert list(late) == []
    assert ended.wait(LIMIT)


def test_a_session_that_nobody_uses_is_closed(make: Make) -> None:
    directory = make(idle_timeout=0.2)
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        notice = until(stream, CLOSED)
    assert notice["cause"] == "idle"
    assert "0.2 s" in notice["message"]


def test_a_session_that_is_read_is_not_idle(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtsync.bus.watch._TOUCH_EVERY", 0.05)
    directory = make(idle_timeout=1.5)
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=0.2) as stream:
        types = [next(stream).type for _ in range(20)]  # Four seconds.
    assert CLOSED not in types


def test_what_the_service_refuses_at_the_opening_is_raised_there(make: Make) -> None:
    with pytest.raises(ServerError) as refused:
        make().open(USER, config={"output_modalities": ["smell"]}, timeout=LIMIT)
    assert refused.value.param is not None


def test_a_service_that_is_not_there_is_told_at_the_opening(make: Make) -> None:
    with reserved_port() as port:
        directory = make(target=OpenAI("any", api_key="any", base_url=f"http://127.0.0.1:{port}/v1"))
        with pytest.raises(ConnectFailed) as failed:
            directory.open(USER, timeout=LIMIT)
        assert (failed.value.phase, failed.value.retryable, failed.value.headers) == ("tcp", True, {})
        session_id = directory.open(USER, timeout=0)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            assert until(stream, CLOSED)["error"]["kind"] == "ConnectFailed"


def test_commands_that_nobody_takes_are_refused_in_the_end_and_not_dropped(bus: str) -> None:
    with SessionDirectory(bus, max_backlog=2) as directory:
        session_id = directory.open(USER, timeout=0)
        for _ in range(2):
            directory.send(session_id, USER, {"type": "response.create"})
        with pytest.raises(BusUnavailable, match="2 commands of this session wait"):
            directory.send(session_id, USER, {"type": "response.create"})
        assert directory.info(session_id, USER).backlog == 2


def test_a_session_that_no_worker_takes_is_given_up(bus: str) -> None:
    with SessionDirectory(bus) as directory:
        with pytest.raises(BusUnavailable, match="no worker has opened"):
            directory.open(USER, timeout=0.3)
        assert directory.sessions(USER) == []


def test_an_answer_to_what_was_sent_wrongly_comes_over_the_stream(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        event_id = directory.send(session_id, USER, {"type": "conversation.item.delete", "item_id": "nobody"})
        assert until(stream, "error")["error"]["event_id"] == event_id
        other = directory.send(session_id, USER, {"type": "no.such.event"})
        assert until(stream, "error")["error"]["event_id"] == other
    ask(directory, session_id, "still there")
    assert directory.info(session_id, USER).backlog == 0


def test_a_command_with_the_same_id_is_done_once(make: Make, memory: Memory) -> None:
    directory = make()
    session_id = opened(directory)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "once"}]}
    for _ in range(3):
        directory.send(session_id, USER, {"type": "conversation.item.create", "event_id": "mine", "item": item})
    assert ask(directory, session_id, "and this")[0] == "I know: once, and this"


@pytest.mark.parametrize(
    "event",
    ["text", {}, {"type": 7}, {"type": "x", "event_id": ""}, {"type": "x", "field": object()}],
    ids=["a text", "no type", "a number as type", "an empty id", "no JSON"],
)
def test_what_is_no_event_is_refused(make: Make, event: Any) -> None:
    directory = make()
    with pytest.raises(UsageError):
        directory.send("rt_1", USER, event)


def test_a_command_that_is_too_large_is_refused(make: Make) -> None:
    directory = make(max_command_size=1000)
    with pytest.raises(UsageError, match="at most 1000"):
        directory.send("rt_1", USER, {"type": "x", "field": "y" * 1000})


def test_sound_stays_off_the_bus_unless_asked_for(make: Make) -> None:
    directory = make()
    session_id = directory.open(USER, config={"output_modalities": ["audio"]}, timeout=LIMIT)
    with pytest.raises(UsageError, match="audio=True"):
        directory.send(session_id, USER, {"type": "input_audio_buffer.append", "audio": "AAAA"})
    spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}
    with pytest.raises(UsageError, match="audio=True"):
        directory.send(session_id, USER, {"type": "conversation.item.create", "item": spoken})
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        say(directory, session_id, "speak")
        posted = list(_up_to(stream, "response.done"))
        types = [each.type for each in posted]
        item_id = next(each.event.item.id for each in posted if each.type == "response.output_item.done")
        directory.send(session_id, USER, {"type": "conversation.item.retrieve", "item_id": item_id})
        [part] = until(stream, "conversation.item.retrieved")["item"]["content"]
        assert "audio" not in part
        assert part["transcript"]
    assert "response.output_audio.delta" not in types
    assert "response.output_audio.done" in types
    assert "response.output_audio_transcript.delta" in types


def test_sound_travels_over_the_bus_where_it_is_asked_for(make: Make) -> None:
    directory = make(audio=True)
    config = {"output_modalities": ["audio"], "audio": {"input": {"turn_detection": None}}}
    session_id = directory.open(USER, config=config, timeout=LIMIT)
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        for _ in range(20):
            sound = base64.b64encode(bytes(2400)).decode()
            directory.send(session_id, USER, {"type": "input_audio_buffer.append", "audio": sound})
        directory.send(session_id, USER, {"type": "input_audio_buffer.commit"})
        until(stream, "input_audio_buffer.committed")
        directory.send(session_id, USER, {"type": "response.create"})
        types = [posted.type for posted in _up_to(stream, "response.done")]
    assert "response.output_audio.delta" in types
    assert directory.info(session_id, USER).backlog == 0


def _up_to(stream: Any, kind: str) -> Iterator[Any]:
    for posted in stream:
        assert posted.data is not None
        yield posted
        if posted.type == kind:
            return


def test_handlers_are_connected_before_a_session_is_opened(make: Make) -> None:
    seen: list[tuple[str, str]] = []

    def prepare(session: RealtimeSession, info: SessionInfo) -> None:
        session.on("response.done", lambda session, event: seen.append((info.owner, event.type)))

    directory = make(prepare=prepare)
    session_id = opened(directory)
    ask(directory, session_id, "hello")
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        directory.close(session_id, USER)
        assert until(stream, CLOSED)
    assert seen == [(USER, "response.done")]


def test_a_function_that_fails_to_prepare_a_session_ends_it_with_a_cause(make: Make) -> None:
    def prepare(_session: RealtimeSession, _info: SessionInfo) -> None:
        raise LookupError("no such thing")

    with pytest.raises(SessionClosed, match="LookupError"):
        make(prepare=prepare).open(USER, timeout=LIMIT)


def test_tools_run_where_the_session_is_held(make: Make) -> None:
    def brain(turn: Turn) -> Iterator[str | FunctionCall]:
        outputs = [item["output"] for item in turn.items if item.get("type") == "function_call_output"]
        yield f"It is {outputs[-1]}" if outputs else FunctionCall("weather", '{"city": "Paris"}')

    def weather(city: str) -> str:
        """Tells what the weather is like."""
        return f"sunny in {city}"

    with SimulatorServer(brain=brain, pace=False) as service:
        target = OpenAI("any", api_key="any", base_url=service.openai_url)
        directory = make(target=target, session_options={"tools": [weather]})
        session_id = opened(directory)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            directory.send(session_id, USER, {"type": "response.create"})
            until(stream, "response.done")
            assert answer_in(stream) == "It is sunny in Paris"
        kinds = [item["type"] for item in directory.snapshot(session_id, USER).items]
        assert kinds == ["function_call", "function_call_output", "message"]
        directory.stop(timeout=LIMIT)


def test_a_directory_that_was_stopped_begins_anew(make: Make) -> None:
    directory = make()
    session_id = opened(directory)
    stream = directory.stream(session_id, USER, heartbeat=LIMIT)
    directory.stop(timeout=LIMIT)
    assert [posted.type for posted in stream if posted.data] == [] or stream.last_id != "0"
    directory.stop(timeout=LIMIT)
    assert opened(directory) != session_id


def test_a_line_that_breaks_is_followed_by_another_with_the_history(make: Make, memory: Memory) -> None:
    with SimulatorServer(brain=memory, pace=False, faults="reset@events=30,first=1") as faulty:
        directory = make(target=OpenAI("any", api_key="any", base_url=faulty.openai_url))
        session_id = opened(directory)
        with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
            notices = []
            for number in range(6):
                say(directory, session_id, f"turn {number}")
                said = answer_in(stream, lambda kind: notices.append(kind) if kind.startswith("rtsync.") else None)
                assert said == "I know: " + ", ".join(f"turn {each}" for each in range(number + 1))
        assert notices == ["rtsync.session.moved"]
        assert FAILED not in notices
        directory.stop(timeout=LIMIT)


def test_a_forked_child_has_a_directory_of_its_own(bus: str, service: SimulatorServer) -> None:
    """As with gunicorn's preload: made and used before the fork, used in the parent and in the child behind it."""
    target = OpenAI("any", api_key="any", base_url=service.openai_url)
    with SessionDirectory(bus, target=target, run_owners=True) as directory:
        session_id = opened(directory)
        stream = directory.stream(session_id, USER, heartbeat=LIMIT)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if ask(directory, session_id, "from the child")[0] == "I know: from the child" else 2
                directory.stop()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert answer_in(stream) == "I know: from the child"
        assert ask(directory, session_id, "from the parent")[0] == "I know: from the child, from the parent"
        stream.close()


def test_the_check_warns_of_several_processes_that_do_not_share_sessions(bus: str) -> None:
    alone = SessionDirectory(target=Simulator())
    assert check(alone) == check(alone, workers=1) == []
    [warning] = check(alone, workers=3)
    assert warning.startswith("3 processes")
    assert check(SessionDirectory(bus), workers=3) == []


def test_what_is_wrong_with_a_directory_is_said_when_it_is_made(redis_server: RedisServer) -> None:
    wrong: list[dict[str, Any]] = [
        {"bus": "amqp://localhost"},
        {"bus": None},
        {"bus": "redis://localhost:port/0"},
        {"bus": "memory://"},
        {"bus": "redis://localhost", "run_owners": True},
        {"bus": "redis://localhost", "max_sessions": 0},
        {"bus": "redis://localhost", "responses": "maybe"},
        {"bus": "redis://localhost", "lease": 0},
        {"bus": "redis://localhost", "target": "gpt"},
    ]
    for options in wrong:
        with pytest.raises(ConfigurationError):
            SessionDirectory(**options)


def test_a_password_stays_out_of_names_and_messages() -> None:
    with reserved_port() as port:
        directory = SessionDirectory(f"redis://someone:opensesame@127.0.0.1:{port}/0", bus_timeout=0.2)
        assert "opensesame" not in repr(directory)
        with pytest.raises(BusUnavailable, match=f"redis://127.0.0.1:{port}/0") as refused:
            directory.open(USER)
        assert "opensesame" not in str(refused.value)
        directory.stop()
