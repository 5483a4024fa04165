"""A Django project in this process, with a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.core.management import call_command


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's database, made once in a process: Django is set up once."""
    path = tmp_path_factory.mktemp("django") / "db.sqlite3"
    with pytest.MonkeyPatch.context() as environment:  # What others start is in no project.
        environment.setenv("PROJECT_DATABASE", str(path))
        environment.setenv("DJANGO_SETTINGS_MODULE", "tests.django.project.settings")
        django.setup()
        call_command("migrate", verbosity=0)
    return path


@pytest.fixture(autouse=True)
def project(database: Path) -> Iterator[None]:
    """Each test has the project as its settings are, and leaves nothing open."""
    from django.db import connections

    from rtsync.django.configuration import forget
    from tests.django.project import voice

    yield
    forget()
    voice.used.clear()
    connections.close_all()
