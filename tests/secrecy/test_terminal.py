"""Whatever a service says, nothing of it commands the terminal: no escape, no control character, no turned text."""

from __future__ import annotations

import json
import logging
import re
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import OpenAI, RealtimeError, RealtimeSession, SessionClosed
from rtsync.cli.demo import _Screen
from rtsync.vocabulary.foreign import harmless, one_line
from tests.cli.command import KEY, Ended, Running, Terminal, run
from tests.cli.service import take_the_words
from tests.loopback import LIMIT, Peer, PeerClosed, ScriptedServer, realtime_greeting

OBEYED = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
KEPT = "\n\t"
PROMPT = "\n>"  # Its space may come behind an event that another thread writes just then.
CLEAR, TITLE, FORGED = "\x1b[2J", "\x1b]0;owned\x07", "\r\nrtsync: all is well"
HOSTILE = f"hey {CLEAR}{TITLE}{FORGED}\x9b31m\x90\b\b\x08\u202e{''.join(OBEYED)} you"
COMMANDING = re.compile(f"[{re.escape(''.join(each for each in OBEYED if each not in KEPT))}]")


def commands_nothing(shown: str) -> bool:
    """Whether there is nothing in it that a terminal obeys, but for the line ends that the terminal itself makes."""
    return COMMANDING.search(shown.replace("\r\n", "\n")) is None


def refuse(status: int, reason: str, headers: list[tuple[str, str]], body: str) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.refuse(status, reason, headers, body)

    return script


IN_HEADERS = HOSTILE.replace("\r", "").replace("\n", "").replace("\0", "").encode().decode("latin-1")


def answer_nonsense(peer: Peer) -> None:
    peer.read_request()
    peer.send_raw(HOSTILE.encode() + b"\r\n\r\n")


def refuse_in_frames(peer: Peer) -> None:
    peer.accept()
    peer.send_json({"type": "error", "event_id": HOSTILE, "error": {"message": HOSTILE, "code": HOSTILE}})
    peer.close(3000, HOSTILE[:30])


def close_at_once(peer: Peer) -> None:
    peer.accept()
    peer.close(4000, HOSTILE[:40])


REFUSALS: dict[str, Callable[[Peer], None]] = {
    "reason": refuse(400, IN_HEADERS, [], ""),
    "text": refuse(404, "No", [], HOSTILE),
    "json": refuse(401, "No", [], json.dumps({"error": {"message": HOSTILE, "code": HOSTILE}})),
    "headers": refuse(429, "No", [("Retry-After", IN_HEADERS), ("X-Request-Id", IN_HEADERS)], ""),
    "redirect": refuse(302, IN_HEADERS, [("Location", f"https://{IN_HEADERS}")], ""),
    "no HTTP": answer_nonsense,
    "frames": refuse_in_frames,
    "close": close_at_once,
}


def answer(*events: dict[str, Any], then: Callable[[Peer], object] = lambda peer: None) -> Callable[[Peer], None]:
    """A script that answers the user's words with `events`, between the beginning and the end of a response."""

    def script(peer: Peer) -> None:
        asked = take_the_words(peer)
        said = {"id": f"resp {HOSTILE}", "metadata": asked["response"]["metadata"]}
        place = {"event_id": HOSTILE, "response_id": said["id"], "item_id": HOSTILE}
        peer.send_json({"type": "response.created", **place, "response": said})
        peer.send_json(*({**place, **event} for event in events))
        then(peer)
        peer.send_json({"type": "response.done", **place, "response": {**said, "status": "completed"}})
        listen(peer)

    return script


def listen(peer: Peer) -> None:
    try:
        while True:
            peer.recv_message()
    except PeerClosed:
        return


def greet_and_leave(peer: Peer) -> None:
    realtime_greeting(peer, id=HOSTILE, model=HOSTILE)
    peer.send_json({"type": "session.updated", "event_id": HOSTILE, "session": {"model": HOSTILE}})
    peer.close(4000, HOSTILE[:40])
    listen(peer)


def fail(peer: Peer) -> None:
    error = {"message": HOSTILE, "code": HOSTILE, "type": HOSTILE, "param": HOSTILE}
    peer.send_json({"type": "error", "event_id": HOSTILE, "error": error})
    details = {"type": HOSTILE, "reason": HOSTILE, "error": error}
    response = {"id": f"resp {HOSTILE}", "status": HOSTILE, "status_details": details}
    peer.send_json({"type": "response.done", "event_id": HOSTILE, "response": response})


WORDS = {"type": "response.output_text.delta", "delta": f"one\ttwo\n{HOSTILE} three"}
STRANGE: list[dict[str, Any]] = [
    {"type": HOSTILE, HOSTILE: HOSTILE},
    {"type": "conversation.item.added", "item": {"id": HOSTILE, "role": HOSTILE, "type": HOSTILE}},
    {"type": "session.updated", "session": {"model": HOSTILE, "output_modalities": [HOSTILE]}},
    {"type": "response.output_audio_transcript.delta", "delta": HOSTILE},
    {"type": "rate_limits.updated", "rate_limits": [{"name": HOSTILE}]},
]
ANSWERS: dict[str, Callable[[Peer], None]] = {
    "words": answer(WORDS),
    "strange events": answer(*STRANGE, WORDS),
    "failure": answer(WORDS, then=fail),
    "close": answer(WORDS, then=lambda peer: peer.close(4000, HOSTILE[:40])),
    "no JSON": answer(WORDS, then=lambda peer: peer.send_text(HOSTILE)),
    "greeting": greet_and_leave,
}
WAYS: dict[str, list[str]] = {
    "plain": ["chat"],
    "verbose": ["-v", "chat"],
    "json": ["chat", "--json"],
    "events": ["chat", "--log-events"],
    "content": ["-v", "chat", "--log-events", "content"],
}


def converse(server: ScriptedServer, way: str) -> Ended:
    url = f"{server.http_url}/v1"
    return run(*WAYS[way], "--timeout", "2", "--base-url", url, typed="hello\n", OPENAI_API_KEY=KEY)


@pytest.mark.parametrize("way", ["plain", "verbose"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_commands_nothing(refusal: str, way: str) -> None:
    with ScriptedServer(REFUSALS[refusal]) as server:
        ended = converse(server, way)
    assert commands_nothing(ended.out + ended.err), ended.err
    assert ended.status in (3, 4)
    assert not [line for line in ended.err.splitlines() if line == FORGED.strip()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", ANSWERS)
def test_an_answer_into_a_pipe_commands_nothing(said: str, way: str) -> None:
    with ScriptedServer(ANSWERS[said]) as server:
        ended = converse(server, way)
    assert commands_nothing(ended.out), ended.out
    assert commands_nothing(ended.err), ended.err
    assert not [line for line in ended.err.splitlines() if line == FORGED.strip()]
    if way == "json":
        events = [json.loads(line) for line in ended.out.splitlines()]
        assert HOSTILE in json.dumps(events, ensure_ascii=False) or any(HOSTILE in str(each) for each in _all(events))
    elif said == "words":
        assert ended.out.startswith("one\ttwo\nhey ")
        assert ended.out.endswith(" three\n")


def _all(value: Any) -> list[Any]:
    """Every text inside."""
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _all(each)]
    return [text for each in value for text in _all(each)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("way", ["plain", "json", "content"])
@pytest.mark.parametrize("said", ["words", "strange events", "failure", "close"])
def test_an_answer_at_a_terminal_commands_nothing(said: str, way: str) -> None:
    with (
        ScriptedServer(ANSWERS[said]) as server,
        Terminal(*WAYS[way], "--base-url", f"{server.http_url}/v1", OPENAI_API_KEY=KEY) as screen,
    ):
        screen.read_until(PROMPT)
        screen.type("hello")
        shown = screen.read_until("three")
        if said != "close":
            if PROMPT not in shown:  # A failure is said, and the prompt comes back, while its last events are written.
                screen.read_until(PROMPT)
            screen.ctrl_d()
        screen.wait()
    assert commands_nothing(screen.seen), screen.seen


def test_the_screen_of_the_demo_shows_nothing_that_commands(capfd: pytest.CaptureFixture[str]) -> None:
    done = {"type": "response.output_text.done", "text": HOSTILE}
    with ScriptedServer(answer(WORDS, done, *STRANGE[:2])) as server:
        session = RealtimeSession(OpenAI(api_key=KEY, base_url=f"{server.http_url}/v1"))
        session.on("*", _Screen().show)
        with session:
            session.respond(timeout=LIMIT).wait(LIMIT)
    shown = capfd.readouterr().out
    assert "one\ttwo\nhey " in shown
    assert commands_nothing(re.sub(r"\x1b\[\d+m", "", shown)), shown  # The colours are the demo's own.


def test_a_client_of_serve_commands_nothing() -> None:
    with Running("-v", "serve", "--port", "0") as running:
        port = int(re.findall(r":(\d+)/v1", "".join(running.read_until("OpenAI base URL")))[0])
        running.read_until("--target azure")
        for head in (
            f"GET /{HOSTILE} HTTP/1.1",
            HOSTILE,
            f"POST /v1/realtime?model={HOSTILE} HTTP/1.1\r\nX: {HOSTILE}",
        ):
            with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
                client.sendall(head.encode() + b"\r\n\r\n")
                while client.recv(4096):
                    pass
        ended = running.signal(signal.SIGINT)
    assert commands_nothing(ended.out + ended.err)


def test_what_is_asked_of_events_commands_nothing() -> None:
    ended = run("events", HOSTILE.replace("\0", ""))
    assert ended.status == 2
    assert commands_nothing(ended.out + ended.err)


# -- without the command line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_message_of_a_refusal_is_one_line(refusal: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    with ScriptedServer(REFUSALS[refusal]) as server, pytest.raises(RealtimeError) as raised:
        RealtimeSession(OpenAI(api_key=KEY, base_url=f"{server.http_url}/v1")).open()
    assert str(raised.value).isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.mark.parametrize("said", ["failure", "close", "no JSON"])
def test_no_message_and_no_record_is_more_than_one_line(said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[RealtimeError] = []
    with (
        ScriptedServer(ANSWERS[said]) as server,
        RealtimeSession(OpenAI(api_key=KEY, base_url=f"{server.http_url}/v1"), config={}) as session,
    ):
        response = session.respond(timeout=LIMIT)
        for wait in (
            lambda: response.wait(LIMIT),
            lambda: session.wait_for("x", timeout=0.2),
            lambda: session.cancel(timeout=0.2),
        ):
            try:
                wait()
            except RealtimeError as error:
                errors.append(error)
        assert repr(response).isprintable()
        assert repr(session.conversation.items).isprintable()
    assert errors
    assert all(str(error).isprintable() for error in errors)
    assert all(record.getMessage().isprintable() for record in caplog.records)
    if said == "close":
        assert isinstance(errors[-1], SessionClosed)


def test_harmless_text_keeps_what_people_write() -> None:
    kept = "naïve\n\tשלום 😀 👩\u200d💻 中文 \u200f!"
    assert harmless(kept) == kept
    assert harmless(f"a{''.join(OBEYED)}b") == "a\t\nb"
    assert one_line(f"a{''.join(OBEYED)}b\u2028c") == "a b c"
    assert one_line("x" * 20, 10) == "x" * 10 + "…"
