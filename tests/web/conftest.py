"""A service in this process, and a directory that holds its sessions itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtsync import OpenAI
from rtsync.bus import SessionDirectory
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT, Memory


@pytest.fixture
def memory() -> Memory:
    """What answers."""
    return Memory()


@pytest.fixture
def service(memory: Memory) -> Iterator[SimulatorServer]:
    """The service."""
    with SimulatorServer(brain=memory, pace=False) as server:
        yield server


@pytest.fixture
def directory(service: SimulatorServer) -> Iterator[SessionDirectory]:
    """Sessions in this process, with sound."""
    target = OpenAI("any", api_key="any", base_url=service.openai_url)
    made = SessionDirectory(target=target, audio=True)
    yield made
    made.stop(timeout=LIMIT)
