"""The answers that come without being asked for: those that voice detection, or another client, starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from rtsync.session.response import Response
from rtsync.threads.following import Subscription
from rtsync.threads.reader import Core
from rtsync.vocabulary.errors import FellBehind
from rtsync.vocabulary.events import raw

__all__ = ["Responses"]


class Responses:
    """A live iterator over the responses that begin, from its making on, without a ``respond()`` or ``ask()`` of this
    session: those of voice detection, of ``send({"type": "response.create"})``, of another client of a call.

    ::

        with session.responses(timeout=30) as responses:
            session.send_audio("question.wav")
            print(next(responses).wait().transcript)

    Each is given once, when it has begun, in order; what it says is kept from its beginning on. It ends as
    ``session.events()`` does. Use it in a ``with`` block, or close it. Of those that nobody has taken the newest 16 are
    kept.

    Threads: made anywhere; iterated by one thread at a time.
    """

    def __init__(self, core: Core, timeout: float | None) -> None:
        self._core = core
        self._begun: Subscription = core.subscribe(frozenset({"response.created"}), timeout)
        self._unasked = core.floor.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Response]:
        return self

    def __next__(self) -> Response:
        """The next one; blocks at most the ``timeout`` given to ``responses()``.

        Raises:
            StopIteration: the session or this iterator was closed.
            WaitTimeout: none began in time; the iteration may go on.
            FellBehind: more began than are kept; the iteration goes on with the next.
            SessionClosed: the session was lost.
        """
        while True:
            response = raw(next(self._begun)).get("response")
            try:
                follower = self._unasked.claim(response.get("id") if isinstance(response, dict) else None)
            except LookupError:
                raise FellBehind(
                    "responses that began without being asked for were not taken in time, and the newest 16 are kept."
                    " The next one is one of these"
                ) from None
            if follower is not None:
                return Response(self._core, follower)

    def close(self) -> None:
        """Collect no more; those not yet taken are dropped, those that were go on. May be called twice."""
        self._begun.close()
        if not self._core.inherited:
            self._core.floor.ignore(self._unasked)
