"""A ClickHouse database as the merger's store. `agent.lake.clickhouse_commit` has the steps that make it exactly once."""

import time
from collections.abc import Callable, Mapping, Sequence

from agent.failpoint import failpoint
from agent.lake.clickhouse_commit import (
    InsertRows,
    PartitionPlace,
    PutIntents,
    PutMarks,
    PutOffsets,
    ReadStored,
    RowRange,
    StoredPlaces,
    commit_steps,
)
from agent.lake.clickhouse_ddl import (
    INTENT,
    MARK,
    OFFSET,
    ClickHouseColumn,
    add_column,
    create_database,
    create_declared,
    create_own,
    create_table,
    dtype_of,
    quoted,
    text,
)
from agent.lake.clickhouse_server import ClickHouseServer, json_rows
from agent.lake.commit import LakeMark
from agent.lake.known_columns import KnownColumns
from agent.model.column_type import DType
from agent.model.errors import StorageError
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN, Table
from agent.model.timebase import S
from workers.merger.decoding import DecodedCommit, DecodedMessage, OffsetMark
from workers.merger.effect import StorePlace, TopicPartition
from workers.merger.outcome import NotStored, NumberedMark, Stored, StoreSight
from workers.merger.store import partition_named, regresses_of

# After so long the intents that were read may be answered by another's commit, and tokens be forgotten: it is begun again.
COMMIT_NS_MAX = 60 * S
MARKS_MAX = 500_000
# A statement has 256 KiB at most, and a name 255 letters.
HOSTS_PER_QUESTION = 200
_BLOCK_ROWS = str(1 << 22)
# An insert is one block, whatever it has: a token is one block's.
_ONE_BLOCK = {
    "async_insert": "0",
    "insert_deduplicate": "1",
    "max_insert_threads": "1",
    "max_insert_block_size": _BLOCK_ROWS,
    "min_insert_block_size_rows": _BLOCK_ROWS,
    "min_insert_block_size_bytes": "0",
    "max_partitions_per_insert_block": "0",
}
_PARQUET = {**_ONE_BLOCK, "input_format_parquet_max_block_size": _BLOCK_ROWS, "input_format_null_as_default": "1"}


def _lapse_ns() -> int:
    """A clock that also runs while the host sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ClickHouseStore:
    """See `workers.merger.store.MergerStore`."""

    def __init__(
        self,
        server: ClickHouseServer,
        tables: Sequence[Table],
        known: KnownColumns,
        by: str,
        *,
        lapse_ns: Callable[[], int] = _lapse_ns,
    ) -> None:
        self._server = server
        self._tables = tables
        self._known = known
        self._by = by
        self._lapse_ns = lapse_ns
        # By table the names of its columns; None: the server was not asked yet.
        self._columns: dict[str, set[str]] | None = None

    @property
    def shown(self) -> str:
        return self._server.shown

    def read(self) -> StoreSight:
        self._prepare()
        return StoreSight(_shared(self._stored().places()), self._marks())

    def commit(self, commit: DecodedCommit) -> Stored | NotStored:
        self._prepare()
        ranges = [RowRange(str(each.partition), each.base, each.next) for each in commit.ranges]
        by_range = _by_range(commit)
        steps = commit_steps(ranges, lambda each: by_range[each.partition])
        before = self._marks_of(commit)
        answer: StoredPlaces | None = None
        until_ns = 0
        stored_bytes = 0
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                if end.value is not None:
                    return NotStored(_shared(end.value))
                break
            answer = None
            match step:
                case PutIntents():
                    self._put_intents(step.ranges)
                    failpoint("merger.intents_put")
                case ReadStored():
                    until_ns = self._lapse_ns() + COMMIT_NS_MAX
                    answer = self._stored()
                    failpoint("merger.intents_read")
                case InsertRows():
                    self._check_time(until_ns)
                    stored_bytes += self._insert(step, by_range[step.range.partition][step.table])
                    failpoint("merger.rows_put")
                case PutMarks():
                    self._check_time(until_ns)
                    self._put_marks(commit.marks)
                    failpoint("merger.marks_put")
                case PutOffsets():
                    self._put_offsets(step.ranges)
                    failpoint("merger.offsets_put")
        after = {table: {host: each.mark for host, each in of_table.items()} for table, of_table in commit.marks.items()}
        return Stored(_numbered(commit.marks), tuple(regresses_of(before, after)), stored_bytes)

    def close(self) -> None:
        self._server.close()

    # ---- tables ----

    def _prepare(self) -> None:
        """Make what is not there, once; and learn what is."""
        if self._columns is not None:
            return
        database = self._server.database
        for statement in (create_database(database), *create_own(database), *create_declared(database, self._tables)):
            self._server.run(statement)
        found: dict[str, dict[str, str]] = {}
        for table, name, kind in self._server.ask(
            f"SELECT table, name, type FROM system.columns WHERE database = {text(database)} ORDER BY table, position"
        ):
            found.setdefault(str(table), {})[str(name)] = str(kind)
        for table, columns in found.items():
            types = {name: dtype for name, kind in columns.items() if (dtype := dtype_of(kind)) is not None}
            self._known.learn(table, {name: dtype for name, dtype in types.items() if name not in (HOST_COLUMN, INSTALL_COLUMN)})
        self._columns = {table: set(columns) for table, columns in found.items()}
        for declared in self._tables:
            self._make_room(declared.name)

    def _make_room(self, table: str) -> None:
        """Make a table that this version does not declare, or columns that it did not have."""
        assert self._columns is not None
        columns = [ClickHouseColumn(each.name, DType(each.dtype), each.nullable) for each in self._known.columns(table)]
        there = self._columns.get(table)
        if there is None:
            self._server.run(create_table(self._server.database, table, columns))
        else:
            for column in columns:
                if column.name not in there:
                    self._server.run(add_column(self._server.database, table, column))
        self._columns[table] = {*(there or ()), *(column.name for column in columns), HOST_COLUMN, INSTALL_COLUMN}

    # ---- steps ----

    def _stored(self) -> StoredPlaces:
        offsets = {str(name): _whole(following) for name, following in self._ask_own(OFFSET, "partition, next")}
        intents = {
            str(name): (_whole(base), _whole(following)) for name, base, following in self._ask_own(INTENT, "partition, base, next")
        }
        return StoredPlaces(offsets, intents)

    def _put_intents(self, ranges: Sequence[RowRange]) -> None:
        for each in ranges:
            row = {"partition": each.partition, "base": each.base, "next": each.next, "by": self._by}
            # The token is put only once: who comes second puts nothing.
            token = {"insert_deduplication_token": f"{each.partition}:{each.base}"}
            self._put(INTENT, [row], token)

    def _insert(self, step: InsertRows, messages: Sequence[DecodedMessage]) -> int:
        from workers.merger.day_rows import parquet_of, whole_table

        self._make_room(step.table)
        content = whole_table(messages, self._known)
        if not len(content):
            return 0
        data = bytes(parquet_of(content))
        names = ", ".join(map(quoted, content.schema.names))
        where = f"{quoted(self._server.database)}.{quoted(step.table)}"
        settings = {**_PARQUET, "insert_deduplication_token": step.token}
        self._server.insert(f"INSERT INTO {where} ({names}) FORMAT Parquet", data, settings)
        return len(data)

    def _put_marks(self, marks: Mapping[str, Mapping[str, OffsetMark]]) -> None:
        rows: list[dict[str, object]] = [
            {
                "table": table,
                "host": host,
                "offset": each.offset,
                "low_ns": each.mark.low_ns,
                "seq": each.mark.seq,
                "worker": each.mark.worker,
                "epoch": each.mark.epoch,
            }
            for table, of_table in marks.items()
            for host, each in of_table.items()
        ]
        if rows:
            self._put(MARK, rows, {})

    def _put_offsets(self, ranges: Sequence[RowRange]) -> None:
        self._put(OFFSET, [{"partition": each.partition, "next": each.next, "by": self._by} for each in ranges], {})

    def _put(self, table: str, rows: list[dict[str, object]], settings: Mapping[str, str]) -> None:
        where = f"{quoted(self._server.database)}.{quoted(table)}"
        self._server.insert(f"INSERT INTO {where} FORMAT JSONEachRow", json_rows(rows), {**_ONE_BLOCK, **settings})

    def _ask_own(self, table: str, columns: str, rest: str = "") -> list[list[object]]:
        return self._server.ask(f"SELECT {columns} FROM {quoted(self._server.database)}.{quoted(table)} FINAL{rest}")

    def _check_time(self, until_ns: int) -> None:
        if self._lapse_ns() > until_ns:
            raise StorageError(self.shown, f"a commit took longer than {COMMIT_NS_MAX // S} s", "look at the server's load")

    # ---- marks ----

    def _marks(self) -> dict[str, dict[str, NumberedMark]]:
        found: dict[str, dict[str, NumberedMark]] = {}
        for table, host, offset, low_ns in self._ask_own(MARK, "table, host, offset, low_ns", f" LIMIT {MARKS_MAX}"):
            found.setdefault(str(table), {})[str(host)] = NumberedMark(_whole(offset), _whole(low_ns))
        return found

    def _marks_of(self, commit: DecodedCommit) -> dict[str, dict[str, LakeMark]]:
        """What the store has of the hosts and tables whose marks a commit brings."""
        found: dict[str, dict[str, LakeMark]] = {}
        for table, of_table in commit.marks.items():
            names = list(of_table)
            for start in range(0, len(names), HOSTS_PER_QUESTION):
                hosts = ", ".join(map(text, names[start : start + HOSTS_PER_QUESTION]))
                condition = f" WHERE table = {text(table)} AND host IN ({hosts})"
                for host, low_ns in self._ask_own(MARK, "host, low_ns", condition):
                    found.setdefault(table, {})[str(host)] = LakeMark(_whole(low_ns))
        return found


def _by_range(commit: DecodedCommit) -> dict[str, dict[str, list[DecodedMessage]]]:
    """The messages of each partition by table, without those that none of them can have."""
    found: dict[str, dict[str, list[DecodedMessage]]] = {str(each.partition): {} for each in commit.ranges}
    for message in commit.messages:
        found[str(message.partition)].setdefault(message.rows.table, []).append(message)
    return found


def _shared(places: Mapping[str, PartitionPlace]) -> dict[TopicPartition, StorePlace]:
    named = ((partition_named(name), place) for name, place in places.items())
    return {partition: StorePlace(place.next, place.until) for partition, place in named if partition is not None}


def _numbered(marks: Mapping[str, Mapping[str, OffsetMark]]) -> dict[str, dict[str, NumberedMark]]:
    return {
        table: {host: NumberedMark(each.offset, each.mark.low_ns) for host, each in of_table.items()}
        for table, of_table in marks.items()
    }


def _whole(value: object) -> int:
    if type(value) is not int:
        raise StorageError("ClickHouse", "a number of its answer is none", "look who else writes into the tables evergauge_…")
    return value
