"""`rtsync serve`: a simulator in a process of its own, and who talks with it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from websockets.sync.client import connect

from tests.cli.command import KEY, Ended, Running, run
from tests.simulator.test_openai_sdk import API_VERSION, GA_SESSION, PREVIEW_SESSION, walk, walk_async

LAST_LINE = "--target azure"


class Served:
    """What a running `rtsync serve` has printed."""

    def __init__(self, running: Running, last_line: str) -> None:
        self.running = running
        self.said = "\n".join(running.read_until(last_line))
        self.base_url = self._named("OpenAI base URL")
        self.endpoint = self._named("Azure endpoint")
        self.port = int(self.endpoint.rpartition(":")[2])

    def _named(self, name: str) -> str:
        found = re.search(rf"{name} +(\S+)", self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def ca_file(self) -> Path:
        return Path(self._named("CA to trust"))

    def try_line(self, target: str) -> tuple[dict[str, str], list[str]]:
        """The line that it shows to be copied, as variables and arguments."""
        line = next(line for line in self.said.splitlines() if f"rtsync chat --target {target}" in line)
        before, _, after = line.partition(" rtsync ")
        return dict(word.split("=", 1) for word in before.split()), after.split()


@contextmanager
def served(*options: str, last_line: str = LAST_LINE, **variables: str) -> Iterator[Served]:
    with Running("serve", "--port", "0", "--no-pace", *options, **variables) as running:
        yield Served(running, last_line)


def test_the_sync_openai_client_holds_the_walkthrough_with_it() -> None:
    with served() as server:
        walk(OpenAI(api_key="k", base_url=server.base_url), GA_SESSION).check()


def test_the_async_openai_client_holds_the_walkthrough_with_it() -> None:
    with served() as server:
        asyncio.run(walk_async(AsyncOpenAI(api_key="k", base_url=server.base_url), GA_SESSION)).check()


def test_the_azure_clients_hold_the_walkthrough_with_it() -> None:
    with served() as server:
        sync = AzureOpenAI(
            api_key="k",
            azure_endpoint=server.endpoint,
            api_version=API_VERSION,
            websocket_base_url=f"ws://127.0.0.1:{server.port}/openai",
        )
        walk(sync, PREVIEW_SESSION).check()
        asynchronous = AsyncAzureOpenAI(
            api_key="k",
            azure_endpoint=server.endpoint,
            api_version=API_VERSION,
            websocket_base_url=f"ws://127.0.0.1:{server.port}/openai",
        )
        asyncio.run(walk_async(asynchronous, PREVIEW_SESSION)).check()


@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["plain", "tls"])
@pytest.mark.parametrize("target", ["openai", "azure"])
def test_the_lines_it_shows_work_as_they_stand(target: str, tls: list[str]) -> None:
    with served(*tls, last_line="for as long as" if tls else LAST_LINE) as server:
        variables, arguments = server.try_line(target)
        ended = run(*arguments, typed="hello\n", **variables)
    assert (ended.status, ended.err) == (0, "")
    assert "You said: “hello”" in ended.out


def test_over_tls_other_programs_trust_its_ca_file() -> None:
    with served("--tls", last_line="for as long as") as server:
        assert server.endpoint.startswith("https://")
        context = ssl.create_default_context(cafile=server.ca_file)
        with urllib.request.urlopen(f"{server.endpoint}/health", context=context, timeout=30) as answer:
            assert json.load(answer) == {"status": "ok"}
        ended = run("chat", typed="hello\n", SSL_CERT_FILE=str(server.ca_file), **server.try_line("openai")[0])
        assert (ended.status, ended.err) == (0, "")
        refused = run("chat", typed="hello\n", **server.try_line("openai")[0])
        assert refused.status == 3
        assert "certificate" in refused.complaint
        assert server.running.signal(signal.SIGTERM).status == 0
        assert not server.ca_file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_its_sessions(number: signal.Signals) -> None:
    with served() as server:
        variables, arguments = server.try_line("openai")
        with Running(*arguments, **variables) as chat:
            chat.type("one")
            chat.read_until("You said")
            ended = server.running.signal(number)
            chat.type("two")
            chat.end_of_input()
            assert chat.process.wait(30) == 5
    assert (ended.status, ended.err.strip()) == (0, "stopping")
    assert ended.seconds < 10
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_busy_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert ended.status == 1
    assert f"port {port} of 127.0.0.1 is in use" in ended.complaint
    assert "--port" in ended.complaint


def test_an_address_of_another_machine_is_one_line() -> None:
    ended = run("serve", "--host", "192.0.2.1", "--port", "0")
    assert ended.status == 1
    assert "192.0.2.1" in ended.complaint


def test_with_a_required_key_others_are_refused() -> None:
    with served("--require-key", RTSYNC_SERVER_KEY=KEY) as server:
        assert KEY not in server.said
        assert _chat(server, KEY).status == 0
        assert _chat(server, "another").status == 4


def test_a_required_key_comes_from_its_variable() -> None:
    for variables in ({}, {"RTSYNC_SERVER_KEY": " "}, {"RTSYNC_SERVER_KEY": "a\u200bb"}):
        ended = run("serve", "--require-key", **variables)
        assert ended.status == 2
        assert "RTSYNC_SERVER_KEY" in ended.complaint


def test_answers_can_come_from_a_chat_endpoint() -> None:
    with served("--brain-url", "http://127.0.0.1:1/v1", "--brain-model", "m", RTSYNC_BRAIN_KEY=KEY) as server:
        assert "does not think" not in server.said
        ended = _chat(server, "any")
        assert ended.status == 1
        assert "The chat endpoint failed" in ended.complaint


def test_a_chat_endpoint_that_is_no_url_is_one_line() -> None:
    ended = run("serve", "--brain-url", "localhost")
    assert ended.status == 2
    assert "http" in ended.complaint


def test_it_misbehaves_on_request() -> None:
    faults = ["--fault", "end@on=response.done,first=1", "--fault", "refuse=429,retry_after=7@skip=1,first=1"]
    with served(*faults) as server:
        assert "It misbehaves, as it was asked to:\n  end@on=response.done,first=1\n  refuse=429" in server.said
        broken_off = run("chat", "--base-url", server.base_url, typed="one\ntwo\n", OPENAI_API_KEY="k")
        assert broken_off.status == 5
        assert "You said: “one”" in broken_off.out
        refused = _chat(server, "k")
        assert refused.status == 3
        assert "429" in refused.complaint
        assert _chat(server, "k").status == 0


def test_it_tells_when_a_fault_strikes() -> None:
    with Running("-v", "serve", "--port", "0", "--no-pace", "--fault", "close=1012@events=3") as running:
        server = Served(running, LAST_LINE)
        assert _chat(server, "k").status == 5
        ended = running.signal(signal.SIGTERM)
    assert (ended.status, ended.err.splitlines()[0]) == (0, "rtsync: line 1 suffers: close=1012")


def test_a_fault_that_is_none_is_one_line() -> None:
    ended = run("serve", "--fault", "resett@bytes=5")
    assert ended.status == 2
    assert "fault 'resett@bytes=5': there is no 'resett'; there are close, " in ended.complaint


def test_sessions_expire_when_they_shall() -> None:
    with served("--max-session", "0.2") as server:
        url = f"ws://127.0.0.1:{server.port}/v1/realtime?model=any"
        with connect(url, additional_headers={"Authorization": "Bearer k"}, proxy=None) as socket:
            events = [json.loads(message) for message in socket]
    assert [event["type"] for event in events] == ["session.created", "error"]
    assert events[1]["error"]["code"] == "session_expired"
    assert run("serve", "--max-session", "0").status == 2


def test_listening_everywhere_it_shows_an_address_that_can_be_reached() -> None:
    with served("--host", "0.0.0.0") as server:
        assert server.endpoint == f"http://127.0.0.1:{server.port}"
        assert _chat(server, "any").status == 0


def test_it_answers_health_and_nothing_else_on_http() -> None:
    with served() as server:
        with urllib.request.urlopen(f"{server.endpoint}/health", timeout=30) as answer:
            assert json.load(answer) == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.endpoint}/v1/models", timeout=30)
        refused.value.close()
        assert refused.value.code == 404


def _chat(server: Served, key: str) -> Ended:
    return run("chat", "--base-url", server.base_url, typed="hello\n", OPENAI_API_KEY=key)
