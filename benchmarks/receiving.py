"""What receiving costs: CPU of the client per event, while a burst comes in as fast as it can be taken."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Contender, Series, Setting, contenders, paired
from benchmarks.table import Result, figure, times
from benchmarks.traffic import LOADS

__all__ = ["measure"]

_ALL = (
    "bare", "rtsync/handler", "rtsync/nothing", "rtsync/wait", "rtsync/inline", "websocket-client",
    "openai/dispatch", "openai/iterate",
)  # fmt: skip
_OVER_TLS = ("bare", "rtsync/handler", "websocket-client", "openai/dispatch")


def measure(setting: Setting) -> Iterator[Result]:
    """A table for each load."""
    for tls in setting.lines:
        for load, settings in LOADS.items():
            found = contenders(setting, *_wanted(setting, load, tls), tls=tls)
            if not found:
                continue
            deltas = setting.scaled(settings.events)
            task = {"task": "receive", "before": 1, "deltas": deltas, "handled": settings.handled}
            series = paired(setting, found, task, {"load": load, "deltas": deltas}, tls=tls)
            yield cpu_table("receive", f"Receiving {settings.title}{' over TLS' if tls else ''}", found, series)


def _wanted(setting: Setting, load: str, tls: bool) -> tuple[str, ...]:
    if setting.quick and load != "text":
        return ("bare", "rtsync/handler")
    return _OVER_TLS if tls else _ALL


def cpu_table(name: str, title: str, found: list[Contender], series: Series) -> Result:
    """CPU per event of each, and how it compares within a round."""
    for figures in (figures for rounds in series.rounds.values() for figures in rounds):
        figures["per_event"] = figures["cpu"] / figures["events"]
    # Who is compared with: those that are there.
    against = {
        f"of {name}": next(contender.label for contender in found if contender.peer == peer)
        for peer, name in (("bare", "bare socket"), ("openai", "openai-python"), ("node", "openai-node"))
        if any(contender.peer == peer for contender in found)
    }
    rows, bars = [], []
    for label in (contender.label for contender in found):
        values = series.values(label, "per_event")
        rows.append([
            label, figure(series.median(label, "per_event"), 1e6),
            f"{figure(min(values), 1e6)}-{figure(max(values), 1e6)}",
            *(times(series.ratio(label, other, "per_event")) for other in against.values()),
        ])  # fmt: skip
        bars.append((label, (series.median(label, "per_event") or 0.0) * 1e6))
    columns = ["client", "median", "least-most", *against]
    return Result(name, f"{title}: CPU us per event", columns, rows, series.rounds, bars, "us")
