"""Makes the picture of the page for the docs: `python -m tests.page.screenshot docs/flask_chat.png`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rtsync import Simulator
from rtsync.audio import resample, write_wav
from rtsync.simulator import Pocketsphinx
from rtsync.simulator.brains import Turn, last_user_text
from tests.page.chromium import chromium
from tests.page.visiting import Visit, application, served
from tests.simulator.spoken import spoken

TYPED = "I have a free afternoon in Paris. What should I see?"
SPOKEN = ("how long does it take to walk there", "where can we eat")
ANSWERS = {
    TYPED: "The Musée d’Orsay, if you like paintings: two hours are enough for the top floor. Afterwards, walk along"
    " the river to the Île Saint-Louis.",
    SPOKEN[0]: "About twenty-five minutes, if you cross at the Pont Neuf. There are bookstalls on the way, and I would"
    " take my time.",
    SPOKEN[1]: "On the island itself: there is a good crêperie in the rue Saint-Louis. Shall I find out when it opens?",
}
SIZE = {"width": 960, "height": 640, "deviceScaleFactor": 1.5, "mobile": False}


def guide(turn: Turn) -> Iterator[str]:
    """What answers."""
    yield ANSWERS[last_user_text(turn)]


def sound(folder: Path) -> Path:
    """Both spoken turns, the second into the answer to the first."""
    first, second = (spoken(words) for words in SPOKEN)
    pcm = first.between(1000, 4000).pcm + second.between(0, 1000).pcm
    write_wav(folder / "said.wav", resample(pcm, 24_000, 48_000), sample_rate=48_000)
    return folder / "said.wav"


def picture() -> bytes:
    """A PNG of a conversation, typed and spoken."""
    target = Simulator(brain=guide, ears=Pocketsphinx(phrases=SPOKEN), voice="flite", vad="webrtc")
    with (
        tempfile.TemporaryDirectory() as name,
        chromium(Path(name), hears=sound(Path(name))) as driver,
        served(application(), target) as (app, wire),
    ):
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
        visit = Visit(driver, app, wire)
        visit.open()
        visit.say(TYPED)
        visit.until_answered(ANSWERS[TYPED])
        visit.at("talk").click()
        visit.until(lambda: ("assistant", ANSWERS[SPOKEN[1]]) in visit.messages and visit.status == "Speaking")
        shown = driver.get_screenshot_as_png()
        driver.get("about:blank")
    return shown


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(picture())
