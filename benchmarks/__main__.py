"""The command: ``python -m benchmarks [MEASUREMENT ...] [options]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import growth, importing, plot, receiving, round_trip, sending, sessions
from benchmarks.measuring import Setting, left_out, node_packages, scratch
from benchmarks.peers import PEERS
from benchmarks.processes import BenchmarkFailed
from benchmarks.table import Result

__all__ = ["main"]

_MEASUREMENTS = {
    "receive": receiving.measure,
    "round_trip": round_trip.measure,
    "sending": sending.measure,
    "sessions": sessions.measure,
    "importing": importing.measure,
    "growth": growth.measure,
}
_EVERYBODY = (*PEERS, "node")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print a table after the other; returns the exit status."""
    options = _parser().parse_args(arguments)
    print(f"{_machine()}\n")
    packages = node_packages(options.node) if "node" in options.peers else None
    with scratch(certificates=options.tls or packages is not None) as folder:
        setting = _setting(options, packages, folder)
        for name, why in left_out(setting).items():
            print(f"left out: {name} {why}")
        if setting.quick:
            print("quick: these figures show that it works, and nothing else")
        try:
            results = _results(options.measurements or list(_MEASUREMENTS), setting)
        except BenchmarkFailed as error:
            print(error, file=sys.stderr)
            return 1
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": _machine(), "results": results})))
    if options.plot:
        options.plot.write_text(plot.svg(results))
    return 0


def _results(names: list[str], setting: Setting) -> list[Result]:
    results = []
    for name in names:
        for result in _MEASUREMENTS[name](setting):
            print(f"{result.text()}", flush=True)
            results.append(result)
    return results


def _setting(options: argparse.Namespace, packages: Path | None, folder: Path) -> Setting:
    quick = options.quick
    return Setting(
        rounds=options.rounds,
        quick=quick,
        peers=tuple(options.peers),
        tls=options.tls,
        pin=options.pin,
        node=packages,
        sessions=tuple(options.sessions or ((3,) if quick else (1, 100, 200, 500))),
        rates=tuple(options.rates),
        seconds=options.seconds or (0.4 if quick else 5.0),
        folder=folder,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="rtsync beside its peers; installs nothing"
    )
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", type=_measurement,
                        help=f"of {', '.join(_MEASUREMENTS)}; all without any")  # fmt: skip
    parser.add_argument("--rounds", type=int, help="turns of each client (7; 3 of sessions)")
    parser.add_argument("--quick", action="store_true", help="one small round, to see that it works")
    parser.add_argument("--peers", type=_peers, default=_EVERYBODY, help=f"some of {','.join(_EVERYBODY)}")
    parser.add_argument("--tls", action="store_true", help="over wss:// alone, where a measurement has that")
    parser.add_argument("--pin", action="store_true", help="client and server on a core each in every measurement")
    parser.add_argument("--node", metavar="DIR", default=os.environ.get("RTSYNC_BENCHMARK_NODE"),
                        help="where npm installed openai and ws (RTSYNC_BENCHMARK_NODE)")  # fmt: skip
    parser.add_argument("--sessions", type=_integers, help="how many sessions at once (1,100,200,500)")
    parser.add_argument("--rates", type=_floats, default=(5.0, 20.0), help="deltas a second and session (5,20)")
    parser.add_argument("--seconds", type=float, help="how long each rate is kept up (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every round")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the medians as bars, as SVG")
    return parser


def _measurement(name: str) -> str:
    found = {"roundtrip": "round_trip", "round-trip": "round_trip"}.get(name, name)
    if found not in _MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"there is no measurement {name!r}; choose from {', '.join(_MEASUREMENTS)}")
    return found


def _peers(text: str) -> tuple[str, ...]:
    unknown = set(text.split(",")) - set(_EVERYBODY)
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no peer {', '.join(unknown)}; choose from {', '.join(_EVERYBODY)}")
    return tuple(text.split(","))


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _floats(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{when} UTC, {python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}"


if __name__ == "__main__":
    sys.exit(main())
