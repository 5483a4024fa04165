"""Beside a running call: your server listens in and steers, while a phone or a browser does the talking.

What:  joins a call by its id, tells the model who it is and has it greet, prints what both sides say, and hangs up.
Needs: nothing: the simulator takes every id for a running call. With an account: the id, which comes with the webhook
       of a phone call or with the answer to a browser's offer.
Run:   python examples/sideband.py rtc_demo
"""

import sys

import rtsync
from rtsync.simulator import SimulatorServer

call_id = sys.argv[1] if len(sys.argv) > 1 else "rtc_demo"


def main(target: rtsync.Target) -> None:
    """Hold the call; `target` is the account that it belongs to."""
    call = rtsync.Call(target, call_id)
    with call.session() as session:  # which is RealtimeSession(target.for_call(call_id))

        @session.on("conversation.item.input_audio_transcription.completed")
        def caller_said(session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
            print("caller:", event.transcript)

        @session.on("response.output_audio_transcript.done")
        def model_said(session: rtsync.RealtimeSession, event: rtsync.Event) -> None:
            print("model:", event.transcript)

        hearing = {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}
        session.update(instructions="You answer the phone of a bakery.", audio=hearing)
        session.respond(instructions="Greet the caller.").wait()
        call.hangup()  # Leaving the block without it ends the listening alone, and the call goes on.
        print("[the call is over]")


with SimulatorServer() as server:
    main(rtsync.OpenAI(base_url=server.openai_url, api_key="any"))  # the real ones: rtsync.OpenAI() or rtsync.Azure()
