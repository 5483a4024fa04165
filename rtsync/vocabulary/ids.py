"""Ids that a client gives: to its events, and to items and calls that it creates.

Unique wherever they are made: 64 random bits of the process, and a number. To ask the system for each one would hand
the interpreter to another thread each time, and to get it back takes milliseconds where others compute.
"""

from __future__ import annotations

import itertools
import os

__all__ = ["new_id"]


def new_id(prefix: str) -> str:
    """A fresh id such as ``item_9f86d081884c7d65000a``. Threads: any."""
    return f"{prefix}_{_process}{next(_numbers):04x}"


def _begin() -> None:
    """For this process: a forked child is another one."""
    global _process, _numbers
    _process, _numbers = os.urandom(8).hex(), itertools.count()


_process: str
_numbers: itertools.count[int]
_begin()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)
