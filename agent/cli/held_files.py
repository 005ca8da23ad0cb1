"""Sealed files that stay open from the look at them until the answer is read.

A storage quota may remove a file at any moment, and compaction takes a whole day's files away: what is open cannot go. DuckDB
opens a file when its rows are due, so it is given the name of the open descriptor below /proc.
"""

import os
import resource
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from agent.model.foreign import readable
from agent.store.footer import checked_footer
from agent.store.foreign_file import open_regular
from agent.store.layout import parse_sealed_name
from agent.store.left_out import LeftOut
from agent.store.sealed import WantedFiles, why_foreign, why_not_named_so

DESCRIPTORS_DIR = "/proc/self/fd/"
# For DuckDB's own files, sockets, pipes, libraries.
DESCRIPTORS_SPARE = 128


class HeldFile(Struct, frozen=True):
    """One file: its path, the name by which DuckDB opens it, its columns with Arrow's words for their types, and the segments
    that a compacted one says it was made of."""

    path: str
    place: str
    columns: tuple[tuple[str, str], ...]
    segments: tuple[str, ...] = ()


class HeldChoice(Struct, frozen=True):
    """The files of a table that are read, in order, what was left out, and whether one has gone since it was listed."""

    files: list[HeldFile]
    left_out: list[LeftOut]
    has_gone: bool


class HeldFiles:
    """Files that are kept open, as many as this process may have; further ones are opened by their paths when they are due."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []
        self._descriptors_max = _raised_limit() - DESCRIPTORS_SPARE
        self._path_by_place: dict[str, str] = {}

    def choose(self, paths: Sequence[str], wanted: WantedFiles, owners: frozenset[int], *, verify: bool) -> HeldChoice:
        """Open the files among these that are read; as `agent.store.sealed.choose`, without files that have gone."""
        files: list[HeldFile] = []
        left_out: list[LeftOut] = []
        has_gone = False
        # Columns that a newer agent added are taken from the first file that has them; others must agree with it.
        types = dict(wanted.columns)
        for path in paths:
            try:
                found = self._take(path, wanted, types, owners, verify=verify)
            except FileNotFoundError:
                has_gone = True
                continue
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                types.update(found.columns)
                files.append(found)
        copies = _copies(files)
        left_out += copies.values()
        return HeldChoice([file for file in files if file.path not in copies], left_out, has_gone)

    def _take(
        self, path: str, wanted: WantedFiles, types: dict[str, str], owners: frozenset[int], *, verify: bool
    ) -> HeldFile | LeftOut:
        """*Raises:* FileNotFoundError."""
        if (reason := why_not_named_so(os.path.basename(path))) is not None:
            return LeftOut(path, reason)
        descriptor = open_regular(path, owners)
        if isinstance(descriptor, LeftOut):
            return descriptor
        is_kept = False
        try:
            footer = checked_footer(descriptor, path, verify=verify)
            if isinstance(footer, LeftOut):
                return footer
            if (reason := why_foreign(path, footer, wanted, types)) is not None:
                return LeftOut(path, reason)
            is_kept = len(self._descriptors) < self._descriptors_max
            place = f"{DESCRIPTORS_DIR}{descriptor}" if is_kept else path
            self._path_by_place[place] = path
            segments = footer.marks.get("segments", "").split() if wanted.prefix else ()
            return HeldFile(path, place, tuple(footer.columns.items()), tuple(segments))
        finally:
            if is_kept:
                self._descriptors.append(descriptor)
            else:
                os.close(descriptor)

    def paths_in(self, text: str) -> str:
        """A text of DuckDB with the paths of the files instead of their descriptors."""
        # The longest first: one may begin with another.
        for place in sorted(self._path_by_place, key=len, reverse=True):
            if place in text:
                text = text.replace(place, self._path_by_place[place])
        return text

    def close(self) -> None:
        """Close all."""
        while self._descriptors:
            with suppress(OSError):
                os.close(self._descriptors.pop())


def _copies(files: Sequence[HeldFile]) -> dict[str, LeftOut]:
    """Sealed files whose rows are in a compacted one of the same day, by path: somebody has put them back, from a backup perhaps.

    *Range:* a compacted file lists a bounded number of segments.
    """
    compacted = {(os.path.dirname(file.path), segment): file.path for file in files for segment in file.segments}
    copies: dict[str, LeftOut] = {}
    for file in files if compacted else ():
        folder, name = os.path.split(file.path)
        named = parse_sealed_name(name)
        found = None if named is None or named.is_compacted else compacted.get((folder, named.segment))
        if found is not None:
            copies[file.path] = LeftOut(file.path, f"its rows are in {readable(os.path.basename(found))} too")
    return copies


def _raised_limit() -> int:
    """How many descriptors this process may have, after it has asked for all that it is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        # The kernel refuses more than fs.nr_open.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
    return soft
