"""A browser for the tests of this process, and the page on a server of its own for each."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from rtsync import Simulator, Target
from rtsync.audio import resample, write_wav
from tests.conftest import PROJECT
from tests.page.chromium import chromium
from tests.page.visiting import Visit, served, storyteller
from tests.simulator.spoken import spoken

EXAMPLE = PROJECT / "examples" / "flask_chat" / "app.py"


@pytest.fixture(scope="session")
def chat() -> ModuleType:
    """`examples/flask_chat/app.py`."""
    spec = importlib.util.spec_from_file_location("flask_chat_app", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Where Flask looks for the folder.
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Its microphone hears a question, and 5 seconds later an order."""
    folder = tmp_path_factory.mktemp("chromium")
    question = spoken("What is the weather in Paris?").between(1000, 5000)
    order = spoken("Turn the lights on").between(0, 1000)
    write_wav(folder / "said.wav", resample(question.pcm + order.pcm, 24_000, 48_000), sample_rate=48_000)
    with chromium(folder, hears=folder / "said.wav") as driver:
        yield driver


@pytest.fixture
def target() -> Target:
    """What the application talks to."""
    return Simulator(brain=storyteller)


@pytest.fixture
def visit(chat: ModuleType, browser: WebDriver, target: Target) -> Iterator[Visit]:
    """The page, open; it must leave nothing in the browser's console."""
    with served(chat, target) as (app, wire):
        visit = Visit(browser, app, wire)
        visit.open()
        yield visit
        complaints = visit.complaints_of_the_browser()
        browser.get("about:blank")
    assert complaints == []
