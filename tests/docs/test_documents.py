"""Every Python block in README and docs runs as it stands, against the embedded simulator.

A block says in a comment before it how it is run: ``<!-- run -->`` on its own, as a program; ``<!-- run: in a session
-->`` with an open ``session`` in scope; ``<!-- run: in a window -->`` as a program with a window, which is closed when
the first answer is complete; ``<!-- run: with a window -->`` within such a program; ``<!-- run: with redis -->`` with
a Redis at ``RTSYNC_BUS`` and a worker; ``<!-- run: with a voice -->`` as a program, where there is flite;
``<!-- run: in Django, FILE -->`` at the end of that file of a new project, ``shop``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rtsync
from rtsync import RealtimeSession, Simulator
from tests.bus.redis_server import RedisServer
from tests.gui.screen import have_qt, screen
from tests.loopback import LIMIT
from tests.process.programs import Program
from tests.simulator.voices import have

ROOT = Path(__file__).parents[2]
IN_DJANGO = ": in Django, "
BLOCK = re.compile(r"(?:<!-- run(?P<how>[^>]*) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


def _blocks() -> list[tuple[str, str | None, str]]:
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if (match["how"] or "").startswith(IN_DJANGO):
                continue
            found.append((f"{path.name}:{line}", match["how"], match["code"]))
    return found


BLOCKS = _blocks()
IDS = [place for place, _, _ in BLOCKS]


@pytest.mark.parametrize(("place", "how", "code"), BLOCKS, ids=IDS)
def test_what_the_documents_show_runs(
    place: str, how: str | None, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    assert how is not None, f"{place}: say how the block is run"
    scope = {name: getattr(rtsync, name) for name in rtsync.__all__}
    program = compile(code, place, "exec")
    if how in ("", ": with a voice"):
        if how:
            have()
        exec(program, {"__name__": "__main__"})
    elif how == ": with redis":
        with RedisServer(tmp_path) as redis:
            monkeypatch.setenv("RTSYNC_BUS", redis.url)
            with Program(command=[sys.executable, "-m", "rtsync", "worker", "--target", "simulator"]):
                exec(program, {"__name__": "__main__"})
    elif how == ": in a window":
        run_in_a_window(code)
    elif how == ": with a window":
        run_in_a_window(OPENS_A_WINDOW + code + RUNS_ITS_WINDOW)
    else:
        assert how == ": in a session"
        with RealtimeSession(Simulator(pace=False)) as session:
            exec(program, {**scope, "session": session})


def test_the_django_project_of_the_documents_converses(tmp_path: Path) -> None:
    django = [sys.executable, "-W", "error::ResourceWarning", "-m", "django"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*command: str) -> str:
        ended = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=LIMIT)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    run(*django, "startproject", "shop", ".")
    blocks = BLOCK.finditer((ROOT / "docs" / "django.md").read_text(encoding="utf-8"))
    files = [(match["how"].removeprefix(IN_DJANGO), match["code"]) for match in blocks if match["how"]]
    assert [name for name, _ in files] == ["shop/settings.py", "shop/urls.py", "shop/voice.py"]
    for name, code in files:
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{code}")
    variables["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    assert "no issues" in run(*django, "check")
    assert run(sys.executable, "-W", "error::ResourceWarning", "-c", CONVERSES_IN_DJANGO).split() == ["1", "customers"]


CONVERSES_IN_DJANGO = """
import json, django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
client = Client(headers={"Host": "localhost"})
client.force_login(User.objects.create(username="ann"))
sessions = "/realtime/sessions"
id = client.post(sessions, {}, "application/json").json()["id"]
item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "count users"}]}
for event in {"type": "conversation.item.create", "item": item}, {"type": "response.create"}:
    assert client.post(f"{sessions}/{id}/events", event, "application/json").status_code == 202
stream = client.get(f"{sessions}/{id}/events")
for piece in stream:
    event = json.loads(piece.partition(b"data: ")[2] or b"{}")
    if event.get("type") == "conversation.item.added" and event["item"]["type"] == "function_call_output":
        print(event["item"]["output"])
    if event.get("type") == "response.output_text.done":
        break
stream.close()
client.delete(f"{sessions}/{id}")
assert User.objects.get().last_name == event["text"][:150]
"""
CLOSES_ITS_WINDOW = """
def answered(session, event):
    if event.type == "response.done":
        print("answered")
        root.destroy() if "root" in globals() else app.closeAllWindows()

__import__("rtsync").event_received.connect(answered)
"""
OPENS_A_WINDOW = """
import tkinter, rtsync.gui

root = tkinter.Tk()
dispatcher = rtsync.gui.TkDispatcher(root)
session = rtsync.RealtimeSession(rtsync.Simulator(pace=False), handlers=dispatcher)
dispatcher.close_with(session)
"""
RUNS_ITS_WINDOW = """
with session:
    session.send({"type": "response.create"})
    root.mainloop()
"""


def run_in_a_window(code: str) -> None:
    have_qt()
    with screen() as display:
        variables = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "offscreen"}
        command = [sys.executable, "-W", "error", "-c", CLOSES_ITS_WINDOW + code]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=variables)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "answered\n", "")


def test_the_readme_opens_with_a_program_of_at_most_fifteen_lines() -> None:
    place, _, code = BLOCKS[0]
    assert place.startswith("README.md")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))], ids=str
)
def test_links_between_the_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
