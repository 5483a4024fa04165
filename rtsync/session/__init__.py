"""What users hold: sessions and responses."""

from rtsync.session.response import Response
from rtsync.session.responses import Responses
from rtsync.session.session import RealtimeSession
from rtsync.session.waits import Expectation

__all__ = ["Expectation", "RealtimeSession", "Response", "Responses"]
