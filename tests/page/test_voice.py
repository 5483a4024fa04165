"""Turns that are spoken, answers that are heard, and what interrupts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rtsync import Simulator, Target
from rtsync.audio import PCM16
from rtsync.simulator.brains import Turn
from tests.page.visiting import Visit

pytestmark = pytest.mark.timeout(60, func_only=True)  # The first one may have to install Chromium.


def talkative(turn: Turn) -> Iterator[str]:
    """Longer, when it is spoken, than any test takes."""
    yield "This is one of many sentences. " * 20


@pytest.fixture
def target() -> Target:
    return Simulator(brain=talkative, ears="pocketsphinx", voice="flite", vad="webrtc")


def sent_ms(visit: Visit, item_id: str) -> float:
    """How much sound of an item the page was given."""
    deltas = [event["delta"] for event in visit.events("response.output_audio.delta") if event["item_id"] == item_id]
    return sum(PCM16.duration_ms(len(delta) * 3 // 4) for delta in deltas)


def cuts(visit: Visit) -> list[dict[str, Any]]:
    return visit.events("conversation.item.truncated")


def test_a_turn_is_spoken_and_speech_and_the_button_interrupt_what_is_said(visit: Visit) -> None:
    assert visit.at("talk").get_attribute("aria-pressed") == "false"
    visit.at("talk").click()
    visit.until(lambda: visit.messages[:1] == [("user", "what is the weather in paris")])
    visit.until(lambda: visit.status == "Speaking")
    assert visit.messages[1][1].startswith("This is one of many sentences.")

    visit.until(lambda: visit.status == "You are speaking")  # The second sentence, into the first answer.
    visit.until(lambda: ("user", "turn the lights on") in visit.messages)
    visit.until(lambda: visit.status == "Speaking")
    (cut,) = cuts(visit)
    speech = visit.events("input_audio_buffer.speech_started")[1]
    first = visit.events("input_audio_buffer.speech_stopped")[0]
    # What was heard is what was played between the end of one sentence and the beginning of the other, at most.
    assert 500 < cut["audio_end_ms"] < speech["audio_start_ms"] - first["audio_end_ms"] + 1000
    assert cut["audio_end_ms"] <= sent_ms(visit, cut["item_id"])
    remark = f"Interrupted after {cut['audio_end_ms'] / 1000:.1f} s"
    visit.until(lambda: visit.remarks == [remark])

    visit.at("interrupt").click()
    visit.until(lambda: visit.status == "Listening" and len(cuts(visit)) == 2)
    assert 0 < cuts(visit)[1]["audio_end_ms"] <= sent_ms(visit, cuts(visit)[1]["item_id"])
    assert cuts(visit)[1]["item_id"] != cut["item_id"]
    assert visit.events("error") == []

    visit.at("talk").click()
    visit.until(lambda: visit.status == "Ready")
    assert visit.at("talk").get_attribute("aria-pressed") == "false"


def test_a_turn_is_spoken_where_there_is_no_websocket(visit: Visit) -> None:
    with visit.without_sockets():
        visit.at("talk").click()
        visit.until(lambda: visit.messages[:1] == [("user", "what is the weather in paris")])
        visit.until(lambda: visit.status == "Speaking")
    assert visit.events("error") == []


def test_what_is_said_while_the_connection_is_being_opened_is_heard(visit: Visit) -> None:
    visit.run(
        "const { fetch } = window;"
        "window.fetch = (...given) => new Promise(done => setTimeout(done, 1000)).then(() => fetch(...given))"
    )
    visit.at("talk").click()
    visit.until(lambda: visit.messages[:1] == [("user", "what is the weather in paris")])
    assert visit.events("error") == []


def test_a_turn_that_is_typed_is_answered_aloud_while_one_talks(visit: Visit) -> None:
    visit.run(
        "const silence = new AudioContext().createMediaStreamDestination().stream;"
        "navigator.mediaDevices.getUserMedia = () => Promise.resolve(silence)"
    )
    visit.at("talk").click()
    visit.until(lambda: visit.status == "Listening")
    visit.say("Hello")
    visit.until(lambda: visit.status == "Speaking")
    visit.at("talk").click()  # Who hangs up in the middle has heard no more than that.
    visit.until(lambda: visit.status in ("Ready", "Answering") and len(cuts(visit)) == 1)
    visit.driver.refresh()
    visit.until(lambda: visit.messages[:1] == [("user", "Hello")])


def test_without_a_microphone_the_page_says_so_in_words(visit: Visit) -> None:
    visit.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))")
    visit.at("talk").click()
    visit.until(lambda: visit.complaint.startswith("The browser was not allowed to use the microphone."))
    assert visit.at("complaint").get_attribute("role") == "alert"
    visit.at("dismiss").click()
    assert not visit.at("complaint").is_displayed()
    visit.say("Hello")
    visit.until(lambda: visit.messages[1:] and visit.status == "Answering")
