"""Speech in, text out: a transcription session, in which no model answers.

What:  sends a recording as fast as it goes, and prints its words as they come.
Needs: nothing: it then sends a hum. With a recording, a WAV file at any rate. With an account, the one line that says
       where to connect becomes another.
Run:   python examples/transcription.py
"""

import math
import sys
from array import array

import rtsync

target = rtsync.Simulator().for_transcription()  # the real ones: rtsync.OpenAI() or rtsync.Azure() in its place

RATE = 24000
WORDS = "conversation.item.input_audio_transcription"


def hum(seconds: float) -> bytes:
    return array("h", [int(6000 * math.sin(at * math.tau * 220 / RATE)) for at in range(int(seconds * RATE))]).tobytes()


with rtsync.RealtimeSession(target) as session:
    session.on(f"{WORDS}.delta", lambda session, event: print(event.delta, end="", flush=True))
    # One recording is one turn, which ends with commit_audio(). For a microphone leave turn_detection as it is: then
    # the service hears where turns end.
    session.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": None}})
    if len(sys.argv) > 1:
        session.send_audio(sys.argv[1], pace=False)
    else:
        session.send_audio(hum(1.5), sample_rate=RATE, pace=False)
    session.commit_audio()
    words = session.wait_for(f"{WORDS}.completed", timeout=30)
    print(f"\n[{len(words.transcript.split())} words]")
