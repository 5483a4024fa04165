"""A browser for the tests of this process, and the page on a server of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from rtsync import Simulator, Target
from rtsync.audio import resample, write_wav
from tests.page.chromium import chromium
from tests.page.visiting import Visit, application, served, storyteller
from tests.simulator.spoken import spoken


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Its microphone hears a question, and 2 seconds later an order."""
    folder = tmp_path_factory.mktemp("chromium")
    question = spoken("What is the weather in Paris?").between(500, 2200)
    order = spoken("Turn the lights on").between(0, 1000)
    write_wav(folder / "said.wav", resample(question.pcm + order.pcm, 24_000, 48_000), sample_rate=48_000)
    with chromium(folder, hears=folder / "said.wav") as driver:
        yield driver


@pytest.fixture
def target() -> Target:
    """What the application talks to."""
    return Simulator(brain=storyteller)


@pytest.fixture
def visit(browser: WebDriver, target: Target) -> Iterator[Visit]:
    """The page, open; it must leave nothing in the browser's console."""
    with served(application(), target) as (app, wire):
        visit = Visit(browser, app, wire)
        visit.open()
        yield visit
        complaints = visit.complaints_of_the_browser()
        browser.get("about:blank")
    assert complaints == []
