"""Turns of a conversation, and the two ways they come: typed at a prompt, or line by line from a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable

from rtsync import RealtimeError, RealtimeSession, Response, ServerError
from rtsync.cli.outcome import complain, was_lost
from rtsync.cli.output import Output
from rtsync.cli.tools import Questions

__all__ = ["Conversation", "answer_lines", "talk"]

_CANCEL_LIMIT = 5.0  # seconds for the service to confirm a cancel; Ctrl+C ends the wait


class Conversation:
    """A session in which the user speaks and the answer is printed.

    Args:
        session: open.
        output: where answers go.
        timeout: seconds of silence after which an answer is given up.
        questions: what tools ask the user meanwhile, who may take any time; None where they ask nothing.

    Threads: the main thread alone.
    """

    def __init__(
        self, session: RealtimeSession, output: Output, timeout: float, questions: Questions | None = None
    ) -> None:
        self._questions = questions
        self._session = session
        self._output = output
        self._timeout = timeout
        self._response: Response | None = None

    def turn(self, text: str) -> None:
        """Say ``text`` and print the answer as it comes, and those that tools lead to; returns when all is complete.

        Raises:
            RealtimeError: it did not become complete. What had come has been printed.
            OSError: stdout cannot be written.
        """
        self._response = None
        content = [{"type": "input_text", "text": text}]
        self._session.add_item({"type": "message", "role": "user", "content": content}, timeout=self._timeout)
        self._response = self._session.respond(timeout=self._timeout)
        for response in self._response.chain(timeout=None if self._questions else self._timeout):
            self._response = response
            self._print(response)

    def _print(self, response: Response) -> None:
        try:
            for piece in response.text_deltas(timeout=self._timeout):
                self._output.delta(piece)
            response.wait(self._timeout)
        finally:
            with contextlib.suppress(OSError):  # it is raised by the next delta, or not worth hiding another error
                self._output.end()

    def cancel(self) -> None:
        """Have the service stop the answer that is running, if one is; returns when it has.

        Raises:
            RealtimeError: it did not confirm.
        """
        if self._questions is not None:
            self._questions.dismiss()
        try:
            if self._response is not None:
                self._response.cancel(_CANCEL_LIMIT)
            else:  # asked for, and interrupted before it had begun
                self._session.cancel(timeout=_CANCEL_LIMIT)
        except ServerError as error:
            if error.code != "response_cancel_not_active":
                raise


def answer_lines(conversation: Conversation, lines: Iterable[str]) -> None:
    """One turn for each line that is not blank. The first that fails ends it.

    Raises:
        RealtimeError, OSError: as of ``Conversation.turn``.

    Threads: the main thread, which reading ``lines`` blocks.
    """
    for line in lines:
        if text := line.strip():
            conversation.turn(text)


def talk(conversation: Conversation) -> None:
    """Prompt, answer, and again, until Ctrl+D, or Ctrl+C at the prompt.

    Ctrl+C during an answer cancels it. An answer that fails is said so, and the conversation goes on.

    Raises:
        RealtimeError: the conversation cannot go on.
        KeyboardInterrupt: Ctrl+C at the prompt, or while an answer was being cancelled.

    Threads: the main thread, which is the one that Ctrl+C interrupts.
    """
    _edit_lines()
    while (text := _prompt()) is not None:
        if not text.strip():
            continue
        try:
            conversation.turn(text)
        except KeyboardInterrupt:
            complain("cancelled; Ctrl+C once more leaves")
            conversation.cancel()
        except RealtimeError as error:
            if was_lost(error):
                raise
            complain(error)


def _prompt() -> str | None:
    """What the user typed; None at the end of input."""
    try:
        if sys.stdout.isatty():
            return input("> ")
        print("> ", end="", file=sys.stderr, flush=True)
        return input()
    except EOFError:
        print(file=sys.stderr)
        return None


def _edit_lines() -> None:
    """Arrow keys and history at the prompt, where Python has them and stdout shows them."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - input() uses it once it is loaded
