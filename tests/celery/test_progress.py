"""What clients are told of a task's progress, how often, and by which thread."""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery

from rtsync.celery import RealtimeTask, TaskProgress

HOUR = 3600.0


class Told:
    """A task, and what its backend was told of its progress."""

    def __init__(self) -> None:
        self.app = Celery("telling", broker="memory://", backend="cache+memory://")
        self.app.conf.task_store_eager_result = True

    def by(self, body: Any) -> list[Any]:
        """What stands in the backend after each call that `body` makes of its `look`."""
        seen: list[Any] = []

        @self.app.task(base=RealtimeTask, bind=True)  # type: ignore[untyped-decorator]
        def work(task: RealtimeTask) -> None:
            result = self.app.AsyncResult(task.request.id)
            body(task, lambda: seen.append((result.state, result.info)))

        work.apply().get()
        self.app.close()
        return seen


def test_what_comes_too_soon_waits_for_the_next_and_the_end_does_not() -> None:
    def body(task: RealtimeTask, look: Any) -> None:
        progress = task.progress(every=HOUR)
        for sent in (20, 40, 60):
            progress(sent, 60)
            look()

    first, end = {"sent_ms": 20, "total_ms": 60}, {"sent_ms": 60, "total_ms": 60}
    assert Told().by(body) == [("PROGRESS", first), ("PROGRESS", first), ("PROGRESS", end)]


def test_what_was_told_before_stays() -> None:
    def body(task: RealtimeTask, look: Any) -> None:
        progress = task.progress(every=0.0)
        progress(20, None)
        progress.update(words="Hello")
        progress.update(words="Hello there")
        look()

    assert Told().by(body) == [("PROGRESS", {"sent_ms": 20, "total_ms": None, "words": "Hello there"})]


def test_other_threads_tell_of_the_same_task() -> None:
    def body(task: RealtimeTask, look: Any) -> None:
        progress = task.progress()
        other = threading.Thread(target=progress.update, kwargs={"tool": "chapter 1 of 4"})
        other.start()
        other.join()
        look()

    assert Told().by(body) == [("PROGRESS", {"tool": "chapter 1 of 4"})]


def test_a_task_that_is_called_directly_tells_nobody() -> None:
    app = Celery("direct", broker="memory://")  # Whose backend refuses to be asked.

    @app.task(base=RealtimeTask, bind=True)  # type: ignore[untyped-decorator]
    def work(task: RealtimeTask) -> str:
        progress = task.progress()
        assert isinstance(progress, TaskProgress)
        progress(20, 20)
        return "done"

    assert work() == "done"
    app.close()
