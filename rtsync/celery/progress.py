"""How far a task is, for the clients that ask for its state."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from celery import Task

__all__ = ["TaskProgress"]


class TaskProgress:
    """Writes a task's progress to the result backend: state ``PROGRESS``, and what is known as ``result.info``.

    Made by ``RealtimeTask.progress()``. Given to ``send_audio(progress=...)`` it tells ``sent_ms`` and ``total_ms``;
    ``update(...)`` tells anything else that the backend can store. What comes sooner than ``every`` seconds after
    the last write is written with the next one. The end of the sound is always written. A task that was called
    directly, without Celery, writes nothing.

    Threads: any may call it. ``task.update_state`` knows its task in the task's own thread only, and handlers and tools
    run in others: so it is made in the task's thread. A call that writes takes as long as the result backend does, and
    raises what that raises.
    """

    def __init__(self, task: Task, *, every: float) -> None:
        self._task = task
        self._task_id: str | None = task.request.id
        self._every = every
        self._writing = threading.Lock()  # what is known, and the order in which it is written
        self._known: dict[str, Any] = {}
        self._due = 0.0

    def __call__(self, sent_ms: int, total_ms: int | None) -> None:
        """What ``send_audio(progress=...)`` calls."""
        self._tell({"sent_ms": sent_ms, "total_ms": total_ms}, at_once=sent_ms == total_ms)

    def update(self, **known: Any) -> None:
        """Tell more, or something else, under names of your own; what was told before stays."""
        self._tell(known)

    def _tell(self, news: Mapping[str, Any], *, at_once: bool = False) -> None:
        with self._writing:
            self._known.update(news)
            if self._task_id is None or not (at_once or time.monotonic() >= self._due):
                return
            self._task.update_state(task_id=self._task_id, state="PROGRESS", meta=dict(self._known))
            self._due = time.monotonic() + self._every
