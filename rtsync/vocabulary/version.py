"""The version, in the one place that packaging and the ``User-Agent`` header both read."""

VERSION = "0.1.0"
