"""Server-sent events, over real HTTP to a reader that is not ours."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sseclient

from rtsync import ConfigurationError, RealtimeError, UnknownSession
from rtsync.bus import CLOSED, EventStream, Posted, SessionDirectory
from rtsync.vocabulary.errors import BusUnavailable
from rtsync.web import END, HEADERS, Refused, ServerSentEvents, error_event, event_stream, status_of
from rtsync.web.showing import shown
from tests.bus.conversing import LIMIT, TEXT, USER, say

HEARTBEAT = 0.2


class Events:
    """A web server with one view: the events of the session in the path, for the user in a header."""

    def __init__(self, directory: SessionDirectory) -> None:
        events = self
        self.left = threading.Semaphore(0)

        class View(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    stream = event_stream(
                        directory, self.path[1:], self.headers["X-User"], heartbeat=HEARTBEAT,
                        last_event_id=self.headers["Last-Event-ID"],
                    )  # fmt: skip
                except RealtimeError as error:
                    self.send_response(status_of(error))
                    self.end_headers()
                    self.wfile.write(json.dumps(error_event(error)).encode())
                    return
                self.send_response(200)
                for name, value in HEADERS.items():
                    self.send_header(name, value)
                self.end_headers()
                with stream:
                    try:
                        for chunk in stream:
                            self.wfile.write(chunk)
                    except ConnectionError:
                        events.left.release()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), View)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def get(self, session_id: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=LIMIT)) as connection:
            connection.request("GET", f"/{session_id}", headers={"X-User": USER, **headers})
            with closing(connection.getresponse()) as response:
                yield response


@pytest.fixture
def events(directory: SessionDirectory) -> Iterator[Events]:
    made = Events(directory)
    yield made
    directory.stop(timeout=LIMIT)  # Streams end with it.
    made.close()


def read(response: Any) -> Iterator[sseclient.Event]:
    return sseclient.SSEClient(response).events()


def test_a_browser_reads_a_conversation(directory: SessionDirectory, events: Events) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    said = last_id = ""
    with events.get(session_id) as response:
        assert {name: response.getheader(name) for name in HEADERS} == dict(HEADERS)
        say(directory, session_id, "one\ntwo\rthree")
        for event in read(response):
            data = json.loads(event.data)
            assert data["type"] == event.event
            if event.event == "response.output_text.delta":
                said += data["delta"]
            elif event.event == "response.done":
                directory.close(session_id, USER)
            elif event.event == CLOSED:
                last_id = event.id or ""
            elif event.event == END:
                assert (data["cause"], data["again"], event.id) == ("closed", False, None)
    assert said == "I know: one\ntwo\rthree"
    with events.get(session_id, **{"Last-Event-ID": last_id}) as response:  # It comes again, though it was told.
        assert [event.event for event in read(response)] == [END]


def test_a_reader_that_is_cut_ten_times_misses_and_doubles_nothing(directory: SessionDirectory, events: Events) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    say(directory, session_id, "the first")
    seen: list[tuple[str, str]] = []
    cuts = answers = 0
    while answers < 6:
        headers = {"Last-Event-ID": seen[-1][0]} if seen else {}
        with events.get(session_id, **headers) as response:
            for count, event in enumerate(read(response), start=1):
                seen.append((event.id or "", event.data))
                if event.event == "response.done":
                    answers += 1
                    say(directory, session_id, f"number {answers}")
                if answers == 6 or (cuts < 10 and count == 3):
                    break
        cuts += 1
    assert cuts >= 10
    with directory.stream(session_id, USER, heartbeat=LIMIT) as stream:
        expected = [next(stream) for _ in seen]
    assert seen == [(posted.id, shown(posted.type, posted.data or b"").decode()) for posted in expected]


def test_a_silent_stream_is_kept_alive_and_a_reader_that_has_gone_is_noticed(
    directory: SessionDirectory, events: Events
) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    with events.get(session_id, **{"Last-Event-ID": directory.snapshot(session_id, USER).last_id}) as response:
        assert [response.readline() for _ in range(4)] == [b"retry: 2000\n", b"\n", b":\n", b"\n"]
    assert events.left.acquire(timeout=LIMIT)


def test_a_stream_that_this_process_ends_is_worth_coming_again_for(directory: SessionDirectory, events: Events) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    with events.get(session_id) as response:
        reader = read(response)
        assert next(reader).event == "session.created"
        directory.stop(timeout=LIMIT)
        *_, last = reader
    assert json.loads(last.data) == {"type": END, "cause": "stopped", "again": True}


GARBAGE = ["x", "-", "1-", "-1", "1-2-3", "1.5", "1e3", " 1", "$", "+", "1" * 21, str(2**64), "1-" + str(2**64), "1_0"]


@pytest.mark.parametrize("header", [*GARBAGE, "\u0661"], ids=ascii)
def test_a_last_event_id_that_no_stream_gave_is_refused(directory: SessionDirectory, header: str) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    with pytest.raises(Refused) as caught:
        event_stream(directory, session_id, USER, last_event_id=header)
    assert caught.value.status == 400


def test_what_is_wrong_with_a_request_has_a_status(directory: SessionDirectory, events: Events) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    answers = []
    for path, headers in [
        (session_id, {"X-User": "somebody else"}),
        ("rt_none", {}),
        ("nothing", {}),
        (session_id, {"Last-Event-ID": "garbage"}),
    ]:
        with events.get(path, **headers) as response:
            answers.append((response.status, json.loads(response.read())["error"]["code"]))
    assert answers == [(404, "unknown_session")] * 3 + [(400, "malformed")]
    with pytest.raises(UnknownSession):
        event_stream(directory, "rt_none", USER)


@pytest.mark.parametrize("option", ["heartbeat", "retry"])
def test_seconds_are_checked(directory: SessionDirectory, option: str) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    wrong: dict[str, Any] = {option: 0}
    with pytest.raises(ConfigurationError):
        event_stream(directory, session_id, USER, **wrong)


def test_an_empty_last_event_id_is_none(directory: SessionDirectory) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    with event_stream(directory, session_id, USER, last_event_id="") as stream:
        next(stream)
        assert b"\nevent: session.created\ndata: {" in next(stream)


def test_events_may_come_without_names(directory: SessionDirectory) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    directory.close(session_id, USER)
    with event_stream(directory, session_id, USER, named=False) as stream:
        found = list(read(stream))
    assert {event.event for event in found} == {"message"}
    kinds = [json.loads(event.data)["type"] for event in found]
    assert (kinds[0], kinds[-2:]) == ("session.created", [CLOSED, END])


class Line(EventStream):
    """Some events, and then what it was told to end with."""

    def __init__(self, *found: bytes, ends: Exception) -> None:
        self.session_ended = True
        self.closed = 0
        self._found = [Posted(f"7-{number}", data) for number, data in enumerate(found)]
        self._ends = ends

    def __next__(self) -> Posted:
        if self._found:
            return self._found.pop(0)
        raise self._ends

    def close(self) -> None:
        self.closed += 1


def test_no_line_end_and_no_name_breaks_out_of_its_field() -> None:
    odd = [b'{\n"type":\r\n"a.b",\r"x":1}', b'{"type":"a\\nid: 9"}', b'{"type":"error"}', b'{"type":7}', b"{}"]
    stream = ServerSentEvents(Line(*odd, ends=StopIteration()), retry=0.5, named=True)
    found = list(read(stream))
    assert [(event.id, event.event) for event in found] == [
        ("7-0", "a.b"), ("7-1", "message"), ("7-2", "message"), ("7-3", "message"), ("7-4", "message"), (None, END),
    ]  # fmt: skip
    assert [json.loads(event.data) for event in found[:-1]] == [json.loads(data) for data in odd]


def test_a_bus_that_is_lost_ends_the_stream_with_an_event() -> None:
    line = Line(ends=BusUnavailable("redis at 10.0.0.1 is out of reach"))
    stream = ServerSentEvents(line, retry=2.0, named=True)
    found = list(stream)
    assert found[1:] == [
        b'event: rtsync.stream.end\ndata: {"type":"rtsync.stream.end","cause":"unavailable","again":true}\n\n'
    ]
    assert line.closed == 1
    stream.close()
    assert list(stream) == []


def test_what_is_the_services_or_the_applications_is_told_in_no_detail() -> None:
    error = BusUnavailable("redis at 10.0.0.1 is out of reach")
    assert status_of(error) == 503
    assert error_event(error)["error"]["code"] == "unavailable"
    assert "10.0.0.1" not in str(error_event(error))
    assert status_of(RealtimeError("anything")) == 502
