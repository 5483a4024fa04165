"""The ``rtsync`` command: ``demo``, ``chat`` and ``serve``.

Reading order: ``program.py`` (the command group and how it ends), ``outcome.py`` (exit statuses, one line for every
error), then one module for each command: ``demo.py``; ``chat.py`` with ``accounts.py`` (which target),
``conversation.py`` (turns), ``output.py`` (what is printed) and ``logs.py`` (what is logged); ``serve.py``.
"""

from rtsync.cli.program import main

__all__ = ["main"]
