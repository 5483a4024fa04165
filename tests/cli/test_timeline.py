"""`rtsync chat --timeline`: the turns as a page, whatever became of the conversation."""

from __future__ import annotations

from pathlib import Path

from rtsync.simulator import SimulatorServer
from tests.cli.command import Ended, run
from tests.cli.test_chat import openai


def chat(server: SimulatorServer, *arguments: str, typed: str = "alpha\nbeta <b>\n") -> Ended:
    return run("chat", *arguments, typed=typed, **openai(server))


def rows(page: Path) -> int:
    return page.read_text(encoding="utf-8").count("<tr><td>")


def test_the_page_has_every_turn_and_no_word(simulator: SimulatorServer, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    ended = chat(simulator, "--timeline", str(page))
    assert (ended.status, ended.err) == (0, "")
    assert rows(page) == 2
    assert "alpha" not in page.read_text(encoding="utf-8")


def test_the_words_are_there_on_request(simulator: SimulatorServer, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    assert chat(simulator, "--timeline", str(page), "--timeline-words").status == 0
    text = page.read_text(encoding="utf-8")
    assert "alpha" in text
    assert "beta &lt;b&gt;" in text
    assert "I am the scripted brain" in text


def test_a_page_that_cannot_be_written_is_said_in_one_line(simulator: SimulatorServer, tmp_path: Path) -> None:
    page = tmp_path / "nowhere" / "out.html"
    ended = chat(simulator, "--timeline", str(page))
    assert ended.status == 1
    assert str(page) in ended.complaint
    assert ended.out.count("\n") == 2


def test_a_conversation_that_breaks_off_is_drawn(tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    with SimulatorServer(pace=False, faults=["reset@on=response.output_text.delta"]) as server:
        ended = chat(server, "--timeline", str(page))
    assert ended.status == 5
    assert rows(page) == 1
    assert ">lost<" in page.read_text(encoding="utf-8")


def test_one_that_never_began_leaves_what_is_there(tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    page.write_text("of yesterday", encoding="utf-8")
    with SimulatorServer(pace=False, faults=["refuse=503"]) as server:
        ended = chat(server, "--timeline", str(page))
    assert ended.status == 3
    assert page.read_text(encoding="utf-8") == "of yesterday"
