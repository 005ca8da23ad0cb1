"""TLS towards a sink: its context from the files of a section, and sentences for what can be wrong with certificates.

`ssl` is imported when the first endpoint with https:// is reached: it costs a process 3 MiB.
"""

import os
from typing import TYPE_CHECKING

from agent.model.errors import ConfigError
from workers.export.http_option import HttpSetup

if TYPE_CHECKING:
    import socket
    import ssl

# X509_V_ERR_…, linux: openssl/x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN = frozenset({2, 19, 20, 21, 27})
_OTHER_NAME = frozenset({62, 63, 64})
# Alerts by which a server says that it wants another certificate of us, or any.
_WANTS_CERTIFICATE = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "ACCESS_DENIED",
)
_IS_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")

_Marks = tuple[tuple[int, int, int], ...]


class TlsSide:
    """Wraps connections. Files that were exchanged are read again at the next connection."""

    def __init__(self, setup: HttpSetup, host: str) -> None:
        self._setup = setup
        self._name = setup.server_name or host
        self._context: ssl.SSLContext | None = None
        self._marks: _Marks = ()

    def wrapped(self, connection: "socket.socket") -> "ssl.SSLSocket":
        """The connection after the handshake, for which it has its own time-out. *Raises:* ConfigError, OSError (ssl.SSLError)."""
        return self._current().wrap_socket(connection, server_hostname=self._name)

    def _current(self) -> "ssl.SSLContext":
        marks = tuple(_mark(path) for path in (self._setup.ca_file, self._setup.cert_file, self._setup.key_file) if path)
        if self._context is None or marks != self._marks:
            self._context, self._marks = _context(self._setup), marks
        return self._context


def is_end(cause: Exception) -> bool:
    """Whether the other side closed the connection without the word of TLS for it."""
    import ssl

    return isinstance(cause, ssl.SSLEOFError)


def tls_problem(cause: Exception, setup: HttpSetup, host: str) -> str:
    """The sentence for a failure that only a person can end; empty: it may pass."""
    import ssl

    name = setup.server_name or host
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _certificate_problem(cause.verify_code, name, cause.verify_message)
    if not isinstance(cause, ssl.SSLError):
        return ""
    reason = cause.reason or ""
    if reason.endswith(_WANTS_CERTIFICATE):
        return f"{host} does not take our certificate, or wants one; set cert_file and key_file to one that it knows"
    if reason in _IS_NO_TLS:
        return f"{host} does not answer with TLS at this port; write the endpoint with http:// or with the port that has TLS"
    if reason.endswith(("HANDSHAKE_FAILURE", "PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "UNRECOGNIZED_NAME")):
        return (
            f"{host} and the agent have no version or cipher of TLS in common, or it does not know the name {name}; look at its log"
        )
    return ""


def _certificate_problem(code: int, name: str, message: str) -> str:
    if code == _EXPIRED:
        return f"the certificate of {name} has expired; renew it there, and look at this host's clock"
    if code == _NOT_YET_VALID:
        return f"the certificate of {name} is not valid yet; look at this host's clock"
    if code in _OTHER_NAME:
        return f"the certificate is of another name than {name}; set server_name, or write the endpoint with the name that it has"
    if code in _UNKNOWN or code == _SELF_SIGNED:
        return f"the certificate of {name} is signed by nobody that this host knows; set ca_file to the authority that signed it"
    return f"the certificate of {name} is refused ({message}); look at it, and at ca_file"


def _mark(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def _context(setup: HttpSetup) -> "ssl.SSLContext":
    import ssl

    try:
        context = ssl.create_default_context(cafile=setup.ca_file or None)
    except (OSError, ValueError) as cause:
        raise ConfigError(
            "ca_file", f"{setup.ca_file} cannot be used ({_why(cause)})", "name a PEM file of certificates"
        ) from cause
    if setup.cert_file:
        try:
            # Never ask for a passphrase at a terminal.
            context.load_cert_chain(setup.cert_file, setup.key_file or None, password=_no_passphrase)
        except (OSError, ValueError) as cause:
            raise ConfigError(
                "cert_file", f"{setup.cert_file} or its key cannot be used ({_why(cause)})", "name PEM files that belong together"
            ) from cause
    if not setup.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_passphrase() -> str:
    raise ValueError("its key has a passphrase")


def _why(cause: Exception) -> str:
    reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None) or str(cause)
    return str(reason).replace("_", " ").lower()
