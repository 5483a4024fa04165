"""Every example runs as its docstring says, and with the one line changed that it says to change."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from websockets import Origin
from websockets.sync.client import connect

from rtsync.simulator import SimulatorServer
from tests.conftest import PROJECT
from tests.loopback import Peer, PeerClosed, ScriptedServer, realtime_greeting

EXAMPLES = sorted((PROJECT / "examples").glob("*.py"))
SERVERS = sorted((PROJECT / "examples").glob("*/app.py"))
TARGET = "target = rtsync.Simulator()"
LIMIT = 30.0  # seconds; reached only on failure

every_server = pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.parent.name)
every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
# Those that choose their target themselves, or run a simulator beside them, have tests of their own below.
WINDOWS = {"qt_chat", "tk_chat"}
OTHER_TARGETS = {"azure_entra", "phone_sideband", "sideband", "surviving", "talking", "translation", *WINDOWS}
# The others go on until Ctrl+C, or until their window is closed: see tests/devices and tests/gui.
every_example_that_prints = pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem not in {"talking", *WINDOWS}], ids=lambda path: path.stem
)
those_with_one_line_to_change = pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem not in OTHER_TARGETS], ids=lambda path: path.stem
)
# What the simulator says where it does not answer.
HONEST = {
    "transcription": "the simulator measures it and does not listen",
    "voice": "the simulator measures it and does not listen",
    "translation": "it hears that you speak, but it does not translate",
}


def says_who_it_is(path: Path, out: str) -> bool:
    """Whether the output shows what the simulator says of itself."""
    return HONEST.get(path.stem, "scripted brain of the rtsync simulator") in _words(out)


def run(*command: str | Path, **variables: str) -> str:
    """Run a program with warnings as errors; its output, once it has ended well and without complaint."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **variables}
    with tempfile.TemporaryDirectory() as folder:  # some write files
        ended = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", *command],
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT,
            env=environment,
            cwd=folder,
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@functools.cache
def output_of(name: str) -> str:
    """What an example prints as it stands."""
    return run(PROJECT / "examples" / f"{name}.py")


def test_the_examples_are_there() -> None:
    written = {
        "text_input",
        "blocking",
        "azure_entra",
        "celery_tasks",
        "qt_chat",
        "streaming_generator",
        "transcription",
        "phone_sideband",
        "sideband",
        "surviving",
        "talking",
        "tk_chat",
        "translation",
        "voice",
        "weather_tool",
        "sqlite_tool",
        "long_job",
        "approval",
    }
    assert {path.stem for path in EXAMPLES} >= written


@every_example
def test_an_example_is_short_and_says_what_it_needs(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= (80 if path.stem in WINDOWS else 60)  # Widgets take their lines.
    said = ast.get_docstring(ast.parse(source)) or ""
    for word in ("What:", "Needs:", f"Run:   python examples/{path.name}"):
        assert word in said


@every_example_that_prints
def test_an_example_runs_without_an_account(path: Path) -> None:
    assert says_who_it_is(path, output_of(path.stem))


@those_with_one_line_to_change
@pytest.mark.parametrize("real", ["rtsync.OpenAI()", "rtsync.Azure()"])
def test_an_example_reaches_a_service_by_changing_one_line(path: Path, real: str, tmp_path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(TARGET) == 1
    changed = tmp_path / path.name
    changed.write_text(source.replace(TARGET, f"target = {real}"), encoding="utf-8")
    with SimulatorServer(pace=False, api_keys=["k"]) as server:
        variables = {
            "rtsync.OpenAI()": {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.openai_url},
            "rtsync.Azure()": {
                "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
                "AZURE_OPENAI_DEPLOYMENT": "mine",
                "AZURE_OPENAI_API_KEY": "k",
            },
        }[real]
        assert says_who_it_is(path, run(changed, **variables))


def test_text_input_prints_by_its_handlers() -> None:
    out = output_of("text_input")
    assert out.startswith("[gpt-realtime is listening]\n")
    assert "\n\nThis is the second paragraph." in out
    assert out.rstrip().endswith("tokens]")


def test_blocking_answers_four_times() -> None:
    out = output_of("blocking")
    for begin in ("1: You said: “What is a socket?”", "2: You said:", "3: I am the scripted brain", "title: "):
        assert f"\n{begin}" in f"\n{out}"


def test_streaming_generator_yields_server_sent_events() -> None:
    events = run(PROJECT / "examples" / "streaming_generator.py", "Hello").split("\n\n")
    assert events[-2:] == ["event: done\ndata: {}", ""]
    pieces = [json.loads(event.removeprefix("data: "))["delta"] for event in events[:-2]]
    assert len(pieces) > 3
    assert "".join(pieces).startswith("You said: “Hello”.")


def test_a_reader_who_leaves_early_ends_the_session() -> None:
    program = """
import threading
from streaming_generator import answer, server_sent_events
events = server_sent_events(answer("Say a couple paragraphs!"))
print(next(events))
events.close()
print([thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-")])
"""
    out = run("-c", program, PYTHONPATH=str(PROJECT / "examples"))
    assert out.startswith("data: ")
    assert out.endswith("[]\n")


def test_a_stream_that_fails_says_so_in_the_stream() -> None:
    program = """
import rtsync, streaming_generator
streaming_generator.target = rtsync.OpenAI(api_key="k", base_url="http://127.0.0.1:1/v1")
print("".join(streaming_generator.server_sent_events(streaming_generator.answer("Hello"))))
"""
    out = run("-c", program, PYTHONPATH=str(PROJECT / "examples"))
    assert out.startswith("event: failed\n")


# -- other kinds of session --------------------------------------------------------------------------------------


def test_transcription_prints_each_word_once_as_it_comes() -> None:
    words = "These are 1.5 seconds of sound; the simulator measures it and does not listen."
    assert output_of("transcription") == f"{words}\n[14 words]\n"


def test_transcription_takes_a_recording_at_any_rate_and_no_other_file(tmp_path: Path) -> None:
    for rate, seconds in ((24000, "1.0"), (8000, "3.0")):
        with wave.open(str(tmp_path / f"{rate}.wav"), "wb") as sound:
            sound.setparams((1, 2, rate, 0, "NONE", ""))
            sound.writeframes(bytes(2 * 24000))
        said = run(PROJECT / "examples" / "transcription.py", tmp_path / f"{rate}.wav")
        assert said.startswith(f"These are {seconds} seconds")
    (tmp_path / "speech.mp3").write_bytes(b"ID3" + bytes(1000))
    refused = subprocess.run(
        [sys.executable, PROJECT / "examples" / "transcription.py", tmp_path / "speech.mp3"],
        capture_output=True,
        timeout=LIMIT,
    )
    assert refused.returncode == 1
    assert b"speech.mp3 is MP3" in refused.stderr


def test_voice_says_where_speech_was_and_how_long_its_answer_is() -> None:
    begin, end, *rest = output_of("voice").splitlines()
    assert begin == "from 200 ms"  # The hum begins at 500; 300 ms before it belong to the turn.
    assert end == "to 1700 ms"  # It ends at 1,500, and 200 ms of silence show it.
    assert "sent 1900 ms" in rest
    assert any(line.startswith("you: These are 1.5 seconds") for line in rest)
    assert int(rest[-1].removeprefix("answer.wav: ").split(" ms: You said: ")[0]) > 5_000


def test_celery_tasks_print_what_they_return() -> None:
    first, second, words = output_of("celery_tasks").splitlines()
    assert first.startswith("You said: “Hello”.")
    assert second.startswith("You said: “Who are you?”.")
    assert words == "These are 1.5 seconds of sound; the simulator measures it and does not listen."


def test_sideband_prints_the_model_and_ends_the_call() -> None:
    lines = output_of("sideband").splitlines()
    assert lines[0].startswith("model: ")
    assert lines[-1] == "[the call is over]"


def test_phone_sideband_answers_greets_and_hangs_up() -> None:
    first, second, last = output_of("phone_sideband").splitlines()
    assert first == "calling: Ada"
    assert second.startswith("model: ")
    assert last == "[the call is over]"


def test_translation_prints_both_transcripts_and_hears_the_rest() -> None:
    heard, translated, spoken = output_of("translation").splitlines()
    assert heard.startswith("heard: Somebody speaks")
    assert translated.startswith("translated: This is the simulator")
    assert float(spoken.removeprefix("[").partition(" ")[0]) > 3.0  # longer than what was sent: the trailing words


def test_surviving_goes_on_with_what_was_said_before_the_line_broke() -> None:
    """What the signals say comes in a thread of its own, so its place among the other lines is free."""
    lines = output_of("surviving").splitlines()
    told = [line for line in lines if line.startswith("[")]
    assert [line.partition(" ")[0] for line in lines if line not in told] == [
        "you:", "cut", "you:", "model:", "you:", "model:", "2",
    ]  # fmt: skip
    assert len(told) == 2
    assert told[0].startswith("[the line is lost (network); attempt 1 in 0.")
    assert told[1].startswith("[back; gone: response resp_")
    assert lines[-1] == "2 answers, 5 items"


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("sideband", "rtsync.OpenAI()"),
        ("surviving", "rtsync.OpenAI()"),
        ("surviving", "rtsync.Azure()"),
        ("sideband", "rtsync.Azure()"),
        ("translation", "rtsync.OpenAI().for_translation()"),
    ],
)
def test_the_target_in_the_comment_reaches_the_service(name: str, real: str, tmp_path: Path) -> None:
    path = PROJECT / "examples" / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    before, _, after = source.partition("\nwith SimulatorServer(")
    assert real in after
    changed = tmp_path / path.name
    changed.write_text(f"{before}\nmain({real})\n", encoding="utf-8")
    with SimulatorServer(pace=False, api_keys=["k"]) as server:
        variables = {
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": server.openai_url,
            "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
            "AZURE_OPENAI_DEPLOYMENT": "mine",
            "AZURE_OPENAI_API_KEY": "k",
        }
        assert says_who_it_is(path, run(changed, **variables))


# -- Entra ID ----------------------------------------------------------------------------------------------------

SIGNED_IN = """
import azure_entra
from azure.core.credentials import AccessToken

class Signed:
    def get_token(self, *scopes, **options):
        print("asked for", *scopes)
        return AccessToken("entra-token", 4102444800)

azure_entra.main(Signed())
"""


@pytest.fixture
def entra_variables() -> Iterator[dict[str, str]]:
    """A resource that accepts the token above and nothing else."""
    with SimulatorServer(pace=False, api_keys=["entra-token"]) as server:
        yield {
            "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
            "AZURE_OPENAI_DEPLOYMENT": "mine",
            "PYTHONPATH": str(PROJECT / "examples"),
        }


def test_azure_entra_signs_in_with_the_credentials_token(entra_variables: dict[str, str]) -> None:
    out = run("-c", SIGNED_IN, **entra_variables)
    assert "asked for https://cognitiveservices.azure.com/.default\n" in out
    assert "This is the second paragraph." in out
    assert out.endswith("[completed]\n")
    assert "entra-token" not in out


def test_azure_entra_sends_the_token_as_a_bearer_to_the_ga_endpoint() -> None:
    with ScriptedServer(_greet_and_close) as server:
        variables = {"AZURE_OPENAI_ENDPOINT": server.http_url, "AZURE_OPENAI_DEPLOYMENT": "mine"}
        subprocess.run(
            [sys.executable, "-c", SIGNED_IN],
            capture_output=True,
            timeout=LIMIT,
            env={**os.environ, **variables, "PYTHONPATH": str(PROJECT / "examples")},
        )
        request = server.wait_for_connections(1)[0].request
    assert request.path == "/openai/v1/realtime?model=mine"
    assert request.headers["authorization"] == "Bearer entra-token"
    assert "api-key" not in request.headers


def _greet_and_close(peer: Peer) -> None:
    realtime_greeting(peer)
    try:
        peer.recv_json()
        peer.close(1000)
        peer.expect_close(echo=False)
    except PeerClosed:
        return


def _words(out: str) -> str:
    """What was printed, with server-sent events put together."""
    lines = out.splitlines()
    pieces = [json.loads(line[6:]).get("delta", "") for line in lines if line.startswith("data: ")]
    return "".join(pieces) or out


# -- tools -------------------------------------------------------------------------------------------------------------


def test_the_weather_tool_is_called_for_each_city() -> None:
    out = output_of("weather_tool")
    assert '[get_weather of Oslo: {"city":"Oslo","degrees":4.0,"unit":"celsius"}]' in out
    assert '{"city":"Paris","degrees":61.7,"unit":"fahrenheit"}' in out
    assert "there is no station in Rome" in out
    assert out.count("\nmodel: The function answered: ") == 3


def test_the_sqlite_tool_finds_books_and_cannot_write() -> None:
    out = output_of("sqlite_tool")
    assert '[{"title":"Emma","year":1815},{"title":"Persuasion","year":1817}]' in out
    assert out.count("Moby Dick") == 1
    program = """
import sqlite3, sqlite_tool, tempfile, pathlib
path = pathlib.Path(tempfile.mkdtemp(), "books.db")
sqlite_tool.make(path)
library = sqlite_tool.Library(path)
print(library.find_books("Austen'; DROP TABLE books; --"), library.find_books("Austen", 1))
try:
    sqlite3.connect(library._uri, uri=True).execute("DELETE FROM books")
except sqlite3.OperationalError as error:
    print(error)
"""
    path = os.pathsep.join(map(str, (PROJECT / "examples", PROJECT)))
    printed = run("-W", "ignore", "-c", program, PYTHONPATH=path)
    assert printed.endswith("[] [{'title': 'Emma', 'year': 1815}]\nattempt to write a readonly database\n")


def test_the_long_job_is_answered_at_once_and_delivers_later() -> None:
    out = output_of("long_job")
    assert out.count("[write_report: chapter ") == 4
    begun, talked, ended = (out.index(text) for text in ("I am writing it", "You said: ", "4 chapters about tea"))
    assert begun < talked < ended


def test_approval_is_a_no_where_nobody_can_be_asked() -> None:
    assert output_of("approval").count("was not made: nobody is there to be asked") == 2


def test_approval_asks_at_a_terminal() -> None:
    master, slave = os.openpty()
    os.write(master, b"y\ntoo much\n")
    try:
        ended = subprocess.run(
            [sys.executable, PROJECT / "examples" / "approval.py"], stdin=slave, capture_output=True, timeout=LIMIT
        )
    finally:
        os.close(slave)
        os.close(master)
    assert (ended.returncode, ended.stderr) == (0, b"")
    out = ended.stdout.decode()
    assert "20.00 euros are on their way to Ada" in out
    assert "was not made: too much" in out


# -- servers -----------------------------------------------------------------------------------------------------------


@contextmanager
def serving(path: Path, **variables: str) -> Iterator[str]:
    """The address at which an example serves, on a port that is free."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PORT": "0", **variables}
    command = [sys.executable, "-W", "error::ResourceWarning", str(path)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", env=environment, cwd=folder) as program,
    ):
        try:
            assert program.stderr is not None
            yield next(
                found[0] for line in program.stderr if (found := re.findall(r"http://127[.]0[.]0[.]1:\d+", line))
            )
        finally:
            program.send_signal(signal.SIGINT)
            program.communicate(timeout=LIMIT)
    assert program.returncode in (0, -signal.SIGINT)


def answered_over_the_relay(address: str) -> str:
    """What the application says to one turn, over the requests that its page makes."""
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies := CookieJar()))
    with visitor.open(address, timeout=LIMIT) as page:
        assert b"<!doctype html>" in page.read()
    asked = urllib.request.Request(f"{address}/realtime/sessions", b"", {"Origin": address})
    with visitor.open(asked, timeout=LIMIT) as created:
        session_id = json.load(created)["id"]
    cookie = "; ".join(f"{each.name}={each.value}" for each in cookies)
    socket = f"{address.replace('http', 'ws')}/realtime/sessions/{session_id}/socket"
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    with connect(socket, origin=Origin(address), additional_headers={"Cookie": cookie}, max_queue=None) as browser:
        browser.send(json.dumps({"type": "conversation.item.create", "item": said}))
        browser.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
        while True:
            event = json.loads(browser.recv(timeout=LIMIT))
            if event["type"] == "response.output_text.done":
                return str(event["text"])


@every_server
def test_a_server_is_short_and_says_what_it_needs(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 80
    said = ast.get_docstring(ast.parse(source)) or ""
    for word in ("What:", "Needs:", f"Run:   python examples/{path.parent.name}/app.py"):
        assert word in said


@every_server
def test_a_server_serves_its_page_without_an_account(path: Path) -> None:
    with serving(path) as address:
        assert answered_over_the_relay(address).startswith("You said: “Hello”.")


@every_server
@pytest.mark.parametrize("real", ["OpenAI", "Azure"])
def test_a_server_reaches_a_service_by_the_environment(path: Path, real: str) -> None:
    with SimulatorServer(pace=False, api_keys=["k"]) as server:
        variables = {
            "OpenAI": {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.openai_url},
            "Azure": {
                "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
                "AZURE_OPENAI_DEPLOYMENT": "mine",
                "AZURE_OPENAI_API_KEY": "k",
            },
        }[real]
        with serving(path, **variables) as address:
            assert answered_over_the_relay(address).startswith("You said: “Hello”.")
            with urllib.request.urlopen(address, timeout=LIMIT) as page:
                assert f"<span>{real}</span>" in page.read().decode()
