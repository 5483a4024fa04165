"""Browsers and sessions over real WebSockets: the server's is simple-websocket's, the browser's is websockets'."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import simple_websocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from rtsync import ConfigurationError, OpenAI, RealtimeSession, UnknownSession
from rtsync.bus import CLOSED, GAP, SessionDirectory
from rtsync.simulator import SimulatorServer
from rtsync.simulator.brains import Turn
from rtsync.web import Gate, Refused, relay, relay_live
from tests.bus.conversing import LIMIT, TEXT, USER, Memory, answer_in, ask, say, texts_of

View = Callable[[Any], None]
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


class Relays:
    """A web server that gives each WebSocket to the view, and tells when it has returned."""

    def __init__(self) -> None:
        relays = self
        self.view: View = lambda _: None
        self.returned = threading.Semaphore(0)

        class Upgrade(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.close_connection = True
                headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # So that little fills it.
                websocket = simple_websocket.Server({"werkzeug.socket": self.connection, **headers})
                relays.view(websocket)
                websocket.thread.join(LIMIT)
                relays.returned.release()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Upgrade)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def connect(self, *, receive_buffer: int | None = None) -> Connection:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", self._server.server_port))
        held = None if receive_buffer is None else 1  # frames; with None it reads all that comes
        return connect("ws://browser/", sock=sock, max_queue=held, max_size=None, close_timeout=LIMIT)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def relays() -> Iterator[Relays]:
    made = Relays()
    yield made
    made.close()


@pytest.fixture
def session_id(directory: SessionDirectory) -> str:
    return directory.open(USER, config=TEXT, timeout=LIMIT)


def to(directory: SessionDirectory, session_id: str, gate: Gate | None = None, **options: Any) -> View:
    entrance = gate or Gate()
    return lambda websocket: relay(websocket, directory, session_id, USER, gate=entrance, **options)


def until(browser: Connection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(browser.recv(timeout=LIMIT))
        if event["type"] == kind:
            return event


def ending(browser: Connection) -> tuple[int, list[dict[str, Any]]]:
    """The close code, and what came before it."""
    found = []
    try:
        while True:
            found.append(json.loads(browser.recv(timeout=LIMIT)))
    except ConnectionClosed as closed:
        return (1006 if closed.rcvd is None else closed.rcvd.code), found


def send(browser: Connection, **event: Any) -> None:
    browser.send(json.dumps(event))


def test_a_browser_holds_a_conversation(directory: SessionDirectory, relays: Relays, session_id: str) -> None:
    relays.view = to(directory, session_id)
    with relays.connect() as browser:
        assert json.loads(browser.recv(timeout=LIMIT))["type"] == "session.created"
        send(browser, type="conversation.item.create", item=HELLO)
        send(browser, type="response.create")
        assert until(browser, "response.output_text.done")["text"] == "I know: Hello"
        until(browser, "response.done")
    assert relays.returned.acquire(timeout=LIMIT)
    assert directory.info(session_id, USER).state == "open"
    relays.view = to(directory, session_id, after=directory.snapshot(session_id, USER).last_id)
    with relays.connect() as browser:  # Loaded again.
        send(browser, type="response.create")
        assert json.loads(browser.recv(timeout=LIMIT))["type"] == "response.created"


def test_a_browser_that_was_cut_goes_on_behind_the_last_id_it_saw(
    directory: SessionDirectory, relays: Relays, session_id: str
) -> None:
    relays.view = to(directory, session_id)
    seen = []
    with relays.connect() as browser:
        send(browser, type="conversation.item.create", item=HELLO)
        send(browser, type="response.create")
        seen += [until(browser, "conversation.item.added")]
    while seen[-1]["type"] != "response.done":  # A connection for each.
        relays.view = to(directory, session_id, after=seen[-1]["rtsync_id"])
        with relays.connect() as browser:
            seen.append(json.loads(browser.recv(timeout=LIMIT)))
    with directory.stream(session_id, USER) as stream:
        kept = [(posted.id, posted.type) for posted, _ in zip(stream, range(2 + len(seen)), strict=False)]
    assert [(event["rtsync_id"], event["type"]) for event in seen] == kept[-len(seen) :]


def test_sound_goes_through(directory: SessionDirectory, relays: Relays, session_id: str) -> None:
    relays.view = to(directory, session_id)
    with relays.connect() as browser:
        for _ in range(10):
            send(browser, type="input_audio_buffer.append", audio=base64.b64encode(bytes(4800)).decode())
        send(browser, type="input_audio_buffer.commit")
        until(browser, "input_audio_buffer.committed")


def test_what_a_page_may_not_send_is_told_and_goes_nowhere(
    directory: SessionDirectory, relays: Relays, session_id: str
) -> None:
    relays.view = to(directory, session_id)
    with relays.connect() as browser:
        send(browser, type="session.update", session={"type": "realtime", "instructions": "Obey"})
        assert until(browser, "error")["error"]["code"] == "not_allowed"
        send(browser, type="response.create", response={"instructions": "Obey"})
        assert until(browser, "error")["error"]["code"] == "not_allowed"
        browser.send(b"\xff\xfe")
        assert until(browser, "error")["error"]["code"] == "malformed"
        send(browser, type="conversation.item.create", item={**HELLO, "id": "x" * 300_000})
        assert until(browser, "error")["error"]["code"] == "too_large"
        send(browser, type="conversation.item.create", item=HELLO)
        until(browser, "conversation.item.done")
    snapshot = directory.snapshot(session_id, USER)
    assert "Obey" not in json.dumps(snapshot.settings)
    assert texts_of(snapshot.items) == ["Hello"]


def test_a_page_that_does_not_stop_sending_rubbish_is_closed(
    directory: SessionDirectory, relays: Relays, session_id: str
) -> None:
    relays.view = to(directory, session_id, Gate(rate=1, burst=1))
    with relays.connect() as browser:
        for _ in range(50):
            send(browser, type="session.update")
        code, found = ending(browser)
    assert code == 1008
    codes = [event["error"]["code"] for event in found if event["type"] == "error"]
    assert (codes[0], codes[-1], len(codes)) == ("not_allowed", "too_fast", 50)


def test_what_the_session_refuses_is_told(service: SimulatorServer, relays: Relays) -> None:
    silent = SessionDirectory(target=OpenAI("any", api_key="any", base_url=service.openai_url))  # Without sound.
    with silent:
        relays.view = to(silent, silent.open(USER, config=TEXT, timeout=LIMIT))
        with relays.connect() as browser:
            send(browser, type="input_audio_buffer.append", audio="AAAA")
            assert until(browser, "error")["error"]["code"] == "malformed"


def test_the_end_of_a_session_closes_the_browser(directory: SessionDirectory, relays: Relays, session_id: str) -> None:
    relays.view = to(directory, session_id)
    with relays.connect() as browser:
        until(browser, "session.updated")
        directory.close(session_id, USER)
        code, found = ending(browser)
    assert (code, found[-1]["type"]) == (1000, CLOSED)
    assert relays.returned.acquire(timeout=LIMIT)


def test_the_end_of_the_process_says_come_again(directory: SessionDirectory, relays: Relays, session_id: str) -> None:
    relays.view = to(directory, session_id)
    with relays.connect() as browser:
        until(browser, "session.updated")
        directory.stop(timeout=LIMIT)
        code, _ = ending(browser)
    assert code == 1012


class Flood:
    """A brain whose answer comes as some five thousand deltas, a megabyte of events."""

    def __call__(self, turn: Turn) -> Iterator[str]:
        """One answer."""
        for _ in range(32):
            yield "x" * 2047 + " "


def test_a_browser_that_stops_reading_holds_nothing_up_and_is_cut(relays: Relays) -> None:
    with SimulatorServer(brain=Flood(), pace=False) as service:
        target = OpenAI("any", api_key="any", base_url=service.openai_url)
        with SessionDirectory(target=target, max_events=10_000) as directory:  # So that nobody falls behind.
            session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
            relays.view = to(directory, session_id, patience=0.3)
            with relays.connect(receive_buffer=4096) as browser:
                say(directory, session_id, "Hello")
                with directory.stream(session_id, USER, heartbeat=LIMIT) as other:
                    assert len(answer_in(other)) == 32 * 2048
                assert relays.returned.acquire(timeout=LIMIT)
                with pytest.raises(ConnectionClosed) as closed:
                    until(browser, "nothing more")
                # Else one that sends as well would go on asking for room.
                assert isinstance(closed.value.__cause__, ConnectionResetError)
            assert directory.info(session_id, USER).state == "open"


def test_a_browser_that_falls_behind_a_session_of_this_process_is_closed(relays: Relays) -> None:
    with SimulatorServer(brain=Flood(), pace=False) as service:
        target = OpenAI("any", api_key="any", base_url=service.openai_url)
        with RealtimeSession(target, config=TEXT, max_queue_events=20) as session:
            relays.view = lambda websocket: relay_live(websocket, session, gate=Gate(), patience=LIMIT)
            with relays.connect(receive_buffer=4096) as browser:
                send(browser, type="conversation.item.create", item=HELLO)
                send(browser, type="response.create")
                session.wait_for("response.done", timeout=LIMIT)
                code, found = ending(browser)
    assert code == 1013
    assert "response.done" not in [event["type"] for event in found]


def test_a_browser_that_falls_behind_what_the_bus_keeps_is_closed(relays: Relays) -> None:
    with SimulatorServer(brain=Flood(), pace=False) as service:
        target = OpenAI("any", api_key="any", base_url=service.openai_url)
        with SessionDirectory(target=target, max_events=20) as directory:
            session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
            relays.view = to(directory, session_id, patience=LIMIT)
            with relays.connect(receive_buffer=4096) as browser:
                until(browser, "session.updated")  # A page that begins behind what is kept is told of the gap.
                ask(directory, session_id, "Hello")
                code, found = ending(browser)
    assert code == 1013
    assert "response.done" not in [event["type"] for event in found]


def test_a_page_that_comes_back_too_late_is_told_of_the_gap(directory: SessionDirectory, relays: Relays) -> None:
    session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
    relays.view = to(directory, session_id, after="1-1")
    with relays.connect() as browser:
        until(browser, GAP)
        send(browser, type="response.create")
        until(browser, "response.done")


def test_a_session_of_this_process_is_relayed(service: SimulatorServer, memory: Memory, relays: Relays) -> None:
    target = OpenAI("any", api_key="any", base_url=service.openai_url)
    with RealtimeSession(target, config=TEXT) as session:
        relays.view = lambda websocket: relay_live(websocket, session, gate=Gate())
        with relays.connect() as browser:
            send(browser, type="session.update")
            assert until(browser, "error")["error"]["code"] == "not_allowed"
            send(browser, type="conversation.item.create", item=HELLO)
            send(browser, type="response.create")
            assert until(browser, "response.output_text.done")["text"] == "I know: Hello"
            session.close()
            code, _ = ending(browser)
    assert code == 1000


def test_a_session_that_is_lost_closes_the_browser(relays: Relays) -> None:
    with SimulatorServer(pace=False) as service:
        target = OpenAI("any", api_key="any", base_url=service.openai_url)
        with RealtimeSession(target, config=TEXT, reconnect=None) as session:
            relays.view = lambda websocket: relay_live(websocket, session, gate=Gate())
            with relays.connect() as browser:
                send(browser, type="response.cancel")
                until(browser, "error")
                service.stop()
                code, found = ending(browser)
    assert (code, found[-1]["error"]["code"]) == (1011, "session_closed")


def test_whose_it_is_and_what_may_be_sent_is_checked_first(directory: SessionDirectory, session_id: str) -> None:
    nobody: Any = None
    with pytest.raises(UnknownSession):
        relay(nobody, directory, session_id, "somebody else", gate=Gate())
    with pytest.raises(Refused):
        relay(nobody, directory, session_id, USER, gate=Gate(), after="garbage")
    with pytest.raises(ConfigurationError, match="gate"):
        relay(nobody, directory, session_id, USER, gate=nobody)
    with pytest.raises(ConfigurationError, match="patience"):
        relay(nobody, directory, session_id, USER, gate=Gate(), patience=0)
