"""Sessions in Celery tasks: ``@app.task(base=RealtimeTask, bind=True)``.

* What passes is tried again, when the service wants it: ``RealtimeTask``, or ``retry_delay(error, attempt)`` for tasks
  with a base of their own.
* ``self.progress()`` tells clients how far a task is, from any thread, a few times a second at most.

Time limits and revoking need nothing from here: a ``with`` block closes its session. Needs the extra ``celery``.
"""

from rtsync.celery.progress import TaskProgress
from rtsync.celery.retries import retry_delay
from rtsync.celery.task import RealtimeTask

__all__ = ["RealtimeTask", "TaskProgress", "retry_delay"]
