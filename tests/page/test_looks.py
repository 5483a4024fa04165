"""The page as people see it, hear it read out, and reach it: narrow and wide, light and dark, by the keyboard."""

from __future__ import annotations

import struct
import urllib.request
import zlib
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.conftest import PROJECT
from tests.page.visiting import STORY, Visit

pytestmark = pytest.mark.timeout(60, func_only=True)  # The first one may have to install Chromium.

SCREENSHOT = PROJECT / "docs" / "flask_chat.png"


@pytest.fixture
def narrow(visit: Visit) -> Iterator[Visit]:
    """On a telephone."""
    size = {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    visit.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield visit
    visit.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_is_out_of_reach_on_a_telephone(narrow: Visit) -> None:
    narrow.say("Tell me a story")
    narrow.until_answered(STORY)
    fits = "return document.documentElement.scrollWidth"
    assert narrow.run(fits) == 360
    for button in narrow.driver.find_elements(By.CSS_SELECTOR, "header button, footer button, textarea"):
        if button.is_displayed():
            place = button.rect
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= 360
            assert place["y"] + place["height"] <= 640
            assert place["height"] >= 32
    assert narrow.at("words").rect["width"] >= 150
    log = "const log = document.getElementById('log'); return log.scrollHeight - log.scrollTop - log.clientHeight"
    assert abs(narrow.run(log)) <= 1  # It has followed the answer.
    narrow.say("Tell me an epic")
    narrow.until_begun()
    narrow.wire.cut()
    narrow.until(lambda: narrow.status.startswith("Connection lost"))  # The longest there is, with every button.
    assert narrow.at("interrupt").is_displayed()
    assert narrow.run(fits) == 360
    narrow.complaints_of_the_browser()


# WCAG 2.1, 1.4.3: relative luminance, and what text needs against what is behind it.
CONTRASTS = """
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const behind = node => {
        const color = rgb(getComputedStyle(node).backgroundColor);
        return color.length === 3 || color[3] > 0 ? color : behind(node.parentElement);
    };
    const light = color => color.slice(0, 3).map(each => each / 255)
        .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, n) => sum + each * [0.2126, 0.7152, 0.0722][n], 0);
    const contrast = node => {
        const [more, less] = [rgb(getComputedStyle(node).color), behind(node)].map(light).sort((a, b) => b - a);
        return (more + 0.05) / (less + 0.05);
    };
    const shown = document.querySelectorAll('h1, h1 span, #status, .who, .words, .remark, button, textarea');
    return Object.fromEntries([...shown].map(each => [each.id || each.className || each.tagName, contrast(each)]));
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_by_day_and_by_night(visit: Visit, scheme: str) -> None:
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    visit.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    try:
        visit.say("Tell me an epic")
        visit.until_begun()
        visit.at("interrupt").click()
        visit.until(lambda: visit.remarks == ["Interrupted"])
        contrasts = visit.run(CONTRASTS)
        dark = visit.run("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 23)"
    finally:
        visit.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert dark == (scheme == "dark")
    assert {name for name, contrast in contrasts.items() if contrast < 4.5} == set()
    assert len(contrasts) > 8


def test_everything_has_a_name_and_what_happens_is_read_out(visit: Visit) -> None:
    named = {each.accessible_name for each in visit.driver.find_elements(By.CSS_SELECTOR, "button, textarea, main")}
    assert named >= {"New conversation", "Conversation", "Your message", "Talk", "Send"}
    assert visit.at("status").aria_role == "status"
    assert visit.at("announcer").get_attribute("aria-live") == "polite"
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    assert visit.at("announcer").get_property("textContent") == "Assistant: I heard Hello"
    assert visit.run("return document.documentElement.lang") == "en"


def test_the_keyboard_reaches_everything(visit: Visit) -> None:
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    found = []
    for _ in range(8):
        ActionChains(visit.driver).send_keys(Keys.TAB).perform()
        found.append(visit.run("return document.activeElement.id"))
    assert set(found) >= {"again", "log", "words", "talk", "send"}
    words = visit.at("words")
    words.click()
    line_end = ActionChains(visit.driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT)
    words.send_keys("one")
    line_end.perform()
    words.send_keys("two")
    assert words.get_property("value") == "one\ntwo"
    words.send_keys(Keys.ENTER)
    visit.until_answered("I heard one\ntwo")


def test_the_page_loads_nothing_but_its_own_files_and_runs_no_script_in_between(visit: Visit) -> None:
    with urllib.request.urlopen(visit.url) as answer:
        policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.count("<script") == page.count('<script type="module" src="/static/')
    for forbidden in ("style=", "onclick=", "http://", "https://"):
        assert forbidden not in page
    loaded = visit.run("return performance.getEntriesByType('resource').map(each => new URL(each.name).host)")
    assert set(loaded) == {f"127.0.0.1:{visit.wire.port}"}
    visit.run(
        "const made = document.createElement('script');made.textContent = 'window.bad = 1';document.body.append(made)"
    )
    assert visit.run("return window.bad") is None
    assert any("Content Security Policy" in each for each in visit.complaints_of_the_browser())


def test_a_picture_of_the_page_shows_a_conversation(visit: Visit) -> None:
    blank = visit.driver.get_screenshot_as_png()
    visit.say("Hello")
    visit.until_answered("I heard Hello")
    assert shades(visit.driver.get_screenshot_as_png()) > shades(blank) > 16


def test_the_picture_in_the_docs_is_one() -> None:
    picture = SCREENSHOT.read_bytes()
    assert len(picture) < 150_000
    assert shades(picture) > 100
    shown = (PROJECT / "docs" / "flask_chat.md").read_text(encoding="utf-8")
    assert f"]({SCREENSHOT.name})" in shown


def shades(png: bytes) -> int:
    """How many different rows a picture has: a blank one has a single one."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, width, height, channels = 8, b"", 0, 0, 0
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IHDR":
            width, height, _, color = struct.unpack(">IIBB", png[at + 8 : at + 18])
            channels = {0: 1, 2: 3, 3: 1, 6: 4}[color]
        elif kind == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += 12 + size
    rows = zlib.decompress(data)
    length = len(rows) // height
    assert length == 1 + width * channels
    return len({rows[row * length : (row + 1) * length] for row in range(height)})
