"""The application on a server, and its page in the browser: what tests do with both."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import msgspec
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import WSGIRequestHandler, make_server

from rtsync import Target
from rtsync.bus import SessionDirectory
from rtsync.simulator.brains import Turn, last_user_text
from tests.conftest import PROJECT
from tests.page.wire import Wire

__all__ = ["EPIC", "LIMIT", "SAGA", "STORY", "Visit", "application", "served", "storyteller"]

LIMIT = 30.0  # seconds; reached only on failure
STORY, SAGA, EPIC = (" ".join(f"word{number}" for number in range(many)) for many in (40, 90, 2000))


@functools.cache
def application() -> ModuleType:
    """`examples/flask_chat/app.py`."""
    spec = importlib.util.spec_from_file_location("flask_chat_app", PROJECT / "examples" / "flask_chat" / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Where Flask looks for the folder.
    spec.loader.exec_module(module)
    return module


def storyteller(turn: Turn) -> Iterator[str]:
    """What answers."""
    said = last_user_text(turn)
    told = {"Tell me a story": STORY, "Tell me a saga": SAGA, "Tell me an epic": EPIC}
    yield told.get(said, f"I heard {said}")


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object, **__: object) -> None:
        pass


@contextmanager
def served(chat: ModuleType, target: Target, **config: Any) -> Iterator[tuple[Flask, Wire]]:
    """The application, on a server of this process."""
    app = chat.create_app(RTSYNC_TARGET=target, **config)
    directory: SessionDirectory = app.extensions["rtsync"].directory
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    wire = Wire(server.server_port)
    try:
        yield app, wire
    finally:
        wire.close()
        directory.stop()
        server.shutdown()
        thread.join()
        server.server_close()


class Visit:
    """A browser on the page."""

    def __init__(self, driver: WebDriver, app: Flask, wire: Wire) -> None:
        self.driver, self.app, self.wire = driver, app, wire
        self.directory: SessionDirectory = app.extensions["rtsync"].directory

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}/"

    def open(self) -> None:
        self.driver.get(self.url)
        self.until(lambda: self.status == "Ready")

    def at(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def do(self, script: str, *arguments: Any) -> Any:
        """What the body of an `async` function returns."""
        body = "const [done, ...given] = [...arguments].reverse();" + (
            f"(async (...args) => {{ {script} }})(...given.reverse())"
            ".then(value => done({ value }), error => done({ error: String(error) }))"
        )
        found: dict[str, Any] = self.driver.execute_async_script(body, *arguments)
        assert "error" not in found, found["error"]
        return found.get("value")

    @property
    def status(self) -> str:
        return self.at("status").text

    @property
    def complaint(self) -> str:
        return self.at("complaint-words").text

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Who said what, in order."""
        found = self.run(
            "return [...document.querySelectorAll('#messages > li')]"
            ".map(each => [each.dataset.role, each.querySelector('.words').textContent])"
        )
        return [(role, text) for role, text in found]

    @property
    def remarks(self) -> list[str]:
        return [
            text
            for text in self.run("return [...document.querySelectorAll('.remark')].map(each => each.textContent)")
            if text
        ]

    @property
    def session_id(self) -> str:
        kept: str = self.run("return JSON.parse(sessionStorage.rtsync).id")
        return kept

    @property
    def owner(self) -> str:
        """Who the application takes this browser for."""
        signed = SecureCookieSessionInterface().get_signing_serializer(self.app)
        cookie = self.driver.get_cookie("session")
        assert signed is not None
        assert cookie is not None
        told: dict[str, str] = signed.loads(cookie["value"])
        return told["visitor"]

    def say(self, text: str) -> None:
        self.at("words").send_keys(text, Keys.ENTER)

    def until(self, holds: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, LIMIT, poll_frequency=0.05).until(lambda _: holds())

    def until_answered(self, text: str) -> None:
        self.until(lambda: self.messages[-1:] == [("assistant", text)] and self.status in ("Ready", "Listening"))

    def until_begun(self, words: str = "word3 ") -> None:
        """The answer to the last turn has begun, and is not over."""
        self.until(lambda: words in (self.messages or [("", "")])[-1][1])
        assert self.status == "Answering"

    @contextmanager
    def without_sockets(self) -> Iterator[None]:
        """The page, opened where no WebSocket gets through."""
        refused = (
            "window.WebSocket = class { constructor() { setTimeout(() => this.onclose({ code: 1006 })); } close() {} }"
        )
        patch = self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refused})
        try:
            self.open()
            yield
        finally:
            self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", patch)

    def watch(self) -> None:
        """Remember every text that the last message has had."""
        self.run(
            "window.texts = [];"
            "const last = () => [...document.querySelectorAll('.words')].at(-1)?.textContent ?? '';"
            "new MutationObserver(() => texts.push(last()))"
            ".observe(document.getElementById('messages'), { subtree: true, childList: true, characterData: true })"
        )

    def texts(self) -> list[str]:
        found: list[str] = self.run("return window.texts")
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Of this type, all that the session has had so far."""
        found: list[dict[str, Any]] = []
        with self.directory.stream(self.session_id, self.owner, heartbeat=0.1) as stream:
            for posted in stream:
                if posted.data is None:
                    return found
                if posted.type == kind:
                    found.append(msgspec.json.decode(posted.data))
        return found

    def complaints_of_the_browser(self) -> list[str]:
        """What stands in its console since this was asked, of what it takes for an error."""
        told: list[dict[str, Any]] = self.driver.get_log("browser")
        return [entry["message"] for entry in told if entry["level"] == "SEVERE"]
