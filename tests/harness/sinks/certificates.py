"""Certificates for tests of TLS: an authority of the test's own, and what it says of servers and clients.

authority = Authority(folder)
authority.server("localhost")                       # also any other name, or an address
authority.server("localhost", expired=True)
authority.client("node-7")
Authority(elsewhere)                                # an authority that nobody here trusts
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Identity:
    """Two PEM files: a certificate with what leads to the authority, and its private key."""

    certificate: Path
    key: Path


class Authority:
    """Signs for names; `certificate` is the PEM file that a peer trusts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self._made = 0
        self.certificate = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.certificate))

    def server(self, *names: str, expired: bool = False) -> Identity:
        """Of a server with these host names or addresses; one that is expired was valid until yesterday."""
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        return self._keep(self._authority.issue_cert(*names, not_after=until))

    def client(self, name: str) -> Identity:
        """Of a client, which proves by it that it is `name`."""
        return self._keep(self._authority.issue_cert(f"{name}.client.test", common_name=name))

    def _keep(self, made: trustme.LeafCert) -> Identity:
        self._made += 1
        found = Identity(self._folder / f"certificate-{self._made}.pem", self._folder / f"key-{self._made}.pem")
        for place, blob in enumerate(made.cert_chain_pems):
            blob.write_to_path(str(found.certificate), append=place > 0)
        made.private_key_pem.write_to_path(str(found.key))
        found.key.chmod(0o600)
        return found
