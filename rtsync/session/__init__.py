"""What users hold: sessions and responses."""

from rtsync.session.response import Response
from rtsync.session.session import Expectation, RealtimeSession

__all__ = ["Expectation", "RealtimeSession", "Response"]
