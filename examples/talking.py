"""Talk with the model: microphone and speaker, and it stops when you speak into what it says.

What:  plays what the model says, prints its words, and sends what the microphone hears, until Ctrl+C. Wear headphones:
       a microphone that hears the speaker interrupts it.
Needs: pip install 'rtsync[audio]', a microphone and a speaker. With an account, the target becomes another one.
Run:   python examples/talking.py [MICROPHONE [SPEAKER]]    (a number, a name or a part of one; "virtual" for none)
"""

import sys

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure() in its place

with rtsync.RealtimeSession(target) as session:
    session.on("response.output_audio_transcript.delta", lambda _, event: print(event.delta, end="", flush=True))
    session.on("response.done", lambda _, event: print())
    try:
        session.talk(*sys.argv[1:3], opening="Greet the user.")
    except (KeyboardInterrupt, rtsync.ConfigurationError, rtsync.DeviceFailed) as error:
        sys.exit(str(error))
