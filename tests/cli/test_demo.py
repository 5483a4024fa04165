"""`rtsync demo`: a stranger sees the walkthrough."""

from __future__ import annotations

import re
import signal

import pytest

from tests.cli.command import LIMIT, Ended, Running, run

ARROW = re.compile(r"^  ([←→]) (\S+)", re.MULTILINE)

WALKTHROUGH = [
    "← session.created",
    "→ session.update",
    "← session.updated",
    "→ conversation.item.create",
    "← conversation.item.added",
    "← conversation.item.done",
    "→ response.create",
    "← response.created",
    "← response.output_item.added",
    "← conversation.item.added",
    "← response.content_part.added",
    "← response.output_text.delta",
    "← response.output_text.delta",
    "← response.output_text.done",
    "← response.content_part.done",
    "← conversation.item.done",
    "← response.output_item.done",
    "← response.done",
    "← rate_limits.updated",
]


@pytest.fixture(scope="module")
def shown() -> Ended:
    return run("demo")


def test_it_ends_well_without_a_question(shown: Ended) -> None:
    assert (shown.status, shown.err) == (0, "")


def test_it_shows_every_event_of_the_walkthrough_in_order(shown: Ended) -> None:
    assert [" ".join(found) for found in ARROW.findall(shown.out)] == WALKTHROUGH
    assert "the session is closed" in shown.out


def test_it_shows_the_text_where_it_streams(shown: Ended) -> None:
    before, between, after = shown.out.split("response.output_text.delta")
    assert "I am the scripted brain" not in before + after
    assert "I am the scripted brain" in between
    assert "This is the second paragraph." in between


def test_it_streams_at_the_pace_of_a_model_and_takes_a_few_seconds(shown: Ended) -> None:
    found = re.search(r"(\d+) pieces in (\d+\.\d) s", shown.out)
    assert found is not None
    assert int(found[1]) > 50
    assert 1 < float(found[2]) < 10
    assert shown.seconds < 20


def test_it_says_what_it_is_and_how_to_reach_a_real_service(shown: Ended) -> None:
    for said in ("does not think", "RealtimeSession(Simulator())", "RealtimeSession(OpenAI())", "OPENAI_API_KEY"):
        assert said in shown.out


def test_it_reaches_no_account_of_the_environment_and_a_terminal_without_arrows_shows_it() -> None:
    account = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "RTSYNC_TARGET": "openai"}
    ended = run("demo", PYTHONIOENCODING="ascii", **account)
    assert ended.status == 0
    assert "response.done" in ended.out


def test_ctrl_c_ends_it() -> None:
    with Running("demo") as demo:
        demo.read_until("response.created")
        ended = demo.signal(signal.SIGINT)
    assert ended.status == 130
    assert ended.err.strip() == ""
    assert ended.seconds < 10


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    with Running("demo") as demo:
        demo.read_until("response.created")
        assert demo.process.stdout is not None
        assert demo.process.stderr is not None
        demo.process.stdout.close()
        demo.process.wait(LIMIT)
        assert demo.process.stderr.read() == b""
