"""The base of tasks that hold sessions."""

from __future__ import annotations

from typing import Any

from celery import Task

from rtsync.celery.progress import TaskProgress
from rtsync.celery.retries import retry_delay
from rtsync.vocabulary.errors import RealtimeError

__all__ = ["RealtimeTask"]


class RealtimeTask(Task):  # type: ignore[misc]
    """A task that is run again when it ends with an error of rtsync's that passes: ``@app.task(base=RealtimeTask)``.

    A task that is run again begins its conversation anew: what was said is said again, and tools are called again.
    Where that must not be, ``autoretry_for=(ConnectFailed,)`` runs it again only while no session was opened.

    Attributes, each also an option of ``@app.task``:
        autoretry_for: the errors to look at; those that do not pass end the task at once (see ``retry_delay``). Not to
            be combined with Celery's ``retry_backoff``, which knows neither which ones pass nor ``retry_after``.
        max_retries: how often, at most; then the task fails with the last error.
        first_delay, longest_delay: seconds, see ``retry_delay``.
    """

    abstract = True
    autoretry_for = (RealtimeError,)
    max_retries = 6
    first_delay = 2.0
    longest_delay = 300.0

    def progress(self, *, every: float = 0.5) -> TaskProgress:
        """What tells clients how far the task is, at most every so many seconds.

        ``session.send_audio(path, progress=self.progress())``

        Threads: to be called in the task's own.
        """
        return TaskProgress(self, every=every)

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        **options: Any,
    ) -> Any:
        """``Task.retry``: for an error of rtsync's, without ``eta`` and ``countdown``, when ``retry_delay`` says.

        Raises:
            celery.exceptions.Retry: the task is run again.
            RealtimeError: ``exc``, where that would not help, or where it was the last attempt.
        """
        if isinstance(exc, RealtimeError) and eta is None and countdown is None:
            countdown = retry_delay(
                exc, self.request.retries + 1, first_delay=self.first_delay, longest_delay=self.longest_delay
            )
            if countdown is None:
                raise exc
        return super().retry(args, kwargs, exc, throw, eta, countdown, **options)
