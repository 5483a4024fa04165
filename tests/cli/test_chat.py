"""`rtsync chat` at a pipe: what goes in, what comes out, and where it connects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtsync.simulator import SimulatorServer, Turn
from tests.cli.command import KEY, Running, run

HONEST = "I am the scripted brain of the rtsync simulator: I do not think, I only follow a script."


def openai(server: SimulatorServer) -> dict[str, str]:
    """The variables that lead to `server`."""
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.openai_url}


def azure(server: SimulatorServer) -> dict[str, str]:
    return {
        "AZURE_OPENAI_API_KEY": KEY,
        "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
        "AZURE_OPENAI_DEPLOYMENT": "mine",
    }


def told(turn: Turn) -> Iterator[str]:
    """A brain that says what it was asked."""
    users = [item["content"][0]["text"] for item in turn.items if item.get("role") == "user"]
    yield f"{turn.model} | {turn.instructions} | {' / '.join(users)}"


def test_every_line_is_a_turn_and_stdout_holds_the_answers_alone(simulator: SimulatorServer) -> None:
    ended = run("chat", typed="one\n\n  \ntwo\nthree", **openai(simulator))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "".join(f"You said: “{word}”. {HONEST}\n" for word in ("one", "two", "three"))


def test_an_answer_comes_before_the_next_line_is_there(simulator: SimulatorServer) -> None:
    with Running("chat", **openai(simulator)) as chat:
        for word in ("one", "two"):
            chat.type(word)
            assert chat.read_until("You said") == [f"You said: “{word}”. {HONEST}"]


def test_the_turns_are_one_conversation() -> None:
    with SimulatorServer(pace=False, brain=told) as server:
        ended = run("chat", "--instructions", "Be a pirate.", "--model", "m-1", typed="one\ntwo\n", **openai(server))
    assert ended.out.splitlines() == ["m-1 | Be a pirate. | one", "m-1 | Be a pirate. | one / two"]


def test_nothing_on_stdin_is_no_turn(simulator: SimulatorServer) -> None:
    ended = run("chat", **openai(simulator))
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_bytes_that_are_no_text_are_replaced(simulator: SimulatorServer) -> None:
    ended = run("chat", typed=b"caf\xe9\n", **openai(simulator))
    assert ended.status == 0
    assert "You said: “caf\ufffd”" in ended.out


def test_json_is_one_server_event_a_line(simulator: SimulatorServer) -> None:
    ended = run("chat", "--json", typed="hello\nSay paragraphs\n", **openai(simulator))
    assert (ended.status, ended.err) == (0, "")
    events = [json.loads(line) for line in ended.out.splitlines()]
    types = [event["type"] for event in events]
    assert types[:4] == ["session.created", "session.updated", "conversation.item.added", "conversation.item.done"]
    assert types.count("response.done") == 2
    assert "rate_limits.updated" in types
    pieces = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    texts = [event["text"] for event in events if event["type"] == "response.output_text.done"]
    assert "".join(pieces) == "".join(texts)
    assert len(texts) == 2


def test_a_reader_that_has_seen_enough_ends_it_quietly(simulator: SimulatorServer) -> None:
    for arguments in (["chat"], ["chat", "--json"]):
        with Running(*arguments, **openai(simulator)) as chat:
            assert chat.process.stdout is not None
            chat.type("one")
            chat.process.stdout.readline()
            chat.process.stdout.close()
            for _ in range(3):
                try:
                    chat.type("two")
                except BrokenPipeError:
                    break
            chat.process.wait(30)
            assert chat.process.stderr is not None
            assert chat.process.stderr.read() == b""


# -- where it connects ------------------------------------------------------------------------------------------------


def test_the_environment_says_azure(simulator: SimulatorServer) -> None:
    ended = run("chat", typed="hello\n", **azure(simulator))
    assert (ended.status, ended.err) == (0, "")
    assert "You said: “hello”" in ended.out


def test_options_beat_the_environment(simulator: SimulatorServer) -> None:
    nowhere = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:1"}
    keys = {"OPENAI_API_KEY": KEY, "AZURE_OPENAI_API_KEY": KEY}
    to_openai = ["--base-url", simulator.openai_url]
    to_azure = ["--endpoint", simulator.azure_endpoint, "--deployment", "mine"]
    for options in (to_openai, to_azure):
        ended = run("chat", *options, typed="hello\n", **nowhere, **keys)
        assert (ended.status, ended.err) == (0, "")


def test_azures_preview_endpoint_answers_too(simulator: SimulatorServer) -> None:
    ended = run("chat", "--api-version", "2025-04-01-preview", "-s", "Hm.", typed="hello\n", **azure(simulator))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == f"You said: “hello”. {HONEST}\n"


def test_a_dotenv_file_is_read(simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in openai(simulator).items()))
    for options in ([], ["--target", "openai"], ["--model", "m"]):
        ended = run("chat", *options, typed="hello\n")
        assert (ended.status, ended.err) == (0, "")


def test_the_simulator_needs_no_account() -> None:
    for options, variables in ((["--target", "simulator"], {}), ([], {"RTSYNC_TARGET": "simulator"})):
        ended = run("chat", *options, typed="hello\n", **variables)
        assert (ended.status, ended.err) == (0, "")
        assert ended.out == f"You said: “hello”. {HONEST}\n"


def test_without_an_account_it_names_the_ways_instead_of_choosing_one() -> None:
    ended = run("chat", typed="hello\n")
    assert (ended.status, ended.out) == (2, "")
    for way in ("OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT", ".env", "--target", "simulator"):
        assert way in ended.complaint


@pytest.mark.parametrize(
    ("options", "variables", "named"),
    [
        (["--target", "openai"], {}, "OPENAI_API_KEY"),
        (["--target", "azure"], {}, "AZURE_OPENAI_ENDPOINT"),
        (["--target", "azure", "--endpoint", "https://r.openai.azure.com"], {}, "AZURE_OPENAI_DEPLOYMENT"),
        ([], {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com", "OPENAI_API_KEY": KEY}, "AZURE_OPENAI_DEPLOYMENT"),
        (["--base-url", "ftp://h/v1"], {"OPENAI_API_KEY": KEY}, "OPENAI_BASE_URL"),
        (["--base-url", "http://example.com/v1"], {"OPENAI_API_KEY": KEY}, "http"),
        ([], {"RTSYNC_TARGET": "mars"}, "RTSYNC_TARGET"),
    ],
)
def test_what_is_missing_or_malformed_is_named(options: list[str], variables: dict[str, str], named: str) -> None:
    ended = run("chat", *options, typed="hello\n", **variables)
    assert (ended.status, ended.out) == (2, "")
    assert named in ended.complaint


def test_verbose_tells_what_was_found_and_no_secret(simulator: SimulatorServer) -> None:
    ended = run("-v", "chat", typed="hello\n", **openai(simulator))
    assert ended.status == 0
    assert "OPENAI_API_KEY is set: OpenAI ga conversation" in ended.err
    assert KEY not in ended.err
