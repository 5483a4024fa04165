"""A chat in a window of Tk: answers stream in, a button interrupts them, and the model may colour the window.

What:  type and press Return. "Set colour to pink, please" has the model call a tool that touches a widget.
Needs: a Python with tkinter. Without an account the simulator answers, which does not think. With OPENAI_API_KEY, or
       AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT, in the environment or in .env, a model does.
Run:   python examples/tk_chat.py
"""

import tkinter as tk
from tkinter import ttk
from typing import Literal

import rtsync
from rtsync.gui import TkDispatcher


def chat(root: tk.Tk, target: rtsync.Target) -> rtsync.RealtimeSession:
    text = tk.Text(root, width=64, height=18, wrap="word", font="TkTextFont", padx=14, pady=10, borderwidth=0)
    entry, stop, status = ttk.Entry(root), ttk.Button(root, text="Stop", state="disabled"), ttk.Label(root)
    text.pack(fill="both", expand=True)
    status.pack(side="bottom", fill="x", padx=14, pady=(0, 8))
    entry.pack(side="left", fill="x", expand=True, padx=(14, 6), pady=8)
    stop.pack(side="left", padx=(0, 14))
    text.tag_configure("you", foreground="#1c5fa8", spacing1=8, spacing3=8)

    dispatcher = TkDispatcher(root)
    session = rtsync.RealtimeSession(target, handlers=dispatcher, config={"output_modalities": ["text"]})
    dispatcher.close_with(session)

    @session.tool
    def set_colour(colour: Literal["pink", "light blue", "pale green", "white"]) -> str:
        """Set the colour of the window."""
        dispatcher.call(text.configure, background=colour)  # A tool runs in a thread of its own, and widgets do not.
        return f"The window is {colour} now."

    def say(_event: object) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": entry.get()}]}
        session.send({"type": "conversation.item.create", "item": item})  # send() waits for no answer.
        session.send({"type": "response.create"})
        text.insert("end", f"{entry.get()}\n", "you")
        entry.delete(0, "end")

    def show(_session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
        text.insert("end", event.get("delta", "\n"))
        text.see("end")

    def note(_session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
        answering = event.type == "response.created"
        entry["state"], stop["state"] = ("disabled", "normal") if answering else ("normal", "disabled")
        status["text"] = "answering" if answering else event.response.status

    session.on("response.output_text.delta", show)
    session.on("response.output_text.done", show)
    session.on("response.created", note)
    session.on("response.done", note)
    session.on("error", lambda session, event: status.configure(text=event.error.message))
    rtsync.session_closed.connect(lambda session, error: status.configure(text=error), session, weak=False)
    entry.bind("<Return>", say)
    entry.focus()
    stop["command"] = lambda: session.send({"type": "response.cancel"})
    return session


if __name__ == "__main__":
    try:
        target = rtsync.target_from_env()
    except rtsync.ConfigurationError:  # It names none.
        target = rtsync.Simulator()
    window = tk.Tk(className=type(target).__name__)
    with chat(window, target):
        window.mainloop()
