"""The programs that the tests of the simulator's voice speak with: those of the machine, or of its packages."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

__all__ = ["have"]

PROGRAMS = ("flite", "espeak-ng")
_APT = ("apt-get", "-qq")


@functools.cache
def have() -> None:
    """Have flite and espeak-ng on the PATH: installed by apt where they are missing, or the test fails and says so."""
    with Path(tempfile.gettempdir(), "rtsync-tests-voices.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # One of the processes that run the tests.
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            _install(missing)


def _install(missing: list[str]) -> None:
    what = " ".join(missing)
    if shutil.which("apt-get") is None:
        pytest.fail(f"these tests speak with {what}, which apt-get would install: put them on the PATH", pytrace=False)
    as_root = () if os.geteuid() == 0 else ("sudo", "-n")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run([*as_root, *_APT, *command], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            pytest.fail(f"these tests speak with {what}; as root: apt-get install {what}\n{said}", pytrace=False)
