"""The service's half of the Realtime protocol, to develop and test against without an account.

Reading order: ``desk.py`` (client events in, server events out), ``responses.py`` (the story of one response),
``voice.py`` (its sound), ``input_audio.py`` and ``vad.py`` (turns heard in the user's sound), ``transcription.py``
(the user's words as events), ``conversation.py`` and ``session_config.py`` (what a session holds), ``settings.py`` and
``schema.py`` (what a client may send), ``mcp.py`` (tools of servers that it plays), ``translation.py`` (the other
endpoint), ``dialect.py`` (preview), ``entrance.py`` (who may come in), ``rest.py`` and ``ledger.py`` (secrets and
calls), ``faults.py`` and ``frames.py`` (what can go wrong); these are pure. Then
``session.py`` and ``hearing.py`` (threads), ``line.py`` (socket and WebSocket), ``trouble.py`` (where faults strike),
``server.py`` (HTTP and TLS), and the brains that answer: ``brains.py``, ``chat_brain.py``.

It is a separate program in the same house: of rtsync it imports the vocabulary and the rooms of audio alone, so that
client and simulator check each other. What it says, it says with a voice that has rhythm and no words; what it hears,
it measures and does not understand, unless it is given a transcriber. It tells so in its answers.
"""

from rtsync.simulator.brains import Brain, BrainFailed, Cancellation, CutShort, ScriptedBrain, Turn
from rtsync.simulator.chat_brain import ChatBrain
from rtsync.simulator.faults import Fault
from rtsync.simulator.mcp import McpServer, McpTool
from rtsync.simulator.server import SimulatorServer
from rtsync.simulator.tool_calls import FunctionCall, McpCall
from rtsync.simulator.transcription import Transcriber

__all__ = [
    "Brain",
    "BrainFailed",
    "Cancellation",
    "ChatBrain",
    "CutShort",
    "Fault",
    "FunctionCall",
    "McpCall",
    "McpServer",
    "McpTool",
    "ScriptedBrain",
    "SimulatorServer",
    "Transcriber",
    "Turn",
]
