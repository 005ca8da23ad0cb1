"""A lake in a folder: what a test compacts in it, and what a reader finds there."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from agent.lake.bucket import Bucket
from agent.lake.folder_bucket import FolderBucket
from agent.lake.log import LakeLog, LogPorts
from agent.lake.snapshot import LakeFile, LakeSnapshot, Wanted, read_lake
from agent.setting import MIB
from workers.compactor.report import LakeReport
from workers.compactor.round import CompactorRound
from workers.compactor.round_terms import RoundTerms, RoundView

TABLES = ("process",)


class LakeFolder:
    """`path` is the lake's folder, `scratch` where compactions work."""

    def __init__(self, path: Path, bucket: Bucket | None = None) -> None:
        self.path = path / "lake"
        self.scratch = path / "scratch"
        self.path.mkdir(exist_ok=True)
        self.bucket = bucket or FolderBucket(str(self.path))

    def compact(
        self, *, memory_bytes: int = 256 * MIB, file_bytes: int = 256 * MIB, tables: tuple[str, ...] = (), grace_ns: int = 10**12
    ) -> LakeReport:
        """One round, which waits for nothing."""
        terms = RoundTerms(str(self.scratch), file_bytes, min(file_bytes, 128 * MIB), memory_bytes, grace_ns, 0, tables)
        return CompactorRound(self.bucket, "test", terms, RoundView(), LogPorts()).run()

    def files(self, *tables: str) -> list[LakeFile]:
        """Those that count."""
        return sorted(self.snapshot(*tables).files, key=lambda file: file.path)

    def snapshot(self, *tables: str) -> LakeSnapshot:
        """What a reader sees."""
        return read_lake(self.bucket, LakeLog(self.bucket, "reader"), Wanted(tables or TABLES), lambda found: found)

    def rows(self, *tables: str) -> list[dict[str, Any]]:
        """All rows of all files that count, each file read as one piece after another."""
        found: list[dict[str, Any]] = []
        for file in self.files(*tables):
            found += self.table(file).to_pylist()
        return found

    def numbers(self) -> list[int]:
        """Of all rows, in order."""
        found: list[int] = []
        for file in self.files():
            found += self.table(file, ["number"]).column(0).to_pylist()
        return sorted(found)

    def table(self, file: LakeFile, columns: list[str] | None = None) -> pyarrow.Table:
        """The rows of one file."""
        with self.bucket.open(file.path) as opened:
            return pyarrow.parquet.ParquetFile(opened).read(columns)
