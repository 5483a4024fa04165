"""The programs that the tests of the simulator's voice speak with: those of the machine, or of its packages."""

from __future__ import annotations

import functools
import shutil

from tests import apt

__all__ = ["have"]

PROGRAMS = ("flite", "espeak-ng")


@functools.cache
def have() -> None:
    """Have flite and espeak-ng on the PATH: installed by apt where they are missing, or the test fails and says so."""
    apt.have(lambda: [name for name in PROGRAMS if shutil.which(name) is None], "speak")
