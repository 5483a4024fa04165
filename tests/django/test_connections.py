"""`fresh_connections`: what is opened within is closed behind it, and nothing else."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction

from rtsync import Event, RealtimeSession, Simulator, Tool
from rtsync.django.connections import fresh_connections


def used() -> Any:
    """Use the database; the connection that did."""
    get_user_model().objects.count()
    return connections["default"]


def in_a_thread(job: Any) -> None:
    thread = threading.Thread(target=job)
    thread.start()
    thread.join()


def test_what_is_opened_within_is_closed() -> None:
    seen: list[Any] = []

    def job() -> None:
        with fresh_connections():
            made = used()
            seen.append(made.connection is not None)
        seen.append(made.connection is None)

    in_a_thread(job)
    assert seen == [True, True]


def test_it_is_closed_behind_an_exception_too() -> None:
    seen: list[Any] = []

    def job() -> None:
        with contextlib.suppress(ValueError), fresh_connections():
            seen.append(used())
            raise ValueError
        seen.append(seen[0].connection)

    in_a_thread(job)
    assert seen[1] is None


def test_what_was_open_before_stays() -> None:
    used()
    with fresh_connections():
        used()
        with fresh_connections():
            used()
    assert connection.connection is not None


def test_a_transaction_around_it_goes_on() -> None:
    connection.close()
    with transaction.atomic(), fresh_connections():
        used()
    with transaction.atomic():
        user = get_user_model().objects.create(username="within a transaction")
        with fresh_connections():
            used()
        user.refresh_from_db()


def test_threads_of_a_session_keep_no_connection() -> None:
    assert left_open(fresh_connections) == {"handler": False, "guard": False, "approval": False, "tool": False}


def test_without_it_they_would() -> None:
    assert left_open(None)["handler"]


def left_open(within: Any) -> dict[str, bool]:
    """Whether the connection that each has used is open while the session is idle."""
    seen: dict[str, Any] = {}

    def count() -> str:
        seen["tool"] = used()
        return "some"

    def approve(call: object) -> bool:
        seen["approval"] = used()
        return True

    with RealtimeSession(Simulator(pace=False), within=within, tools=[Tool(count, approval=approve)]) as session:

        @session.on("response.created")
        def on_created(_session: RealtimeSession, event: Event) -> None:
            seen["handler"] = used()

        @session.guard
        def check(text: str, response: object) -> None:
            seen["guard"] = used()

        session.ask("please count")
        found = {who: each.connection is not None for who, each in seen.items()}
    for each in seen.values():
        each.inc_thread_sharing()
        each.close()
    return found
