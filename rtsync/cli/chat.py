"""``rtsync chat``: a conversation in the terminal, or with what a pipe brings."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from rtsync import Simulator, Target
from rtsync.cli.accounts import Wish, chosen_target, target_options
from rtsync.cli.conversation import Conversation, answer_lines, talk
from rtsync.cli.lines import LineOptions, line_options
from rtsync.cli.outcome import EXIT_STATUSES, complain
from rtsync.cli.output import JsonLines, Output, PlainText
from rtsync.cli.timeline import drawn_to, timeline_options
from rtsync.cli.tools import Questions, ToolNotes, ToolOptions, tool_options

__all__ = ["chat"]


@click.command(epilog=EXIT_STATUSES)
@target_options
@click.option("-s", "--instructions", metavar="TEXT", help="What the model is told to be and do.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print every server event as a line of JSON, instead of the text."
)
@tool_options
@line_options
@timeline_options
def chat(
    wish: Wish,
    instructions: str | None,
    as_json: bool,
    wanted: ToolOptions,
    line: LineOptions,
    timeline: Path | None,
    timeline_words: bool,
) -> None:
    """Talk with a model in text.

    In a terminal: type at the prompt. Ctrl+C cancels the answer that is running and comes back to the prompt; once
    more, or at the prompt, it leaves, as does Ctrl+D.

    From a pipe: every line of stdin is one turn, all in one conversation; the answers go to stdout, and nothing else
    does. The first failure ends it.

    \b
      echo "Say hi" | rtsync chat
      rtsync chat --tool calendar_tools:free_hours --tool ./prices.py:price_of --approve
      rtsync chat --json < questions.txt | jq -r 'select(.type == "response.done").response.status'

    Without --target the environment and .env decide: RTSYNC_TARGET, else AZURE_OPENAI_ENDPOINT (with
    AZURE_OPENAI_DEPLOYMENT) means Azure, else OPENAI_API_KEY means OpenAI. Keys come from OPENAI_API_KEY,
    AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN; Azure without one signs in with DefaultAzureCredential.
    """
    target = chosen_target(wish)
    output: Output = JsonLines() if as_json else PlainText()
    with contextlib.closing(Questions()) as questions:
        session = line.session(target, _text_only(instructions), wanted.load(questions))
        output.attach(session)
        notes = ToolNotes(complain)  # Held here: signals do not.
        notes.attach(session)
        with drawn_to(timeline, session, words=timeline_words), session:
            conversation = Conversation(session, output, line.timeout, questions if wanted.approve else None)
            _converse(target, conversation, list(session.tools))


def _text_only(instructions: str | None) -> dict[str, Any]:
    """The session's configuration."""
    return {"output_modalities": ["text"], **({} if instructions is None else {"instructions": instructions})}


def _converse(target: Target, conversation: Conversation, tools: list[str]) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        lines = sys.stdin or ()
        if hasattr(lines, "reconfigure"):
            lines.reconfigure(errors="replace")
        answer_lines(conversation, lines)
        return
    click.echo(f"connected: {target.describe()}", err=True)
    if isinstance(target, Simulator):
        click.echo("the simulator's scripted brain does not think; --target openai or azure reaches a model", err=True)
        if tools:
            click.echo(f"it calls the tools that you name: {', '.join(tools)}", err=True)
    click.echo("Ctrl+C cancels an answer, Ctrl+D leaves", err=True)
    talk(conversation)
