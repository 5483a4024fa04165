"""The page of a conversation: it holds all it needs, says what happened, and lets nobody's words command a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from msgspec import structs

from rtsync.pure.timeline import timeline_page
from rtsync.pure.turns import ToolSpan, Turn

VOID = {"meta", "link", "img", "br", "hr", "input"}
EVIL = "<script>alert(1)</script>\"'&\x1b[31m\x00\udc80"

SPOKEN = Turn(
    response_id="resp_1", status="completed", user_item_id="u1", item_ids=("a1", "a2"), speech_started_at=1000.0,
    speech_ended_at=1001.8, heard_at=1002.0, created_at=1002.0, first_transcript_at=1002.3, first_audio_at=1002.4,
    played_at=1002.5, done_at=1004.0, silent_at=1005.5,
)  # fmt: skip
CUT = Turn(
    response_id="resp_2", status="cancelled", reason="turn_detected", speech_started_at=1006.0, speech_ended_at=1007.0,
    heard_at=1007.2, created_at=1007.2, first_audio_at=1007.9, interrupted_at=1009.0, done_at=1009.5, heard_ms=1100,
)  # fmt: skip
TOOLS = Turn(
    response_id="resp_3", status="completed", asked_at=1012.0, created_at=1012.1, first_text_at=1012.25, done_at=1013.0,
    tools=(ToolSpan(name="look_up", called_at=1010.0, answered_at=1011.5), ToolSpan(name=None, called_at=1011.0)),
)  # fmt: skip
BESIDE = Turn(
    response_id="resp_4", status="failed", reason="server_error", out_of_band=True, asked_at=1012.0, created_at=1012.1,
    done_at=1012.9,
)  # fmt: skip
UNANSWERED = Turn(speech_started_at=1014.0, speech_ended_at=1015.0, heard_at=1015.2)
SPEAKING = Turn(speech_started_at=1016.0)
ALL = [SPOKEN, CUT, TOOLS, BESIDE, UNANSWERED, SPEAKING]


class Page(HTMLParser):
    """A page as a browser takes it apart; everything that is opened has to be closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[tuple[str, str]] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()
        assert self._inside == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._inside.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append((self._inside[-1] if self._inside else "", data))

    def texts(self, tag: str) -> list[str]:
        return [said for inside, said in self.said if inside == tag]

    def rects(self, kind: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "rect" and attributes.get("class") == kind]


def across(rect: dict[str, str | None]) -> tuple[float, float]:
    """Where a bar begins and ends, in pixels."""
    start, width = float(rect["x"] or 0), float(rect["width"] or 0)
    return start, start + width


def test_bars_stand_for_what_took_time() -> None:
    page = Page(timeline_page(ALL))
    counts = {kind: len(page.rects(kind)) for kind in ("user", "wait", "model", "cut", "tool", "beside")}
    # The user spoke four times and asked in text once; the failed answer beside has no words.
    assert counts == {"user": 5, "wait": 3, "model": 3, "cut": 1, "tool": 2, "beside": 1}


def test_the_wait_lies_between_the_end_of_speech_and_the_first_sample() -> None:
    page = Page(timeline_page([SPOKEN]))
    ((_, spoken),) = [across(rect) for rect in page.rects("user")]
    ((start, end),) = [across(rect) for rect in page.rects("wait")]
    ((first, last),) = [across(rect) for rect in page.rects("model")]
    assert (start, end) == pytest.approx((spoken, first), abs=0.2)
    assert (last - first) / (end - start) == pytest.approx(3.0 / 0.7, rel=0.01)


def test_what_was_interrupted_begins_where_the_answer_was_cut_off() -> None:
    page = Page(timeline_page([CUT]))
    ((_, end),) = [across(rect) for rect in page.rects("model")]
    ((cut, _),) = [across(rect) for rect in page.rects("cut")]
    assert cut == pytest.approx(end, abs=0.2)
    assert "Turn 1: interrupted, 1100 ms heard" in page.texts("title")


def test_an_interruption_in_the_middle_of_sound_can_be_seen() -> None:
    heard = structs.replace(SPOKEN, interrupted_at=1005.0, silent_at=1005.0, heard_ms=2500)
    page = Page(timeline_page([heard]))
    ((start, end),) = [across(rect) for rect in page.rects("cut")]
    assert end - start >= 8
    assert "completed, interrupted" in page.texts("td")


def test_what_is_beside_the_conversation_has_a_lane_of_its_own() -> None:
    page = Page(timeline_page([TOOLS, structs.replace(BESIDE, first_text_at=1012.4)]))
    lanes = [said for said in page.texts("text") if said in {"user", "model", "tools", "beside"}]
    assert lanes == ["user", "model", "tools", "beside"]
    heights = {kind: {rect["y"] for rect in page.rects(kind)} for kind in ("wait", "model", "beside")}
    assert heights["wait"] == heights["model"]
    assert not heights["model"] & heights["beside"]


def test_a_wait_lies_behind_the_answer_that_is_heard_meanwhile() -> None:
    asked = Turn(
        response_id="r", status="completed", asked_at=1003.0, created_at=1003.0, first_audio_at=1003.1,
        played_at=1005.5, done_at=1004.0, silent_at=1007.0,
    )  # fmt: skip
    page = Page(timeline_page([SPOKEN, asked]))
    kinds = [attributes["class"] for tag, attributes in page.tags if tag == "rect"]
    assert kinds.index("model") > max(at for at, kind in enumerate(kinds) if kind == "wait")


def test_labels_do_not_lie_upon_each_other() -> None:
    calls = tuple(ToolSpan(name="look_up_something_long", called_at=at, answered_at=at + 0.1) for at in (1.0, 1.2, 9.0))
    page = Page(timeline_page([Turn(response_id="r", status="completed", asked_at=0.5, done_at=9.5, tools=calls)]))
    assert page.texts("text").count("look_up_something_long") == 2
    assert len([tip for tip in page.texts("title") if tip.startswith("look_up_something_long")]) == 3


def test_the_table_has_the_numbers() -> None:
    page = Page(timeline_page(ALL))
    cells = page.texts("td")
    assert cells[:7] == ["1", "1.80 s", "500 ms", "600 ms", "700 ms", "3.00 s", "completed"]
    assert {"cancelled, turn_detected", "failed, server_error, beside the conversation", "not answered"} <= {*cells}
    (summary,) = page.texts("p")
    assert summary.startswith("6 turns · first text after 500 ms (median)")
    assert summary.endswith("1 interrupted")


def test_a_conversation_in_text_has_waits_and_answers_too() -> None:
    turns = [
        Turn(response_id=f"r{start}", status="completed", asked_at=float(start), created_at=start + 0.1,
             first_text_at=start + 0.2, done_at=start + 1.0)
        for start in (100, 103)
    ]  # fmt: skip
    page = Page(timeline_page(turns))
    assert (len(page.rects("user")), len(page.rects("wait")), len(page.rects("model"))) == (2, 2, 2)
    assert "tools" not in page.texts("text")


@pytest.mark.parametrize("turns", [[], ALL, [Turn()]], ids=["none", "all kinds", "an empty one"])
def test_the_page_refers_to_nothing(turns: list[Turn]) -> None:
    text = timeline_page(turns, title="A talk", said={"u1": "Look at https://example.test/x.js"})
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "base", "form", "a"}
    named = {name for _, attributes in page.tags for name in attributes}
    assert not named & {"src", "href", "xlink:href", "srcset", "action", "style"}
    assert not [name for name in named if name.startswith("on")]
    (style,) = page.texts("style")
    assert re.findall(r"url\(([^)]*)\)|@import", style) == ["#hatch"]
    text.encode("utf-8")


def test_nobodys_words_become_markup() -> None:
    turn = Turn(
        response_id=EVIL, status=EVIL, reason=EVIL, user_item_id="u", item_ids=("a",), asked_at=1.0, created_at=1.1,
        first_text_at=1.2, done_at=2.0, tools=(ToolSpan(name=EVIL, called_at=0.0, answered_at=0.5),),
    )  # fmt: skip
    text = timeline_page([turn], title=EVIL, said={"u": EVIL, "a": EVIL})
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not {"\x1b", "\x00", "\udc80"} & {*text}
    assert [said for said in page.texts("td") if said.startswith("<script>alert(1)</script>\"'&")]
    assert [said for said in page.texts("h1") if said.startswith("<script>alert(1)</script>\"'&")]


def test_what_was_said_is_there_only_where_it_was_given() -> None:
    said = {"u1": "my secret question", "a1": "an answer", "a2": "and more"}
    assert "question" not in timeline_page(ALL)
    page = Page(timeline_page(ALL, said=said))
    assert {"my secret question", "an answer\nand more"} <= {*page.texts("td")}


def test_an_hour_in_which_nothing_happens_is_left_out() -> None:
    later = Turn(response_id="r", status="completed", asked_at=5000.0, first_text_at=5001.0, done_at=5002.0)
    page = Page(timeline_page([SPOKEN, later]))
    assert [said for said in page.texts("text") if said.endswith("left out")] == ["3994 s left out"]
    widths = [float(attributes["width"] or 0) for tag, attributes in page.tags if tag == "svg"]
    assert widths[0] < 1200
    ((_, spoken),) = [across(rect) for rect in page.rects("wait")[:1]]
    assert across(page.rects("wait")[1])[0] > spoken
