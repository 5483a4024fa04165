"""The service's half of the Realtime protocol, to develop and test against without an account.

Reading order: ``desk.py`` (client events in, server events out), ``responses.py`` (the story of one response),
``voice.py`` (its sound), ``input_audio.py`` and ``vad.py`` (turns heard in the user's sound), ``transcription.py``
(the user's words as events), ``conversation.py`` and ``session_config.py`` (what a session holds), ``settings.py`` and
``schema.py`` (what a client may send), ``mcp.py`` (tools of servers that it plays), ``translation.py`` (the other
endpoint), ``dialect.py`` (preview), ``entrance.py`` (who may come in), ``rest.py`` and ``ledger.py`` (secrets and
calls), ``faults.py`` and ``frames.py`` (what can go wrong); these are pure. Then
``session.py``, ``narration.py`` and ``hearing.py`` (threads), ``line.py`` (socket and WebSocket), ``trouble.py`` (where
faults strike),
``server.py`` (HTTP and TLS), and the brains that answer: ``brains.py``, ``chat_brain.py``. Ears, voices and another
detector stand outside, chosen by ``senses.py``: ``sphinx.py``, ``engines.py`` (behind ``voices.py``), ``webrtc.py``,
``speech_endpoints.py``.

It is a separate program in the same house: of rtsync it imports the vocabulary and the rooms of audio alone, so that
client and simulator check each other. What it says, it says with a voice that has rhythm and no words; what it hears,
it measures and does not understand, unless it is given another voice and ears. It tells so in its answers.
"""

from rtsync.simulator.brains import Brain, BrainFailed, Cancellation, CutShort, ScriptedBrain, Turn
from rtsync.simulator.chat_brain import ChatBrain
from rtsync.simulator.ears import Ears, EarsFailed
from rtsync.simulator.engines import Espeak, EspeakNg, Flite, Say
from rtsync.simulator.faults import Fault
from rtsync.simulator.mcp import McpServer, McpTool
from rtsync.simulator.server import SimulatorServer
from rtsync.simulator.speech_endpoints import SpeechEndpoint, TranscriptionEndpoint
from rtsync.simulator.sphinx import Pocketsphinx
from rtsync.simulator.tool_calls import FunctionCall, McpCall
from rtsync.simulator.transcription import Transcriber
from rtsync.simulator.voices import Utterance, Voice, VoiceFailed

__all__ = [
    "Brain",
    "BrainFailed",
    "Cancellation",
    "ChatBrain",
    "CutShort",
    "Ears",
    "EarsFailed",
    "Espeak",
    "EspeakNg",
    "Fault",
    "Flite",
    "FunctionCall",
    "McpCall",
    "McpServer",
    "McpTool",
    "Pocketsphinx",
    "Say",
    "ScriptedBrain",
    "SimulatorServer",
    "SpeechEndpoint",
    "Transcriber",
    "TranscriptionEndpoint",
    "Turn",
    "Utterance",
    "Voice",
    "VoiceFailed",
]
