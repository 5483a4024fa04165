"""A measured client: a process of its own, so that CPU, memory and threads are its own.

``python -m benchmarks.client SPEC`` does one task and prints what it measured as one line of JSON, times in seconds.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import Peer, make

__all__ = ["main"]

_PCM = bytes(range(240))
_PATIENCE = 90.0  # seconds until deltas that do not come count as lost

Spec = dict[str, Any]
Figures = dict[str, Any]


def receive(spec: Spec, peer: Peer) -> Figures:
    """CPU and time of one burst, behind those that come before it."""
    for _ in range(spec["before"]):
        peer.ask()
    seen = peer.taken
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    peer.ask()
    figures = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    if peer.taken is not None and seen is not None and peer.taken - seen != spec["deltas"]:
        raise AssertionError(f"{peer.taken - seen} of {spec['deltas']} deltas were handled")
    return figures


def round_trip(spec: Spec, peer: Peer) -> Figures:
    """Percentiles of the time from sending to the answer."""
    for _ in range(spec["times"] // 10):
        peer.ask()
    took: list[float] = []
    for _ in range(spec["times"]):
        begin = time.perf_counter()
        peer.ask()
        took.append(time.perf_counter() - begin)
    return {"p50": _percentile(took, 0.5), "p99": _percentile(took, 0.99)}


def send(spec: Spec, peer: Peer) -> Figures:
    """CPU of sending audio, until the server has read it all."""
    pcm = _PCM * (spec["size"] // len(_PCM))
    for _ in range(1 + spec["times"] // 10):
        peer.append(pcm)
    peer.ask()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(spec["times"]):
        peer.append(pcm)
    peer.ask()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def opening(spec: Spec, new: Callable[[], Peer]) -> Figures:
    """Time and CPU from the call that opens to the first event: for the first time in a process, and later."""
    figures: Figures = {}
    for name in ("first", "again"):
        peer = new()
        wall, cpu = time.perf_counter(), time.process_time()
        peer.open(spec["port"], spec["ca"])
        figures |= {f"{name}_wall": time.perf_counter() - wall, f"{name}_cpu": time.process_time() - cpu}
        peer.close()
    return figures


def sessions(spec: Spec, new: Callable[[], Peer]) -> Figures:
    """What many sessions take: at rest, and while deltas come to all of them."""
    new_peer = new()
    new_peer.open(spec["port"], None)
    new_peer.close()
    control = make("bare", "loop", "")()
    control.open(spec["port"], None)
    count: int = spec["sessions"]
    lags: list[int] = []

    def note(sent: str) -> None:
        lags.append(time.monotonic_ns() - int(sent))

    memory, threads = _memory(), _threads()
    peers = [new() for _ in range(count)]
    for peer in peers:
        peer.open(spec["port"], None)
        peer.follow(note)
    at_rest = _memory()
    phases = [_phase(control, lags, count, rate, seconds) for rate, seconds in spec["phases"]]
    return {
        "memory": (at_rest - memory) / count,
        "memory_after": (_memory() - memory) / count,
        "threads": (_threads() - threads) / count,
        "phases": phases,
    }


def _phase(control: Peer, lags: list[int], count: int, rate: float, seconds: float) -> Figures:
    lags.clear()
    expected = round(count * rate * seconds)
    wall, cpu = time.perf_counter(), time.process_time()
    control.ask()
    until = time.monotonic() + _PATIENCE
    while len(lags) < expected and time.monotonic() < until:
        time.sleep(0.02)
    figures = {"cpu": (time.process_time() - cpu) / seconds, "wall": time.perf_counter() - wall}
    late = [lag / 1e9 for lag in lags]
    percentiles = {"p50": _percentile(late, 0.5), "p99": _percentile(late, 0.99)} if late else {}
    return {"rate": rate, **figures, **percentiles, "lost": expected - len(lags)}


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _memory() -> int:
    """Resident bytes of this process."""
    return _status("VmRSS") * 1024


def _threads() -> int:
    """Threads of this process, those of the system's libraries included where it tells."""
    return _status("Threads") or threading.active_count()


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main(spec: Spec) -> Figures:
    """Do the task of ``spec``."""
    new = make(spec["peer"], spec["variant"], spec.get("handled", ""))
    if spec["task"] == "opening":
        return opening(spec, new)
    if spec["task"] == "sessions":
        return sessions(spec, new)
    peer = new()
    peer.open(spec["port"], spec["ca"])
    tasks = {"receive": receive, "round_trip": round_trip, "send": send}
    figures = tasks[spec["task"]](spec, peer)
    peer.close()
    return figures


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
    os._exit(0)  # Hundreds of connections need not be closed one by one.
