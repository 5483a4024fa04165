"""What some tests need of the machine, installed by its packages where it is missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["have"]

_APT = ("apt-get", "-qq")
_LONGEST = 600  # seconds


def have(missing: Callable[[], Sequence[str]], purpose: str) -> None:
    """Install the packages that `missing` names, or fail the test and say what it needs them for."""
    with _not_counted(), Path(tempfile.gettempdir(), "rtsync-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # One of the processes that run the tests.
        if packages := missing():
            _install(packages, purpose)


@contextmanager
def _not_counted() -> Iterator[None]:
    """Stop the clock of the test's timeout: a download, or the wait for another process's, takes what it takes."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


def _install(packages: Sequence[str], purpose: str) -> None:
    what = " ".join(packages)
    if shutil.which("apt-get") is None:
        pytest.fail(f"these tests {purpose} with {what}, which apt-get would install: install them", pytrace=False)
    as_root = () if os.geteuid() == 0 else ("sudo", "-n")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [*as_root, *_APT, *command], env=quiet, capture_output=True, text=True, check=False, timeout=_LONGEST
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            pytest.fail(f"these tests {purpose} with {what}; as root: apt-get install {what}\n{said}", pytrace=False)
