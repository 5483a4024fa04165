"""Conversations in a pool of processes: `pool URL fork|spawn|forkserver`."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys

from rtsync import OpenAI, RealtimeError, RealtimeSession
from tests.process.scripts.sessions import session_to

URL, METHOD = sys.argv[1:3]


def converse(target: OpenAI) -> tuple[int, str]:
    """A conversation with a target that came by pickle."""
    with RealtimeSession(target, connect_timeout=20) as session:
        return os.getpid(), session.ask("Hi", timeout=20).text


def be_refused(url: str) -> None:
    """Raise what the service said."""
    with session_to(url, connect_timeout=20) as session:
        session.update(refuse=True, timeout=20)


def wait_in_vain(url: str) -> None:
    """Raise what a wait says that runs out."""
    with session_to(url, connect_timeout=20) as session:
        session.wait_for("response.done", timeout=0.01)


def use(_number: int) -> None:
    """Use a session of the parent's, where there is one."""
    if inherited is not None:
        inherited.update(instructions="Mine?")


def described(error: RealtimeError) -> dict[str, object]:
    """What is left of an error that came by pickle."""
    return {"type": type(error).__name__, "text": str(error), "data": {**vars(error)}}


inherited: RealtimeSession | None = None


def main() -> None:
    """Print what the processes of the pool returned and raised."""
    global inherited
    # Without its key: a target does not carry one through a pickle.
    os.environ["OPENAI_API_KEY"] = "k"
    target = OpenAI(base_url=f"{URL}/v1")
    inherited = session_to(URL).open()
    raised = []
    with multiprocessing.get_context(METHOD).Pool(2) as pool:
        texts = sorted({text for pid, text in pool.map(converse, [target] * 8) if pid != os.getpid()})
        for call, argument in ((be_refused, URL), (wait_in_vain, URL), (use, 1)):
            try:
                pool.apply(call, (argument,))
            except RealtimeError as error:
                raised.append(described(error))
        pool.close()
        pool.join()
    inherited.update(instructions="Still mine", timeout=20)
    inherited.close()
    print(json.dumps({"texts": texts, "raised": raised}))


if __name__ == "__main__":
    main()
