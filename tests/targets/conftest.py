"""What tests of targets get: an environment of their own, and credentials that remember what they were asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken


@pytest.fixture(autouse=True)
def environment_is_put_back(clean_environment: None) -> Iterator[None]:
    """Undo what a `.env` file put into the environment of the test run."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


class RecordingCredential:
    """An azure-identity credential as far as anyone asks it: a new token each time, and a record of the scopes."""

    def __init__(self) -> None:
        self.scopes: list[tuple[str, ...]] = []
        self.threads: list[int] = []

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        self.scopes.append(scopes)
        self.threads.append(threading.get_ident())
        return AccessToken(f"token-{len(self.scopes)}", 4102444800)


@pytest.fixture
def credential() -> RecordingCredential:
    return RecordingCredential()


@pytest.fixture
def default_credentials(monkeypatch: pytest.MonkeyPatch) -> list[RecordingCredential]:
    """Every `DefaultAzureCredential` made in the test. The real one would ask the machine that runs the tests."""
    made: list[RecordingCredential] = []

    def make() -> RecordingCredential:
        made.append(RecordingCredential())
        return made[-1]

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", make)
    return made
