"""What sending costs: CPU of appending audio again and again, 100 ms of it and the most that an event may hold."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Setting, contenders, paired
from benchmarks.receiving import cpu_table
from benchmarks.table import Result

__all__ = ["measure"]

# Title, bytes of samples in an append, how many appends. 100 ms at 24 kHz are 6.4 kB of base64; the service takes 15
# MiB at most (protocol 2).
_LOADS = (
    ("Sending audio appends", 4800, 5000),
    ("Sending appends of 15 MiB", 15 << 20, 20),
)


def measure(setting: Setting) -> Iterator[Result]:
    """A table for each size, and for each kind of line."""
    for tls in setting.lines:
        for title, size, usual in _LOADS:
            times = setting.scaled(usual)
            found = contenders(setting, "bare", "rtsync/wait", "websocket-client", "openai/iterate", tls=tls)
            series = paired(setting, found, {"task": "send", "times": times, "size": size}, {}, tls=tls)
            for figures in (figures for rounds in series.rounds.values() for figures in rounds):
                figures["events"] = times
            yield cpu_table("sending", f"{title}{' over TLS' if tls else ''}", found, series)
