"""The rows of a commit by table and date."""

from io import BytesIO

from fakes.topic_rows import START_NS, filled_row, message_of, numbered_rows
from pyarrow.parquet import ParquetFile, read_table

from agent.lake.known_columns import KnownColumns
from agent.model.column_type import DType
from agent.model.table import Column, Table
from agent.model.timebase import DAY
from workers.merger.day_rows import DATES_MAX, DayRows, by_day
from workers.merger.decoding import DecodedMessage, decode
from workers.merger.effect import CommitRows, TakenMessage, TopicPartition
from workers.process.schema import PROCESS_TAIL

PLACE = TopicPartition("proc.raw.v1", 0)
LATER = Table(
    "process_tail", 2, "", PROCESS_TAIL.key, (*PROCESS_TAIL.columns, Column("more", DType.INT64, "1", "", "", nullable=True))
)


def messages_of(*messages: tuple[str, int, list[object]], table: Table = PROCESS_TAIL) -> tuple[list[DecodedMessage], KnownColumns]:
    """Messages of hosts, each with its rows."""
    known = KnownColumns([PROCESS_TAIL])
    taken = []
    for offset, (host, seq, rows) in enumerate(messages):
        headers, value = message_of(host, seq, rows, table)  # type: ignore[arg-type]  # rows
        taken.append(TakenMessage(PLACE, offset, tuple(headers), b"", value))
    found = decode(CommitRows((), tuple(taken)), known)
    assert found.counts.unreadable_count == 0
    return list(found.messages), known


def days_of(*messages: tuple[str, int, list[object]]) -> list[DayRows]:
    """Their days."""
    return list(by_day(*messages_of(*messages)))


def test_rows_of_several_hosts_are_in_one_file_of_their_date() -> None:
    """Host by host, with the words of the footer."""
    (day,) = days_of(("b", 2, list(numbered_rows(2))), ("a", 1, list(numbered_rows(1))))
    assert (day.table, day.date, day.rows, day.hosts) == ("process_tail", "2023-11-14", 6, frozenset({"a", "b"}))
    assert (day.first_ns, day.last_ns) == (START_NS + 10**9, START_NS + 2 * 10**9)
    content = BytesIO(day.parquet({"table": "process_tail"}))
    assert read_table(content).column("host").to_pylist() == ["a"] * 3 + ["b"] * 3
    assert ParquetFile(content).schema_arrow.metadata[b"table"] == b"process_tail"


def test_rows_of_two_dates_are_in_two_files() -> None:
    """Each says its own times; a message without rows is in none."""
    rows = [*numbered_rows(0, 2), *numbered_rows(0, 1, START_NS + 3 * DAY)]
    first, second = days_of(("a", 1, list(rows)), ("b", 1, []))
    assert (first.date, first.rows, first.last_ns) == ("2023-11-14", 2, START_NS)
    assert (second.date, second.rows, second.first_ns) == ("2023-11-17", 1, START_NS + 3 * DAY)
    assert days_of(("b", 1, [])) == []


def test_a_mad_clock_does_not_make_files_without_end() -> None:
    """The last of them has what is left, and says from when to when."""
    rows = [filled_row(PROCESS_TAIL, {"timestamp": day * DAY}) for day in range(DATES_MAX + 10)]
    days = days_of(("a", 1, list(rows)))
    assert len(days) == DATES_MAX
    assert (days[-1].rows, days[-1].last_ns) == (11, (DATES_MAX + 9) * DAY)


def test_columns_of_later_versions_are_null_in_rows_of_others() -> None:
    """Host and installation stay the last."""
    known = KnownColumns([PROCESS_TAIL])
    taken = []
    for offset, table in enumerate((LATER, PROCESS_TAIL)):
        headers, value = message_of(
            f"h{offset}", 1, [filled_row(table, {"timestamp": 1, "more": 7} if offset == 0 else {"timestamp": 1})], table
        )
        taken.append(TakenMessage(PLACE, offset, tuple(headers), b"", value))
    (day,) = by_day(decode(CommitRows((), tuple(taken)), known).messages, known)
    assert day.content.column("more").to_pylist() == [7, None]
    assert day.content.schema.names[-3:] == ["more", "host", "install"]
