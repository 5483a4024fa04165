"""What every row is checked for beside its own column: that it leaves nothing behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator

import pytest

from tests.loopback import LIMIT, Certificates

SLACK = 5.0
"""Seconds beyond a stated bound, for a busy machine."""


@pytest.fixture(params=["ws", "wss"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> Certificates | None:
    """The certificates, or None for a plain connection."""
    return certificates if request.param == "wss" else None


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No thread and no descriptor outlives the test, without the cycle collector's help."""
    gc.collect()
    threads, descriptors = set(threading.enumerate()), _descriptors()
    gc.disable()
    yield
    try:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            left = set(threading.enumerate()) - threads, _descriptors() - descriptors
            if not any(left):
                return
            time.sleep(0.005)
        pytest.fail(f"left behind: {left}", pytrace=False)
    finally:
        gc.enable()


def _descriptors() -> set[tuple[str, str]]:
    """The open descriptors and what each of them is."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:  # The directory that is being listed.
            continue
    return found
