"""A simulator that answers at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtsync.simulator import SimulatorServer


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """A running simulator without pacing; any key will do."""
    with SimulatorServer(pace=False) as server:
        yield server
