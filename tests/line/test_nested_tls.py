"""A secure line through a proxy that is itself reached over TLS."""

from __future__ import annotations

import ssl
import threading
from typing import Any

import pytest

from rtsync.vocabulary.errors import ConnectFailed
from tests.line.recorder import RecordedLine, failure_of
from tests.loopback import Certificates, RecordingProxy, ScriptedServer, frame
from tests.loopback.peer import TEXT, Peer
from tests.loopback.wire import PeerGone

HOST = "realtime.example.test"


def echo(peer: Peer) -> None:
    peer.accept()
    while True:
        opcode, payload = peer.recv_frame()
        if opcode != TEXT:
            peer.close(1000)
            return
        peer.send_text(payload.decode())


@pytest.fixture
def server(certificates: Certificates) -> Any:
    with ScriptedServer(echo, tls=certificates.server_context(HOST)) as running:
        yield running


def through(server: ScriptedServer, certificates: Certificates, **options: Any) -> tuple[RecordingProxy, str, Any]:
    """A secure proxy that leads to ``server``, the URL to ask it for, and the options to do so."""
    proxy = RecordingProxy(
        tls=certificates.server_context(), routes={f"{HOST}:443": ("127.0.0.1", server.port)}, **options
    )
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    return proxy, f"wss://{HOST}/v1/realtime", {"tls": context}


def test_messages_of_all_sizes_come_through_both_layers(server: ScriptedServer, certificates: Certificates) -> None:
    proxy, url, options = through(server, certificates)
    sizes = [0, 1, 125, 126, 16_384, 16_385, 70_000, 1_000_000]
    with proxy, RecordedLine(url, proxy=f"https://127.0.0.1:{proxy.port}", **options) as told:
        told.wait_open()
        for size in sizes:
            told.line.send("x" * size)
        assert [len(message) for message in told.wait_messages(len(sizes))] == sizes
        told.line.close()
        assert told.wait_ending().code == 1000
    assert proxy.targets == [f"{HOST}:443"]


def test_many_messages_at_once_come_through_both_layers_together(certificates: Certificates) -> None:
    """What the outer layer has brought lies where the kernel does not see it, and must not wait for the next packet."""
    texts = [b"%d" % number * (number % 300) for number in range(2000)] + [b"x" * 600_000] + [b"small"] * 20

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(b"".join(frame(TEXT, text) for text in texts))
        peer.wait_until_released()

    with ScriptedServer(script, tls=certificates.server_context(HOST)) as server:
        proxy, url, options = through(server, certificates)
        with proxy, RecordedLine(url, proxy=f"https://127.0.0.1:{proxy.port}", together=True, **options) as told:
            assert told.wait_messages(len(texts)) == texts
            told.line.abort("enough")
            told.wait_ending()


def test_several_threads_may_send_while_the_line_is_read(server: ScriptedServer, certificates: Certificates) -> None:
    proxy, url, options = through(server, certificates)
    with proxy, RecordedLine(url, proxy=f"https://127.0.0.1:{proxy.port}", **options) as told:
        told.wait_open()

        def send(name: str) -> None:
            for number in range(100):
                told.line.send(f"{name}{number} " + "y" * 500)

        threads = [threading.Thread(target=send, args=[name]) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = [message.split()[0].decode() for message in told.wait_messages(400)]
        for name in "abcd":
            assert [word for word in heard if word.startswith(name)] == [f"{name}{number}" for number in range(100)]


def test_the_certificates_of_both_are_checked(server: ScriptedServer, certificates: Certificates) -> None:
    proxy, _, options = through(server, certificates)
    with proxy:
        address = f"https://127.0.0.1:{proxy.port}"
        stranger = failure_of(f"wss://other.example.test:{server.port}/", proxy=address, **options)
        untrusted = failure_of(f"wss://{HOST}/", proxy=address)
        misnamed = failure_of(f"wss://{HOST}/", proxy=f"https://localhost.localdomain:{proxy.port}", **options)
    assert isinstance(stranger, ConnectFailed)
    assert isinstance(untrusted, ConnectFailed)
    assert "certificate of 127.0.0.1 is not trusted" in str(untrusted)
    assert isinstance(misnamed, ConnectFailed)


def test_an_inner_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    with ScriptedServer(echo, tls=certificates.server_context("somebody.else.test")) as wrong:
        proxy, url, options = through(wrong, certificates)
        with proxy:
            failure = failure_of(url, proxy=f"https://127.0.0.1:{proxy.port}", **options)
    assert (isinstance(failure, ConnectFailed), getattr(failure, "phase", None)) == (True, "tls")


def test_a_refusal_of_the_secure_proxy_is_the_proxys(server: ScriptedServer, certificates: Certificates) -> None:
    proxy, url, options = through(server, certificates, credentials=("user", "password"))
    with proxy:
        refused = failure_of(url, proxy=f"https://127.0.0.1:{proxy.port}", **options)
        address = f"https://user:password@127.0.0.1:{proxy.port}"
        with RecordedLine(url, proxy=address, **options) as told:
            told.wait_open()
    assert (isinstance(refused, ConnectFailed), getattr(refused, "status", None)) == (True, 407)


def test_a_server_that_vanishes_behind_the_proxy_ends_the_line(certificates: Certificates) -> None:
    def vanish(peer: Peer) -> None:
        peer.accept()
        try:
            peer.recv_frame()
        except PeerGone:
            return
        peer.reset()

    with ScriptedServer(vanish, tls=certificates.server_context(HOST)) as server:
        proxy, url, options = through(server, certificates)
        with proxy, RecordedLine(url, proxy=f"https://127.0.0.1:{proxy.port}", **options) as told:
            told.wait_open()
            told.line.send("go")
            assert told.wait_ending().code == 1006
