"""What any web framework needs to serve conversations to browsers; it imports none.

``gate``: what a page may send.
"""

from rtsync.web.gate import ANYTHING, AUDIO, CONVERSATION, Gate, Refused

__all__ = ["ANYTHING", "AUDIO", "CONVERSATION", "Gate", "Refused"]
