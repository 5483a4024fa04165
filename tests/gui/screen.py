"""A screen that nobody sees, and what toolkits need of the machine: of the machine itself, or of its packages."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import apt

__all__ = ["have_qt", "have_tk", "screen"]

QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}


@functools.cache
def have_tk() -> None:
    """Have tkinter and Xvfb."""
    apt.have(_missing_for_tk, "open windows")
    if importlib.util.find_spec("_tkinter") is None:
        pytest.fail(f"{sys.executable} was built without tkinter, which these tests need", pytrace=False)


def _missing_for_tk() -> list[str]:
    missing = [] if shutil.which("Xvfb") else ["xvfb"]
    if importlib.util.find_spec("_tkinter") is None and sys.base_prefix == "/usr":  # Another Python has its own.
        missing.append("python3-tk")
    return missing


@functools.cache
def have_qt() -> None:
    """Have what the wheels of PySide6 leave to the machine. The windows are offscreen: no X server is needed."""
    apt.have(lambda: [package for name, package in QT_LIBRARIES.items() if not _loads(name)], "open windows")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@contextmanager
def screen() -> Iterator[str]:
    """An X server of its own; its name, for `DISPLAY`."""
    have_tk()
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        with os.fdopen(ours) as said:
            number = said.readline().strip()  # Written when it takes connections; nothing where it has ended.
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()
