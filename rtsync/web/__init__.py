"""What any web framework needs to serve conversations to browsers; it imports none.

::

    gate      what a page may send
    sse       what a page reads: server-sent events
    relay     both over a WebSocket
    answers   what a page is told of an error
    calls     phone calls, from their webhook to their end
"""

from rtsync.web.answers import error_event, status_of
from rtsync.web.calls import IncomingCalls, Refer, Reject
from rtsync.web.gate import ANYTHING, AUDIO, CONVERSATION, Gate, Refused
from rtsync.web.relay import WebSocket, relay, relay_live
from rtsync.web.sse import END, HEADERS, ServerSentEvents, event_stream

__all__ = [
    "ANYTHING",
    "AUDIO",
    "CONVERSATION",
    "END",
    "HEADERS",
    "Gate",
    "IncomingCalls",
    "Refer",
    "Refused",
    "Reject",
    "ServerSentEvents",
    "WebSocket",
    "error_event",
    "event_stream",
    "relay",
    "relay_live",
    "status_of",
]
