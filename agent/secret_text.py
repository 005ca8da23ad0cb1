"""Reads a file that holds a secret. Its text is in no sentence, log line or exception."""

import os
import stat

from agent.model.errors import ConfigError

FILE_BYTES_MAX = 64 << 10


def text_of(path: str, key: str) -> str:
    """The text of a file. A link is followed, as the secrets of Kubernetes are links. *Raises:* ConfigError."""
    try:
        # A named pipe must not keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(key, f"{path} is no file", "name a file")
            data = os.read(descriptor, FILE_BYTES_MAX + 1)
        finally:
            os.close(descriptor)
    except OSError as cause:
        raise ConfigError(key, f"{path} cannot be read ({cause.strerror})", "the agent's user must be able to read it") from cause
    except ValueError as cause:
        raise ConfigError(key, "the path has a zero byte", "name a file") from cause
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(key, f"{path} is longer than {FILE_BYTES_MAX} bytes", "name another file")
    # Any bytes are text of this kind; what no header can hold is refused below.
    return data.decode("latin-1")
