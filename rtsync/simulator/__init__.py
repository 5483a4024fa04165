"""The service's half of the Realtime protocol, to develop and test against without an account.

Reading order: ``desk.py`` (client events in, server events out), ``responses.py`` (the story of one response),
``conversation.py`` and ``session_config.py`` (what a session holds), ``settings.py`` and ``schema.py`` (what a client
may send), ``dialect.py`` (preview), ``entrance.py`` (who may come in); these are pure. Then ``session.py`` (threads),
``line.py`` (socket and WebSocket), ``server.py`` (HTTP and TLS), and the brains that answer: ``brains.py``,
``chat_brain.py``.

It is a separate program in the same house: of rtsync it imports the vocabulary alone, so that client and simulator
check each other. Text for now: audio is taken, counted and committed, but nothing listens to it and nothing is spoken.
"""

from rtsync.simulator.brains import Brain, BrainFailed, Cancellation, CutShort, FunctionCall, ScriptedBrain, Turn
from rtsync.simulator.chat_brain import ChatBrain
from rtsync.simulator.server import SimulatorServer

__all__ = [
    "Brain",
    "BrainFailed",
    "Cancellation",
    "ChatBrain",
    "CutShort",
    "FunctionCall",
    "ScriptedBrain",
    "SimulatorServer",
    "Turn",
]
