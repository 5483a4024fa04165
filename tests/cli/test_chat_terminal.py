"""`rtsync chat` at a terminal: the prompt, Ctrl+C and Ctrl+D, on a real pseudo-terminal."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rtsync.simulator import BrainFailed, SimulatorServer, Turn
from tests.cli.command import KEY, Running, Terminal
from tests.cli.service import PIECE, cancelled, hear_the_close, interrupted_answer, take_the_words
from tests.cli.test_chat import HONEST, openai
from tests.loopback import LIMIT, Peer, PeerClosed, ScriptedServer

INTERRUPTED = 130


def terminal(server: ScriptedServer, *options: str) -> Terminal:
    return Terminal("chat", "--base-url", f"{server.http_url}/v1", *options, OPENAI_API_KEY=KEY)


def test_it_says_where_it_is_prompts_answers_and_leaves_at_ctrl_d(simulator: SimulatorServer) -> None:
    with Terminal("chat", **openai(simulator)) as screen:
        assert f"connected: OpenAI ga conversation at {simulator.url}" in screen.read_until("> ")
        screen.type("hello")
        assert "You said: “hello”." in screen.read_until("> ")
        screen.type("")
        screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0
        assert KEY not in screen.seen


def test_the_simulator_says_that_it_does_not_think() -> None:
    with Terminal("chat", "--target", "simulator") as screen:
        assert "does not think" in screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_ctrl_c_at_the_prompt_leaves(simulator: SimulatorServer) -> None:
    with Terminal("chat", **openai(simulator)) as screen:
        screen.read_until("> ")
        screen.ctrl_c()
        assert screen.wait() == INTERRUPTED
        assert "Traceback" not in screen.seen


def test_the_first_ctrl_c_cancels_the_answer_and_the_second_leaves() -> None:
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def obey(peer: Peer) -> None:
        heard.put(peer.recv_json())
        cancelled(peer, "event_7")
        heard.put(hear_the_close(peer))

    with ScriptedServer(interrupted_answer(obey)) as server, terminal(server) as screen:
        screen.read_until("> ")
        screen.type("hello")
        screen.read_until(PIECE)
        screen.ctrl_c()
        cancel = heard.get(timeout=LIMIT)
        assert (cancel["type"], cancel.get("response_id")) == ("response.cancel", "resp_1")
        assert "cancelled" in screen.read_until("> ")
        screen.ctrl_c()
        assert screen.wait() == INTERRUPTED
        closed = heard.get(timeout=LIMIT)
        assert isinstance(closed, PeerClosed)
        assert closed.code == 1000
        assert "Traceback" not in screen.seen


def test_ctrl_c_before_the_answer_has_begun_comes_back_to_the_prompt() -> None:
    asked = threading.Event()

    def hesitate(peer: Peer) -> None:
        take_the_words(peer)
        asked.set()
        cancel = peer.recv_json()
        assert cancel["type"] == "response.cancel"
        error = {"type": "invalid_request_error", "code": "response_cancel_not_active", "message": "None is active."}
        peer.send_json({"type": "error", "event_id": "event_7", "error": {**error, "event_id": cancel["event_id"]}})
        assert hear_the_close(peer).code == 1000

    with ScriptedServer(hesitate) as server, terminal(server) as screen:
        screen.read_until("> ")
        screen.type("hello")
        assert asked.wait(LIMIT)
        screen.ctrl_c()
        assert "cancelled" in screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_a_second_ctrl_c_leaves_a_service_that_does_not_obey_the_first() -> None:
    asked = threading.Event()

    def ignore(peer: Peer) -> None:
        assert peer.recv_json()["type"] == "response.cancel"
        asked.set()
        hear_the_close(peer)

    with ScriptedServer(interrupted_answer(ignore)) as server, terminal(server) as screen:
        screen.read_until("> ")
        screen.type("hello")
        screen.read_until(PIECE)
        screen.ctrl_c()
        assert asked.wait(LIMIT)
        screen.ctrl_c()
        assert screen.wait() == INTERRUPTED
        assert "Traceback" not in screen.seen


def test_the_conversation_goes_on_after_a_cancelled_answer() -> None:
    with SimulatorServer() as server, Terminal("chat", **openai(server)) as screen:
        screen.read_until("> ")
        screen.type("Say a couple paragraphs!")
        screen.read_until("I do not think")
        screen.ctrl_c()
        assert "second paragraph" not in screen.read_until("> ")
        screen.type("hello")
        assert "You said: “hello”." in screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_the_conversation_goes_on_after_an_answer_that_failed() -> None:
    def fail_once(turn: Turn) -> Iterator[str]:
        if len(turn.items) == 1:
            raise BrainFailed("The model is asleep.")
        yield "Awake."

    with SimulatorServer(pace=False, brain=fail_once) as server, Terminal("chat", **openai(server)) as screen:
        screen.read_until("> ")
        screen.type("hello")
        assert "The model is asleep." in screen.read_until("> ")
        screen.type("hello")
        assert "Awake." in screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_a_models_words_do_not_command_the_terminal() -> None:
    words = ["a\x1b[2Jb\x9bc\n\td"]
    with SimulatorServer(pace=False, brain=lambda turn: words) as server, Terminal("chat", **openai(server)) as screen:
        screen.read_until("> ")
        screen.type("hello")
        screen.read_until("a[2Jbc\r\n")
        screen.read_until("d\r\n> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_with_its_output_in_a_file_the_prompt_stays_on_the_terminal(simulator: SimulatorServer, tmp_path: Path) -> None:
    answers = tmp_path / "answers.txt"
    with Terminal("chat", stdout=str(answers), **openai(simulator)) as screen:
        screen.read_until("> ")
        screen.type("hello")
        assert "You said" not in screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0
    assert answers.read_text(encoding="utf-8") == f"You said: “hello”. {HONEST}\n"


def test_ctrl_c_while_connecting_leaves() -> None:
    with ScriptedServer(Peer.wait_until_released) as server, terminal(server, "--connect-timeout", "60") as screen:
        server.wait_for_connections(1)
        screen.ctrl_c()
        assert screen.wait() == INTERRUPTED
        assert "Traceback" not in screen.seen


def test_a_line_that_is_lost_ends_it() -> None:
    with ScriptedServer(interrupted_answer(Peer.reset)) as server, terminal(server) as screen:
        screen.read_until("> ")
        screen.type("hello")
        assert screen.wait() == 5
        assert "Traceback" not in screen.seen


def test_ctrl_c_ends_a_conversation_at_a_pipe_in_the_middle_of_an_answer() -> None:
    closed: queue.SimpleQueue[PeerClosed] = queue.SimpleQueue()
    script = interrupted_answer(lambda peer: closed.put(hear_the_close(peer)))
    with ScriptedServer(script) as server:
        options = ("--json", "--base-url", f"{server.http_url}/v1")
        with Running("chat", *options, OPENAI_API_KEY=KEY) as chat:
            chat.type("hello")
            chat.read_until(PIECE)
            ended = chat.signal(signal.SIGINT)
        assert ended.status == INTERRUPTED
        assert "Traceback" not in ended.err
        assert closed.get(timeout=LIMIT).code == 1000
