"""The kit itself, against an independent client: `websockets`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.loopback import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Certificates,
    Peer,
    PeerClosed,
    RecordingProxy,
    ScriptedServer,
    frame,
    realtime_greeting,
    reserved_port,
)


def _without_tickets(certificates: Certificates) -> ssl.SSLContext:
    """A context for `websockets`, which reads and writes TLS in two threads and may lose it to a ticket."""
    context = certificates.server_context()
    context.num_tickets = 0
    return context


def test_messages_travel_both_ways_whole_and_in_fragments() -> None:
    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.send_json({"echo": peer.recv_json()})
        peer.send_frame(TEXT, "frag", fin=0)
        peer.send_frame(CONTINUATION, "ments")
        assert peer.recv_message() == (BINARY, b"\x00" * 70_000)
        assert peer.recv_json() == {"in": "parts"}
        peer.close(4001, "enough")
        assert peer.expect_close(echo=False) == (4001, "enough")

    with ScriptedServer(script) as server, connect(server.url + "/v1/realtime?model=m") as client:
        assert json.loads(client.recv())["type"] == "session.created"
        client.send('{"hello": 1}')
        assert json.loads(client.recv()) == {"echo": {"hello": 1}}
        assert client.recv() == "fragments"
        client.send(b"\x00" * 70_000)
        client.send(['{"in":', ' "parts"}'])
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
        assert server.peers[0].request.path == "/v1/realtime?model=m"
        assert server.peers[0].request.query == {"model": "m"}
        assert server.peers[0].request.headers["upgrade"] == "websocket"
        assert server.connections == 1


def test_pings_are_answered_while_a_message_is_awaited() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        with pytest.raises(PeerClosed) as closed:
            peer.recv_json()
        assert (closed.value.code, closed.value.reason) == (1000, "bye")

    with ScriptedServer(script) as server, connect(server.url) as client:
        assert client.ping().wait(30)
        client.close(1000, "bye")
        assert client.close_code == 1000


@pytest.mark.parametrize("chunked", [False, True])
def test_a_refusal_carries_status_headers_and_body(chunked: bool) -> None:
    def script(peer: Peer) -> None:
        peer.refuse(429, "Too Many Requests", [("Retry-After", "7")], '{"error": "slow down"}', chunked=chunked)

    with ScriptedServer(script) as server:
        with pytest.raises(InvalidStatus) as refused, connect(server.url):
            pass
        assert refused.value.response.status_code == 429
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(server.http_url)
        with answer.value:
            assert (answer.value.headers["Retry-After"], answer.value.read()) == ("7", b'{"error": "slow down"}')


def test_a_reset_reaches_the_client_as_a_reset() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    with ScriptedServer(script) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_reset_from_the_test_interrupts_a_script_that_reads() -> None:
    with (
        ScriptedServer(lambda peer: peer.accept() and peer.recv_json()) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        server.peers[0].reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_half_closed_peer_still_hears_the_client() -> None:
    heard: list[object] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.half_close()
        heard.append(peer.recv_frame())

    with ScriptedServer(script) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n")
        while client.recv(4096):
            pass
        client.sendall(frame(TEXT, "still here", masked=True))
        client.shutdown(socket.SHUT_WR)
        server.peers[0].finished.wait(30)
    assert heard == [(TEXT, b"still here")]


def test_a_peer_that_stops_reading_blocks_the_sender_until_the_end() -> None:
    stopped = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.stop_reading()
        stopped.set()
        peer.wait_until_released()

    with ScriptedServer(script) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n")
        assert stopped.wait(30)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(64 << 20))


def test_a_dripping_answer_ends_with_the_server() -> None:
    with (
        ScriptedServer(lambda peer: peer.accept(drip=0.05)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n")
        assert client.recv(1) == b"H"


def test_an_error_of_the_script_is_raised_at_the_end() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedServer(lambda peer: 1 // 0) as server:
        socket.create_connection(("127.0.0.1", server.port)).close()
        server.wait_for_connections(1)[0].finished.wait(30)


def test_an_error_of_the_script_is_a_note_on_the_tests_own_error() -> None:
    with pytest.raises(AssertionError) as raised, ScriptedServer(lambda peer: 1 // 0) as server:
        socket.create_connection(("127.0.0.1", server.port)).close()
        server.wait_for_connections(1)[0].finished.wait(30)
        raise AssertionError("the test failed")
    assert "ZeroDivisionError" in raised.value.__notes__[0]


def test_a_client_that_goes_away_is_no_error_of_the_script() -> None:
    with ScriptedServer(lambda peer: peer.accept() and peer.recv_json()) as server, connect(server.url):
        server.wait_for_connections(1)


@pytest.mark.parametrize("stall", ["reading", "released", "writing", "handshake"])
def test_a_stalled_server_stops_promptly_without_a_thread_or_descriptor(stall: str) -> None:
    def script(peer: Peer) -> None:
        if stall == "handshake":
            peer.read_request()
        peer.accept()
        if stall == "reading":
            peer.recv_json()
        if stall == "released":
            peer.wait_until_released()
        peer.send_raw(bytes(64 << 20))

    before = set(os.listdir("/proc/self/fd"))
    # The clients outlive the server: it must not need them to go.
    with contextlib.ExitStack() as clients, ScriptedServer(script) as server:
        for _ in range(5):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            if stall != "handshake":
                client.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n")
        server.wait_for_connections(5)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("loopback-")] == []
    assert set(os.listdir("/proc/self/fd")) == before


def test_tls_1_3_is_spoken_and_a_stranger_is_refused(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.wait_until_released()
        peer.send_text("after the test's word")

    with ScriptedServer(script, tls=_without_tickets(certificates)) as server:
        assert server.url.startswith("wss://")
        with connect(server.url, ssl=certificates.client_context()) as client:
            assert json.loads(client.recv())["type"] == "session.created"
            assert isinstance(client.socket, ssl.SSLSocket)
            assert client.socket.version() == "TLSv1.3"
            server.peers[0].release()
            assert client.recv() == "after the test's word"
            with pytest.raises(ConnectionClosed):
                client.recv()
        with pytest.raises(ssl.SSLCertVerificationError), connect(server.url):
            pass
        server.peers[1].finished.wait(30)
        assert len(server.tls_failures) == 1


def test_a_certificate_may_be_for_another_name(certificates: Certificates) -> None:
    context = certificates.server_context("elsewhere.example")
    mismatch = pytest.raises(ssl.SSLCertVerificationError, match="mismatch")
    with ScriptedServer(lambda peer: None, tls=context) as server, mismatch:
        connect(server.url, ssl=certificates.client_context())


def test_the_proxy_tunnels_and_remembers(recording_proxy: RecordingProxy, certificates: Certificates) -> None:
    trusted = certificates.client_context()
    with (
        ScriptedServer(realtime_greeting, tls=_without_tickets(certificates)) as server,
        connect(server.url, proxy=recording_proxy.http_url, ssl=trusted) as client,
    ):
        assert json.loads(client.recv())["type"] == "session.created"
        assert recording_proxy.targets == [server.authority]


def test_the_proxy_leads_a_public_name_to_a_loopback_server(greeting_server: ScriptedServer) -> None:
    routes = {"api.openai.com:80": ("127.0.0.1", greeting_server.port)}
    with RecordingProxy(routes=routes) as proxy, connect("ws://api.openai.com/v1", proxy=proxy.http_url) as client:
        assert json.loads(client.recv())["type"] == "session.created"
    assert greeting_server.peers[0].request.headers["host"] == "api.openai.com"


def test_the_proxy_wants_its_credentials(greeting_server: ScriptedServer) -> None:
    with RecordingProxy(credentials=("ada", "secret")) as proxy:
        with pytest.raises(Exception, match="407"):
            connect(greeting_server.url, proxy=proxy.http_url)
        with connect(greeting_server.url, proxy=proxy.http_url.replace("//", "//ada:secret@")) as client:
            client.recv()
    assert greeting_server.connections == 1


def test_a_mute_proxy_never_answers(greeting_server: ScriptedServer) -> None:
    with RecordingProxy(mute=True) as proxy:
        with pytest.raises(TimeoutError):
            connect(greeting_server.url, proxy=proxy.http_url, open_timeout=0.5)
        assert proxy.targets == [greeting_server.authority]


def test_a_blackhole_neither_accepts_nor_refuses(blackhole_address: tuple[str, int]) -> None:
    with pytest.raises(TimeoutError):
        socket.create_connection(blackhole_address, timeout=0.5)


def test_a_reserved_port_refuses_and_takes_one_server_after_another() -> None:
    with reserved_port() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with ScriptedServer(realtime_greeting, port=port) as server, connect(server.url) as client:
                assert json.loads(client.recv())["type"] == "session.created"
        with socket.socket() as another, pytest.raises(OSError, match="in use"):
            another.bind(("127.0.0.1", port))


def test_the_environment_is_clean_and_the_directory_empty() -> None:
    assert not [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_", "RTSYNC_"))]
    assert not {"http_proxy", "https_proxy", "all_proxy", "no_proxy"} & {name.lower() for name in os.environ}
    assert list(Path.cwd().iterdir()) == []


def test_a_ping_of_the_server_is_answered_by_the_client() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_frame(PING, "are you there")
        assert peer.recv_frame() == (0xA, b"are you there")

    with ScriptedServer(script) as server, connect(server.url) as client, contextlib.suppress(ConnectionClosed):
        client.recv()
