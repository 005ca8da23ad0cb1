"""A lake of Parquet files with a log as the merger's store: files are put first, one entry makes them count.

A file has the rows of all partitions of the commit of one table and date, so that a minute's rows of a fleet are a few files. What
a killed merger has put and no entry names is nobody's, and the compactor removes it.
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

from agent import __version__
from agent.failpoint import failpoint
from agent.lake.bucket import Bucket, BucketFailure, PutOutcome
from agent.lake.commit import AddedFile, LakeCommit, LakeMark, OffsetSpan
from agent.lake.known_columns import KnownColumns
from agent.lake.lake_state import LakeState
from agent.lake.log import LakeLog
from agent.lake.path import merged_path
from workers.merger.decoding import DecodedCommit
from workers.merger.effect import StorePlace, TopicPartition
from workers.merger.outcome import MarkRegress, NotStored, NumberedMark, Stored, StoreSight
from workers.merger.store import partition_named, regresses_of

if TYPE_CHECKING:
    from workers.merger.day_rows import DayRows

_NAME_DIGITS = 16


class FilesStore:
    """See `workers.merger.store.MergerStore`."""

    def __init__(self, bucket: Bucket, log: LakeLog, known: KnownColumns, chance: Random | None = None) -> None:
        self._bucket = bucket
        self._log = log
        self._known = known
        self._chance = chance or Random(os.urandom(16))

    @property
    def shown(self) -> str:
        return self._bucket.shown

    def read(self) -> StoreSight:
        state = self._log.state()
        marks = {table: _numbered(state.number, of_table) for table, of_table in state.marks.items()}
        return StoreSight(_places(state), marks)

    def commit(self, commit: DecodedCommit) -> Stored | NotStored:
        state = self._log.state()
        # Looked at before anything is written; looked at again when it is appended.
        if not _fits(state, commit):
            return NotStored(_places(state))
        added = self._put_files(commit)
        failpoint("merger.files_put")
        marks = {table: {host: each.mark for host, each in of_table.items()} for table, of_table in commit.marks.items()}
        regresses: list[MarkRegress] = []
        refused: list[LakeState] = []

        def make(state: LakeState) -> LakeCommit | None:
            refused.clear()
            regresses.clear()
            if not _fits(state, commit):
                refused.append(state)
                return None
            regresses.extend(regresses_of(state.marks, marks))
            offsets = {str(each.partition): OffsetSpan(each.base, each.next) for each in commit.ranges}
            return LakeCommit(adds=tuple(added), offsets=offsets, marks=marks)

        number = self._log.append(make)
        failpoint("merger.appended")
        if number is None:
            self._forget(added)
            return NotStored(_places(refused[0]))
        numbered = {table: _numbered(number, of_table) for table, of_table in marks.items()}
        return Stored(numbered, tuple(regresses), sum(file.bytes for file in added))

    def close(self) -> None:
        """Nothing is open."""

    def _put_files(self, commit: DecodedCommit) -> list[AddedFile]:
        from workers.merger.day_rows import by_day

        begin = sha256(";".join(f"{each.partition}:{each.base}:{each.next}" for each in commit.ranges).encode()).hexdigest()
        name = f"k-{begin[:_NAME_DIGITS]}-{self._chance.getrandbits(64):016x}"
        return [self._put(merged_path(day.table, day.date, name), day) for day in by_day(commit.messages, self._known)]

    def _put(self, path: str, day: "DayRows") -> AddedFile:
        content = day.parquet({"table": day.table, "agent_version": __version__})
        outcome = self._bucket.put_new(path, content)
        if outcome is PutOutcome.OTHER:
            raise BucketFailure(path, "a file of this random name is there", "look who else writes there", is_passing=True)
        hosts = day.hosts
        return AddedFile(
            path, day.table, day.date, day.rows, len(content), day.first_ns, day.last_ns, hosts_min=min(hosts), hosts_max=max(hosts)
        )

    def _forget(self, added: Sequence[AddedFile]) -> None:
        """They count for nobody. What cannot be removed now is removed by the compactor."""
        for file in added:
            try:
                self._bucket.delete(file.path)
            except BucketFailure:
                return


def _fits(state: LakeState, commit: DecodedCommit) -> bool:
    return all(state.offsets.get(str(each.partition), 0) == each.base for each in commit.ranges)


def _places(state: LakeState) -> dict[TopicPartition, StorePlace]:
    named = ((partition_named(name), offset) for name, offset in state.offsets.items())
    return {partition: StorePlace(offset) for partition, offset in named if partition is not None}


def _numbered(number: int, marks: dict[str, LakeMark]) -> dict[str, NumberedMark]:
    return {host: NumberedMark(number, mark.low_ns) for host, mark in marks.items()}
