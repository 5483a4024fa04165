"""Fork inside the blocks of a simulator and of a session with it; the child leaves them by `sys.exit()`."""

from __future__ import annotations

import json
import os
import sys

from rtsync import OpenAI, RealtimeSession
from rtsync.simulator import SimulatorServer


def main() -> None:
    """Print how the parent goes on."""
    with SimulatorServer(pace=False) as server, RealtimeSession(target := _target(server)) as session:
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        _, status = os.waitpid(pid, 0)
        assert session.ask("Still there?", timeout=20).status == "completed"
        with RealtimeSession(target) as another:
            assert another.ask("And for others?", timeout=20).status == "completed"
    print(json.dumps({"status": status}))


def _target(server: SimulatorServer) -> OpenAI:
    return OpenAI(api_key="k", base_url=server.openai_url)


if __name__ == "__main__":
    main()
