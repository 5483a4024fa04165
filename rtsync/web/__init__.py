"""What any web framework needs to serve conversations to browsers; it imports none.

::

    gate      what a page may send
    sse       what a page reads: server-sent events
    relay     both over a WebSocket
    answers   what a page is told of an error
    views     an answer for each route of an application, out of the others; `Request` and `Answer` are a framework's
    streams   how many may be open
    origin    whose pages may send
"""

from rtsync.web.answers import error_event, status_of
from rtsync.web.gate import ANYTHING, AUDIO, CONVERSATION, Gate, Refused
from rtsync.web.origin import ANY_ORIGIN, Origins
from rtsync.web.relay import WebSocket, relay, relay_live
from rtsync.web.requests import Answer, Request
from rtsync.web.sse import END, HEADERS, ServerSentEvents, event_stream
from rtsync.web.streams import Streams
from rtsync.web.views import Calls, Views

__all__ = [
    "ANYTHING",
    "ANY_ORIGIN",
    "AUDIO",
    "CONVERSATION",
    "END",
    "HEADERS",
    "Answer",
    "Calls",
    "Gate",
    "Origins",
    "Refused",
    "Request",
    "ServerSentEvents",
    "Streams",
    "Views",
    "WebSocket",
    "error_event",
    "event_stream",
    "relay",
    "relay_live",
    "status_of",
]
