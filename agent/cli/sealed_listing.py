"""Which sealed files of a table may hold rows of a range of time, by their names alone."""

import os
from collections.abc import Sequence

from msgspec import Struct

from agent.cli.time_bounds import EVERYTHING, TimeBounds
from agent.model.timebase import S
from agent.store.layout import parse_sealed_name
from agent.store.segment import generation_of
from agent.store.spool_reader import sealed_files


class Listing(Struct, frozen=True):
    """The paths to open, and the compacted files among all that there are, with the generation of each."""

    paths: list[str]
    compacted: dict[str, int]


def list_sealed(state_dir: str, table: str, prefix: str, bounds: TimeBounds, without: frozenset[str]) -> Listing:
    """The files of a table that may hold rows within the bounds, in the order of their paths.

    `prefix` begins the names of the agent's files; empty: a folder of the user's own, whose names say nothing. `without` are
    the ids of segments whose files are left out. What has no name of the agent's is listed: its opening says what it is.
    *Raises:* PermissionRefused, StorageError.
    """
    if not prefix:
        return Listing(sealed_files(state_dir, table, without), {})
    endings = tuple(f"-{segment}.parquet" for segment in without)
    chosen: list[str] = []
    compacted: dict[str, int] = {}
    for path in sealed_files(state_dir, table):
        name = parse_sealed_name(os.path.basename(path), prefix)
        if name is not None and name.is_compacted:
            # Its id may equal the id of a segment of its day, but it holds more than that segment.
            compacted[path] = generation_of(name.segment)
        elif path.endswith(endings):
            continue
        if name is None or bounds == EVERYTHING or bounds.overlaps(name.first_wall_ns, name.last_wall_ns + S):
            chosen.append(path)
    return Listing(chosen, compacted)


def reaches_spool(listing: Listing, segments: Sequence[str], known: frozenset[str]) -> bool:
    """Whether a compacted file may hold rows of these segments, which were read from the spool before the files were listed.

    `known` are the compacted files that were there before the spool was read: they hold only what had left it.
    """
    if not segments:
        return False
    oldest = min(map(generation_of, segments))
    return any(generation >= oldest for path, generation in listing.compacted.items() if path not in known)
