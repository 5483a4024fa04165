"""The two examples with a window, as a user sees them: on a screen that nobody sees, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rtsync.simulator import SimulatorServer
from tests.conftest import PROJECT
from tests.loopback import LIMIT

TK = """
import sys, tkinter as tk, rtsync, tk_chat

root = tk.Tk()
session = tk_chat.chat(root, target)
text, entry, stop, status = root.winfo_children()
close = root.destroy
root.update()
entry.focus_force()

def type_in(words):
    entry.insert(0, words)
    entry.event_generate("<Return>")

def shown(): return text.get("1.0", "end-1c")
def colour(): return text["background"]
def may_stop(): return str(stop["state"]) == "normal"
def press(): stop.invoke()
def said(): return status["text"]
def soon(function): root.after(1, function)
def loop(): root.mainloop()
"""
QT = """
import sys, rtsync, qt_chat
from PySide6.QtCore import QTimer, Qt

app = qt_chat.QApplication([])
window = qt_chat.Chat(target)
window.show()
session = window.session
close = window.close

def type_in(words):
    window.entry.setText(words)
    window.entry.returnPressed.emit()

def shown(): return window.text.toPlainText()
def colour(): return window.text.styleSheet().rpartition(" ")[2]
def may_stop(): return window.stop.isEnabled()
def press(): window.stop.click()
def said(): return window.status.text()
def soon(function): QTimer.singleShot(1, function)
def loop(): app.exec()
"""
# A user: each step is taken when the one before has come to what it waits for.
USER = """
def user():
    type_in("What is a socket?")
    yield lambda: said() == "completed"
    assert "What is a socket?" in shown() and "scripted brain" in shown(), shown()
    assert not may_stop()
    type_in("Set colour to pink, please")
    yield lambda: colour() == "pink"
    yield lambda: "The window is pink now." in shown() and said() == "completed"
    before = len(shown())
    type_in("Say a couple paragraphs!")
    yield lambda: len(shown()) > before + 60 and may_stop()
    press()
    yield lambda: said() == "cancelled"
    assert "first one" not in shown()
    type_in("Say a couple paragraphs!")
    yield lambda: "first one" in shown()
    close()

def take_a_step(wanted=None):
    try:
        if wanted is None or wanted():
            wanted = next(steps)
    except StopIteration:
        return
    except AssertionError as error:
        print("failed:", error)
        close()
        return
    soon(lambda: take_a_step(wanted))

steps = user()
with session:
    take_a_step()
    loop()
import threading
for thread in threading.enumerate():
    if thread.name.startswith("rtsync-closing-"):
        thread.join()
print("left:", [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync")], session.state)
"""
OFFSCREEN = "This plugin does not support propagateSizeHints()\n"  # Qt says so of itself.
SIMULATOR = "import rtsync; target = rtsync.Simulator()"


def run(*command: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'examples'}", **variables}
    ended = subprocess.run(
        [sys.executable, "-W", "error", *command], capture_output=True, text=True, timeout=LIMIT, env=environment
    )
    assert (ended.returncode, ended.stderr.replace(OFFSCREEN, "")) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("program", [TK, QT], ids=["tk", "qt"])
def test_a_user_chats_has_the_window_coloured_interrupts_and_closes_it_in_the_middle(
    program: str, on_screen: None, offscreen: None
) -> None:
    assert run("-c", SIMULATOR + program + USER) == "left: [] closed\n"


@pytest.mark.parametrize("real", ["OpenAI", "Azure"])
@pytest.mark.parametrize("program", [TK, QT], ids=["tk", "qt"])
def test_the_environment_names_the_service(program: str, real: str, on_screen: None, offscreen: None) -> None:
    name = "tk_chat" if program is TK else "qt_chat"
    closes_when_answered = """
import runpy, rtsync

def answered(session, event):
    if event.type == "session.updated":
        print(type(session.target).__name__)
        globals_of[0]()

globals_of = []
rtsync.event_received.connect(answered)
"""
    ends = {
        TK: """
import tkinter
class Root(tkinter.Tk):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        globals_of.append(self.destroy)
tkinter.Tk = Root
""",
        QT: """
from PySide6.QtWidgets import QApplication
globals_of.append(QApplication.closeAllWindows)
""",
    }[program]
    with SimulatorServer(pace=False, api_keys=["k"]) as server:
        variables = {
            "OpenAI": {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.openai_url},
            "Azure": {
                "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
                "AZURE_OPENAI_DEPLOYMENT": "mine",
                "AZURE_OPENAI_API_KEY": "k",
            },
        }[real]
        path = str(PROJECT / "examples" / f"{name}.py")
        started = f"runpy.run_path({path!r}, run_name='__main__')"
        assert run("-c", closes_when_answered + ends + started, **variables) == f"{real}\n"
