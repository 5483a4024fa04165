"""What an event costs on its way over the bus: ``python -m benchmarks.bus [--sessions N] [--rate N] [--seconds N]``.

The service (paced deltas, each with the time of its making), a worker that holds all sessions, and readers of all of
them are processes of their own; Redis is started for it, unless ``--bus`` names one, and with ``--bus memory://``
worker and readers share a process. Latency is from the brain of the service to the reader's hands; CPU is per event.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from rtsync import OpenAI
from rtsync.bus import SessionDirectory
from rtsync.simulator import SimulatorServer
from rtsync.simulator.brains import Turn

__all__ = ["main"]

USER = "user"
TEXT = {"output_modalities": ["text"]}
_PATIENCE = 60.0  # seconds for anything that does not depend on the load


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    options = _options(arguments)
    context = multiprocessing.get_context("spawn")
    with _redis(options.bus) as bus:
        service, told = _process(context, _serve, options.rate, options.seconds)
        url = told.recv()
        own = bus.startswith("memory:")
        worker, working = (None, None) if own else _process(context, _work, bus, url)
        if working is not None:
            working.recv()
        try:
            figures = _read(SessionDirectory(bus, run_owners=own, target=_target(url), **_ROOM), options, working)
            if working is not None:
                working.send(None)
                figures["CPU of the worker"] = working.recv() / figures["events"] * 1e6
            _print(bus, options, figures)
        finally:
            for process in (service, worker):
                if process is not None:
                    process.terminate()
                    process.join()
    return 0


_ROOM: dict[str, Any] = {"max_sessions": 10_000, "max_sessions_per_owner": 10_000}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bus", description=__doc__.partition("\n")[0])
    parser.add_argument("--bus", help="memory://, or redis://...; else a Redis is started for this")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rate", type=float, default=50.0, help="deltas a second of each session")
    parser.add_argument("--seconds", type=float, default=10.0)
    return parser.parse_args(arguments)


def _target(url: str) -> OpenAI:
    return OpenAI("any", api_key="any", base_url=url)


def _process(context: Any, work: Any, *arguments: Any) -> tuple[Any, Connection]:
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    return process, ours


def _serve(told: Connection, rate: float, seconds: float) -> None:
    def brain(turn: Turn) -> Iterator[str]:
        began, number = time.monotonic(), 0
        while (due := number / rate) < seconds and not turn.cancelled.wait(max(0.0, began + due - time.monotonic())):
            yield f"{time.monotonic_ns() // 1000} "  # Which may become several deltas.
            number += 1

    with SimulatorServer(brain=brain, pace=False) as server:
        told.send(server.openai_url)
        threading.Event().wait()


def _work(told: Connection, bus: str, url: str) -> None:
    with SessionDirectory(bus, run_owners=True, target=_target(url)).start():
        told.send(None)
        told.recv()
        before = _cpu()
        told.recv()
        told.send(_cpu() - before)
        told.recv()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _read(directory: SessionDirectory, options: argparse.Namespace, working: Connection | None) -> dict[str, Any]:
    with directory:
        sessions = [directory.open(USER, config=TEXT, timeout=_PATIENCE) for _ in range(options.sessions)]
        delays: list[list[float]] = [[] for _ in sessions]
        events = [0] * len(sessions)

        def follow(place: int) -> None:
            patience, text = options.seconds + _PATIENCE, ""
            with directory.stream(sessions[place], USER, heartbeat=patience) as stream:
                for posted in stream:
                    now = time.monotonic_ns() // 1000
                    events[place] += 1
                    if posted.type == "response.output_text.delta" and posted.event is not None:
                        *whole, text = (text + posted.event.delta).split(" ")
                        delays[place] += [(now - int(made)) / 1e6 for made in whole]
                    if posted.data is None or posted.type == "response.done":
                        return

        readers = [threading.Thread(target=follow, args=(place,)) for place in range(len(sessions))]
        before = _cpu()
        if working is not None:
            working.send(None)  # From here on its CPU counts.
        for reader in readers:
            reader.start()
        for session_id in sessions:
            directory.send(session_id, USER, {"type": "response.create"})
        for reader in readers:
            reader.join()
        used = _cpu() - before
    found = sorted(delay for each in delays for delay in each)
    return {
        "events": sum(events),
        "latency p50": found[len(found) // 2] * 1e3,
        "latency p99": found[len(found) * 99 // 100] * 1e3,
        "CPU of the readers": used / sum(events) * 1e6,
    }


def _print(bus: str, options: argparse.Namespace, figures: dict[str, Any]) -> None:
    kind = bus.partition(":")[0]
    print(f"{kind}: {options.sessions} sessions, {options.rate:g} deltas a second each, {options.seconds:g} s\n")
    print("| figure | |\n|---|---:|")
    for name, value in figures.items():
        unit = " ms" if "latency" in name else " µs an event" if "CPU" in name else ""
        print(f"| {name} | {value:.4g}{unit} |")


@contextmanager
def _redis(bus: str | None) -> Iterator[str]:
    """The bus that was named, or a Redis for the time of this."""
    if bus is not None:
        yield bus
        return
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not on the PATH: install it, or give --bus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    raise SystemExit(main())
