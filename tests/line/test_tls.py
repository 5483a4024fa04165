"""TLS: whom we trust, and that nothing but plain text ever comes out of it."""

from __future__ import annotations

import datetime as dt
import os
import select
import socket
import ssl
import threading
from typing import Any

import pytest
import trustme

from rtsync.edges.guard import GuardedSocket, LineBroken
from rtsync.edges.network import Interrupt, wrap_tls
from rtsync.edges.transport import Line
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import CloseCause, ConnectFailed, ConnectTimeout
from tests.line.recorder import RecordedLine, ending_of, failure_of
from tests.loopback import LIMIT, TEXT, Certificates, Peer, ScriptedServer, frame


def listen(peer: Peer) -> None:
    peer.accept()
    peer.expect_close()


def test_a_context_of_the_users_own_is_used(certificates: Certificates) -> None:
    with (
        ScriptedServer(listen, tls=certificates.server_context()) as server,
        RecordedLine(server.url, tls=certificates.client_context()) as client,
    ):
        client.wait_open()


def test_an_authority_that_nobody_knows_is_refused(certificates: Certificates) -> None:
    with ScriptedServer(listen, tls=certificates.server_context()) as server:
        failure = failure_of(server.url)
    assert type(failure) is ConnectFailed
    assert failure.phase == "tls"
    assert "127.0.0.1 is not trusted" in str(failure)
    assert "tls=" in str(failure)


def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    with ScriptedServer(listen, tls=certificates.server_context("other.example.test")) as server:
        failure = failure_of(server.url, tls=certificates.client_context())
    assert type(failure) is ConnectFailed
    assert failure.phase == "tls"
    assert "127.0.0.1" in str(failure)


def test_an_expired_certificate_is_refused() -> None:
    authority = trustme.CA()
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=past).configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    with ScriptedServer(listen, tls=server_context) as server:
        failure = failure_of(server.url, tls=client_context)
    assert type(failure) is ConnectFailed
    assert failure.phase == "tls"
    assert "expired" in str(failure)


def test_versions_that_do_not_meet_are_a_failure_of_tls(certificates: Certificates) -> None:
    client_context = certificates.client_context()
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    with ScriptedServer(listen, tls=certificates.server_context()) as server:
        failure = failure_of(server.url, tls=client_context)
    assert type(failure) is ConnectFailed
    assert failure.phase == "tls"


def test_a_plain_server_spoken_to_in_tls_is_a_failure_of_tls() -> None:
    def script(peer: Peer) -> None:
        peer.wire.read_some()
        peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with ScriptedServer(script) as server:
        failure = failure_of(f"wss://{server.authority}/")
    assert type(failure) is ConnectFailed
    assert failure.phase == "tls"


def test_a_tls_server_spoken_to_in_plain_is_a_failure_of_the_upgrade(certificates: Certificates) -> None:
    with ScriptedServer(listen, tls=certificates.server_context()) as server:
        failure = failure_of(f"ws://{server.authority}/", {"api-key": "k"})
    assert isinstance(failure, ConnectFailed)
    assert failure.phase == "upgrade"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03\x00\x7a\x02"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_server_that_ends_the_handshake_is_a_failure_of_tls(said: bytes, reset: bool) -> None:
    def script(peer: Peer) -> None:
        peer.wire.read_some()
        peer.send_raw(said)
        if reset:
            peer.reset()

    with ScriptedServer(script) as server:
        failure = failure_of(f"wss://{server.authority}/")
    assert type(failure) is ConnectFailed
    assert failure.phase == "tls"


def test_a_server_that_resets_before_the_handshake_is_a_failed_connect() -> None:
    def script(peer: Peer) -> None:
        peer.send_raw(b"220 smtp ready\r\n")
        peer.reset()

    with ScriptedServer(script) as server:
        for _ in range(30):
            failure = failure_of(f"wss://{server.authority}/")
            assert type(failure) is ConnectFailed, failure
            assert failure.phase in ("tcp", "tls")


def test_a_connection_that_is_reset_before_tls_begins_gives_its_descriptor_back() -> None:
    """`ssl` forgets it there; kept in the traceback of the failure it would live as long as that."""
    with ScriptedServer(Peer.reset) as server:
        raw = socket.create_connection(("127.0.0.1", server.port))
        descriptor = raw.fileno()
        reset = select.poll()
        reset.register(raw, 0)  # Nothing but hang-ups and errors.
        assert reset.poll(LIMIT * 1000)
        interrupt = Interrupt()
        interrupt.arm()
        with pytest.raises(ConnectFailed) as failure:
            wrap_tls(raw, "127.0.0.1", None, Deadline(LIMIT), interrupt)
        interrupt.close()
        assert failure.value.phase == "tls"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_handshake_that_nobody_answers_is_given_up_at_the_deadline() -> None:
    with ScriptedServer(Peer.wait_until_released) as server:
        failure = failure_of(f"wss://{server.authority}/", connect_timeout=0.5)
    assert isinstance(failure, ConnectTimeout)
    assert failure.phase == "tls"


def test_tls_1_2_still_works(certificates: Certificates) -> None:
    context = certificates.server_context(minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_2)
    with (
        ScriptedServer(listen, tls=context) as server,
        RecordedLine(server.url, tls=certificates.client_context()) as client,
    ):
        client.wait_open().line.send("x" * 100_000)
        client.line.close()
        assert client.wait_ending().code == 1000


def test_an_abort_never_hands_ciphertext_to_the_reader(certificates: Certificates) -> None:
    """`SSLSocket.shutdown` would drop the TLS layer under the reader, which then takes records for frames."""
    message = "plain text " * 40

    def script(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.send_raw(frame(TEXT, message) * 20)

    options: dict[str, Any] = {"tls": certificates.client_context()}
    with ScriptedServer(script, tls=certificates.server_context()) as server:
        for number in range(50):
            with RecordedLine(server.url, **options) as client:
                client.wait_messages(1 + number % 5)
                client.line.abort("enough")
                ending = client.wait_ending()
                assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
                assert isinstance(ending.error, LineBroken)
                assert "enough" in ending.message
                assert set(client.messages) == {message.encode()}


def test_an_abort_never_hands_ciphertext_to_whoever_reads_the_socket(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.send_raw(b"A" * 30_000)

    with ScriptedServer(script, tls=certificates.server_context()) as server:
        for _ in range(50):
            seen, started = bytearray(), threading.Event()
            line = Line(server.url, options=RecordedLine(server.url, tls=certificates.client_context()).line.options)
            line.on_open = lambda line, seen=seen, started=started: _read_all(line._guard, seen, started)
            thread = threading.Thread(target=line.run_forever, name="rtsync-reader-test", daemon=True)
            thread.start()
            assert started.wait(LIMIT)
            line.abort("enough")
            thread.join(LIMIT)
            assert not thread.is_alive()
            assert bytes(seen).strip(b"A") == b""


def _read_all(guard: GuardedSocket, seen: bytearray, started: threading.Event) -> None:
    try:
        while guard.fill(None):
            seen += guard.take(guard.available)
            started.set()
    except LineBroken:
        pass


def test_a_broken_record_ends_the_line(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("good")
        # Below TLS: a record that no key of this connection has made.
        super(ssl.SSLSocket, peer.wire.sock).send(b"\x17\x03\x03\x00\x20" + b"\0" * 32)  # type: ignore[misc]
        peer.wait_until_released()

    with ScriptedServer(script, tls=certificates.server_context()) as server:
        ending = ending_of(server.url, tls=certificates.client_context())
    assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
