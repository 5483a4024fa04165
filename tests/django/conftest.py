"""A Django project in this process, with a database of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.core.management import call_command

DATABASE = "PROJECT_DATABASE"


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's database, made once in a process: Django is set up once."""
    path = tmp_path_factory.mktemp("django") / "db.sqlite3"
    os.environ[DATABASE] = str(path)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.project.settings"
    django.setup()
    call_command("migrate", verbosity=0)
    return path


@pytest.fixture(autouse=True)
def project(database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has the project as its settings are, and leaves nothing open."""
    from django.db import connections

    from rtsync.django.configuration import forget
    from tests.django.project import voice

    monkeypatch.setenv(DATABASE, str(database))
    yield
    forget()
    voice.used.clear()
    connections.close_all()
