"""Text in, text out, with callbacks: the walkthrough of the protocol, every event sent by hand.

What:  connects, asks for answers in text, says something, and prints the answer while it comes.
Needs: nothing. With an account, the one line that says where to connect becomes another.
Run:   python examples/text_input.py
"""

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment

session = rtsync.RealtimeSession(target)


@session.on("session.created")
def show_model(session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
    print(f"[{event.session.model} is listening]")


@session.on("response.output_text.delta")
def show_text(session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
    print(event.delta, end="", flush=True)


@session.on("response.done")
def show_usage(session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
    print(f"\n[{event.response.status}, {event.response.usage.total_tokens} tokens]")


with session:
    session.send({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}})
    session.send(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Say a couple paragraphs!"}],
            },
        }
    )
    session.send({"type": "response.create"})
    session.wait_for("response.done", timeout=60)  # returns when the handlers have printed it all
