"""ALSA prints two dozen lines on stderr where a machine has no sound card; here is how not to see them.

It calls a function for each line, which a program may replace. That is done while devices are looked for and opened,
and undone afterwards. Stderr itself stays as it is: other threads may be writing to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["quiet"]

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
_lock = threading.Lock()  # Guards ``_quiet``.
_quiet = 0  # How many blocks are being run.


_say_nothing = _HANDLER(lambda *_: None)  # In place of printing. Kept for ever: ALSA may be in the middle of a call.


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A block in which ALSA prints nothing. Threads: any, several at once."""
    _count(+1)
    try:
        yield
    finally:
        _count(-1)


def _count(more: int) -> None:
    global _quiet
    library = _alsa()
    if library is None:
        return
    with _lock:
        _quiet += more
        if (more, _quiet) == (1, 1):
            library.snd_lib_error_set_handler(_say_nothing)
        elif _quiet == 0:
            library.snd_lib_error_set_handler(None)


@functools.cache
def _alsa() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libasound.so.2")
        library.snd_lib_error_set_handler.restype = ctypes.c_int
    except (OSError, AttributeError):  # There is no ALSA to be silenced.
        return None
    return library
