"""What any web framework needs to serve conversations to browsers; it imports none.

::

    gate      what a page may send
    sse       what a page reads: server-sent events
    relay     both over a WebSocket
    showing   what of a session is not the page's, and left out of either
    answers   what a page is told of an error
    views     an answer for each route of an application, out of the others; `Request` and `Answer` are a framework's
    streams   how many may be open
    origin    whose pages may send
    settings  what an application's configuration says; `application` is what is made of it
    calls     phone calls, from their webhook to their end
"""

from rtsync.web.answers import error_event, status_of
from rtsync.web.application import Application
from rtsync.web.calls import IncomingCalls, Refer, Reject
from rtsync.web.gate import ANYTHING, AUDIO, CONVERSATION, Gate, Refused
from rtsync.web.origin import ANY_ORIGIN, Origins
from rtsync.web.relay import WebSocket, relay, relay_live
from rtsync.web.requests import Answer, Request
from rtsync.web.settings import Settings, settings_from
from rtsync.web.sse import END, HEADERS, ServerSentEvents, event_stream
from rtsync.web.streams import Streams
from rtsync.web.views import Views

__all__ = [
    "ANYTHING",
    "ANY_ORIGIN",
    "AUDIO",
    "CONVERSATION",
    "END",
    "HEADERS",
    "Answer",
    "Application",
    "Gate",
    "IncomingCalls",
    "Origins",
    "Refer",
    "Refused",
    "Reject",
    "Request",
    "ServerSentEvents",
    "Settings",
    "Streams",
    "Views",
    "WebSocket",
    "error_event",
    "event_stream",
    "relay",
    "relay_live",
    "settings_from",
    "status_of",
]
