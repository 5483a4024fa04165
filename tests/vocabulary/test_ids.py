"""Ids that a client gives are told apart, whichever thread or process has made them."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from rtsync.vocabulary.ids import new_id


def test_ids_of_many_threads_are_unique_short_and_plain() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [found for some in pool.map(lambda _: [new_id("item") for _ in range(2_000)], range(8)) for found in some]
    assert len(set(ids)) == 16_000
    assert all(found.startswith("item_") and len(found) <= 32 and found.isascii() for found in ids)


def test_a_forked_child_makes_ids_of_its_own() -> None:
    ours, theirs = multiprocessing.Pipe()

    def make(pipe: Connection) -> None:
        pipe.send({new_id("item") for _ in range(100)})

    child = multiprocessing.get_context("fork").Process(target=make, args=(theirs,))
    child.start()
    made = ours.recv()
    child.join()
    assert len(made | {new_id("item") for _ in range(100)}) == 200
