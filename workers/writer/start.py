"""What a new writer makes of the folders that the one before it left: marks, segments to seal, the next generation."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from msgspec import Struct

from agent.model.errors import FormatError, StorageError
from agent.model.foreign import readable
from agent.model.message import Note
from agent.ports import Bus
from agent.store.record import Mark, is_other_format, parse_head
from agent.store.segment import GENERATION_MAX, SEGMENT_BYTES_MAX, generation_in_sealed, generation_of, id_in
from workers.writer.folder import read_file
from workers.writer.foreign import ForeignBatches
from workers.writer.recover import Recovery, SegmentFinding, durable_generation, newest, superseded, without_tail
from workers.writer.spool import Spool

# Marks are read from the newest segments, up to this size; their heads contain the marks of older ones.
RECOVER_BYTES_MAX = 64 << 20
# More sealed files than ten tables give in 90 days: 0.5 s, and only where the spool was taken away.
_SEALED_FILES_MAX = 100_000
# A folder full of strangers is known by some of them.
_NAMED_MAX = 5


class Start(Struct, frozen=True):
    """What was found: the marks of all senders, the segments to seal and those without rows, the highest generation, the names
    of those whose rows are in later ones, and the installation that the newest was written by."""

    marks: tuple[Mark, ...]
    waiting: list[str]
    empty: list[str]
    generation: int
    torn_tails: int
    superseded: tuple[str, ...]
    install: str | None


def start(spool: Spool, data_directory: str, run: str, bus: Bus, foreign: ForeignBatches) -> Start:
    """Read the newest segments, whose account of other hosts goes to `foreign`, and cut off what a power failure has left at their
    ends. *Raises:* StorageError."""
    names = spool.names()
    _tell_foreign(spool.foreign, bus)
    recovery = Recovery(run, foreign)
    findings: dict[str, tuple[SegmentFinding, int]] = {}
    for name in newest({name: spool.size_of(name) for name in names}, RECOVER_BYTES_MAX):
        try:
            data = read_file(spool.path(name), SEGMENT_BYTES_MAX)
        except StorageError as failure:
            # One bad sector keeps no writer from starting: the segment stays, the sealer's failure is told.
            bus.note(Note(kind="segment_unreadable", severity="error", fields={"problem": failure.sentence}))
            continue
        if is_other_format(data):
            # It is left whole: the sealer makes nothing of it, and it is set aside.
            _tell_other_format(name, data, bus)
            continue
        findings[name] = recovery.take(data), len(data)
    durable = durable_generation(finding for finding, _ in findings.values())
    spool.durable_generation = durable
    cut = {
        name: _cut(spool, name, finding, size_bytes, bus)
        for name, (finding, size_bytes) in findings.items()
        if generation_of(id_in(name)) > durable
    }
    known = {**{name: finding for name, (finding, _) in findings.items()}, **cut}
    stored_elsewhere = superseded(known.values())
    empty = [name for name, finding in known.items() if not finding.needs_sealing]
    for name in names:
        spool.owe(name)
    return Start(
        marks=recovery.marks(),
        waiting=[name for name in names if name not in empty and name not in stored_elsewhere],
        empty=[name for name in empty if name not in stored_elsewhere],
        generation=_highest(spool, names, data_directory),
        torn_tails=sum(finding.torn for finding in known.values()),
        superseded=stored_elsewhere,
        install=_install_in(finding for finding in known.values()),
    )


def _install_in(findings: Iterable[SegmentFinding]) -> str | None:
    """The installation that wrote the newest segment of those read; None: none tells."""
    told = [finding.head.install for finding in findings if finding.head is not None and finding.head.install]
    return told[-1] if told else None


def _cut(spool: Spool, name: str, finding: SegmentFinding, size_bytes: int, bus: Bus) -> SegmentFinding:
    """Of a segment that was not on the disk in whole, cut off what follows its last whole record."""
    if finding.whole_bytes == size_bytes or not spool.cut(name, size_bytes, finding.whole_bytes):
        return finding
    fields: dict[str, str | int | float | bool | None] = {"segment": name, "bytes": size_bytes - finding.whole_bytes}
    bus.note(Note(kind="torn_tail_cut", severity="info", fields=fields))
    return without_tail(finding, size_bytes)


def _tell_other_format(name: str, data: bytes, bus: Bus) -> None:
    problem = ""
    try:
        parse_head(data)
    except FormatError as failure:
        problem = failure.sentence
    bus.note(Note(kind="segment_of_another_format", severity="error", fields={"segment": name, "problem": problem}))


def _tell_foreign(names: Sequence[str], bus: Bus) -> None:
    if names:
        listed = ", ".join(readable(name, 100) for name in names[:_NAMED_MAX])
        more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
        problem = f"no segments of the writer's, left alone: {listed}{more}"
        bus.note(Note(kind="spool_foreign_files", severity="warning", fields={"files": len(names), "problem": problem}))


def _highest(spool: Spool, names: Sequence[str], data_directory: str) -> int:
    """The highest generation that was ever given, as far as any file still shows it."""
    aside: list[str] = []
    with suppress(StorageError):
        # Its keeper tells why it cannot be listed.
        aside = [file.name for file in spool.aside.files()]
    highest = max((generation_of(id_in(name)) for name in (*names, *aside)), default=0)
    # The newest segment is never removed before the next one is on the disk: who finds one knows the highest. Only where
    # the spool itself was taken away the sealed files must tell.
    if not any(generation_of(id_in(name)) for name in names):
        highest = max(highest, max(_sealed_generations(data_directory), default=0))
    return min(highest, GENERATION_MAX - 1)


def _sealed_generations(data_directory: str) -> Iterator[int]:
    looks = 0
    for _, folders, files in os.walk(data_directory):
        # Newer dates first: should there be too many files, it is the oldest that are not looked at.
        folders.sort(reverse=True)
        for name in files[: _SEALED_FILES_MAX - looks]:
            yield generation_in_sealed(name)
        looks += 1 + len(files)
        if looks >= _SEALED_FILES_MAX:
            return
