"""`python -m benchmarks` works: what it prints and writes, never how long anything took."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import traffic
from benchmarks.measuring import Series
from tests.bus.redis_server import have

ROOT = Path(__file__).parent.parent.parent


def benchmarks(*arguments: str) -> str:
    """Run the command as a person would, in the project's folder; return what it printed."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=55
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def results(file: Path) -> dict[str, Any]:
    """The results in a JSON file, by title."""
    return {result["title"]: result for result in json.loads(file.read_bytes())["results"]}


@pytest.mark.parametrize("name", ["receive", "round_trip", "sending", "sessions", "importing", "growth"])
def test_a_measurement_ends_in_tables(name: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    printed = benchmarks(name, "--quick", "--peers", "bare,rtsync,websocket-client", "--json", str(figures))

    found = results(figures)
    assert found
    for title, result in found.items():
        assert result["name"] == name
        assert f"### {title}\n\n| {result['columns'][0]}" in printed
        assert len(result["rows"]) == len(result["rounds"]) > 1
        assert all(len(row) == len(result["columns"]) for row in result["rows"])


@pytest.mark.parametrize("bus", [(), ("--bus", "memory://")], ids=["redis", "memory"])
def test_the_way_over_the_bus_is_measured(bus: tuple[str, ...]) -> None:
    have()
    command = [sys.executable, "-m", "benchmarks.bus", "--sessions", "3", "--rate", "20", "--seconds", "0.5", *bus]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55)
    assert (run.returncode, run.stderr) == (0, "")
    figures = [line.split("|")[1].strip() for line in run.stdout.splitlines() if line.startswith("| ")]
    assert {"events", "latency p50", "latency p99", "CPU of the readers"} <= set(figures)


def test_the_medians_can_be_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "figures.svg"
    benchmarks("sending", "--quick", "--peers", "bare,rtsync", "--tls", "--plot", str(picture))

    texts = [element.text for element in ET.fromstring(picture.read_text()).iter("{http://www.w3.org/2000/svg}text")]
    assert "bare socket, msgspec" in texts
    assert "rtsync, wait_for only" in texts


def test_no_delta_is_lost_with_many_sessions(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    benchmarks("sessions", "--quick", "--peers", "rtsync", "--sessions", "20", "--json", str(figures))

    (result,) = results(figures).values()
    (rounds,) = result["rounds"].values()
    assert [figures["lost@20"] for figures in rounds] == [0]


def test_the_openai_sdk_is_measured_beside_rtsync(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    benchmarks("receive", "roundtrip", "--quick", "--peers", "openai", "--json", str(figures))

    labels = {label for result in results(figures).values() for label in result["rounds"]}
    assert labels == {"openai-python, dispatch_events", "openai-python, iteration"}


def test_what_is_not_installed_is_left_out_and_said(tmp_path: Path) -> None:
    printed = benchmarks("importing", "--quick", "--peers", "bare,node", "--node", str(tmp_path))

    assert "left out: node" in printed
    assert "openai-node" not in printed


def test_a_ratio_is_taken_within_its_round() -> None:
    series = Series()
    for pace in (1, 10, 100):  # The machine slows down; who is twice as slow stays so.
        series.add("ours", {"cpu": 2.0 * pace})
        series.add("theirs", {"cpu": 1.0 * pace})

    assert series.ratio("ours", "theirs", "cpu") == 2.0


@pytest.mark.parametrize("load", list(traffic.LOADS))
def test_a_burst_holds_as_many_frames_as_it_says(load: str) -> None:
    for burst, events in traffic.bursts(load, 30, items=3):
        assert len(cut(burst)) == events


def test_text_deltas_have_the_size_that_the_table_names() -> None:
    burst, _ = traffic.bursts("text", 30)[-1]

    deltas = [payload for payload in cut(burst) if json.loads(payload)["type"] == traffic.TEXT_DELTA]
    assert {len(payload) for payload in deltas} == {246}


def cut(burst: bytes) -> list[bytes]:
    """The payloads of the frames in `burst`."""
    payloads = []
    while burst:
        size, head = burst[1], 2
        if size == 126:
            size, head = int.from_bytes(burst[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(burst[2:10], "big"), 10
        payloads.append(burst[head : head + size])
        burst = burst[head + size :]
    return payloads
