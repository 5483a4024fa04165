"""The watch on threads, watched: a run of pytest over a test that leaves a thread behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

_RUN = """
import sys
import pytest
import tests.conftest
tests.conftest._GRACE = 0.2
sys.exit(pytest.main(["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", sys.argv[1]]))
"""

_LEAVES_A_THREAD = """
import threading

def stand_here(ended):
    ended.wait(60)

def test_leaves_a_thread():
    ended = threading.Event()
    threading.Thread(target=stand_here, args=(ended,), name="{name}", daemon=True).start()
"""


@pytest.mark.parametrize(("name", "status"), [("rtsync-reader-1", 1), ("somebody-else", 0)])
def test_a_thread_of_ours_that_outlives_its_test_fails_it(tmp_path: Path, name: str, status: int) -> None:
    (tmp_path / "test_inner.py").write_text(_LEAVES_A_THREAD.format(name=name), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == status, run.stdout + run.stderr
    assert ("rtsync-reader-1" in run.stdout and "in stand_here" in run.stdout) == bool(status)
