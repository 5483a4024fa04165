"""What every test gets: a clean environment, a watch on threads, and the servers of `tests.loopback`."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from hypothesis import HealthCheck, settings

from tests.loopback import Certificates, RecordingProxy, ScriptedServer, blackhole, realtime_greeting
from tests.loopback.peer import Peer, PeerClosed

PROJECT = Path(__file__).resolve().parent.parent

# Properties are checked without a clock: the machine may be busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# A shell has its background jobs, and what they start, ignore Ctrl+C. The programs that are interrupted here hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def without_coverage() -> dict[str, str]:
    """The environment for a program that is interrupted at random: not within the tracer, which that would break."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


# Folders whose tests start many programs that run what other tests cover: outside the tracer they start in half the
# time, and a forked child cannot hang in one of its locks.
_UNMEASURED = frozenset({"benchmarks", "examples", "process", "secrecy"})
_FOREIGN = ("OPENAI_", "AZURE_", "RTSYNC_", "IDENTITY_", "MSI_")
_FOREIGN_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_GRACE = 5.0  # seconds in which the threads of a closed session have to be gone; reached only on failure


@pytest.fixture(scope="module", autouse=True)
def what_is_loaded_stays() -> None:
    """Let no `gc.collect` of a test walk the million objects that modules and their neighbours have brought so far."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def tracing_where_it_tells_something(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run what is marked `unmeasured`, and the threads that it starts, without the tracers of coverage.

    A worker of xdist has two, of which the first goes on where the second stops: it is a subprocess of what is traced.
    """
    stopped: list[coverage.Coverage] = []
    while request.node.get_closest_marker("unmeasured") and (tracer := coverage.Coverage.current()) is not None:
        tracer.stop()
        stopped.append(tracer)
    yield
    for tracer in reversed(stopped):
        tracer.start()


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """Fail a test that leaves a thread named `rtsync-*` behind, and show where that thread stands."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _GRACE
    for thread in _ours_since(before):
        thread.join(max(0.0, deadline - time.monotonic()))
    if left := _ours_since(before):
        pytest.fail("threads outlived the test:\n" + "\n".join(map(_stack, left)), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def nobodys_environment() -> Iterator[None]:
    """Keep accounts, proxies and certificates of whoever runs the tests out of them, and of what serves several."""
    before = {name: os.environ[name] for name in _foreign_names()}
    _forget_accounts()
    yield
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_account_outlives_its_test() -> Iterator[None]:
    """Commands set variables of accounts, and `monkeypatch` brings back what it found: this comes behind it."""
    _forget_accounts()
    yield
    _forget_accounts()


@pytest.fixture(autouse=True)
def clean_environment(
    no_account_outlives_its_test: None,
    monkeypatch: pytest.MonkeyPatch,
    empty_directory: Path,
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """Begin in a directory without `.env`, and leave nothing there."""
    if request.path.parent.name in _UNMEASURED or request.node.get_closest_marker("unmeasured"):
        for name in os.environ.keys() - without_coverage().keys():
            monkeypatch.delenv(name)
    monkeypatch.chdir(empty_directory)
    yield
    if left := sorted(empty_directory.iterdir()):
        shutil.rmtree(empty_directory)
        empty_directory.mkdir()
        pytest.fail(f"the test left {', '.join(path.name for path in left)} where every test begins: use tmp_path")


@pytest.fixture(scope="session")
def empty_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing in it, where every test begins. Use `tmp_path` to write files."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The tests' own certificate authority: `server_context()`, `client_context()`, `ca_file`."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def greeting_server() -> Iterator[ScriptedServer]:
    """A server that greets like the service and then only listens, until the client closes."""
    with ScriptedServer(_greet_and_listen) as server:
        yield server


@pytest.fixture
def tls_greeting_server(certificates: Certificates) -> Iterator[ScriptedServer]:
    """The same over TLS 1.3; clients have to trust `certificates.ca_file`."""
    with ScriptedServer(_greet_and_listen, tls=certificates.server_context()) as server:
        yield server


@pytest.fixture
def recording_proxy() -> Iterator[RecordingProxy]:
    """An HTTP proxy that lets everything through and remembers it."""
    with RecordingProxy() as proxy:
        yield proxy


@pytest.fixture
def blackhole_address() -> Iterator[tuple[str, int]]:
    """A loopback address that never answers a connection attempt."""
    with blackhole() as address:
        yield address


def _greet_and_listen(peer: Peer) -> None:
    realtime_greeting(peer)
    try:
        while True:
            peer.recv_message()
    except PeerClosed:
        return


def _foreign_names() -> list[str]:
    return [name for name in os.environ if name.startswith(_FOREIGN) or name.upper() in _FOREIGN_NAMES]


def _forget_accounts() -> None:
    for name in _foreign_names():
        del os.environ[name]


def _ours_since(before: set[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("rtsync-") and thread not in before]


def _stack(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    where = "".join(traceback.format_stack(frame)) if frame else "  (it ended just now)\n"
    return f"{thread.name}:\n{where}"
