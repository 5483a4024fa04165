"""The ``rtsync`` command: ``demo``, ``chat``, ``talk``, ``say``, ``transcribe``, ``serve`` and ``events``.

Reading order: ``program.py`` (the command group and how it ends), ``outcome.py`` (exit statuses, one line for every
error), then one module for each command: ``demo.py``; ``chat.py`` with ``conversation.py`` (turns) and ``output.py``
(what is printed); ``talk.py`` with ``dialogue.py`` (who said what), ``meter.py`` and ``keys.py``; ``say.py``;
``transcribe.py`` with ``recordings.py`` (what it reads), ``turns.py`` (what is heard),
``transcripts.py`` (how that is written) and ``progress.py``; ``serve.py``; ``events.py``.

Options that commands share come in sets (``option_sets.py``): ``accounts.py`` (which target), ``lines.py`` (the line,
and with ``logs.py`` what is logged), ``senses.py`` (the simulator's ears and voice).
"""

from rtsync.cli.program import main

__all__ = ["main"]
