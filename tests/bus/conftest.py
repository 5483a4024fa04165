"""A Redis for each file, a simulator that remembers, and directories on both kinds of bus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rtsync.simulator import SimulatorServer
from tests.bus.conversing import Memory
from tests.bus.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that the tests of a file share, each under a prefix of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def bus(redis_server: RedisServer, request: pytest.FixtureRequest) -> str:
    """The address of a bus that no other test uses."""
    return f"{redis_server.url}?prefix={request.node.name}:"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, which forgets everything when it is restarted."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def durable_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, which keeps everything."""
    with RedisServer(tmp_path, durable=True) as server:
        yield server


@pytest.fixture
def memory() -> Memory:
    """What answers."""
    return Memory()


@pytest.fixture
def service(memory: Memory) -> Iterator[SimulatorServer]:
    """The service, in this process, for workers in any."""
    with SimulatorServer(brain=memory, pace=False) as server:
        yield server
