"""Talk with the model: microphone and speaker, and it stops when you speak into what it says.

What:  plays what the model says, prints its words, and sends what the microphone hears, until Ctrl+C. Wear headphones:
       a microphone that hears the speaker interrupts it.
Needs: pip install 'rtsync[audio]', a microphone and a speaker. With an account, the target becomes another one.
Run:   python examples/talking.py [DEVICE]        (a number, a name or a part of one; "virtual" for none)
"""

import sys

import rtsync
from rtsync.devices import DeviceChoice, Microphone, Speaker


def talk(target: rtsync.Target, device: DeviceChoice = None) -> None:
    with rtsync.RealtimeSession(target) as session, Speaker(device) as speaker, Microphone(device) as microphone:
        session.on(
            "response.output_audio_transcript.delta", lambda session, event: print(event.delta, end="", flush=True)
        )
        session.on("response.done", lambda session, event: print())
        session.attach(speaker)
        session.respond(instructions="Greet the user.")
        for chunk in microphone:
            session.append_audio(chunk)


if __name__ == "__main__":
    try:
        talk(rtsync.Simulator(), *sys.argv[1:2])  # the real ones: rtsync.OpenAI() or rtsync.Azure()
    except KeyboardInterrupt:
        print()
    except (rtsync.ConfigurationError, rtsync.DeviceFailed) as error:
        sys.exit(str(error))
