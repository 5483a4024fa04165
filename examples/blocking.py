"""A conversation without callbacks: every call returns when the service has answered.

What:  asks twice in one conversation, streams a third answer, and asks something beside the conversation.
Needs: nothing. With an account, the one line that says where to connect becomes another.
Run:   python examples/blocking.py
"""

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment

config = {"output_modalities": ["text"], "instructions": "You are brief and kind."}

with rtsync.RealtimeSession(target, config=config) as session:
    print("1:", session.ask("What is a socket?").text)

    try:
        answer = session.ask("And what is a web socket?", timeout=30)
        print("2:", answer.text, answer.usage)
    except rtsync.ResponseFailed as failure:  # cut short, filtered or failed: what came is not lost
        print("2:", failure.text, f"[{failure.status}: {failure.reason}]")

    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say paragraphs!"}]}
    session.add_item(message)
    print("3: ", end="")
    for piece in session.respond().text_deltas():
        print(piece, end="", flush=True)
    print()

    aside = session.respond(conversation="none", instructions="Give this conversation a title.")
    print("title:", aside.wait().text)
