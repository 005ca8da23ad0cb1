"""A stream that is printed to, whose failures are a sentence instead of a bug."""

from agent.model.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class Output:
    """Standard output or standard error under its name. A reader that leaves stays a BrokenPipeError, which is no failure."""

    __slots__ = ("_name", "_stream")

    def __init__(self, stream: "TextIO", name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: str) -> int:
        """Print. *Raises:* StorageError, BrokenPipeError."""
        try:
            return self._stream.write(text)
        except OSError as cause:
            raise self._failure(cause) from cause

    def write_bytes(self, data: bytes) -> int:
        """Print bytes, behind the text that was printed. *Raises:* StorageError, BrokenPipeError."""
        try:
            self._stream.flush()
            return self._stream.buffer.write(data)
        except OSError as cause:
            raise self._failure(cause) from cause

    def flush(self) -> None:
        """Hand on what was printed. *Raises:* StorageError, BrokenPipeError."""
        try:
            self._stream.flush()
        except OSError as cause:
            raise self._failure(cause) from cause

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Its descriptor. *Raises:* OSError where it has none."""
        return self._stream.fileno()

    def _failure(self, cause: OSError) -> StorageError | BrokenPipeError:
        return cause if isinstance(cause, BrokenPipeError) else StorageError(self._name, cause.strerror or str(cause))
