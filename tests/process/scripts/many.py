"""Hold 500 sessions and wait in each until the server dies: `many URL`."""

from __future__ import annotations

import collections
import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from rtsync import RealtimeSession
from tests.process.scripts.sessions import session_to

COUNT = 500


def outcome(call: Callable[[], object]) -> str:
    """How a wait ended."""
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "returned"


def opened(_number: int) -> RealtimeSession:
    """One more session."""
    return session_to(sys.argv[1], connect_timeout=30).open()


def waits(session: RealtimeSession, number: int) -> Callable[[], object]:
    """One of the ways to wait."""
    ways: list[Callable[[], object]] = [
        lambda: session.wait_for("response.done", timeout=None),
        lambda: next(session.events("response.done")),
        lambda: session.wait_for(lambda event: False, timeout=None),
    ]
    return ways[number % len(ways)]


def settled(look: Callable[[], int], wanted: int) -> int:
    """`look()`, given time to come down to `wanted`."""
    deadline = time.monotonic() + 20
    while look() > wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return look()


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def main() -> None:
    """Print how the waits ended, when, and what is left."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with opened(0):  # What is loaded on first use is loaded.
        pass
    before = descriptors()
    with ThreadPoolExecutor(8) as openers:
        sessions = list(openers.map(opened, range(COUNT)))
    with ThreadPoolExecutor(COUNT) as waiters:
        ended: list[Future[str]] = [
            waiters.submit(outcome, waits(session, number)) for number, session in enumerate(sessions)
        ]
        each = (descriptors() - before) / COUNT
        print("open", flush=True)
        assert ended[0].result(40)
        started = time.monotonic()
        outcomes = collections.Counter(future.result(40) for future in ended)
        seconds = time.monotonic() - started
    causes = collections.Counter(str(session._core.error.cause) for session in sessions)  # type: ignore[union-attr]
    threads = settled(threading.active_count, 1)
    del ended
    for session in sessions:
        session.close()
    sessions.clear()
    gc.collect()
    report = {"outcomes": outcomes, "causes": causes, "seconds": seconds, "threads": threads}
    print(json.dumps({**report, "descriptors": settled(descriptors, before) - before, "each": each}))


if __name__ == "__main__":
    main()
