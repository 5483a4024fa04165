"""Turns that are typed, and a conversation that outlives what happens to the page and to its line."""

from __future__ import annotations

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from rtsync import OpenAI
from rtsync.simulator import SimulatorServer
from tests.loopback import reserved_port
from tests.page.visiting import EPIC, SAGA, STORY, Visit, application, served, storyteller

pytestmark = pytest.mark.timeout(60, func_only=True)  # The first one may have to install Chromium.


def test_a_turn_is_typed_and_its_answer_streams(visit: Visit) -> None:
    visit.watch()
    visit.say("Tell me a story")
    visit.until_begun()
    assert visit.at("interrupt").is_displayed()
    visit.until_answered(STORY)
    assert visit.messages == [("user", "Tell me a story"), ("assistant", STORY)]
    assert len({text for text in visit.texts() if text.startswith("word")}) > 20
    assert visit.at("announcer").get_property("textContent") == f"Assistant: {STORY}"
    assert not visit.at("interrupt").is_displayed()


def test_what_comes_from_outside_is_text(visit: Visit) -> None:
    hostile = "<img src=x onerror=alert(1)><b>bold</b>"
    visit.say(hostile)
    visit.until_answered(f"I heard {hostile}")
    assert visit.messages[0] == ("user", hostile)
    assert visit.run("return document.querySelectorAll('#messages img, #messages b').length") == 0


def test_an_answer_is_interrupted_by_the_button_by_the_key_and_by_the_next_turn(visit: Visit) -> None:
    visit.say("Tell me an epic")
    visit.until_begun()
    visit.at("interrupt").click()
    visit.until(lambda: visit.status == "Ready" and visit.remarks == ["Interrupted"])
    visit.say("Tell me an epic")
    visit.until_begun()
    ActionChains(visit.driver).send_keys(Keys.ESCAPE).perform()
    visit.until(lambda: visit.status == "Ready" and len(visit.remarks) == 2)
    visit.say("Tell me an epic")
    visit.until_begun()
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    assert len(visit.remarks) == 3
    told = [text for role, text in visit.messages if role == "assistant"][:3]
    assert all(EPIC.startswith(text) and len(text) < len(EPIC) for text in told)
    assert visit.complaint == ""
    assert [event["response"]["status"] for event in visit.events("response.done")] == 3 * ["cancelled"] + ["completed"]


def test_a_reload_finds_the_conversation(visit: Visit) -> None:
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    visit.open()
    visit.until(lambda: visit.messages == [("user", "Hello"), ("assistant", "I heard Hello")])
    visit.say("Tell me a story")
    visit.until_begun()
    visit.driver.refresh()  # In the middle of an answer: its end says all of it.
    visit.until_answered(STORY)
    assert [text for _, text in visit.messages] == ["Hello", "I heard Hello", "Tell me a story", STORY]


def test_a_line_that_breaks_in_the_middle_of_an_answer_loses_and_doubles_nothing(visit: Visit) -> None:
    visit.watch()
    visit.say("Tell me a saga")
    visit.until_begun()
    for _ in range(2):
        visit.wire.cut()
        visit.until(lambda: visit.status.startswith("Connection lost"))
        visit.wire.mend()
        visit.until(lambda: not visit.status.startswith("Connection lost"))
    visit.until_answered(SAGA)
    texts = [text for text in visit.texts() if text.startswith("word")]
    assert all(SAGA.startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)
    visit.complaints_of_the_browser()  # The browser tells of lines that break.


def test_a_turn_that_was_typed_while_the_line_was_down_is_sent_once(visit: Visit) -> None:
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    visit.wire.cut()
    visit.until(lambda: visit.status.startswith("Connection lost"))
    visit.say("Are you there")
    assert visit.messages[-1] == ("user", "Are you there")
    visit.wire.mend()
    visit.until_answered("I heard Are you there")
    assert [text for role, text in visit.messages if role == "user"] == ["Hello", "Are you there"]
    assert len(visit.events("conversation.item.added")) == 4
    assert visit.run("return JSON.parse(sessionStorage.rtsync).outbox") == []
    visit.complaints_of_the_browser()


def test_what_was_not_confirmed_is_sent_again_and_done_once(visit: Visit) -> None:
    """The server has done it, and the page does not know: as if the line had broken before it was told."""
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    created = visit.events("conversation.item.done")[0]["item"]
    sent = {"event_id": "event_again", "type": "conversation.item.create", "item": created}
    asked = {"event_id": "event_asked", "type": "response.create", "response": {"output_modalities": ["text"]}}
    visit.directory.send(visit.session_id, visit.owner, {**sent, "item": {**created, "id": "item_again"}})
    visit.directory.send(visit.session_id, visit.owner, asked)
    visit.until(lambda: len(visit.events("response.done")) == 2)
    outbox = [["event_again", {**sent, "item": {**created, "id": "item_again"}}], ["event_asked", asked]]
    visit.run(
        "const kept = JSON.parse(sessionStorage.rtsync);"
        "sessionStorage.rtsync = JSON.stringify({ ...kept, outbox: arguments[0] })",
        outbox,
    )
    visit.driver.refresh()
    visit.until(lambda: visit.status == "Ready" and len(visit.messages) == 4)
    visit.say("And now")
    visit.until_answered("I heard And now")
    assert [text for role, text in visit.messages if role == "user"] == ["Hello", "Hello", "And now"]
    assert len(visit.events("response.done")) == 3
    assert visit.run("return JSON.parse(sessionStorage.rtsync).outbox") == []


def test_where_there_is_no_websocket_events_are_streamed_and_posted(visit: Visit) -> None:
    with visit.without_sockets():
        visit.watch()
        visit.say("Tell me a story")
        visit.until_begun()
        visit.wire.cut()
        visit.until(lambda: visit.status.startswith("Connection lost"))
        visit.wire.mend()
        visit.until_answered(STORY)
    assert all(STORY.startswith(text) for text in visit.texts() if text.startswith("word"))
    visit.complaints_of_the_browser()


@pytest.mark.parametrize("whose", ["of somebody else", "that is over"])
def test_a_session_that_is_not_ours_is_the_end_of_a_conversation_and_not_of_the_page(visit: Visit, whose: str) -> None:
    other = visit.directory.open("somebody else") if whose == "of somebody else" else "rt_gone"
    visit.run("sessionStorage.rtsync = JSON.stringify({ id: arguments[0] })", other)
    visit.driver.refresh()
    visit.until(lambda: visit.complaint == "The conversation has ended.")
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    assert visit.session_id != other
    visit.complaints_of_the_browser()  # It tells of the 404.


def test_a_conversation_that_the_server_ends_is_over_and_the_next_turn_begins_another(visit: Visit) -> None:
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    first = visit.session_id
    visit.directory.close(first, visit.owner)
    visit.until(lambda: visit.status == "The conversation has ended")
    visit.say("Hello again")
    visit.until_answered("I heard Hello again")
    assert visit.session_id != first


def test_a_service_out_of_reach_is_told_in_words_and_tried_again(browser: WebDriver) -> None:
    with reserved_port() as port:
        target = OpenAI(api_key="any", base_url=f"http://127.0.0.1:{port}/v1")
        with served(application(), target) as (app, wire):
            visit = Visit(browser, app, wire)
            visit.open()
            visit.say("Hello")
            visit.until(lambda: visit.complaint == "the service is out of reach; try again later")
            assert visit.messages == [("user", "Hello")]
            with SimulatorServer(brain=storyteller, port=port):
                visit.until_answered("I heard Hello")
                assert visit.complaint == ""
                assert len(visit.messages) == 2
                browser.get("about:blank")
                visit.complaints_of_the_browser()


def test_a_new_conversation_ends_the_old_one(visit: Visit) -> None:
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    visit.at("again").click()
    visit.until(lambda: visit.messages == [] and visit.directory.sessions(visit.owner) == [])
    assert visit.at("welcome").is_displayed()
    visit.say("Hello again")
    visit.until_answered("I heard Hello again")
    assert len(visit.messages) == 2
