"""What tests need of the machine's packages: there already, or installed by apt; else the test fails and says so."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

__all__ = ["install_missing"]

_APT = ("apt-get", "-qq")


def install_missing(missing: Callable[[], Iterable[str]], wanted: str) -> None:
    """Install the packages that `missing` names, if any; `wanted` says what for."""
    with Path(tempfile.gettempdir(), "rtsync-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # One of the processes that run the tests.
        packages = list(missing())
        if packages:
            _install(packages, wanted)


def _install(packages: list[str], wanted: str) -> None:
    what = " ".join(packages)
    if shutil.which("apt-get") is None:
        pytest.fail(f"{wanted} {what}, which apt-get would install: have it where it is found", pytrace=False)
    as_root = () if os.geteuid() == 0 else ("sudo", "-n")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run([*as_root, *_APT, *command], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            pytest.fail(f"{wanted} {what}; as root: apt-get install {what}\n{said}", pytrace=False)
