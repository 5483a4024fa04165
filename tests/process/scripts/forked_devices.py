"""Fork with an open speaker and microphone: `forked_devices DEVICE|default HOW_THE_CHILD_LEAVES`."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from rtsync.audio import PCM16
from rtsync.devices import Microphone, Speaker
from rtsync.edges.latch import Latch
from tests.process.scripts.forked import leave, not_refused

SOUND = PCM16.silence(1_500)


def everything_that_acts(speaker: Speaker, microphone: Microphone) -> dict[str, Callable[[], Any]]:
    """A call of everything that would need the device."""
    return {
        "open": speaker.open,
        "play": lambda: speaker.play(SOUND, item_id="child"),
        "finish": lambda: speaker.finish("parent"),
        "stop": speaker.stop,
        "drain": lambda: speaker.drain(timeout=None),
        "played_ms": lambda: speaker.played_ms("parent"),
        "heard": speaker.heard,
        "watch": lambda: speaker.watch(lambda: None),
        "read": lambda: microphone.read(timeout=None),
        "next": lambda: next(microphone),
        "open microphone": microphone.open,
    }


def use_in_the_child(speaker: Speaker, microphone: Microphone, choice: str | None) -> dict[str, str]:
    """What became of each call that was not refused as it should be; then devices of the child's own."""
    wrong = not_refused(everything_that_acts(speaker, microphone), "Open devices after the fork")
    speaker.close()
    microphone.close()
    with Speaker(choice) as mine, Microphone(choice) as my_microphone:
        mine.play(PCM16.silence(50), item_id="child")
        mine.drain(timeout=10)
        if not mine.heard()[0].finished or my_microphone.read(timeout=10) is None:
            wrong["of its own"] = str(mine.heard())
    return wrong


def child(speaker: Speaker, microphone: Microphone, choice: str | None, out: int) -> None:
    """What the forked child does, and tells the parent."""
    faulthandler.dump_traceback_later(20, exit=True)
    started = time.monotonic()
    wrong = use_in_the_child(speaker, microphone, choice)
    os.write(out, json.dumps({"wrong": wrong, "seconds": time.monotonic() - started}).encode())


def main() -> None:
    """Fork while the devices work, a child that uses them and one that leaves at once; print what came of it."""
    choice, how = None if sys.argv[1] == "default" else sys.argv[1], sys.argv[2]
    sounds, reports = Latch(), []
    with Speaker(choice) as speaker, Microphone(choice) as microphone:
        watch = speaker.watch(sounds.set)
        speaker.play(SOUND, item_id="parent")
        assert sounds.wait(20)
        for used in (True, False):
            receiving, out = os.pipe()
            pid = os.fork()
            if pid == 0:
                child(speaker, microphone, choice, out) if used else os.write(out, b"{}")
                return leave(how)
            os.close(out)
            with os.fdopen(receiving) as pipe:
                reports.append(json.loads(pipe.read() or "null"))
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
        speaker.finish("parent")
        speaker.drain(timeout=20)
        heard = [(part.item_id, part.finished) for part in speaker.heard()]
        chunk = microphone.read(timeout=20)
        watch.close()
    print(json.dumps({"children": reports, "heard": heard, "recorded": len(chunk or b"")}))
    return None


if __name__ == "__main__":
    main()
