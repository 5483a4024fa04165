"""A conversation that outlives its connection: the line breaks in the middle of an answer, and the talk goes on.

What:  asks, loses the line, gets the conversation back on a new connection, and asks again.
Needs: nothing: the simulator breaks the line on request. With an account, the line is yours to break.
Run:   python examples/surviving.py
"""

import logging
import sys
from typing import Any

import rtsync
from rtsync.simulator import SimulatorServer

# The signals come in another thread than the answers: a log keeps lines whole.
logging.basicConfig(stream=sys.stdout, format="%(message)s")
log = logging.getLogger("surviving")
log.setLevel(logging.INFO)


@rtsync.reconnecting.connect
def lost(session: rtsync.RealtimeSession, *, attempt: int, cause: str, delay: float, **more: Any) -> None:
    log.info("[the line is lost (%s); attempt %s in %.1f s]", cause, attempt, delay)


@rtsync.reconnected.connect
def back(session: rtsync.RealtimeSession, *, lost: tuple[rtsync.Lost, ...], renewed: bool, **more: Any) -> None:
    log.info("[%s; gone: %s]", "renewed" if renewed else "back", ", ".join(map(str, lost)) or "nothing")


def main(target: rtsync.Target) -> None:
    policy = rtsync.Reconnect(restore="conversation", first_delay=0.1)
    with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}, reconnect=policy) as session:
        for question in ("What is a socket?", "And what is a web socket?", "And what was my first question?"):
            log.info("you: %s", question)
            try:
                log.info("model: %s", session.ask(question).text)
            except (rtsync.ResponseFailed, rtsync.ConnectionLost) as failure:  # what came is not lost
                log.info("cut short: %s", getattr(failure, "text", "") or failure)
        log.info("%s answers, %s items", session.conversation.usage.responses, len(session.conversation.items))


with SimulatorServer(pace=False, faults=["reset@on=response.output_text.delta,nth=25,first=1"]) as server:
    main(rtsync.OpenAI(base_url=server.openai_url, api_key="any"))  # the real ones: rtsync.OpenAI() or rtsync.Azure()
