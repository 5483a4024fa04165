"""A conversation that outlives its connection: the line breaks in the middle of an answer, and the talk goes on.

What:  asks, loses the line, gets the conversation back on a new connection, and asks again.
Needs: nothing: the simulator breaks the line on request. With an account, the line is yours to break.
Run:   python examples/surviving.py
"""

from typing import Any

import rtsync
from rtsync.simulator import SimulatorServer


@rtsync.reconnecting.connect
def lost(session: rtsync.RealtimeSession, *, attempt: int, cause: str, delay: float, **more: Any) -> None:
    print(f"[the line is lost ({cause}); attempt {attempt} in {delay:.1f} s]")


@rtsync.reconnected.connect
def back(session: rtsync.RealtimeSession, *, lost: tuple[rtsync.Lost, ...], renewed: bool, **more: Any) -> None:
    print(f"[{'renewed' if renewed else 'back'}, with {len(session.conversation.items)} items]")
    for loss in lost:
        print(f"[gone: {loss}]")


def main(target: rtsync.Target) -> None:
    policy = rtsync.Reconnect(restore="conversation", first_delay=0.1)
    with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}, reconnect=policy) as session:
        for question in ("What is a socket?", "And what is a web socket?", "And what was my first question?"):
            print("you:", question)
            try:
                print("model:", session.ask(question).text)
            except (rtsync.ResponseFailed, rtsync.ConnectionLost) as failure:  # what came is not lost
                print("cut short:", getattr(failure, "text", "") or failure)
        print("usage:", session.conversation.usage.responses, "answers")


with SimulatorServer(pace=False, faults=["reset@on=response.output_text.delta,nth=25,first=1"]) as server:
    main(rtsync.OpenAI(base_url=server.openai_url, api_key="any"))  # the real ones: rtsync.OpenAI() or rtsync.Azure()
