"""A service in this process, and the application on it behind Flask's own server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from rtsync import OpenAI
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import Memory
from tests.flask.serving import Browser, werkzeug
from tests.flask.shop import create_app


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
def target(service: SimulatorServer) -> OpenAI:
    """The service, with a key."""
    return OpenAI("any", api_key="sk-of-the-application", base_url=service.openai_url)


@pytest.fixture
def app(target: OpenAI) -> Flask:
    """The application."""
    return create_app(RTSYNC_TARGET=target, RTSYNC_HEARTBEAT=0.2, RTSYNC_AUDIO=True, RTSYNC_PATIENCE=1.0)


@pytest.fixture
def ann(app: Flask) -> Iterator[Browser]:
    """A browser of Ann's, at a server for the application."""
    with werkzeug(app) as port:
        yield Browser(port)
