"""Names, addresses and proxies: the way to the server, under one deadline."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import pytest

from rtsync.edges.network import Address, Proxy, Route, _interleaved, is_loopback
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
)
from tests.line.recorder import RecordedLine, failure_of
from tests.loopback import LIMIT, Certificates, Peer, RecordingProxy, ScriptedServer, blackhole

NAME = "service.example.test"


def greet(peer: Peer) -> None:
    peer.accept()
    peer.send_text("{}")
    peer.expect_close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> list[Any]:
    """Let every name be known under these addresses; returns the list of what was looked up."""
    asked: list[Any] = []

    def getaddrinfo(host: str, port: int, **_kwargs: object) -> list[Any]:
        asked.append((host, port))
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (
                family[":" in each[0]],
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                each if ":" not in each[0] else (*each, 0, 0),
            )
            for each in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def refusing(host: str = "127.0.0.1") -> tuple[str, int]:
    """An address where nobody listens."""
    with socket.create_server((host, 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        return address


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_name_lookup_that_never_ends_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def getaddrinfo(*_args: object, **_kwargs: object) -> list[Any]:
        answer.wait(LIMIT)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    failure = failure_of(f"ws://{NAME}/", connect_timeout=0.3)
    answer.set()
    assert isinstance(failure, ConnectTimeout)
    assert failure.phase == "dns"
    assert NAME in str(failure)


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        UnicodeError("label too long"),
        OSError(5, "I/O"),
    ],
)
def test_a_name_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def getaddrinfo(*_args: object, **_kwargs: object) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    failure = failure_of(f"ws://{NAME}/")
    assert type(failure) is ConnectFailed
    assert failure.phase == "dns"
    assert NAME in str(failure)


def test_a_name_without_an_address_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    failure = failure_of(f"ws://{NAME}/")
    assert isinstance(failure, ConnectFailed)
    assert failure.phase == "tcp"


def test_a_hundred_name_lookups_that_are_given_up_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def getaddrinfo(*_args: object, **_kwargs: object) -> list[Any]:
        answer.wait(LIMIT)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        failure_of(f"ws://{NAME}/", connect_timeout=0.005)
    answer.set()
    for thread in threading.enumerate():
        if thread.name.startswith("rtsync-dns"):
            thread.join(LIMIT)
    assert len(os.listdir("/proc/self/fd")) == before


# -- addresses --------------------------------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_refused_by_name() -> None:
    host, port = refusing()
    failure = failure_of(f"ws://{host}:{port}/")
    assert type(failure) is ConnectFailed
    assert failure.phase == "tcp"
    assert f"cannot connect to {host}:{port}: {host}: Connection refused" in str(failure)


def test_an_address_that_never_answers_is_given_up_at_the_deadline(blackhole_address: tuple[str, int]) -> None:
    host, port = blackhole_address
    failure = failure_of(f"ws://{host}:{port}/", connect_timeout=0.5)
    assert isinstance(failure, ConnectTimeout)
    assert failure.phase == "tcp"
    assert f"{host}:{port}" in str(failure)


def test_an_address_that_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(greet, host="127.0.0.2") as server:
        resolve_to(monkeypatch, refusing(), refusing("127.0.0.3"), ("127.0.0.2", server.port))
        with RecordedLine(f"ws://{NAME}:{server.port}/") as client:
            assert client.wait_messages(1)
        assert server.peers[0].request.headers["host"] == f"{NAME}:{server.port}"


@pytest.mark.parametrize("refusals", [0, 1])
def test_an_address_that_never_answers_is_passed_over_soon(monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
    with ScriptedServer(greet, host="127.0.0.2") as server, blackhole() as silent:
        resolve_to(monkeypatch, silent, *([refusing()] * refusals), ("127.0.0.2", server.port))
        began = time.monotonic()
        with RecordedLine(f"ws://{NAME}:{server.port}/", connect_timeout=LIMIT) as client:
            assert client.wait_messages(1)
            assert time.monotonic() - began < LIMIT / 3


def test_all_addresses_that_refuse_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, refusing(), refusing("127.0.0.2"), refusing("127.0.0.3"))
    failure = failure_of(f"ws://{NAME}/")
    assert isinstance(failure, ConnectFailed)
    assert failure.phase == "tcp"
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "Connection refused"):
        assert address in str(failure)


def test_the_first_of_several_that_answers_wins_and_the_others_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ScriptedServer(greet, host="127.0.0.2") as server, blackhole() as one, blackhole() as two:
        resolve_to(monkeypatch, one, two, ("127.0.0.2", server.port), ("127.0.0.2", server.port))
        with RecordedLine(f"ws://{NAME}:{server.port}/") as client:
            client.wait_messages(1)
            client.line.close()
            client.wait_ending()
        assert server.connections == 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_families_take_turns() -> None:
    def info(family: int, host: str) -> Any:
        return (family, socket.SOCK_STREAM, 0, "", (host, 443))

    six = [info(socket.AF_INET6, f"::{number}") for number in range(3)]
    four = [info(socket.AF_INET, f"127.0.0.{number}") for number in range(2)]
    assert _interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert _interleaved([*four, *six]) == [four[0], six[0], four[1], six[1], six[2]]


def test_ipv6_is_spoken_and_written_in_brackets() -> None:
    with ScriptedServer(greet, host="::1") as server, RecordedLine(server.url) as client:
        client.wait_messages(1)
        assert server.peers[0].request.headers["host"] == f"[::1]:{server.port}"


@pytest.mark.parametrize(
    ("host", "itself"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("127.example.com", False),
        ("127.0.0.1.example.com", False),
        ("notlocalhost", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("api.openai.com", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, itself: bool) -> None:
    assert is_loopback(host) is itself


# -- proxies ----------------------------------------------------------------------------------------------------------


def test_a_tunnel_is_asked_for_and_used() -> None:
    with ScriptedServer(greet) as server, RecordingProxy() as proxy:
        with RecordedLine(server.url, {"api-key": "secret-key"}, proxy=proxy.http_url) as client:
            assert client.wait_messages(1)
        assert proxy.targets == [server.authority]
        assert proxy.requests[0].method == "CONNECT"
        assert proxy.requests[0].headers["host"] == server.authority
        assert b"secret-key" not in proxy.requests[0].raw


def test_the_proxy_resolves_the_name_and_tls_is_checked_against_it(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lookup of our own: inside a company often only the proxy knows the outer names."""
    context = certificates.server_context("api.example.test")
    with ScriptedServer(greet, tls=context) as server:
        routes = {"api.example.test:443": ("127.0.0.1", server.port)}
        with RecordingProxy(routes=routes) as proxy:
            real = socket.getaddrinfo
            asked: list[object] = []

            def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
                asked.append(host)
                return real(host, *args, **kwargs)

            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            url, tls = "wss://api.example.test/v1", certificates.client_context()
            with RecordedLine(url, tls=tls, proxy=proxy.http_url) as client:
                assert client.wait_messages(1)
            assert proxy.targets == ["api.example.test:443"]
            assert "api.example.test" not in asked
            assert server.peers[0].request.headers["host"] == "api.example.test"


def test_the_certificate_behind_a_proxy_must_name_the_server(certificates: Certificates) -> None:
    with (
        ScriptedServer(greet, tls=certificates.server_context("other.example.test")) as server,
        RecordingProxy(routes={"api.example.test:443": ("127.0.0.1", server.port)}) as proxy,
    ):
        tls = certificates.client_context()
        failure = failure_of("wss://api.example.test/", tls=tls, proxy=proxy.http_url)
    assert isinstance(failure, ConnectFailed)
    assert failure.phase == "tls"


def test_a_proxy_gets_its_credentials_unquoted_and_shows_them_nowhere() -> None:
    with ScriptedServer(greet) as server, RecordingProxy(credentials=("jo@x", "p:a/s %")) as proxy:
        url = f"http://jo%40x:p%3Aa%2Fs%20%25@127.0.0.1:{proxy.port}"
        with RecordedLine(server.url, proxy=url) as client:
            assert client.wait_messages(1)
    found = Proxy.parse("http://jo:hunter2@p.test:3128", "proxy=")
    assert repr(found) == "Proxy(p.test:3128)"


def test_a_proxy_that_wants_credentials_is_not_mistaken_for_the_service() -> None:
    with RecordingProxy(credentials=("jo", "right-password")) as proxy:
        url = f"http://jo:wrong-password@127.0.0.1:{proxy.port}"
        failure = failure_of("wss://api.example.test/", {"api-key": "k"}, proxy=url)
    assert type(failure) is ConnectFailed
    assert (failure.phase, failure.status) == ("proxy", 407)
    assert "user:password@host" in str(failure)
    assert "wrong-password" not in str(failure)


@pytest.mark.parametrize("status", [401, 403, 429, 502])
def test_a_refusal_by_the_proxy_says_nothing_of_our_credential(status: int) -> None:
    """Such as a filter of the house: retrying with another token, or waiting for quota, would be the wrong answer."""
    with ScriptedServer(lambda peer: peer.refuse(status, "No", body="blocked by policy")) as proxy:
        failure = failure_of("wss://api.example.test/", proxy=proxy.http_url)
    assert type(failure) is ConnectFailed
    assert not isinstance(failure, AuthenticationFailed)
    assert (failure.phase, failure.status) == ("proxy", status)
    assert "blocked by policy" in str(failure)
    assert "Azure" not in str(failure)


def test_what_a_proxy_echoes_of_its_credentials_is_not_shown() -> None:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        peer.refuse(407, "No", body=f"{request.headers['proxy-authorization']} is jo:hunter2 or so, hunter2")

    with ScriptedServer(script) as proxy:
        failure = failure_of("wss://api.example.test/", proxy=f"http://jo:hunter2@127.0.0.1:{proxy.port}")
    assert "hunter2" not in str(failure)
    assert "am86aHVudGVyMg" not in str(failure)


def test_a_mute_proxy_is_given_up_at_the_deadline() -> None:
    with RecordingProxy(mute=True) as proxy:
        failure = failure_of("wss://api.example.test/", proxy=proxy.http_url, connect_timeout=0.5)
    assert isinstance(failure, ConnectTimeout)
    assert failure.phase == "proxy"


def test_a_proxy_that_is_not_there_is_named() -> None:
    host, port = refusing()
    failure = failure_of("wss://api.example.test/", proxy=f"http://{host}:{port}")
    assert isinstance(failure, ConnectFailed)
    assert f"{host}:{port}" in str(failure)


def test_a_proxy_that_says_more_than_yes_is_refused(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 200 OK\r\n\r\nWelcome!")
        peer.wait_until_released()

    with ScriptedServer(script) as proxy:
        failure = failure_of("wss://api.example.test/", proxy=proxy.http_url)
    assert isinstance(failure, ConnectFailed)
    assert failure.phase == "proxy"


@pytest.mark.parametrize(
    "url",
    [
        "socks5://127.0.0.1:1",
        "socks4://jo:hunter2@127.0.0.1:1",
        "ftp://127.0.0.1:1",
        "http://",
        "http://jo:hunt/er2@127.0.0.1:1",
        "http://127.0.0.1:99999",
    ],
)
def test_a_proxy_that_we_cannot_speak_to_is_refused_in_clear_words(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(greet) as server, RecordedLine(server.url, proxy=url) as client:
        failure = client.wait_ending().error
        assert isinstance(failure, ConfigurationError)
        assert str(failure).startswith("proxy=")
        assert "http://" in str(failure)
        assert "hunt" not in str(failure)
        assert server.connections == 0
    monkeypatch.setenv("https_proxy", url)
    with pytest.raises(ConfigurationError, match="https_proxy"):
        Route.to(Address.of("wss://api.example.test/"))


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
def test_the_proxy_of_the_environment_is_used_for_wss(
    variable: str, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    with (
        ScriptedServer(greet, tls=certificates.server_context("api.example.test")) as server,
        RecordingProxy(routes={"api.example.test:443": ("127.0.0.1", server.port)}) as proxy,
    ):
        monkeypatch.setenv(variable, proxy.http_url)
        with RecordedLine("wss://api.example.test/", tls=certificates.client_context()) as client:
            assert client.wait_messages(1)
        assert proxy.targets == ["api.example.test:443"]


@pytest.mark.parametrize(
    ("no_proxy", "url", "through"),
    [
        ("", "wss://api.example.test/", True),
        (".example.test", "wss://api.example.test/", False),
        ("example.test", "wss://api.example.test/", False),
        (".example.test", "wss://evilexample.test/", True),
        ("example.test", "wss://evilexample.test/", True),
        ("other.test, api.example.test", "wss://api.example.test/", False),
        ("api.example.test:8443", "wss://api.example.test:8443/", False),
        ("api.example.test:8443", "wss://api.example.test/", True),
        ("*", "wss://api.example.test/", False),
        ("", "wss://localhost/", False),
        ("", "wss://127.0.0.1/", False),
        ("", "wss://[::1]/", False),
        ("", "ws://api.example.test/", False),  # that is http_proxy's
    ],
)
def test_no_proxy_and_loopback_are_exempt(
    no_proxy: str, url: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    route = Route.to(Address.of(url))
    assert route.proxy == (Proxy("proxy.test", 3128) if through else None)


def test_http_proxy_is_for_ws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.test")
    assert Route.to(Address.of("ws://api.example.test/")).proxy == Proxy("proxy.test", 80)
    assert Route.to(Address.of("wss://api.example.test/")).proxy is None


def test_an_explicit_proxy_beats_the_environment_and_false_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://of.environment.test:1")
    monkeypatch.setenv("no_proxy", "*")
    address = Address.of("wss://api.example.test/")
    assert Route.to(address, "http://explicit.test:2").proxy == Proxy("explicit.test", 2)
    monkeypatch.delenv("no_proxy")
    assert Route.to(address, False).proxy is None
    assert Route.to(address, "").proxy is None
    assert Route.to(address, None).proxy == Proxy("of.environment.test", 1)
