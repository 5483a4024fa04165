"""`examples/talking.py`, with a device that is not there in place of one that is."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys

import pytest

from rtsync.audio import PCM16
from rtsync.devices import VirtualDevice
from rtsync.edges.latch import Latch
from tests.conftest import PROJECT
from tests.devices.watched import LIMIT
from tests.session.service import spawn
from tests.simulator.sounds import speech

EXAMPLE = PROJECT / "examples" / "talking.py"


class Room(VirtualDevice):
    """Whoever is in it speaks when it has heard something, and notes the first sound after that."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.answered = False
        self.over = Latch()

    def put(self, pcm: bytes) -> None:
        super().put(pcm)
        if not any(pcm):
            self.answered |= self.asked
        elif not self.asked:
            self.asked = True
            self.hear(speech("Stop it") + PCM16.silence(800))
        elif self.answered:
            self.over.set()


def test_it_is_ten_lines() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    docstring = ast.parse(source).body[0].end_lineno
    assert len([line for line in source.splitlines()[docstring:] if line.strip()]) <= 10


def test_it_speaks_is_interrupted_and_speaks_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room()
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), room, room])
    talking = spawn(runpy.run_path, str(EXAMPLE))
    assert room.over.wait(LIMIT)
    room.unplug()
    with pytest.raises(SystemExit, match="microphone is gone"):
        talking.result()
    greeting, answer = capsys.readouterr().out.split("\n", 1)
    assert greeting.startswith("I have")
    assert answer.startswith("You")


def test_without_the_device_it_says_so_in_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, EXAMPLE, "no such device", "virtual"], capture_output=True, text=True, timeout=50, cwd=PROJECT
    )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(("there is no speaker here: ", "there is no microphone here: ", "no input device"))
