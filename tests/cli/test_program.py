"""The command as a whole: version, help, exit statuses, and what it costs to start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import rtsync
from rtsync.cli.outcome import Exit, complain, exit_of
from tests.cli.command import COMMAND, LIMIT, environment, run


def test_it_says_its_version() -> None:
    ended = run("--version")
    assert (ended.status, ended.out, ended.err) == (0, f"rtsync {rtsync.__version__}\n", "")


def test_the_installed_script_is_the_same_command() -> None:
    script = Path(sys.executable).with_name("rtsync")
    out = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    assert out == run("--version").out


def test_saying_the_version_loads_neither_azure_nor_the_simulator() -> None:
    code = (
        "import json, sys\nfrom rtsync.cli import main\n"
        "assert main(['--version']) == 0\nprint(json.dumps(sorted(sys.modules)))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True, env=environment({})
    )
    loaded = json.loads(child.stdout.splitlines()[-1])
    heavy = ("azure", "cryptography", "dotenv", "rtsync.simulator", "simple_websocket")
    assert [name for name in loaded if name.startswith(heavy)] == []


@pytest.mark.parametrize("command", ["demo", "chat", "serve", "events"])
def test_every_command_explains_itself_and_its_exit_statuses(command: str) -> None:
    ended = run(command, "--help")
    assert ended.status == 0
    assert f"Usage: rtsync {command} [OPTIONS]" in ended.out
    assert "Exit status: 0 done;" in ended.out


def test_without_a_command_it_shows_the_commands() -> None:
    ended = run()
    assert ended.status == 2
    for command in ("demo", "chat", "serve", "events"):
        assert f"\n  {command} " in ended.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["dmo"], "'dmo'"),
        (["chat", "--jsno"], "--jsno"),
        (["chat", "--timeout", "0"], "--timeout"),
        (["chat", "--target", "mars"], "--target"),
        (["serve", "--port", "65536"], "--port"),
        (["serve", "--brain-model", "m"], "--brain-url"),
        (["chat", "--ca-file", "none.pem"], "none.pem"),
        (["chat", "--base-url", "http://127.0.0.1:1", "--endpoint", "http://127.0.0.1:1"], "--endpoint"),
        (["chat", "--target", "azure", "--base-url", "http://127.0.0.1:1"], "--base-url"),
        (["chat", "--target", "openai", "--api-version", "2025-04-01-preview"], "--api-version"),
        (["chat", "--target", "simulator", "--model", "m"], "--model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_line_that_names_it(arguments: list[str], named: str) -> None:
    ended = run(*arguments)
    assert ended.status == 2
    assert named in ended.complaint
    assert "--help" in ended.complaint


def test_an_option_can_be_given_as_a_variable() -> None:
    ended = run("chat", RTSYNC_CHAT_TARGET="mars")
    assert ended.status == 2
    assert "'mars'" in ended.complaint


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (rtsync.ConfigurationError("m"), Exit.USAGE),
        (rtsync.ServerError("m"), Exit.FAILED),
        (rtsync.ResponseFailed("m", status="failed"), Exit.FAILED),
        (rtsync.ResponseFailed("m", status="lost"), Exit.BROKEN_OFF),
        (rtsync.ConnectFailed("m", phase="tcp"), Exit.NOT_CONNECTED),
        (rtsync.ConnectTimeout("m", phase="tls"), Exit.NOT_CONNECTED),
        (rtsync.RateLimited("m", phase="upgrade"), Exit.NOT_CONNECTED),
        (rtsync.RedirectRefused("m", phase="upgrade"), Exit.NOT_CONNECTED),
        (rtsync.AuthenticationFailed("m", phase="credential"), Exit.NOT_AUTHENTICATED),
        (rtsync.SessionClosed("m"), Exit.BROKEN_OFF),
        (rtsync.SessionExpired("m"), Exit.BROKEN_OFF),
        (rtsync.SendTimeout("m"), Exit.BROKEN_OFF),
        (rtsync.WaitTimeout("m"), Exit.BROKEN_OFF),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_exit_status(error: rtsync.RealtimeError, status: Exit) -> None:
    assert exit_of(error) is status


def test_a_services_words_cannot_break_the_line_or_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complain("first\nsecond\x1b[2J\tthird\u2028fourth\x9b")
    assert capsys.readouterr().err == "rtsync: first second [2J third fourth\n"


@pytest.mark.parametrize("arguments", [["demo"], ["chat", "--target", "simulator"], ["chat", "--json"], ["--version"]])
def test_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            input=b"hello\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LIMIT,
            env=environment({"RTSYNC_TARGET": "simulator"}),
        )
    assert ended.returncode == 1
    assert ended.stderr.decode() == "rtsync: the output cannot be written: No space left on device\n"
