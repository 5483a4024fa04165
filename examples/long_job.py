"""A job that takes long: the model says so at once, the conversation goes on, and the result comes later.

What:  starts a report, talks on while it is written, shows how far it is, and hears of the result.
Needs: nothing. With an account, the one line that says where to connect becomes another.
Run:   python examples/long_job.py
"""

import sys

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment

session = rtsync.RealtimeSession(target, config={"output_modalities": ["text"]})


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")  # in one piece, because two threads do


@session.tool(working="I am writing it; that takes a while.", timeout=60)
def write_report(subject: str, context: rtsync.ToolContext) -> str:
    """Write a report about a subject."""
    for chapter in range(1, 5):
        context.wait(0.5)  # a sleep that ends when nobody waits for the result any more
        context.check()
        context.report(f"chapter {chapter} of 4")
    return f"4 chapters about {subject}"


@rtsync.tool_progress.connect_via(session)
def show_progress(session: rtsync.RealtimeSession, call: rtsync.ToolCall, progress: str) -> None:
    say(f"[{call.name}: {progress}]")


with session, session.responses(timeout=30) as later:  # answers that nobody asks for here
    for question in ("Please write report on “tea”.", "And what is your name?"):
        say(f"you: {question}")
        say(f"model: {session.ask(question).text}")
    say(f"model: {next(later).wait().text}")  # begun by the result
