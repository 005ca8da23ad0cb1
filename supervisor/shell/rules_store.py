"""The rules document on the disk: read at the start, replaced as a whole, durable before it is in force."""

import os
from functools import partial

from agent.model.errors import FormatError, StorageError
from agent.model.timebase import compact_utc
from agent.paths import NO_FOLDER_SYNC
from supervisor.core.effect import LimitsPersisted, Persisted
from supervisor.core.rulebook import Rulebook, decode_rulebook, encode_rulebook
from supervisor.shell.background_thread import BackgroundThread
from supervisor.shell.durable_document import put_in_place, sync_folder

FILE_NAME = "rules.json"
# 10,000 rules are some 3 MB.
DOCUMENT_BYTES_MAX = 64 << 20


def load_rulebook(state_dir: str, wall_ns: int) -> tuple[Rulebook, str]:
    """The rules as last written, and a sentence that says why they could not be used (empty: they could).

    A damaged document is set aside under another name, never deleted; the agent goes on without operator rules.
    *Raises:* StorageError when the file cannot be read at all.
    """
    path = os.path.join(state_dir, FILE_NAME)
    try:
        with open(path, "rb") as file:
            document = file.read(DOCUMENT_BYTES_MAX)
    except FileNotFoundError:
        return Rulebook(), ""
    except OSError as cause:
        raise StorageError(path, f"cannot be read: {cause.strerror}", "mend its permissions") from cause
    try:
        return decode_rulebook(document), ""
    except FormatError as damage:
        aside = f"{path}.damaged-{compact_utc(wall_ns)}-{os.getpid()}"
        os.rename(path, aside)
        return Rulebook(), f"{path}: {damage.problem}; it was set aside as {aside}, add the rules again or mend and put it back"


class RulesStore:
    """Writes the document in a background thread; each outcome is a Persisted from `thread.results`. The limits use it too."""

    def __init__(self, state_dir: str) -> None:
        self.state_dir = state_dir
        self.thread: BackgroundThread[Persisted | LimitsPersisted] = BackgroundThread("rules-store")

    def write(self, token: int, book: Rulebook) -> None:
        """Replace the document by one with these rules. `token` comes back in the outcome."""
        assert token > 0, token
        self.thread.send(partial(self._write, token, book))

    def _write(self, token: int, book: Rulebook) -> Persisted:
        path = os.path.join(self.state_dir, FILE_NAME)
        try:
            put_in_place(path, encode_rulebook(book))
        except OSError as failure:
            return Persisted(token, f"{path} cannot be written: {failure.strerror}")
        try:
            sync_folder(os.path.dirname(path))
        except OSError as failure:
            if failure.errno in NO_FOLDER_SYNC:
                return Persisted(token, weakness=f"the file system of {self.state_dir} syncs no folders: {failure.strerror}")
            return Persisted(token, f"{self.state_dir} cannot be synced: {failure.strerror}", is_in_place=True)
        return Persisted(token)
