"""TLS of a server: its certificate, and connections whose handshake never makes the loop wait.

`ssl` is imported where a certificate is set: it costs a process 3 MiB. May import ssl, socket and os.
"""

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.model.errors import ConfigError
from workers.http.connection import ByteStream, Handshake

if TYPE_CHECKING:
    import ssl


class ServerTls:
    """The certificate of a server. Files that were exchanged are read again at the next connection."""

    def __init__(self, cert_file: str, key_file: str) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._marks: tuple[tuple[int, int, int], ...] = ()
        self._context: ssl.SSLContext | None = None

    def load(self) -> None:
        """Read the files. *Raises:* ConfigError whose sentence names the file."""
        self._marks = self._marks_now()
        self._context = _context(self._cert_file, self._key_file)

    def accept(self, peer: socket.socket) -> tuple[ByteStream, Handshake]:
        """A connection, its handshake still to come. *Raises:* OSError."""
        if self._context is None or self._marks_now() != self._marks:
            # A pair that does not fit, half exchanged: the one of before goes on, and is tried again at the next connection.
            with suppress(ConfigError):
                self.load()
        if self._context is None:
            raise OSError("no certificate")
        connection = TlsConnection(self._context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False))
        return connection, connection

    def _marks_now(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_mark(path) for path in (self._cert_file, self._key_file) if path)


class TlsConnection:
    """A socket with TLS that behaves as one without: `workers.http.connection.ByteStream` and its `Handshake`."""

    def __init__(self, connection: "ssl.SSLSocket") -> None:
        self.wants_room = False
        self._socket = connection

    def step(self) -> bool:
        """See Handshake."""
        import ssl

        self.wants_room = False
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self.wants_room = True
            return False
        return True

    def fileno(self) -> int:
        """Its descriptor."""
        return self._socket.fileno()

    def recv(self, bytes_max: int, /) -> bytes:
        """What has come. *Raises:* BlockingIOError while nothing has, OSError where the connection is broken."""
        import ssl

        try:
            return self._socket.recv(bytes_max)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as nothing:
            raise BlockingIOError from nothing
        except ssl.SSLEOFError:
            return b""

    def send(self, data: bytes | memoryview, /) -> int:
        """How many bytes were taken. *Raises:* BlockingIOError while there is no room; the same bytes are then sent again."""
        import ssl

        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as nothing:
            raise BlockingIOError from nothing

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more comes, in words of TLS and then of TCP."""
        import ssl

        # It waits for the other side's word, which may never come.
        with suppress(ssl.SSLError, OSError, ValueError):
            self._socket.unwrap()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def _mark(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def _context(cert_file: str, key_file: str) -> "ssl.SSLContext":
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Never ask for a passphrase at a terminal.
        context.load_cert_chain(cert_file, key_file or None, password=_no_passphrase)
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or getattr(cause, "reason", None) or str(cause)
        raise ConfigError(
            "tls_cert_file",
            f"{cert_file} or its key cannot be used ({str(reason).replace('_', ' ').lower()})",
            "name PEM files of a certificate and its key that belong together",
        ) from cause
    return context


def _no_passphrase() -> str:
    raise ValueError("its key has a passphrase")
