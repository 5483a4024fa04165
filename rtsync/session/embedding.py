"""The embedded simulator of a ``Simulator`` target: started when a session opens, stopped when it has ended."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping

from rtsync.edges import forks
from rtsync.edges.credentials import authorization
from rtsync.vocabulary.targets import Simulator, Target

__all__ = ["reach"]

_PASS = {"Authorization": "Bearer any"}  # The simulator wants a credential, as the service does; any will do.


def reach(target: Target) -> tuple[str, Callable[[], Mapping[str, str]], Callable[[], None]]:
    """How to reach ``target``: URL, a callable that gives the headers at each connect, and what to call at the end.

    The headers are asked for in the reader thread, in a copy of the caller's context (a Flask application context,
    say), because a token callable may need it.
    """
    if isinstance(target, Simulator) and not target.url:
        return _embedded(target)
    context = contextvars.copy_context()
    simulated = _PASS if isinstance(target, Simulator) else {}

    def headers() -> Mapping[str, str]:
        return {**target.headers, **simulated, **context.run(authorization, target)}

    return target.url, headers, lambda: None


def _embedded(target: Simulator) -> tuple[str, Callable[[], Mapping[str, str]], Callable[[], None]]:
    with forks.whole():
        from rtsync.simulator import SimulatorServer  # A server is no part of a client that reaches a real one.

    server = SimulatorServer(brain=target.brain, pace=target.pace, ears=target.ears, voice=target.voice, vad=target.vad)
    server.start()
    return target.at(server.url).url, lambda: {**target.headers, **_PASS}, server.stop
