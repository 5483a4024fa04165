"""A simulator without pacing, and one with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtsync.simulator import SimulatorServer


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """A running simulator that answers as fast as it can."""
    with SimulatorServer(pace=False) as server:
        yield server
