"""The limits that the operator has set, on the disk: read at the start, replaced as a whole, durable before they are in force."""

import os
from collections.abc import Mapping
from functools import partial

from agent.model.errors import FormatError, StorageError
from agent.model.limit import SetLimits
from agent.model.timebase import compact_utc
from agent.paths import NO_FOLDER_SYNC
from supervisor.core.effect import LimitsPersisted, Persisted
from supervisor.core.limit_book import decode_limits, encode_limits
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.durable_document import put_in_place, sync_folder

FILE_NAME = "limits.json"
DOCUMENT_BYTES_MAX = 1 << 20


def load_limits(state_dir: str, wall_ns: int) -> tuple[dict[str, SetLimits], str]:
    """The limits as last written, by worker, and a sentence that says why they could not be used (empty: they could).

    A damaged document is set aside under another name, never deleted; then the limits of the settings hold.
    *Raises:* StorageError when the file cannot be read at all.
    """
    path = os.path.join(state_dir, FILE_NAME)
    try:
        with open(path, "rb") as file:
            document = file.read(DOCUMENT_BYTES_MAX)
    except FileNotFoundError:
        return {}, ""
    except OSError as cause:
        raise StorageError(path, f"cannot be read: {cause.strerror}", "mend its permissions") from cause
    try:
        return dict(decode_limits(document)), ""
    except FormatError as damage:
        aside = f"{path}.damaged-{compact_utc(wall_ns)}-{os.getpid()}"
        os.rename(path, aside)
        return {}, f"{path}: {damage.problem}; it was set aside as {aside}, set the limits again"


class LimitsStore:
    """Writes the document in the thread of the rules; each outcome is a LimitsPersisted among that thread's results."""

    def __init__(self, state_dir: str, thread: BackgroundThread[Persisted | LimitsPersisted]) -> None:
        self._state_dir = state_dir
        self._thread = thread

    def write(self, token: int, limits: Mapping[str, SetLimits]) -> None:
        """Replace the document by one with these limits. `token` comes back in the outcome."""
        assert token > 0, token
        self._thread.send(partial(self._write, token, dict(limits)))

    def _write(self, token: int, limits: Mapping[str, SetLimits]) -> LimitsPersisted:
        path = os.path.join(self._state_dir, FILE_NAME)
        try:
            put_in_place(path, encode_limits(limits))
        except OSError as failure:
            return LimitsPersisted(token, f"{path} cannot be written: {failure.strerror}")
        try:
            sync_folder(self._state_dir)
        except OSError as failure:
            if failure.errno not in NO_FOLDER_SYNC:
                return LimitsPersisted(token, f"{self._state_dir} cannot be synced: {failure.strerror}")
        return LimitsPersisted(token)
