"""Messages as sinks of kind `kafka` write them, of rows that say who they are: host, sequence number, place in the batch."""

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from agent.model.table import Row, Table, Value
from agent.model.timebase import S
from agent.topic.columns import columns_of, encode_columns
from agent.topic.head import Header, MessageHead, encode_headers
from agent.topic.topic import topic_of
from workers.process.schema import PROCESS_TAIL

START_NS = 1_700_000_000 * S
PLAIN: dict[str, Value] = {"int64": 0, "float64": 0.0, "utf8": "", "bool": False}


def filled_row(table: Table, values: dict[str, Value]) -> Row:
    """A row with these values; null elsewhere where that may be, else nothing much."""
    return tuple(values.get(column.name, None if column.nullable else PLAIN.get(str(column.dtype), [])) for column in table.columns)


def numbered_rows(seq: int, count: int = 3, start_ns: int = START_NS) -> list[Row]:
    """Rows of `process_tail` of one batch: `processes` is the number of the batch, `commands` the place in it."""
    return [
        filled_row(PROCESS_TAIL, {"timestamp": start_ns + seq * S, "processes": seq, "commands": place, "command": f"c{place}"})
        for place in range(count)
    ]


def message_of(
    host: str,
    seq: int,
    rows: Sequence[Row],
    table: Table = PROCESS_TAIL,
    *,
    is_complete: bool = True,
    stamp_ns: int | None = None,
    **head: object,
) -> tuple[list[Header], bytes]:
    """The headers and the value of one batch."""
    value = encode_columns(columns_of(table.name, table.version, table.column_names, [each.dtype for each in table.columns], rows))
    stamp = START_NS + seq * S if stamp_ns is None else stamp_ns
    known: dict[str, object] = {
        "table": table.name,
        "version": table.version,
        "host": host,
        "install": f"install-{host}",
        "run": "run-1",
        "worker": "sampler/process",
        "epoch": 1,
        "first_seq": seq,
        "last_seq": seq,
        "rows": len(rows),
        "crc": crc32(value),
        "first_stamp_ns": stamp,
        "last_stamp_ns": stamp,
        "is_complete": is_complete,
    }
    return encode_headers(MessageHead(**{**known, **head})), value  # type: ignore[arg-type]  # as the struct has them


def produce(
    producer: Any, hosts: Iterable[str], seqs: Iterable[int], partition: int = 0, table: Table = PROCESS_TAIL, prefix: str = ""
) -> int:
    """Write a batch of each host and number by a client of Kafka, each in the partition; how many rows."""
    rows_written = 0
    for seq in seqs:
        for host in hosts:
            rows = numbered_rows(seq)
            headers, value = message_of(host, seq, rows, table)
            producer.produce(topic_of(table.name, prefix), value, host.encode(), partition, headers=headers)
            rows_written += len(rows)
    return rows_written
