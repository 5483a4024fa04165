"""A certificate authority of the tests' own, and TLS contexts for both ends."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import trustme

__all__ = ["Certificates"]


class Certificates:
    """An authority that nobody else trusts, with certificates for the loopback names.

    Args:
        folder: where the files are written.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        """What a client has to trust."""
        self._authority.cert_pem.write_to_path(self.ca_file)
        self.server_file = folder / "server.pem"
        """Key and certificate chain of 127.0.0.1, ::1 and localhost, in one file."""
        self._loopback = self._authority.issue_cert("127.0.0.1", "::1", "localhost")
        self._loopback.private_key_and_cert_chain_pem.write_to_path(self.server_file)

    def server_context(
        self,
        *names: str,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        maximum: ssl.TLSVersion | None = None,
        not_after: dt.datetime | None = None,
    ) -> ssl.SSLContext:
        """Make a server's context, TLS 1.3 unless told otherwise; with `names` its certificate is for these only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = minimum
        context.maximum_version = maximum or ssl.TLSVersion.MAXIMUM_SUPPORTED
        certificate = self._authority.issue_cert(*names, not_after=not_after) if names else self._loopback
        certificate.configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make a client's context that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))
