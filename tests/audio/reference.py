"""``audioop``, which Python had up to 3.12 and has from ``audioop-lts`` since: what ours is compared with."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

__all__ = ["audioop"]
