"""Speech in one language in, speech and text in another out, while it is still being spoken.

What:  streams sound to a translation session, prints both transcripts, and counts the sound that comes back.
Needs: nothing: it then sends a hum, which the simulator hears and cannot translate. With an account of OpenAI, the only
       service that has it, the last line says where to connect. With a recording, a WAV file at any rate.
Run:   python examples/translation.py
"""

import math
import sys
from array import array

import rtsync
from rtsync.simulator import SimulatorServer

RATE = 24000
HUM = array("h", [int(6000 * math.sin(at * math.tau * 220 / RATE)) for at in range(3 * RATE)]).tobytes()


def main(target: rtsync.Target) -> None:
    """Translate into French."""
    with rtsync.RealtimeSession(target) as session:
        heard = {"transcription": {"model": "gpt-realtime-whisper"}}
        session.update(audio={"input": heard, "output": {"language": "fr"}})
        events = session.events(timeout=30)
        # Four times as fast as it was said. There is nothing to commit, and no answer to ask for.
        if len(sys.argv) > 1:
            session.send_audio(sys.argv[1], pace=4.0, chunk_ms=200)  # the step in which the service translates
        else:
            session.send_audio(HUM, sample_rate=RATE, pace=4.0, chunk_ms=200)
        session.send({"type": "session.close"})  # What is still to be said comes first; then the service closes.

        words: dict[str, str] = {}
        spoken = 0
        for event in events:
            if event.type.endswith("_transcript.delta"):
                words[event.type] = words.get(event.type, "") + event.delta
            elif event.type == "session.output_audio.delta":
                spoken = event.elapsed_ms
        print("heard:", words.get("session.input_transcript.delta"))
        print("translated:", words.get("session.output_transcript.delta"))
        print(f"[{spoken / 1000:.1f} seconds of sound]")


with SimulatorServer() as server:
    # The real one, without a server: rtsync.OpenAI().for_translation()
    main(rtsync.OpenAI(base_url=server.openai_url, api_key="any").for_translation())
