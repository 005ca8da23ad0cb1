"""The file of what the worker remembers, `<state>/workloads.json`: replaced as a whole."""

import os

from agent.kernel_file import read_whole
from agent.model.errors import FormatError
from workers.workloads.remembered import RememberedStarts, decode_remembered, encode_remembered

FILE_NAME = "workloads.json"
# A thousand workloads with names of 63 characters are below 200 KiB.
BYTES_MAX = 16 << 20


class RememberedFile:
    """Reads and writes it."""

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, FILE_NAME)

    def read(self) -> tuple[RememberedStarts, str]:
        """What it holds, and a sentence about why it could not be used (empty: it could).

        Without it, endings are written into the tables once more, under the same keys.
        """
        try:
            return decode_remembered(read_whole(self._path, BYTES_MAX)), ""
        except FileNotFoundError:
            return RememberedStarts(), ""
        except OSError as cause:
            return RememberedStarts(), f"{self._path} cannot be read: {cause.strerror}"
        except FormatError as damage:
            return RememberedStarts(), f"{self._path}: {damage.problem}"

    def write(self, remembered: RememberedStarts) -> str:
        """Replace it. A sentence where that cannot be done; empty: it is done."""
        temporary = f"{self._path}.new"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, encode_remembered(remembered))
            finally:
                os.close(descriptor)
            os.rename(temporary, self._path)
        except OSError as cause:
            return f"{self._path} cannot be written: {cause.strerror}"
        return ""
