"""Fork again and again while sessions open and close in threads: `fork_storm WS_URL WSS_URL FORKS`.

SSL_CERT_FILE names the authority, so that every session uses the context that they share.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import rtsync
from rtsync import OpenAI, RealtimeSession
from tests.process.scripts.sessions import sockets


class Nowhere(logging.Handler):
    """Takes every record, under its lock; a file would have a lock of its own that no fork renews."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def key() -> str:
    """A credential that is asked for at each connect, one connect at a time."""
    return "k"


def converse(target: OpenAI) -> None:
    """Everything that takes a lock which all sessions share."""
    with RealtimeSession(target, connect_timeout=20) as session:
        session.on("response.done", lambda _session, _event: None)
        assert session.ask("Hi", timeout=20).text == "Hello there"


def listen(_session: Any, **_data: Any) -> None:
    """A receiver for all sessions."""


def meddle(stop: threading.Event) -> None:
    """Take the module's locks, and logging's, as often as possible."""
    while not stop.is_set():
        rtsync.session_opened.connect(listen)
        logging.getLogger("rtsync.session").debug("as often as possible")
        rtsync.session_opened.disconnect(listen)


def repeat(call: Callable[[], None], stop: threading.Event) -> None:
    """Until told to stop."""
    while not stop.is_set():
        call()


def child(targets: list[OpenAI], out: int, before: set[str]) -> None:
    """Report inherited descriptors, converse, and report how long that took."""
    faulthandler.dump_traceback_later(15, exit=True)
    left = sorted(sockets() - before)
    started = time.monotonic()
    rtsync.session_opened.connect(listen)
    logging.getLogger("rtsync.session").debug("in the child")
    for target in targets:
        converse(target)
    own = sorted(sockets() - before - set(left))
    report = {"inherited": left, "own": own, "seconds": time.monotonic() - started}
    os.write(out, json.dumps(report).encode())
    os._exit(0)


def main() -> None:
    """Print what the children found."""
    logging.basicConfig(level=logging.DEBUG, handlers=[Nowhere()])
    targets = [OpenAI(api_key=key, base_url=f"{url}/v1") for url in sys.argv[1:3]]
    before = sockets()
    stop = threading.Event()
    calls = [lambda target=target: converse(target) for target in targets * 2]
    workers = [threading.Thread(target=repeat, args=(call, stop), daemon=True) for call in calls]
    workers.append(threading.Thread(target=meddle, args=(stop,), daemon=True))
    for worker in workers:
        worker.start()
    reports = []
    for _ in range(int(sys.argv[3])):
        receiving, out = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(targets, out, before)
        os.close(out)
        with os.fdopen(receiving) as pipe:
            reports.append(json.loads(pipe.read() or "null"))
        _, status = os.waitpid(pid, 0)
        if status:
            break
    stop.set()
    for worker in workers:
        worker.join()
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
