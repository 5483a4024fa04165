"""The soak of `benchmarks/`, for a few seconds: that it runs, breaks things, and finds nothing lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import PROJECT


@pytest.mark.unmeasured
def test_a_short_soak_loses_nothing_and_leaves_nothing() -> None:
    options = ["--minutes", "0.1", "--interval", "2", "--every", "0.3", "--sessions", "3", "--life", "4", "--seed", "7"]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks.soak", *options],
        capture_output=True, text=True, timeout=55, cwd=PROJECT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    done = dict(line.rsplit(maxsplit=1) for line in ran.stdout.splitlines() if line[:1].isalpha())
    assert int(done["items compared"]) > 0
    assert int(done["reconnects"]) > 0
    assert int(done["reset"]) > 0
