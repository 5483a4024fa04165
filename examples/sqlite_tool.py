"""A tool that looks things up in a database: SQLite, read-only, a connection for each call.

What:  makes a small database, and lets the model search it; tools run in threads of their own.
Needs: nothing. With an account, the one line that says where to connect becomes another.
Run:   python examples/sqlite_tool.py
"""

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment

BOOKS = [("Moby Dick", "Melville", 1851), ("Emma", "Austen", 1815), ("Persuasion", "Austen", 1817)]


class Library:
    """Books in a file, which its connections cannot write. Tools run in threads that come and go: each call has one."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.as_uri()}?mode=ro"

    def find_books(self, author: str, limit: int = 10) -> list[dict[str, Any]]:
        """Books of an author, oldest first.

        Args:
            author: family name.
            limit: how many at most.
        """
        with contextlib.closing(sqlite3.connect(self._uri, uri=True)) as books:
            found = books.execute(
                "SELECT title, year FROM books WHERE author = ? ORDER BY year LIMIT ?", (author, limit)
            )
            return [{"title": title, "year": year} for title, year in found]


def make(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as books, books:
        books.execute("CREATE TABLE books (title, author, year)")
        books.executemany("INSERT INTO books VALUES (?, ?, ?)", BOOKS)


with tempfile.TemporaryDirectory() as folder:
    make(Path(folder, "library.db"))
    library = Library(Path(folder, "library.db"))
    with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}, tools=[library.find_books]) as session:
        for question in ("Please find books by Austen.", "find books by Melville, 1 is enough"):
            print("you:", question)
            print("model:", session.ask(question).text)
