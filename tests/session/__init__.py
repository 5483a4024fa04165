"""Whole sessions over real loopback sockets: what `rtsync/session` promises, one promise a test."""
