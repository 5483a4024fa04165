"""`docs/cli.md` tells the truth: its commands run, its tables are the options and the exit statuses."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rtsync.cli.outcome import EXIT_STATUSES, Exit
from rtsync.cli.program import program
from rtsync.simulator import SimulatorServer
from tests.cli.command import LIMIT, Running, Terminal
from tests.cli.test_chat import openai
from tests.conftest import PROJECT
from tests.simulator.voices import have

PAGE = (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- run(?P<how>[^>]*) -->\n)?```sh\n(?P<code>.*?)```", re.DOTALL)
COMMANDS = ["demo", "chat", "talk", "say", "transcribe", "serve", "worker", "events"]


def _lines(how: str) -> list[str]:
    return [line for found in BLOCK.finditer(PAGE) if found["how"] == how for line in found["code"].splitlines()]


def _first_cells(text: str) -> list[str]:
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]


def _options_shown(text: str) -> set[str]:
    return {option for cell in _first_cells(text) for option in re.findall(r"`(-[-a-z]+)`", cell)}


def _options_of(command: click.Command) -> set[str]:
    context = click.Context(command)
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    return {name for option in options for name in (*option.opts, *option.secondary_opts)} - {"-h", "--help"}


def _section(heading: str) -> str:
    return PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_every_block_says_how_it_is_run() -> None:
    assert {found["how"] for found in BLOCK.finditer(PAGE)} == {
        "",
        ": with notes on stderr",
        ": until Ctrl+C",
        ": until it listens",
    }


@pytest.mark.parametrize("line", _lines(""))
def test_a_line_that_is_shown_runs(line: str, simulator: SimulatorServer, tmp_path: Path) -> None:
    ended = _run_by_a_shell(line, simulator, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout


@pytest.mark.parametrize("line", _lines(": with notes on stderr"))
def test_a_line_with_sound_that_is_shown_runs(line: str, simulator: SimulatorServer, tmp_path: Path) -> None:
    have()
    ended = _run_by_a_shell(line, simulator, tmp_path)
    assert ended.returncode == 0
    assert all(note.startswith(b"rtsync: ") for note in ended.stderr.splitlines())
    assert ended.stdout or list(tmp_path.glob("*.wav"))


@pytest.mark.parametrize("line", _lines(": until Ctrl+C"))
def test_a_conversation_that_is_shown_goes_on_until_ctrl_c(line: str) -> None:
    with Terminal(*shlex.split(line)[1:]) as screen:
        screen.read_until("Ctrl+C ends it")
        screen.ctrl_c()
        assert screen.wait() == 0


def _run_by_a_shell(line: str, simulator: SimulatorServer, folder: Path) -> subprocess.CompletedProcess[bytes]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        env={**os.environ, "PATH": path, **openai(simulator)},
    )


@pytest.mark.parametrize("line", _lines(": until it listens"))
def test_a_server_that_is_shown_listens(line: str) -> None:
    have()
    before, _, after = line.partition("rtsync serve")
    variables = dict(word.split("=", 1) for word in before.split())
    with Running("serve", *after.split(), "--port", "0", **variables) as running:
        running.read_until("--target azure")
        assert running.signal(signal.SIGTERM).status == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command_are_all_there_and_no_other(name: str) -> None:
    assert _options_shown(_section(f"`rtsync {name}`")) == _options_of(program.commands[name])


def test_the_options_of_the_program_are_all_there() -> None:
    assert _options_shown(PAGE.partition("\n## ")[0]) == _options_of(program)
    assert sorted(program.commands) == sorted(COMMANDS)


def test_the_exit_statuses_are_all_there() -> None:
    shown = [int(cell) for cell in _first_cells(_section("Exit status")) if cell.isdigit()]
    assert shown == list(Exit)
    assert [int(found) for found in re.findall(r"(?:: |; |\n)(\d+) ", EXIT_STATUSES)] == shown
