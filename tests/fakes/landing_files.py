"""Landing files of nodes that there are not: as a sink of kind `object` puts them, with rows that can be told apart."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pyarrow
import pyarrow.parquet
from msgspec import Struct

from agent.lake.path import landing_prefix
from agent.model.table import HOST_COLUMN
from agent.model.timebase import DAY, S, civil_date
from agent.store.layout import SealedName, file_name, host_in_names
from agent.store.parquet_writer import FileMarks, ParquetFile
from agent.store.segment import segment_id

DAY_NS = 20_000 * DAY
TABLE = "process"
_HOST_TYPE = pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8())


class NodeFile(Struct, frozen=True):
    """One file to be: of which node, its generation, the numbers of its rows, and when its first row was measured."""

    node: int
    generation: int
    numbers: Sequence[int]
    first_ns: int = DAY_NS
    step_ns: int = S
    version: int = 1
    groups: int = 1
    table: str = TABLE

    @property
    def host(self) -> str:
        """The node's name."""
        return f"node-{self.node:05d}"

    @property
    def segment(self) -> str:
        """The id of its segment."""
        return segment_id(self.generation, f"{self.node:08x}")

    @property
    def date(self) -> str:
        """In whose folder it lies."""
        return civil_date(self.first_ns)

    @property
    def path(self) -> str:
        """Where it is in a lake."""
        last_ns = self.first_ns + self.step_ns * max(0, len(self.numbers) - 1)
        name = SealedName(
            f"{self.table}-", self.host, self.first_ns // S * S, last_ns // S * S, is_compacted=False, segment=self.segment
        )
        return f"{landing_prefix(self.table, self.date)}host={host_in_names(self.host)}/{file_name(name)}"


def rows_of(file: NodeFile, *, extra: Sequence[str] = ()) -> pyarrow.Table:
    """The rows, as a sealer has them. `extra`: columns of a newer version."""
    chance = Random(file.numbers[0] if file.numbers else 0)
    count = len(file.numbers)
    columns = {
        "timestamp": pyarrow.array([file.first_ns + at * file.step_ns for at in range(count)], pyarrow.int64()),
        "number": pyarrow.array(list(file.numbers), pyarrow.int64()),
        "share": pyarrow.array([chance.random() for _ in range(count)], pyarrow.float64()),
        "command": pyarrow.array([f"command-{chance.randrange(8)}" for _ in range(count)], pyarrow.utf8()),
        **{name: pyarrow.array([1] * count, pyarrow.int64()) for name in extra},
        HOST_COLUMN: pyarrow.array([file.host] * count, pyarrow.utf8()).dictionary_encode().cast(_HOST_TYPE),
    }
    return pyarrow.table(columns)


def marks_of_node(file: NodeFile) -> FileMarks:
    """As the node's sealer writes them."""
    return FileMarks(
        table=file.table,
        segment=file.segment,
        host=file.host,
        install=f"install-{file.node}",
        schema_version=file.version,
        agent_version="0.0.0",
        created_wall_ns=file.first_ns,
        run="run",
    )


def write_landing(path: Path, file: NodeFile, rows: pyarrow.Table | None = None, marks: FileMarks | None = None) -> Path:
    """Write it to a path of this host."""
    rows = rows_of(file) if rows is None else rows
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet = ParquetFile(str(path), rows.schema, marks or marks_of_node(file))
    size = max(1, -(-rows.num_rows // file.groups))
    for begin in range(0, rows.num_rows, size):
        parquet.write_group([rows.slice(begin, size)])
    parquet.close()
    return path


def land(lake: Path, file: NodeFile, rows: pyarrow.Table | None = None) -> Path:
    """Put it into the folder of a lake, in one step."""
    unfinished = lake / "unfinished.parquet"
    write_landing(unfinished, file, rows)
    path = lake / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.rename(path)
    return path


def fleet(nodes: int, files: int, rows: int, *, first_ns: int = DAY_NS) -> Iterator[NodeFile]:
    """Files of many nodes: each number of a row occurs once."""
    number = 0
    for at in range(files):
        for node in range(nodes):
            yield NodeFile(node, at + 1, range(number, number + rows), first_ns + at * rows * S)
            number += rows


def numbers_in(paths: Sequence[Path | str]) -> list[int]:
    """The numbers of all rows of some files."""
    found: list[int] = []
    for path in paths:
        found += pyarrow.parquet.ParquetFile(path).read(columns=["number"]).column(0).to_pylist()
    return found
