"""`rtsync talk`: microphone and speaker, on devices that are not there, and on a machine without any."""

from __future__ import annotations

import base64
import queue
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtsync.audio import PCM16
from rtsync.devices import Device
from tests.cli.command import KEY, Ended, Running, Terminal, run
from tests.cli.service import hear_the_close
from tests.cli.sounds import said
from tests.loopback import LIMIT, Peer, PeerClosed, ScriptedServer, realtime_greeting
from tests.simulator.voices import have

SIMULATOR = ["--target", "simulator"]
VIRTUAL = ["--input", "virtual", "--output", "virtual"]
Json = dict[str, Any]


def talking(server: ScriptedServer, *options: str) -> Terminal:
    variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
    return Terminal("talk", *VIRTUAL, *options, **variables)


def test_a_spoken_question_is_answered_and_both_are_on_the_screen(tmp_path: Path) -> None:
    have()
    question = tmp_path / "question.wav"
    said(question, "good morning", sample_rate=16_000)
    options = ["--ears", "pocketsphinx", "--voice-engine", "flite", "--input", str(question), "--output", "virtual"]
    with Running("talk", *SIMULATOR, *options) as talk:
        lines = talk.read_until("I do not think")
        ended = talk.signal(signal.SIGINT)
    assert lines[0] == "you: good morning"
    assert lines[1].startswith("model: You said: “good morning”.")
    assert ended.status == 0
    notes = ended.err.splitlines()
    assert notes[0].startswith("rtsync: connected: Simulator ga conversation")
    assert "does not think" in notes[1]
    assert notes[2:] == ["rtsync: speak; Ctrl+C ends it"]


def test_what_the_simulator_cannot_do_is_said(tmp_path: Path) -> None:
    with Terminal("talk", *SIMULATOR, *VIRTUAL) as screen:
        notes = screen.read_until("Ctrl+C ends it")
        screen.ctrl_c()
        assert screen.wait() == 0
    for note in ("does not think", "measure and do not listen", "has no words"):
        assert note in notes
    assert "Traceback" not in screen.seen


def test_the_meter_is_drawn_on_a_terminal_and_makes_room_for_words() -> None:
    with ScriptedServer(Service(answer=spoken_answer).serve) as server, talking(server) as screen:
        screen.read_until("[....................] listening")
        screen.read_until("\x1b[Kyou: hello")
        screen.read_until("model: Once upon a time")
        screen.ctrl_c()
        assert screen.wait() == 0


# -- who said what ----------------------------------------------------------------------------------------------------


class Service:
    """Greets, takes the session, and once it has heard some chunks of sound it goes on with `answer`."""

    def __init__(self, answer: Callable[[Peer], object], chunks: int = 5) -> None:
        self.session: Json = {}
        self._answer = answer
        self._chunks = chunks

    def serve(self, peer: Peer) -> None:
        realtime_greeting(peer)
        update = peer.recv_json()
        self.session = update["session"]
        peer.send_json({"type": "session.updated", "event_id": "event_2", "session": self.session})
        listen(peer, self._chunks)
        self._answer(peer)
        hear_the_close(peer)


def listen(peer: Peer, chunks: int) -> None:
    """Read so many chunks of sound, 40 ms of the device's time each, and nothing else."""
    for _ in range(chunks):
        assert peer.recv_json()["type"] == "input_audio_buffer.append"


def event(kind: str, **fields: Any) -> Json:
    return {"type": kind, "event_id": "event_9", **fields}


def response(status: str, **more: Any) -> Json:
    made: Json = {"object": "realtime.response", "id": "resp_1", "status": status, "output": [], "metadata": None}
    return {**made, "conversation_id": "conv_1", **more}


def place(**fields: Any) -> Json:
    return {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0, **fields}


COMMITTED = event("input_audio_buffer.committed", item_id="item_1", previous_item_id=None)
CREATED = event("response.created", response=response("in_progress"))
UNDERSTOOD = event(
    "conversation.item.input_audio_transcription.completed", item_id="item_1", content_index=0, transcript="hello"
)


def words(text: str) -> Json:
    return event("response.output_audio_transcript.delta", **place(delta=text))


def done(status: str = "completed", **more: Any) -> Json:
    return event("response.done", response=response(status, **more))


def sound(duration_ms: int) -> list[Json]:
    item = {"id": "item_2", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    added = event("conversation.item.added", item=item, previous_item_id=None)
    delta = base64.b64encode(bytes([1, 1]) * (PCM16.byte_count(duration_ms) // 2)).decode()
    return [added, event("response.output_audio.delta", **place(delta=delta))]


def spoken_answer(peer: Peer) -> None:
    peer.send_json(COMMITTED, CREATED, words("Once upon"), UNDERSTOOD, words(" a time"), done())


def said_on_screen(*events: Json, until: str) -> Ended:
    """What stands on stdout when the service has sent `events`, each after some more sound."""

    def answer(peer: Peer) -> None:
        for each in events:
            peer.send_json(each)
            listen(peer, 2)

    with ScriptedServer(Service(answer).serve) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        with Running("talk", *VIRTUAL, **variables) as talk:
            lines = talk.read_until(until)
            ended = talk.signal(signal.SIGINT)
    return Ended(ended.status, "\n".join(lines), ended.err, ended.seconds)


def test_an_answer_waits_for_the_words_that_it_answers() -> None:
    ended = said_on_screen(COMMITTED, CREATED, words("Once "), UNDERSTOOD, words("upon a time"), done(), until="time")
    assert ended.out == "you: hello\nmodel: Once upon a time"
    assert ended.status == 0


def test_words_that_come_after_the_answer_stand_where_they_come() -> None:
    ended = said_on_screen(COMMITTED, CREATED, words("Once"), done(), UNDERSTOOD, until="hello")
    assert ended.out == "model: Once\nyou: hello"


def test_words_cannot_command_the_terminal() -> None:
    spoken = {**UNDERSTOOD, "transcript": "a\x1b[2Jb\nc"}
    ended = said_on_screen(COMMITTED, spoken, CREATED, words("d\x9b\ne"), done(), until="e")
    assert ended.out == "you: a [2Jb c\nmodel: d e"


@pytest.mark.parametrize(
    ("trouble", "note"),
    [
        (done("failed", status_details={"error": {"message": "Asleep."}}), "rtsync: the answer is failed: Asleep."),
        (done("incomplete", status_details={"reason": "content_filter"}), "rtsync: the answer is incomplete: content"),
        (
            event(
                "conversation.item.input_audio_transcription.failed",
                item_id="item_1",
                content_index=0,
                error={"type": "t", "code": "c", "message": "Too far away.", "param": None},
            ),
            "rtsync: what you said was not understood: Too far away.",
        ),
        (
            event("error", error={"type": "t", "code": "c", "message": "No\nmatter.", "param": None, "event_id": None}),
            "rtsync: the service: No matter.",
        ),
    ],
)
def test_what_goes_wrong_is_a_note_and_the_conversation_goes_on(trouble: Json, note: str) -> None:
    again = event("response.created", response={**response("in_progress"), "id": "resp_2"})
    more = {**words("And so on"), "response_id": "resp_2"}
    over = event("response.done", response={**response("completed"), "id": "resp_2"})
    ended = said_on_screen(COMMITTED, CREATED, trouble, done(), again, more, over, until="And so on")
    assert ended.status == 0
    assert [line for line in ended.err.splitlines() if line.startswith(note)]


def test_speaking_into_an_answer_stops_it_and_the_service_is_told_what_was_heard() -> None:
    told: queue.SimpleQueue[Json] = queue.SimpleQueue()

    def answer(peer: Peer) -> None:
        peer.send_json(CREATED, *sound(20_000), words("Once upon a time"))
        listen(peer, 60)  # Longer than a starved device is late at most: then some of it was heard.
        peer.send_json(event("input_audio_buffer.speech_started", item_id="item_3", audio_start_ms=700))
        peer.send_json(done("cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}))
        heard = peer.recv_json()
        while heard["type"] == "input_audio_buffer.append":
            heard = peer.recv_json()
        told.put(heard)

    with ScriptedServer(Service(answer).serve) as server, talking(server) as screen:
        truncate = told.get(timeout=LIMIT)
        screen.read_until("you speak")
        screen.ctrl_c()
        assert screen.wait() == 0
        assert "model: Once upon a time" in screen.seen
        assert f"rtsync: interrupted: {truncate['audio_end_ms'] / 1000:.1f} s of the answer were heard" in screen.seen
    assert (truncate["type"], truncate["item_id"]) == ("conversation.item.truncate", "item_2")
    assert 0 < truncate["audio_end_ms"] < 20_000


# -- push to talk -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", " "], ids=["enter", "space"])
def test_a_key_begins_a_turn_and_ends_it(key: str) -> None:
    heard, asked = threading.Event(), queue.SimpleQueue[str]()

    def take_turn(peer: Peer) -> None:
        heard.set()
        kind = "input_audio_buffer.append"
        while kind == "input_audio_buffer.append":
            kind = peer.recv_json()["type"]
        asked.put(kind)
        peer.send_json(COMMITTED)
        create = peer.recv_json()
        asked.put(create["type"])
        metadata = create["response"].get("metadata")
        begun = event("response.created", response=response("in_progress", metadata=metadata))
        peer.send_json(begun, UNDERSTOOD, words("Once upon a time"), done(metadata=metadata))

    service = Service(take_turn)
    with ScriptedServer(service.serve) as server, talking(server, "--push-to-talk") as screen:
        screen.read_until("press the key to speak")
        screen.type(key)
        screen.read_until("recording; the key sends it")
        assert heard.wait(LIMIT)
        screen.type(key)
        screen.read_until("you: hello")
        screen.read_until("model: Once upon a time")
        screen.read_until("press the key to speak")
        screen.ctrl_c()
        assert screen.wait() == 0
    assert service.session["audio"]["input"]["turn_detection"] is None
    assert [asked.get(timeout=LIMIT), asked.get(timeout=LIMIT)] == ["input_audio_buffer.commit", "response.create"]


def test_push_to_talk_without_a_terminal_is_one_line() -> None:
    ended = run("talk", *SIMULATOR, *VIRTUAL, "--push-to-talk")
    assert ended.status == 2
    assert "--push-to-talk needs a terminal" in ended.complaint


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_on_a_machine_without_sound_it_says_so_in_one_line_and_connects_to_nothing() -> None:
    with ScriptedServer(realtime_greeting) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("talk", "--input", "no such microphone", "--output", "no such speaker", **variables)
        assert server.connections == 0
    assert (ended.status, ended.out) == (2, "")
    assert "speaker" in ended.complaint or "output device" in ended.complaint


def test_a_service_that_dies_is_one_line() -> None:
    with ScriptedServer(Service(Peer.reset).serve) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("talk", *VIRTUAL, **variables)
    assert (ended.status, ended.out) == (5, "")
    assert ended.err.count("\n") == 3


def test_ctrl_c_closes_the_session() -> None:
    talks = threading.Event()
    closed: queue.SimpleQueue[PeerClosed] = queue.SimpleQueue()

    def watch(peer: Peer) -> None:
        talks.set()
        closed.put(hear_the_close(peer))

    with ScriptedServer(Service(watch).serve) as server, talking(server) as screen:
        assert talks.wait(LIMIT)
        screen.ctrl_c()
        assert screen.wait() == 0
        assert closed.get(timeout=LIMIT).code == 1000
        assert "Traceback" not in screen.seen


def test_devices_are_described() -> None:
    from rtsync.cli.talk import described

    device = Device(3, "USB Headset", "portaudio", 1, 2, 48_000, default_output=True)
    assert described(device) == "  3  USB Headset: 1 in, 2 out, 48000 Hz, portaudio (default speaker)"


def test_listing_devices_needs_no_account() -> None:
    ended = run("talk", "--list-devices")
    if ended.status == 0:
        assert all(re.match(r" *\d+  .+: \d+ (in|out)", line) for line in ended.out.splitlines())
        assert ended.out
    else:
        assert ended.status == 2
        assert "no sound" in ended.complaint


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([*SIMULATOR, "--input", "nowhere.wav", "--output", "virtual"], "nowhere.wav cannot be read"),
        ([*SIMULATOR, *VIRTUAL, "--ears", "bogus"], "ears='bogus' is not known"),
        (VIRTUAL, "no account found"),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], named: str) -> None:
    ended = run("talk", *options)
    assert (ended.status, ended.out) == (2, "")
    assert named in ended.complaint
