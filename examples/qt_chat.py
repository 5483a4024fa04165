"""A chat in a window of Qt: answers stream in, a button interrupts them, and the model may colour the window.

What:  type and press Return. "Set colour to pink, please" has the model call a tool that touches a widget.
Needs: pip install PySide6-Essentials. Without an account the simulator answers, which does not think. With
       OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT, in the environment or .env, a model does.
Run:   python examples/qt_chat.py
"""

import html
from typing import Literal

from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QApplication, QGridLayout, QLabel, QLineEdit, QPlainTextEdit, QPushButton, QWidget

import rtsync
from rtsync.gui import QtDispatcher


class Chat(QWidget):
    def __init__(self, target: rtsync.Target) -> None:
        super().__init__()
        self.text, self.entry = QPlainTextEdit(readOnly=True), QLineEdit(placeholderText="Say something")
        self.stop, self.status = QPushButton("Stop"), QLabel()
        self.stop.setEnabled(False)
        self.text.document().setDocumentMargin(12)
        grid = QGridLayout(self)
        grid.addWidget(self.text, 0, 0, 1, 2)
        grid.addWidget(self.entry, 1, 0)
        grid.addWidget(self.stop, 1, 1)
        grid.addWidget(self.status, 2, 0, 1, 2)

        self.dispatcher = QtDispatcher()
        self.session = rtsync.RealtimeSession(target, handlers=self.dispatcher, config={"output_modalities": ["text"]})
        self.dispatcher.close_with(self.session, self)
        self.session.tool(self.set_colour)
        self.session.on("response.output_text.delta", self.show_text)
        self.session.on("response.output_text.done", self.show_text)
        self.session.on("response.created", self.note)
        self.session.on("response.done", self.note)
        self.session.on("error", lambda session, event: self.status.setText(event.error.message))
        rtsync.session_closed.connect(lambda _, error: self.status.setText(str(error)), self.session, weak=False)
        self.entry.returnPressed.connect(self.say)
        self.stop.clicked.connect(lambda: self.session.send({"type": "response.cancel"}))

    def set_colour(self, colour: Literal["pink", "lightblue", "palegreen", "white"]) -> str:
        """Set the colour of the window."""
        self.dispatcher.call(self.text.setStyleSheet, f"background: {colour}")  # A tool runs in a thread of its own.
        return f"The window is {colour} now."

    def say(self) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": self.entry.text()}]}
        self.session.send({"type": "conversation.item.create", "item": item})  # send() waits for no answer.
        self.session.send({"type": "response.create"})
        self.text.appendHtml(f"<p style='color: #1c5fa8'>{html.escape(self.entry.text())}</p><p></p>")
        self.entry.clear()

    def show_text(self, _session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.insertPlainText(event.get("delta", "\n"))

    def note(self, _session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
        answering = event.type == "response.created"
        self.entry.setDisabled(answering)
        self.entry.setFocus()
        self.stop.setEnabled(answering)
        self.status.setText("answering" if answering else event.response.status)


if __name__ == "__main__":
    try:
        target = rtsync.target_from_env()
    except rtsync.ConfigurationError:  # It names none.
        target = rtsync.Simulator()
    app = QApplication([type(target).__name__])
    window = Chat(target)
    window.resize(560, 420)
    window.show()
    with window.session:
        app.exec()
