"""Opens what the writer stores to the reader group, where there is one. A refusal never stops storing; it is reported."""

import os

from agent import reader_group
from agent.model.foreign import readable

# Refusals that are kept apart, by folder: they mostly have one cause.
_PROBLEMS_MAX = 16


class ReaderGroup:
    """The group by its number; None: there is none, and nothing is done."""

    def __init__(self, gid: int | None = None) -> None:
        self.gid = gid
        self._problems: dict[str, str] = {}

    @property
    def problem(self) -> str:
        """What could not be opened to the group the last time it was tried; "": everything could."""
        if not self._problems:
            return ""
        more = f" (and {len(self._problems) - 1} more)" if len(self._problems) > 1 else ""
        return next(iter(self._problems.values())) + more

    def share_folder(self, path: str) -> None:
        """Let the group list a folder. One that is not there (any more) hides nothing."""
        if self.gid is not None:
            self._problems.pop(path, None)
            try:
                reader_group.share_folder(path, self.gid)
            except FileNotFoundError:
                return
            except OSError as cause:
                self._note(path, cause)

    def share_file(self, descriptor: int, path: str) -> None:
        """Let the group read a file that is open here and lies, or will lie, at this path."""
        if self.gid is not None:
            try:
                reader_group.share_open(descriptor, self.gid)
            except OSError as cause:
                self._note(os.path.dirname(path), cause)

    def note_sealed(self, folder: str, problem: str) -> None:
        """What a sealer says of the same; "": it could share everything."""
        if problem:
            self._keep(folder, problem)
        else:
            self._problems.pop(folder, None)

    def _note(self, folder: str, cause: OSError) -> None:
        self._keep(folder, f"{readable(folder)}: its files cannot be handed to group {self.gid} ({cause.strerror or cause})")

    def _keep(self, folder: str, problem: str) -> None:
        if folder in self._problems or len(self._problems) < _PROBLEMS_MAX:
            self._problems[folder] = problem
