"""How long an answer takes: from ``send`` to the return of ``wait_for``, client and server on a core each."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Setting, contenders, paired
from benchmarks.table import Result, figure, times

__all__ = ["measure"]

_TIMES = 3000


def measure(setting: Setting) -> Iterator[Result]:
    """One table, or one for each kind of line."""
    for tls in setting.lines:
        found = contenders(setting, "bare", "bare/thread", "rtsync/wait", "websocket-client", "openai/iterate", tls=tls)
        task = {"task": "round_trip", "times": setting.scaled(_TIMES)}
        series = paired(setting, found, task, {}, tls=tls, pinned=True)
        rows, bars = [], []
        for label in (contender.label for contender in found):
            p50, p99 = series.median(label, "p50"), series.median(label, "p99")
            against = [
                next((other.label for other in found if other.peer == peer), "")
                for peer in ("websocket-client", "openai")
            ]
            rows.append([
                label, figure(p50, 1e6), figure(p99, 1e6), times(p99 / p50 if p99 and p50 else None),
                *(times(series.ratio(label, other, "p50")) for other in against),
            ])  # fmt: skip
            bars.append((label, (p50 or 0.0) * 1e6))
        columns = ["client", "p50", "p99", "p99 / p50", "p50 of websocket-client", "p50 of openai-python"]
        title = f"Round trip{' over TLS' if tls else ''}: us"
        yield Result("round_trip", title, columns, rows, series.rounds, bars, "us (p50)")
