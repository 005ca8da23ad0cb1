"""What a reader finds in a lake of a test: numbered rows (`fakes.topic_rows`) of a folder, each as host, batch and place."""

from collections.abc import Iterable
from pathlib import Path

from pyarrow.parquet import read_table

from agent.lake.folder_bucket import FolderBucket
from agent.lake.lake_state import LakeState
from agent.lake.log import LakeLog
from agent.lake.snapshot import LakeSnapshot, Wanted, read_lake

NumberedRow = tuple[str, int, int]


def lake_rows(folder: Path, table: str = "process_tail") -> list[NumberedRow]:
    """All rows, also doubled ones, in order."""

    def read(snapshot: LakeSnapshot) -> list[NumberedRow]:
        found: list[NumberedRow] = []
        for file in snapshot.files:
            part = read_table(folder / file.path, columns=["host", "processes", "commands"]).to_pydict()
            found += zip(part["host"], part["processes"], part["commands"], strict=True)
        return sorted(found)

    bucket = FolderBucket(str(folder))
    return read_lake(bucket, LakeLog(bucket, "test"), Wanted((table,)), read)


def lake_state(folder: Path) -> LakeState:
    """What the log says."""
    return LakeLog(FolderBucket(str(folder)), "test").state()


def numbered(hosts: Iterable[str], seqs: Iterable[int], places: int = 3) -> list[NumberedRow]:
    """The rows of these batches of these hosts, in order."""
    numbers = list(seqs)
    return sorted((host, seq, place) for host in hosts for seq in numbers for place in range(places))
