"""A program that keeps lines busy in both directions at a server that sends TLS 1.3 tickets all the time.

Run as `python -m tests.line.ticketed URL CA_FILE CONNECTIONS SECONDS`. A client that lets two threads into OpenSSL at
once loses such connections, or its process: so this is one, and how it ends is the result.
"""

from __future__ import annotations

import faulthandler
import json
import ssl
import sys
import threading
import time

from rtsync.edges.guard import LineBroken
from rtsync.edges.transport import Line
from tests.line.recorder import RecordedLine
from tests.loopback import LIMIT

_APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": "B" * 640})


def keep_busy(url: str, context: ssl.SSLContext, seconds: float) -> tuple[list[str], int, int]:
    """One line, two senders; what went wrong, and how many messages came and went."""
    wrong: list[str] = []
    sent = [0, 0]

    def check(_line: Line, message: bytes) -> None:
        client.messages.clear()
        received[0] += 1
        if not (message.startswith(b'{"type"') and message.endswith(b'A"}')):
            wrong.append("a corrupt message")

    def send(number: int, until: float) -> None:
        try:
            while time.monotonic() < until and not client.line.finished:
                client.line.send(_APPEND)
                sent[number] += 1
        except Exception as error:
            wrong.append(f"send: {error!r}")

    received = [0]
    with RecordedLine(url, tls=context, heartbeat=None, on_message=check) as client:
        client.wait_open()
        until = time.monotonic() + seconds
        senders = [threading.Thread(target=send, args=(number, until)) for number in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(LIMIT)
        if client.line.finished:
            wrong.append(f"ended early: {client.line.ending}")
        client.line.abort("enough")
        ending = client.wait_ending()
        if not isinstance(ending.error, LineBroken) or "enough" not in ending.message:
            wrong.append(f"ended otherwise: {ending}")
    return wrong, received[0], sum(sent)


def main() -> None:
    """Keep the lines busy one after the other, and print the sums as JSON."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(50, exit=True)
    url, ca_file, connections, seconds = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca_file)
    runs = [keep_busy(url, context, float(seconds)) for _ in range(int(connections))]
    failed = [wrong[0] for wrong, _, _ in runs if wrong]
    print(json.dumps({"failed": failed, "received": sum(run[1] for run in runs), "sent": sum(run[2] for run in runs)}))


if __name__ == "__main__":
    main()
