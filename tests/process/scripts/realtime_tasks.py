"""Celery tasks on `RealtimeTask`: they converse, listen, tell their progress, fail, and wait for what never comes."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from rtsync import RealtimeSession, SendTimeout
from rtsync.celery import RealtimeTask
from tests.process.scripts.sessions import session_to

__all__ = ["app", "configured"]


def configured(broker: str) -> Celery:
    """An application on a Redis, with JSON, as Celery is by itself."""
    app = Celery("rtsync-tests", broker=broker, backend=broker)
    app.conf.update(task_track_started=True, broker_connection_retry_on_startup=True)
    return app


app = configured(os.environ.get("BROKER", "memory://"))


def talk(url: str, **options: Any) -> RealtimeSession:
    """A session in text."""
    return session_to(url, connect_timeout=20, config={"output_modalities": ["text"]}, **options)


@app.task(name="converse", base=RealtimeTask, first_delay=0.1)  # type: ignore[untyped-decorator]
def converse(url: str, sentence: str) -> tuple[int, str]:
    """One answer, and who got it."""
    with talk(url) as session:
        return os.getpid(), session.ask(sentence, timeout=20).text


@app.task(name="stubborn", base=RealtimeTask, first_delay=0.01, max_retries=2)  # type: ignore[untyped-decorator]
def stubborn(url: str) -> None:
    """Try to connect."""
    with talk(url):
        pass


@app.task(name="listen", base=RealtimeTask, bind=True)  # type: ignore[untyped-decorator]
def listen(self: RealtimeTask, url: str, path: str) -> int:
    """Send a recording twenty times as fast as it was spoken, and tell of it, from the handlers' thread as well."""
    progress = self.progress(every=0.2)
    with talk(url) as session:
        session.on("session.updated", lambda session, event: progress.update(configured=True))
        session.update(audio={"input": {"turn_detection": None}})
        return session.send_audio(path, pace=20.0, progress=progress)


@app.task(name="overrun", base=RealtimeTask, bind=True, soft_time_limit=2)  # type: ignore[untyped-decorator]
def overrun(self: RealtimeTask, url: str, what: str) -> None:
    """Be at it until the soft time limit strikes."""
    endure(self, url, what)


@app.task(name="linger", base=RealtimeTask, bind=True)  # type: ignore[untyped-decorator]
def linger(self: RealtimeTask, url: str, what: str) -> None:
    """The same without a limit."""
    endure(self, url, what)


def endure(task: RealtimeTask, url: str, what: str) -> None:
    """Tell that the session is open, and be at it for ever."""
    with talk(url, send_timeout=20) as session:
        task.progress().update(at=what)
        if what == "ask":
            session.ask("Hi", timeout=None, instructions="never end")
        elif what == "stream":
            list(session.respond(instructions="never end", timeout=None).text_deltas())
        elif what == "send_audio":
            session.update(audio={"input": {"turn_detection": None}})
            session.send_audio(bytes(60 * 48_000), sample_rate=24_000)
        else:
            fill_the_line(session)


def fill_the_line(session: RealtimeSession) -> None:
    """Send to a peer that does not read."""
    try:
        while True:
            session.send({"type": "input_audio_buffer.append", "audio": "A" * 1_000_000})
    except SendTimeout as error:
        raise AssertionError("no limit came") from error
