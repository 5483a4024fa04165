"""What the programs have in common: a session to the test's server, and a look at their own descriptors."""

from __future__ import annotations

import os
from typing import Any

from rtsync import OpenAI, RealtimeSession

__all__ = ["session_to", "sockets"]


def session_to(url: str, ca_file: str = "-", **options: Any) -> RealtimeSession:
    """A session with the server at `url`, an HTTP origin; `ca_file` is its authority, "-" for none."""
    return RealtimeSession(
        OpenAI(api_key="k", base_url=f"{url}/v1"), tls=None if ca_file == "-" else ca_file, **options
    )


def sockets() -> set[str]:
    """The sockets, epolls and other objects of the kernel without a name that this process has open."""
    names = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            names.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # The listing's own.
            continue
    return {name for name in names if name.startswith(("socket:", "anon_inode:"))}
