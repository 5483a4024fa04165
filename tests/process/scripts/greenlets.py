"""Twenty sessions in greenlets: `greenlets URL CA_FILE|- early|late`, where gevent patches before or after rtsync."""

from __future__ import annotations

import sys

if sys.argv[3] == "early":
    from gevent import monkey

    monkey.patch_all()

import itertools
import json
import os
import ssl
import time
from typing import Any

from rtsync import ConfigurationError, RealtimeSession, UsageError, WaitTimeout
from tests.process.scripts.sessions import session_to, sockets

COUNT = 20
URL, CA_FILE, WHEN = sys.argv[1:4]


def converse(number: int) -> str:
    """Handlers, waits, a wait that runs out, and the end."""
    with session_to(URL, CA_FILE, connect_timeout=20) as session:
        heard: list[str] = []
        session.on("response.output_text.delta", lambda _session, event: heard.append(event.delta))
        answer = session.ask(f"I am number {number}", timeout=20)
        assert "".join(heard) == answer.text
        streamed = session.respond(timeout=20)
        assert "".join(streamed.text_deltas(timeout=20)) == answer.text
        with session.expect("session.updated", timeout=20) as updated:
            session.send({"type": "session.update", "session": {}})
        assert updated.event.type == "session.updated"
        try:
            session.wait_for("response.done", timeout=0.2)
        except WaitTimeout:
            return str(answer.text)
    return "nothing to wait for, and yet it came"


def refused(context: ssl.SSLContext) -> str:
    """What a session says to a context that is older than the patch."""
    try:
        RealtimeSession(session_to(URL).target, tls=context)
    except ConfigurationError as error:
        return str(error)
    return ""


def forked(session: RealtimeSession) -> int:
    """Status of a forked child that is refused its parent's session and opens its own."""
    pid = os.fork()
    if pid == 0:
        # gevent copies the greenlets too, and Python complains when one ends whose thread it has forgotten.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            session.update(instructions="Who am I?")
        except UsageError as error:
            if "Open sessions after the fork" in str(error) and converse(0):
                status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Print what the sessions said, and whether other greenlets ran meanwhile."""
    older = ssl.create_default_context()
    if WHEN == "late":
        with session_to(URL, CA_FILE, connect_timeout=20):  # What is made once, such as the TLS context, is older too.
            pass
        from gevent import monkey

        monkey.patch_all()
    import gevent

    before = sockets()
    ticks = []

    def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(0.01)

    clock = gevent.spawn(tick)
    greenlets: list[Any] = [gevent.spawn(converse, number) for number in range(COUNT)]
    gevent.joinall(greenlets, raise_error=True)
    clock.kill()
    report = {
        "said": sorted({greenlet.value for greenlet in greenlets}),
        "pause": max(later - earlier for earlier, later in itertools.pairwise(ticks)),
        "sockets": sorted(name for name in sockets() - before if name.startswith("socket:")),
        "older context": "" if WHEN == "early" else refused(older),
    }
    session = session_to(URL, CA_FILE).open()
    report["fork"] = forked(session)
    session.update(instructions="Still here", timeout=20)
    print(json.dumps(report), flush=True)
    globals()["forgotten"] = session


if __name__ == "__main__":
    main()
