"""``rtsync chat``: a conversation in the terminal, or with what a pipe brings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from rtsync import RealtimeSession, Simulator, Target
from rtsync.cli.accounts import Wish, chosen_target
from rtsync.cli.conversation import Conversation, answer_lines, talk
from rtsync.cli.logs import show_events
from rtsync.cli.outcome import EXIT_STATUSES
from rtsync.cli.output import JsonLines, Output, PlainText
from rtsync.cli.timeline import drawn_to, timeline_options

__all__ = ["chat"]

_SECONDS = click.FloatRange(min=0, min_open=True)


@click.command(epilog=EXIT_STATUSES)
@click.option(
    "--target", type=click.Choice(["openai", "azure", "simulator"]), help="Where to connect; else the environment says."
)
@click.option("-m", "--model", "--deployment", "model", metavar="NAME", help="Model on OpenAI, deployment on Azure.")
@click.option("--base-url", metavar="URL", help="OpenAI, or a server that speaks as it does; also OPENAI_BASE_URL.")
@click.option("--endpoint", metavar="URL", help="The Azure resource; also AZURE_OPENAI_ENDPOINT.")
@click.option("--api-version", metavar="DATE", help="Azure's preview endpoint of that date; also OPENAI_API_VERSION.")
@click.option("-s", "--instructions", metavar="TEXT", help="What the model is told to be and do.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print every server event as a line of JSON, instead of the text."
)
@click.option(
    "--log-events",
    type=click.Choice(["outline", "content"]),
    is_flag=False,
    flag_value="outline",
    help="Log every event in both directions on stderr: its type, ids and size, or with `content` also what it says.",
)
@click.option("--connect-timeout", type=_SECONDS, default=10.0, show_default=True, help="Seconds for connecting.")
@click.option(
    "--timeout", type=_SECONDS, default=60.0, show_default=True, help="Seconds of silence before an answer is given up."
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate authority to trust, e.g. that of `rtsync serve --tls`.",
)
@timeline_options
def chat(
    target: str | None,
    model: str | None,
    base_url: str | None,
    endpoint: str | None,
    api_version: str | None,
    instructions: str | None,
    as_json: bool,
    log_events: str | None,
    connect_timeout: float,
    timeout: float,
    ca_file: Path | None,
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
      rtsync chat --json < questions.txt | jq -r 'select(.type == "response.done").response.status'

    Without --target the environment and .env decide: RTSYNC_TARGET, else AZURE_OPENAI_ENDPOINT (with
    AZURE_OPENAI_DEPLOYMENT) means Azure, else OPENAI_API_KEY means OpenAI. Keys come from OPENAI_API_KEY,
    AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN; Azure without one signs in with DefaultAzureCredential.
    """
    chosen = chosen_target(Wish(target, model, base_url, endpoint, api_version))
    session = RealtimeSession(
        chosen,
        config=_text_only(instructions),
        connect_timeout=connect_timeout,
        tls=None if ca_file is None else str(ca_file),
    )
    if log_events is not None:
        show_events(content=log_events == "content")
    output: Output = JsonLines() if as_json else PlainText()
    output.attach(session)
    with drawn_to(timeline, session, words=timeline_words), session:
        _converse(chosen, Conversation(session, output, timeout))


def _text_only(instructions: str | None) -> dict[str, Any]:
    """The session's configuration."""
    return {"output_modalities": ["text"], **({} if instructions is None else {"instructions": instructions})}


def _converse(target: Target, conversation: Conversation) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        lines = sys.stdin or ()
        if hasattr(lines, "reconfigure"):
            lines.reconfigure(errors="replace")
        answer_lines(conversation, lines)
        return
    click.echo(f"connected: {target.describe()}", err=True)
    if isinstance(target, Simulator):
        click.echo("the simulator's scripted brain does not think; --target openai or azure reaches a model", err=True)
    click.echo("Ctrl+C cancels an answer, Ctrl+D leaves", err=True)
    talk(conversation)
