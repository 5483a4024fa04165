"""A configuration of gunicorn's in which streams end with the worker (docs/deployment.md)."""

from __future__ import annotations

import signal
import threading
from typing import Any


def post_worker_init(worker: Any) -> None:
    """In each worker, with the application loaded."""
    from tests.web.served import views

    ends = signal.getsignal(signal.SIGTERM)
    assert callable(ends)

    def stop(number: int, frame: Any) -> None:
        threading.Thread(target=views.directory.stop).start()  # under gevent: gevent.spawn(views.directory.stop)
        ends(number, frame)

    signal.signal(signal.SIGTERM, stop)
