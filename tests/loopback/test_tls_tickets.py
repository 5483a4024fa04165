"""The stress server does what it says, seen by a client with one thread (which is safe without a guard)."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import PROJECT
from tests.loopback import TEXT, Certificates, Peer, ScriptedServer, frame
from tests.loopback.tls_tickets import MESSAGES, PostHandshake, TicketServer, UnknownLayoutError
from tests.loopback.wire import Wire

_UPGRADE = b"GET / HTTP/1.1\r\nHost: loopback\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
_LIMIT = 30.0


def _dial(server: TicketServer | ScriptedServer, certificates: Certificates) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=_LIMIT)
    return certificates.client_context().wrap_socket(raw, server_hostname="127.0.0.1")


def _tickets_seen(client: ssl.SSLSocket, wanted: int) -> set[bytes]:
    """Talk both ways until `wanted` different session tickets came; each shows as a session of its own."""
    seen: set[bytes] = set()
    deadline = time.monotonic() + _LIMIT
    while len(seen) < wanted and time.monotonic() < deadline:
        client.sendall(frame(TEXT, "B" * 100, masked=True))
        assert client.recv(16 * 1024)
        if client.session:
            seen.add(client.session.id)
    return seen


def test_tickets_arrive_in_the_middle_of_the_traffic(certificates: Certificates) -> None:
    with TicketServer(certificates, what="ticket", every=0.005) as server, _dial(server, certificates) as client:
        client.sendall(_UPGRADE)
        assert len(_tickets_seen(client, 20)) == 20
    assert server.report.connections == 1
    assert server.report.messages >= 18  # the handshake brought two tickets of its own
    assert server.report.errors == {}


@pytest.mark.parametrize("what", [what for what in MESSAGES if what != "ticket"])
def test_keys_change_in_the_middle_of_the_traffic(certificates: Certificates, what: str) -> None:
    with TicketServer(certificates, what=what, every=0.005) as server, _dial(server, certificates) as client:
        client.sendall(_UPGRADE)
        for _ in range(2000):
            client.sendall(frame(TEXT, "B" * 100, masked=True))
            assert client.recv(16 * 1024)
    assert server.report.messages > 1
    assert server.report.errors == {}


@pytest.mark.parametrize("what", ["ticket", "key-update"])
def test_a_client_that_guards_its_tls_loses_nothing(certificates: Certificates, what: str) -> None:
    """Two threads on one connection, with a lock around every TLS call: the server itself breaks nothing."""
    message = frame(TEXT, "B" * 600, masked=True)

    def send(line: Wire) -> None:
        for _ in range(5000):
            line.write(message)

    with TicketServer(certificates, what=what, every=0.002) as server:
        for _ in range(3):
            with _dial(server, certificates) as client:
                line = Wire(client)
                line.write(_UPGRADE)
                line.read_until(b"\r\n\r\n")
                sender = threading.Thread(target=send, args=(line,))
                sender.start()
                while sender.is_alive():
                    assert line.read_some()
                sender.join()
                line.half_close()
                line.drain()
    assert server.report.connections == 3
    assert server.report.messages > 30
    assert server.report.received == 3 * 5000 * len(message)
    assert server.report.errors == {}


def test_several_clients_are_counted_together(certificates: Certificates) -> None:
    with TicketServer(certificates) as server:
        for _ in range(3):
            with _dial(server, certificates) as client:
                client.sendall(_UPGRADE)
                assert client.recv(16 * 1024).startswith(b"HTTP/1.1 101")
    assert server.report.connections == 3


def test_a_missing_certificate_is_said_plainly(certificates: Certificates) -> None:
    server = TicketServer(certificates)
    server._command[3] = "--certificate=/nowhere.pem"
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        server.__enter__()


def test_a_connection_below_tls_1_3_is_left_alone(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        assert isinstance(peer.wire.sock, ssl.SSLSocket)
        with pytest.raises(UnknownLayoutError, match=r"TLS 1\.3"):
            PostHandshake().pointer(peer.wire.sock)

    older = certificates.server_context(minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_2)
    with ScriptedServer(script, tls=older) as server, _dial(server, certificates) as client:
        assert client.recv(1) == b""


def test_its_command_line_explains_itself() -> None:
    command = [sys.executable, "-m", "tests.loopback.tls_tickets", "--help"]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=_LIMIT, check=True)
    assert "--every" in run.stdout
