"""Stored rows themselves, the newest first. It imports pyarrow."""

from collections.abc import Callable
from typing import Any

import pyarrow
from pyarrow import compute

from agent.router.columns import Array, Batch, texts, whole_numbers
from agent.router.fact_reader import AskedHosts
from agent.router.question import PodNames, RoutedQuestion
from agent.router.source import BATCH_ROWS, RowSource

_TEXTS = frozenset({"host", "pod_uid", "comm", "container", "command_line", "chosen_for"})
_RATES = frozenset({"mbm_total_bytes_per_second", "mbm_local_bytes_per_second"})
_OF_PROCESS = (
    "pid",
    "pod_uid",
    "comm",
    "container",
    "cpu_ns",
    "rss_bytes",
    "read_bytes",
    "write_bytes",
    "command_line",
    "chosen_for",
)
_OF_POD = ("pod_uid", "llc_occupancy_bytes", *sorted(_RATES))


def newest_rows(
    source: RowSource, question: RoutedQuestion, names: PodNames, now_ns: int, check: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """The newest rows of `process` or `occupancy` that were asked for, by column. *Range:* as many as the question has lines.

    *Raises:* EvergaugeError.
    """
    table, columns = ("occupancy", _OF_POD) if question.metric.occupancy else ("process", _OF_PROCESS)
    hosts, wanted = AskedHosts(question), _wanted(question, names)
    kept: list[Any] = []
    for batch in source.batches(table, question.since_ns, min(question.until_ns, now_ns), columns, BATCH_ROWS):
        check()
        if not len(batch):
            continue
        mask = compute.greater_equal(hosts.codes(batch), 0)
        for column, texts_wanted in wanted:
            mask = compute.and_(mask, compute.is_in(texts(batch, column), pyarrow.array(sorted(texts_wanted), pyarrow.utf8())))
        found = pyarrow.table({name: _column(batch, name) for name in ("timestamp", "host", *columns)}).filter(mask)
        if len(found):
            newest = pyarrow.concat_tables([*kept, found]).sort_by([("timestamp", "descending")])
            kept = [newest.slice(0, question.lines)]
    return kept[0].to_pylist() if kept else []


def _wanted(question: RoutedQuestion, names: PodNames) -> list[tuple[str, frozenset[str]]]:
    """Columns with the texts of which a row must have one."""
    found: list[tuple[str, frozenset[str]]] = []
    if question.pods:
        found.append(("pod_uid", names.uids(question.pods)))
    if question.namespaces:
        found.append(("pod_uid", frozenset(uid for uid, each in names.namespaces.items() if each in question.namespaces)))
    if question.commands:
        found.append(("comm", question.commands))
    return found


def _column(batch: Batch, name: str) -> Array:
    if name in _RATES:
        return (
            batch.column(name).cast(pyarrow.float64())
            if name in batch.schema.names
            else pyarrow.nulls(len(batch), pyarrow.float64())
        )
    return texts(batch, name) if name in _TEXTS else whole_numbers(batch, name)
