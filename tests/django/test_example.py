"""`examples/django_chat`: the page of `examples/flask_chat`, by its one command and under gunicorn."""

from __future__ import annotations

import http.cookiejar
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import PROJECT
from tests.django.browsing import events_in, say
from tests.django.test_servers import blocks
from tests.loopback import LIMIT, reserved_port
from tests.page.chromium import chromium
from tests.process.programs import Program

EXAMPLE = PROJECT / "examples" / "django_chat"
pytestmark = pytest.mark.timeout(60, func_only=True)  # The first one may have to install Chromium.


@pytest.fixture(scope="module")
def runserver() -> Iterator[str]:
    """Django's own server; its address."""
    with reserved_port() as port:
        pass
    command = [sys.executable, str(EXAMPLE / "manage.py"), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with Program(command=command) as program:
        program.read_until("Quit the server")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def gunicorn() -> Iterator[str]:
    """As it is served for voice."""
    command = [
        *(sys.executable, "-m", "gunicorn", "--chdir", str(EXAMPLE), "--threads", "32", "--bind", "127.0.0.1:0"),
        *("--error-logfile", "/dev/stdout", "wsgi"),
    ]
    with Program(command=command) as program:
        found = re.search(r"http://127\.0\.0\.1:\d+", program.read_until("Listening at"))
        assert found is not None
        yield found[0]


class Site:
    """The page, without a browser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
        )
        with self.ask("/") as page:
            self.page = page.read().decode()
        token = re.search(r'data-csrf="([^"]+)"', self.page)
        assert token is not None
        self._token = token[1]

    def ask(self, path: str, body: object = None) -> http.client.HTTPResponse:
        """An answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"X-CSRFToken": self._token, "Content-Type": "application/json"}
        found = self._opener.open(urllib.request.Request(self.url + path, data, headers), timeout=LIMIT)
        assert isinstance(found, http.client.HTTPResponse)
        return found

    def answer(self, path: str, body: object) -> dict[str, str]:
        """What is said to a post."""
        with self.ask(path, body) as told:
            found: dict[str, str] = json.load(told)
            return found


def test_one_command_serves_the_page_and_a_conversation(runserver: str) -> None:
    site = Site(runserver)
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', site.page)
    assert len(files) >= 3
    for file in files:
        with site.ask(file) as found:
            assert found.read() == (PROJECT / "examples/flask_chat" / file.removeprefix("/")).read_bytes()
    path = f"/realtime/sessions/{site.answer('/realtime/sessions', {})['id']}"
    for event in say("Hello"):
        site.answer(f"{path}/events", event)
    with site.ask(f"{path}/events") as stream:
        assert [event["type"] for event in events_in(blocks(stream), "response.done")]
    with pytest.raises(urllib.error.HTTPError) as refused:
        Site(runserver).ask(path)  # Another visitor.
    assert refused.value.code == 404
    refused.value.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Chromium."""
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.mark.parametrize(("server", "refusals"), [("runserver", ["501"]), ("gunicorn", [])])
def test_a_turn_is_typed_and_a_reload_finds_it(
    request: pytest.FixtureRequest, browser: WebDriver, server: str, refusals: list[str]
) -> None:
    browser.get(request.getfixturevalue(server))
    wait = WebDriverWait(browser, LIMIT, poll_frequency=0.05)
    wait.until(lambda _: is_ready(browser))
    browser.find_element(By.ID, "words").send_keys("Hello there", Keys.ENTER)
    wait.until(lambda _: len(said(browser)) == 2 and "Hello there" in said(browser)[1] and is_ready(browser))
    told = browser.get_log("browser")
    assert [entry["message"][-3:] for entry in told] == refusals
    before = said(browser)
    browser.refresh()
    wait.until(lambda _: said(browser) == before)
    browser.get("about:blank")
    browser.get_log("browser")  # Each page asks for a WebSocket first.


def is_ready(browser: WebDriver) -> bool:
    """Whether nothing is under way."""
    return browser.find_element(By.ID, "status").text == "Ready"


def said(browser: WebDriver) -> list[str]:
    """The words of each message."""
    script = "return [...document.querySelectorAll('#messages > li .words')].map(each => each.textContent)"
    found: list[str] = browser.execute_script(script)
    return found
