"""The brain that forwards to a chat completions endpoint, against one on loopback that we script."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from rtsync.simulator import BrainFailed, Cancellation, ChatBrain, CutShort, FunctionCall, SimulatorServer, Turn
from rtsync.simulator.certificates import make_certificates
from rtsync.vocabulary.errors import ConfigurationError
from tests.simulator.documented import check_ga
from tests.simulator.talk import LIMIT, Talk, user_message

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler], None]

USER = {"id": "item_1", "status": "completed", **user_message("Hi")}
WEATHER = {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}}


class Start(Protocol):
    """Starts an endpoint that is stopped after the test."""

    def __call__(self, answer: Answer, context: ssl.SSLContext | None = None) -> Endpoint: ...


class Endpoint:
    """A chat endpoint that answers as told and remembers what it was asked."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        endpoint = self

        class Scripted(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.keys.append(self.headers.get("Authorization"))
                endpoint.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer(self)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self._server.server_port}/v1"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Start]:
    running: list[Endpoint] = []

    def start(answer: Answer, context: ssl.SSLContext | None = None) -> Endpoint:
        running.append(Endpoint(answer, context))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def stream(*deltas: dict[str, Any], finish: str | None = "stop", done: bool = True) -> Answer:
    """Answer with these deltas as server-sent events."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        chunks: list[Any] = [{"choices": [{"delta": delta}]} for delta in deltas]
        if finish:
            chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + (["data: [DONE]\n\n"] if done else [])
        handler.wfile.write((": comment\n\n" + "".join(lines)).encode())

    return answer


def refuse(status: int, body: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_text_streams_through(endpoint: Start) -> None:
    server = endpoint(stream({"role": "assistant"}, {"content": "Good "}, {"content": "day"}))
    assert list(ChatBrain(server.url, model="m", api_key="k")(Turn("Be kind.", (USER,)))) == ["Good ", "day"]
    (request,) = server.requests
    assert request["model"] == "m"
    assert request["stream"] is True
    assert request["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert server.keys == ["Bearer k"]


def test_function_calls_are_put_together_from_their_fragments(endpoint: Start) -> None:
    first = {"index": 0, "id": "x", "function": {"name": "weather", "arguments": '{"ci'}}
    server = endpoint(
        stream({"tool_calls": [first]}, {"tool_calls": [{"index": 0, "function": {"arguments": 'ty": 1}'}}]})
    )
    turn = Turn("", (USER,), tools=(WEATHER,), tool_choice={"type": "function", "name": "weather"})
    assert list(ChatBrain(server.url)(turn)) == [FunctionCall("weather", '{"city": 1}')]
    (request,) = server.requests
    function = {"name": "weather", "description": "d", "parameters": {"type": "object"}}
    assert request["tools"] == [{"type": "function", "function": function}]
    assert request["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_the_whole_conversation_is_told(endpoint: Start) -> None:
    server = endpoint(stream({"content": "ok"}))
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    items: tuple[dict[str, Any], ...] = (
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "look"}, image]},
        {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "mcp_list_tools", "server_label": "x", "tools": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "It rains."}]},
    )
    list(ChatBrain(server.url)(Turn("", items, max_output_tokens=9, model="dep")))
    (request,) = server.requests
    user, call, output, answer = request["messages"]
    assert user["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    assert call["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": "{}"},
    }
    assert output == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    assert answer == {"role": "assistant", "content": "It rains."}
    assert (request["model"], request["max_tokens"]) == ("dep", 9)


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (refuse(401, b'{"error": {"message": "bad key", "code": "invalid_api_key"}}'), "invalid_api_key", "bad key"),
        (refuse(500, b"oops"), None, "HTTP status 500"),
        (stream({"content": "half"}, finish=None, done=False), "brain_broke_off", "broke off"),
        (refuse(200, b"data: {nonsense\n\n"), "brain_protocol", "not JSON"),
        (refuse(200, b"data: 3\n\n"), "brain_protocol", "not an object"),
        (refuse(200, b'data: {"error": {"message": "x"}}\n\n'), "brain_failed", "reported an error"),
        (refuse(200, b""), "brain_broke_off", "broke off"),
    ],
)
def test_an_endpoint_that_fails_is_a_failed_brain(
    endpoint: Start, answer: Answer, code: str | None, message: str
) -> None:
    with pytest.raises(BrainFailed, match=message) as failed:
        list(ChatBrain(endpoint(answer).url)(Turn("", (USER,))))
    assert failed.value.code == code


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_cut_short_says_why(endpoint: Start, finish: str, reason: str) -> None:
    with pytest.raises(CutShort) as cut:
        list(ChatBrain(endpoint(stream({"content": "half"}, finish=finish)).url)(Turn("", (USER,))))
    assert cut.value.reason == reason


def test_a_stream_that_announced_its_end_may_leave_out_the_last_line(endpoint: Start) -> None:
    server = endpoint(stream({"content": "all"}, done=False))
    assert list(ChatBrain(server.url)(Turn("", (USER,)))) == ["all"]


def test_an_endpoint_that_is_not_there_is_a_failed_brain() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(BrainFailed, match="ConnectionRefusedError"):
            list(ChatBrain(url)(Turn("", (USER,))))


def silent(release: threading.Event) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b'data: {"choices": [{"delta": {"content": "and then"}}]}\n\n')
        release.wait(LIMIT)

    return answer


def test_an_endpoint_that_falls_silent_is_given_up(endpoint: Start) -> None:
    release = threading.Event()
    brain = ChatBrain(endpoint(silent(release)).url, timeout=0.2)
    with pytest.raises(BrainFailed, match="did not answer in time"):
        list(brain(Turn("", (USER,))))
    release.set()


def test_a_cancelled_turn_does_not_wait_for_a_silent_endpoint(endpoint: Start) -> None:
    release = threading.Event()
    turn = Turn("", (USER,))
    pieces = iter(ChatBrain(endpoint(silent(release)).url)(turn))
    assert next(pieces) == "and then"
    threading.Timer(0.05, turn.cancelled.set).start()
    with pytest.raises(BrainFailed):
        list(pieces)
    assert not release.is_set()
    release.set()


def test_a_turn_cancelled_beforehand_asks_nobody(endpoint: Start) -> None:
    server = endpoint(stream({"content": "never"}))
    cancelled = Cancellation()
    cancelled.set()
    with pytest.raises(BrainFailed):
        list(ChatBrain(server.url)(Turn("", (USER,), cancelled=cancelled)))
    assert server.requests == []


def test_an_endpoint_over_tls_is_verified(endpoint: Start, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    server = endpoint(stream({"content": "ok"}), certificates.server_context())
    trusting = ssl.create_default_context(cafile=certificates.ca_file)
    assert list(ChatBrain(server.url, tls=trusting)(Turn("", (USER,)))) == ["ok"]
    with pytest.raises(BrainFailed, match="SSLCertVerificationError"):
        list(ChatBrain(server.url)(Turn("", (USER,))))


@pytest.mark.parametrize("url", ["127.0.0.1:1234", "ftp://host/v1", "http://"])
def test_a_base_url_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http"):
        ChatBrain(url)


def test_a_session_thinks_with_the_endpoint_and_fails_with_it(endpoint: Start) -> None:
    answers: Iterable[Answer] = iter([stream({"content": "Thought."}), refuse(429, b'{"error": {"message": "slow"}}')])
    server = endpoint(lambda handler: next(iter(answers))(handler))
    with SimulatorServer(brain=ChatBrain(server.url), pace=False) as simulator, Talk(simulator) as talk:
        talk.text_only()
        talk.say("Hi")
        good = talk.until("rate_limits.updated")
        talk.say("Hi")
        bad = talk.until("rate_limits.updated")
    assert good[-2]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Thought."}]
    assert bad[-2]["response"]["status"] == "failed"
    assert bad[-2]["response"]["status_details"]["error"]["message"].endswith("slow.")
    for event in good + bad:
        check_ga(event)


def test_a_silent_endpoint_holds_no_session_up(endpoint: Start) -> None:
    release = threading.Event()
    server = endpoint(silent(release))
    with SimulatorServer(brain=ChatBrain(server.url), pace=False) as simulator, Talk(simulator) as talk:
        talk.text_only()
        talk.say("Hi")
        talk.until("response.output_text.delta")
        talk.send("response.cancel")
        assert talk.until("response.done")[-1]["response"]["status"] == "cancelled"
    assert not release.is_set()
    release.set()
