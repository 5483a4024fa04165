"""Windows, on a screen that nobody sees."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.gui.screen import have_qt, screen
from tests.gui.windows import Window, qt_window, tk_window


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """An X server for the tests of this process."""
    with screen() as name:
        yield name


@pytest.fixture
def on_screen(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)


@pytest.fixture(scope="session")
def offscreen() -> Iterator[None]:
    have_qt()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "QT_QPA_PLATFORM", "offscreen")
        yield


@pytest.fixture(params=["tk", "tk-polling", "qt"])
def window(request: pytest.FixtureRequest) -> Iterator[Window]:
    """A window of each toolkit in turn, made in this thread."""
    request.getfixturevalue("offscreen" if request.param == "qt" else "on_screen")
    with qt_window() if request.param == "qt" else tk_window(poll=request.param == "tk-polling") as made:
        yield made
