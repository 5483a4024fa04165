"""Chromium without a screen, driven by selenium, with a file for a microphone."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

from tests import apt

__all__ = ["chromium"]

PROGRAMS = {"chromium": "chromium", "chromedriver": "chromium-driver"}
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # The tests may be root's.
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


@functools.cache
def have() -> None:
    """Have Chromium and its driver on the PATH."""
    apt.have(lambda: [package for name, package in PROGRAMS.items() if shutil.which(name) is None], "open a page")


@contextmanager
def chromium(folder: Path, *, hears: Path | None = None, more: Sequence[str] = ()) -> Iterator[WebDriver]:
    """A browser of its own. Each time that a page opens the microphone it hears `hears` from its beginning, once."""
    have()
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    heard = () if hears is None else (f"--use-file-for-fake-audio-capture={hears}%noloop",)
    for flag in (*FLAGS, *more, *heard, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()
