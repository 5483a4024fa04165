"""Forks, held off for a moment.

A fork copies the process as its other threads have left it, and leaves those threads behind. What they had begun stays
half done in the child: a descriptor that the kernel had opened and that no object held yet stays open there; a module
that was being imported, and a lock inside OpenSSL that was taken, stay locked, so that whoever imports the one or
makes a TLS connection there waits for ever. Such steps are short, and are made ``with whole():``.

1. Any number of threads may be in such a step at once; only a fork waits for all of them, and keeps new ones out.
2. A fork waits at most ``_PATIENCE`` seconds: the thread that forks may hold what a step waits for.
3. Only steps that let other Python threads run meanwhile need this: nobody forks while somebody else holds the GIL.
"""

from __future__ import annotations

import os
import threading

from rtsync.vocabulary.deadline import Deadline

__all__ = ["whole"]

_PATIENCE = 5.0  # seconds

_gate = threading.Lock()  # Guards ``_steps`` against new ones: held for an insertion, and by a thread while it forks.
_steps: dict[int, threading.Lock] = {}  # A lock for each thread in a step, held as long as the step lasts.
_forking: set[int] = set()  # Threads that hold the gate because they fork.


class _Step:
    """See ``whole``."""

    __slots__ = ()

    def __enter__(self) -> None:
        me = threading.get_ident()
        if me in _steps:  # A step in a step, or one that Ctrl+C kept from its end.
            return
        lasting = threading.Lock()
        lasting.acquire()
        with _gate:
            _steps[me] = lasting

    def __exit__(self, *_: object) -> None:
        lasting = _steps.pop(threading.get_ident(), None)
        if lasting is not None:
            lasting.release()


_step = _Step()


def whole() -> _Step:
    """A ``with`` block during which no fork happens. For short steps, in which no user code runs."""
    return _step


def _before() -> None:
    me, deadline = threading.get_ident(), Deadline(_PATIENCE)
    if _gate.acquire(timeout=_PATIENCE):
        _forking.add(me)
    for thread, lasting in list(_steps.items()):
        if thread != me and lasting.acquire(timeout=deadline.remaining() or 0):
            lasting.release()


def _in_parent() -> None:
    me = threading.get_ident()
    if me in _forking:
        _forking.discard(me)
        _gate.release()


def _in_child() -> None:
    global _gate
    _gate = threading.Lock()
    _steps.clear()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
