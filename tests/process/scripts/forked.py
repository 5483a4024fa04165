"""Fork with an open session while another thread works with it: `forked URL CA_FILE|- HOW_THE_CHILD_LEAVES`."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rtsync import RealtimeSession, UsageError
from rtsync.devices import Speaker, VirtualDevice
from tests.process.scripts.sessions import session_to, sockets

SILENT = {"close", "state", "target"}  # allowed in a fork, and about the program or the session's past only


def everything_public(session: RealtimeSession, held: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """A call of every public method of a session, and of what it hands out."""
    item = {"type": "message", "role": "user", "content": []}
    return {
        "open": session.open,
        "send": lambda: session.send({"type": "response.create"}),
        "append_audio": lambda: session.append_audio(b"\0\0"),
        "send_audio": lambda: session.send_audio(b"\0\1" * 4800, sample_rate=24_000, pace=False),
        "stop_audio": session.stop_audio,
        "responses": lambda: session.responses(timeout=None),
        "attach": lambda: session.attach(held["speaker"]),
        "interrupt": lambda: session.interrupt(timeout=None),
        "talk": lambda: session.talk("virtual", "virtual", timeout=None),
        "stop_talking": session.stop_talking,
        "wait_for": lambda: session.wait_for("response.done", timeout=None),
        "expect": lambda: session.expect("response.done", timeout=None),
        "events": lambda: session.events(timeout=None),
        "on": lambda: session.on("response.done", print),
        "off": lambda: session.off("response.done", print),
        "once": lambda: session.once("response.done", print),
        "signal": lambda: session.signal("response.done"),
        "update": lambda: session.update(instructions="x", timeout=None),
        "add_item": lambda: session.add_item(item, timeout=None),
        "delete_item": lambda: session.delete_item("item_1", timeout=None),
        "retrieve_item": lambda: session.retrieve_item("item_1", timeout=None),
        "truncate": lambda: session.truncate("item_1", audio_end_ms=1, timeout=None),
        "commit_audio": lambda: session.commit_audio(timeout=None),
        "clear_audio": lambda: session.clear_audio(timeout=None),
        "cancel": lambda: session.cancel(timeout=None),
        "respond": lambda: session.respond(timeout=None),
        "ask": lambda: session.ask("Hi", timeout=None),
        "tool": lambda: session.tool(busy),
        "tools": lambda: session.tools,
        "tool_calls": lambda: session.tool_calls,
        "conversation": lambda: session.conversation,
        "item": lambda: session.item("item_1"),
        "stats": lambda: session.stats,
        "turns": lambda: session.turns,
        "guard": lambda: session.guard(lambda text, response: None),
        "budget": lambda: session.budget,
        "note_played": lambda: session.note_played("item_1"),
        "Response.wait": lambda: held["response"].wait(None),
        "Response.final": lambda: held["response"].final(None),
        "Response.chain": lambda: list(held["response"].chain(timeout=None)),
        "Response.cancel": lambda: held["response"].cancel(None),
        "Response.text_deltas": lambda: list(held["response"].text_deltas(timeout=None)),
        "Response.audio_chunks": lambda: list(held["response"].audio_chunks(timeout=None)),
        "Response.save": lambda: held["response"].save(os.devnull),
        "Responses.__next__": lambda: next(held["responses"]),
        "Subscription.__next__": lambda: next(held["stream"]),
        "Expectation.__enter__": held["expected"].__enter__,
        "Expectation.__exit__": lambda: held["entered"].__exit__(None, None, None),
    }


def not_refused(calls: dict[str, Callable[[], Any]], way_out: str) -> dict[str, str]:
    """What became of each call that did not raise a ``UsageError`` which says so."""
    wrong = {}
    for name, call in calls.items():
        try:
            call()
            wrong[name] = "went through"
        except UsageError as error:
            if way_out not in str(error):
                wrong[name] = str(error)
    return wrong


def use_in_the_child(session: RealtimeSession, held: dict[str, Any]) -> dict[str, str]:
    """What became of each call that was not refused as it should be."""
    wrong = not_refused(everything_public(session, held), "Open sessions after the fork")
    held["entered"].__exit__(ValueError, ValueError(), None)  # How a block leaves that an exception ends.
    held["stream"].close()
    session.close()
    if session.state != "closed":
        wrong["state"] = str(session.state)
    return wrong


def leave(how: str) -> None:
    """End the child; "end" goes on to the end of the program."""
    if how == "_exit":
        os._exit(0)
    if how == "sys.exit":
        sys.exit(0)


def child(session: RealtimeSession, held: dict[str, Any], out: int, before: set[str]) -> None:
    """What the forked child does, and tells the parent through the pipe `out`."""
    faulthandler.dump_traceback_later(20, exit=True)
    left = sorted(sockets() - before)
    started = time.monotonic()
    wrong = use_in_the_child(session, held)
    seconds = time.monotonic() - started
    os.write(out, json.dumps({"wrong": wrong, "descriptors": left, "seconds": seconds}).encode())
    faulthandler.cancel_dump_traceback_later()


def busy(session: RealtimeSession, stop: threading.Event) -> None:
    """Hold the session's locks as often as possible, so that a fork finds them held."""
    while not stop.is_set():
        session.item("item_1")
        session.on("marker", print)
        session.off("marker", print)
        session.send({"type": "marker"})


def main() -> None:
    """Fork three times; print what the children found, and how the session goes on."""
    url, ca_file, how = sys.argv[1:4]
    before = sockets()
    session = session_to(url, ca_file).open()
    held = {
        "response": session.respond(instructions="never end"),
        "stream": session.events(),
        "responses": session.responses(),
        "speaker": Speaker(VirtualDevice(stepped=True)),
        "expected": session.expect("response.done", timeout=None),
        "entered": session.expect("response.done", timeout=None).__enter__(),
    }
    stop = threading.Event()
    worker = threading.Thread(target=busy, args=(session, stop))
    worker.start()
    reports = []
    for _ in range(3):
        receiving, out = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(session, held, out, before)
            return leave(how)
        os.close(out)
        with os.fdopen(receiving) as pipe:
            reports.append(json.loads(pipe.read() or "null"))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
    stop.set()
    worker.join()
    session.update(instructions="Still here", timeout=20)
    state = str(session.state)
    session.close()
    public = {name for name in dir(RealtimeSession) if not name.startswith("_")}
    tried = {name for name in everything_public(session, held) if "." not in name} | SILENT
    print(json.dumps({"children": reports, "state": state, "untried": sorted(public - tried)}))
    return None


if __name__ == "__main__":
    main()
