"""An answer as a generator: what a streaming view of Flask or Django returns, as server-sent events.

What:  yields the pieces of an answer as they come. A reader who leaves early ends the generator, and with it the
       session.
Needs: nothing. With an account, the one line that says where to connect becomes another.
Run:   python examples/streaming_generator.py "What shall it answer?"
"""

import json
import sys
from collections.abc import Iterable, Iterator

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment


def answer(question: str) -> Iterator[str]:
    """The answer to `question`, piece by piece, from a session of its own."""
    with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}) as session:
        content = [{"type": "input_text", "text": question}]
        session.add_item({"type": "message", "role": "user", "content": content})
        yield from session.respond().text_deltas(timeout=30)


def server_sent_events(pieces: Iterable[str]) -> Iterator[str]:
    """Each piece as an event of its own; one named `done`, or `failed`, at the end.

    In Flask: `return Response(server_sent_events(answer(request.args["q"])), mimetype="text/event-stream")`
    """
    try:
        for piece in pieces:
            yield f"data: {json.dumps({'delta': piece})}\n\n"
    except rtsync.RealtimeError as error:  # the status line is long gone: only the stream itself can tell
        yield f"event: failed\ndata: {json.dumps({'why': str(error)})}\n\n"
    else:
        yield "event: done\ndata: {}\n\n"


if __name__ == "__main__":
    for event in server_sent_events(answer(" ".join(sys.argv[1:]) or "Say a couple paragraphs!")):
        print(event, end="", flush=True)
