"""The sending half of a session: how an event gets from the program's thread to the kernel.

1. Whoever sends notes the event under the books while its connection is still the current one, and ``sending`` holds
   its id until the kernel has it. So a change of connections knows of every event whether it was handed over, is being
   handed over, or will go to the next one.
2. No socket call runs under the books. Frames of several threads are kept apart by the line.
3. An event that a line broke under was never whole, and goes out on the next one where there is to be one.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rtsync.edges.guard import LineBroken
from rtsync.edges.latch import Bell, stay_asleep
from rtsync.pure.recovery import UPDATES
from rtsync.pure.state import State
from rtsync.pure.turns import NOTED
from rtsync.threads.connection import Connection
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    CloseCause,
    ConnectionLost,
    RealtimeError,
    UsageError,
    WaitTimeout,
)
from rtsync.vocabulary.events import encode

if TYPE_CHECKING:
    from rtsync.threads.reader import Core

__all__ = ["Sender"]

logger = logging.getLogger("rtsync.session")

_VERDICT_PATIENCE = 1.0  # seconds that a failed send waits for the reader to say why the line ended


class Sender:
    """Sends the events of one session.

    Args:
        core: the session's.
        books: its lock, see there.
        moved: rung at each step of the session's life.
        send_timeout: seconds for a send that names none.

    Attributes:
        events_sent: how many the kernel has taken.
        translates: whether the endpoint speaks another dialect than the program.
    """

    def __init__(self, core: Core, books: threading.RLock, moved: Bell, send_timeout: float) -> None:
        self.events_sent = 0
        self.translates = False
        self._core = core
        self._books = books
        self._moved = moved
        self._send_timeout = send_timeout

    def send(self, event: dict[str, Any], owner: object, timeout: float | None) -> None:
        """Hand ``event``, which has its id, to the kernel. Answers and errors go to ``owner``.

        While the session reconnects it waits. An event that the line broke under goes out on the next one: it was
        never whole.
        """
        core, began = self._core, time.monotonic()
        limit = self._send_timeout if timeout is None else timeout
        left: float | None = limit
        connection, broken = core.current, None
        while True:
            if connection is broken or core.state is not State.OPEN or core.holds_back:
                deadline = Deadline(limit, began)
                connection = self._await_line(event, deadline, broken)
                left = deadline.remaining(limit)
            assert connection is not None
            try:
                self.hand_over(connection, event, owner, left)
                return
            except LineBroken as error:
                if not core.recovers or threading.get_ident() == connection.line.reader_id:
                    raise self._verdict(error, connection) from error
                broken = connection

    def _await_line(self, event: Mapping[str, Any], deadline: Deadline, broken: Connection | None) -> Connection:
        """The connection to send over, once there is one that is not ``broken``."""
        core = self._core
        if core.state is not State.OPEN or core.current is broken or self._is_held_back(event):
            self._check_opened()
            core.delivery.check_may_wait(settled=False)
            if not self._moved.wait_until(lambda: self._settled_on(broken, event), deadline.remaining()):
                raise WaitTimeout(
                    f"the session is being reconnected, and that took longer than {deadline.timeout:g} s;"
                    f" {event['type']!r} was not sent. Give send() more time, or try again later"
                )
        if core.state is State.OPEN and core.current is not None:
            return core.current
        stay_asleep()
        if core.error is not None:
            raise copy.copy(core.error)
        raise core.left()

    def _settled_on(self, broken: Connection | None, event: Mapping[str, Any]) -> bool:
        """Whether it is known where to send, or that there will be nowhere."""
        if self._core.state is State.OPEN:
            return self._core.current is not broken and not self._is_held_back(event)
        return self._core.state is not State.RECONNECTING

    def _is_held_back(self, event: Mapping[str, Any]) -> bool:
        """Whether ``event`` has to wait: not one that brings the calm nearer, nor one that the reader itself sends."""
        if not self._core.holds_back or event["type"] == "response.cancel":
            return False
        return threading.get_ident() != self._core.delivery.reader

    def _check_opened(self) -> None:
        if self._core.state is State.NEW:
            raise UsageError("the session is not open; use it in a with block, or call open() first")
        if self._core.state is State.CONNECTING:
            raise UsageError("the session is still being opened; send after open() has returned")

    def hand_over(self, connection: Connection, event: dict[str, Any], owner: object, timeout: float | None) -> None:
        """Send ``event`` over ``connection``.

        Raises:
            LineBroken: it did not go out whole: the line broke, or is not the session's any more.
        """
        kind, event_id = event["type"], event["event_id"]
        try:
            data = encode(self._for_the_wire(connection, event) if self.translates else event)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the event {kind!r} cannot be written as JSON: {error}") from error
        try:  # Around the note too: one that stays behind Ctrl+C would be given the answers of all that follow.
            self._note_sending(connection, event, owner)
            if "session" in event or "response" in event:  # Not in audio, and most else: what can hold any.
                connection.line.note_credentials(event)
            connection.line.send(data, timeout=timeout)
        except BaseException:
            with self._books:
                connection.sending.discard(event_id)
                connection.correlation.withdraw(event_id)
                self._core.turns.withdraw(event_id)
            raise
        with self._books:
            self.events_sent += 1
            connection.sending.discard(event_id)
            late = connection.over and connection.correlation.withdraw(event_id)
        if late:
            raise ConnectionLost(
                f"the line ended while {kind!r} was being sent, so it will not be answered; it is not sent"
                " again. The session goes on over a new connection",
                code=1006,
                cause=CloseCause.NETWORK,
                in_flight=(kind,),
            )

    def _note_sending(self, connection: Connection, event: Mapping[str, Any], owner: object) -> None:
        kind = event["type"]
        with self._books:
            if connection.over:
                raise LineBroken("the session has moved to another line")
            connection.correlation.sent(event, owner)
            connection.sending.add(event["event_id"])
            if kind == "input_audio_buffer.append":
                self._core.note_append(event.get("audio"))
            elif kind in UPDATES:
                self._core.settings.sent(event)
            elif kind in NOTED:
                self._core.turns.sent(event, time.monotonic())

    def _for_the_wire(self, connection: Connection, event: dict[str, Any]) -> dict[str, Any]:
        """``event`` in the dialect of the endpoint; what that does not know is said once."""
        with self._books:  # The dialect remembers what it has said.
            translated, notes = connection.for_the_wire(event)
        for note in notes:
            logger.warning("%s", note)
        return translated

    def _verdict(self, broken: LineBroken, connection: Connection) -> RealtimeError:
        """Why the line ended, as the reader knows it, or will in a moment."""
        if threading.get_ident() != connection.line.reader_id:
            self._core.finished.wait(_VERDICT_PATIENCE)
        if self._core.error is not None:
            return copy.copy(self._core.error)
        return ConnectionLost(f"the event was not sent: {broken}", code=1006, cause=CloseCause.NETWORK)
