"""``python -m rtsync``: the ``rtsync`` command where its script is not on the path."""

import sys

from rtsync.cli import main

sys.exit(main())
