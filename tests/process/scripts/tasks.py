"""Celery tasks that converse: each in a session of its own, in its process's, or in one that it must not use."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from rtsync import RealtimeSession
from tests.process.scripts.sessions import session_to

__all__ = ["app"]

URL = os.environ["SERVICE_URL"]
FOLDER = os.environ["BROKER_FOLDER"]


def configured(folder: str) -> Celery:
    """An application whose broker is a folder, so that no server is needed."""
    app = Celery("rtsync-tests", broker="filesystem://", backend=f"file://{folder}/results")
    app.conf.update(
        broker_transport_options={
            "data_folder_in": f"{folder}/queue",
            "data_folder_out": f"{folder}/queue",
            "control_folder": f"{folder}/control",
            "polling_interval": 0.05,
        },
        task_serializer="pickle",
        result_serializer="pickle",
        accept_content=["pickle", "json"],
        worker_send_task_events=False,
        task_track_started=True,
    )
    return app


app = configured(FOLDER)
shared = session_to(URL).open()
"""Opened in the worker's main process, as a careless module does."""
own: dict[str, RealtimeSession] = {}


@worker_process_init.connect  # type: ignore[untyped-decorator]
def open_own(**_: Any) -> None:
    """One session for each process of the pool."""
    own["session"] = session_to(URL, connect_timeout=20).open()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def close_own(**_: Any) -> None:
    """Without this the connection just ends: pool processes run no exit handlers."""
    own["session"].close()


@app.task(name="converse")  # type: ignore[untyped-decorator]
def converse() -> tuple[int, str]:
    """A conversation of the task's own."""
    with session_to(URL, connect_timeout=20) as session:
        return os.getpid(), session.ask("Hi", timeout=20).text


@app.task(name="use_own")  # type: ignore[untyped-decorator]
def use_own() -> str:
    """A conversation in the session of the process."""
    return own["session"].ask("Hi", timeout=20).text


@app.task(name="use_shared")  # type: ignore[untyped-decorator]
def use_shared() -> str:
    """What raises."""
    return shared.ask("Hi", timeout=20).text


@app.task(name="overrun", soft_time_limit=1)  # type: ignore[untyped-decorator]
def overrun(what: str) -> None:
    """Wait for what never comes, until the soft time limit strikes."""
    with session_to(URL, connect_timeout=20) as session:
        if what == "wait_for":
            session.wait_for("response.done", timeout=None)
        elif what == "response":
            session.respond(instructions="never end", timeout=20).wait(None)
        else:
            session.cancel(timeout=None)  # Asked, and never answered.


@app.task(name="hang")  # type: ignore[untyped-decorator]
def hang() -> None:
    """Wait for ever."""
    with session_to(URL, connect_timeout=20) as session:
        session.wait_for("response.done", timeout=None)


@app.task(name="linger")  # type: ignore[untyped-decorator]
def linger() -> str:
    """Converse for a second."""
    with session_to(URL, connect_timeout=20) as session, session.events(timeout=1) as events:
        try:
            next(events)
        except TimeoutError:
            return "lingered"
    return "nothing to wait for, and yet it came"
