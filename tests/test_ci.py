"""`.ci/run` runs what README promises: it takes the two commands from there."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import PROJECT

_RUN = PROJECT / ".ci" / "run"


def _shown(name: str) -> str:
    run = subprocess.run([_RUN, "--show", name], capture_output=True, text=True, timeout=30, check=True)
    return run.stdout.rstrip("\n")


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("demo", ["python3 -m venv .venv", ".venv/bin/pip install .", ".venv/bin/rtsync demo"]),
        (
            "tests",
            ["python3 -m venv .venv", ".venv/bin/pip install -e '.[dev]'", ".venv/bin/pytest -n 3 --dist loadfile"],
        ),
    ],
)
def test_readme_has_the_command_in_one_line_of_these_steps(name: str, steps: list[str]) -> None:
    assert _shown(name).split(" && ") == steps


def test_a_command_that_readme_does_not_have_is_an_error() -> None:
    run = subprocess.run([_RUN, "--show", "nothing"], capture_output=True, text=True, timeout=30)
    assert run.returncode == 1
    assert "<!-- ci: nothing -->" in run.stderr
