"""A fleet made of one node's minutes: the same for the same seed, its sketches those of its rows, its messages readable."""

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.model.sketch import Sketch, SketchColumns
from agent.model.table import Value
from agent.model.timebase import MINUTE, S
from agent.store.batch import StoredBatch
from agent.topic.columns import TopicRows, whole_numbers
from agent.topic.message import TopicMessage, decode_message
from agent.topic.topic import partition_of

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "bench"))

from exports_bench.default_agent import DefaultAgent
from fleet_rows.fleet import FleetClock, is_time, is_window_time
from fleet_rows.messages import FleetMessage, MessageMaker
from fleet_rows.recording import Recording, minutes_of, recording_of
from fleet_rows.variant import Variant, varied

RECORDED_NS = 1_700_000_040 * S
BEGIN_NS = RECORDED_NS + 90 * MINUTE


def stored_batches(seconds: int = 60, begin_ns: int = RECORDED_NS) -> list[StoredBatch]:
    agent = DefaultAgent(processes=6, units=3, begin_ns=begin_ns)
    batches = [*agent.names(), *(batch for second in range(seconds) for batch in agent.tick(second))]
    # The wide tables of the host and its units need no other treatment, and much more time.
    return [batch for batch in batches if batch.table.startswith(("process", "pod"))]


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return recording_of(stored_batches(120))


def messages_of(recorded: Recording, nodes: int = 3, minutes: int = 2) -> Iterator[FleetMessage]:
    maker = MessageMaker(partitions=12)
    for due in FleetClock(recorded, nodes, begin_ns=BEGIN_NS).seconds(minutes):
        yield from maker.messages(due)


@pytest.fixture(scope="module")
def told(recorded: Recording) -> list[tuple[FleetMessage, TopicMessage]]:
    """Each message, and what a reader gets."""
    return [(message, read(message)) for message in messages_of(recorded)]


def read(message: FleetMessage) -> TopicMessage:
    return decode_message(message.headers, message.value)


def times_of(rows: TopicRows, name: str) -> list[int]:
    (column,) = [column for column in rows.columns if column.name == name]
    return list(whole_numbers(column, rows.rows))


def test_only_whole_minutes_are_kept() -> None:
    """The last one has no sketches yet, and another begins in the middle."""
    assert [minute.begin_ns for minute in minutes_of(stored_batches(119))] == [RECORDED_NS]
    assert minutes_of(stored_batches(80, RECORDED_NS + 30 * S)) == []


def test_a_minute_has_all_of_its_rows(recorded: Recording) -> None:
    """As many as were stored, and its own sketches."""
    stored, found = Counter[str](), Counter[str]()
    for batch in stored_batches(120):
        stored[batch.table] += batch.entry.rows
    assert recorded.names is not None
    for minute in (*recorded.minutes, recorded.names):
        for each in minute.batches:
            found[each.table] += len(each.rows)
            if each.table == "process_sketch":
                assert {row[each.form.names.index("window_start")] for row in each.rows} == {minute.begin_ns}
    assert found == stored


def test_doubled_rows_have_doubled_sketches() -> None:
    """The sketch of doubled values is the varied sketch, bucket for bucket."""
    pick = random.Random(3)
    names = ("metric", "scale", "relative_error", "zero_count", "count", "sum", "min", "max", "first_bucket", "counts")
    for scale in (6, 2, 0):
        values = [0, 1, 2, 3, *(int(pick.lognormvariate(12, 3)) for _ in range(300))]
        plain, doubled = Sketch(scale=scale), Sketch(scale=scale)
        for value in values:
            plain.add(value)
            doubled.add(value << 2)
        (row,) = varied("process_sketch", names, [("cpu", *columns_of(plain))], Variant(cpu=2, memory=1))
        assert row == ("cpu", *columns_of(doubled))


def columns_of(sketch: Sketch) -> list[Value]:
    found: SketchColumns = sketch.to_columns()
    values: list[Value] = [found.scale, found.relative_error, found.zero_count, found.count, found.sum, found.min, found.max]
    return [*values, found.first_bucket, found.counts]


def test_a_sketch_without_buckets_stays_as_it_is() -> None:
    """All of its values are zero."""
    names = ("metric", "scale", "min", "max", "sum", "first_bucket", "counts")
    assert varied("process_sketch", names, [("rss", 6, 0, 0, 0, 0, [])], Variant(memory=2)) == [("rss", 6, 0, 0, 0, 0, [])]


def test_rows_of_a_variant_are_doubled_where_they_are_of_its_kind() -> None:
    """Absent values stay absent, shares follow, and no number leaves its column."""
    names = ("cpu_ns", "cpu_share", "rss_bytes", "threads", "command")
    rows = [(3, 0.25, 5, 7, "sh"), (None, None, 1 << 62, 7, "sh")]
    assert varied("process", names, rows, Variant(cpu=1, memory=2)) == [
        (6, 0.5, 20, 7, "sh"),
        (None, None, (1 << 63) - 1, 7, "sh"),
    ]
    assert varied("process", names, rows, Variant()) == rows


def test_the_same_seed_tells_the_same_story(recorded: Recording) -> None:
    """Byte for byte."""
    assert list(messages_of(recorded)) == list(messages_of(recorded))


def test_nodes_differ_in_name_phase_and_variant(recorded: Recording, told: list[tuple[FleetMessage, TopicMessage]]) -> None:
    """And lie in the partition of their name."""
    clock = FleetClock(recorded, 40, begin_ns=BEGIN_NS)
    assert len({node.name for node in clock.nodes}) == len({node.install for node in clock.nodes}) == 40
    assert len({node.phase_ns for node in clock.nodes}) > 20
    assert {node.variant for node in clock.nodes} > {Variant(0, 1)}
    for message, found in told:
        assert (message.partition, message.key) == (partition_of(found.head.host, 12), found.head.host.encode())


def test_messages_have_every_batch_once_in_order(recorded: Recording, told: list[tuple[FleetMessage, TopicMessage]]) -> None:
    """Numbers of each worker of each node are without a gap, and their times never go back."""
    seqs: dict[tuple[str, str], list[int]] = defaultdict(list)
    stamps: dict[tuple[str, str], list[int]] = defaultdict(list)
    rows = Counter[str]()
    for _, found in told:
        head = found.head
        seqs[head.host, head.worker].append(head.first_seq)
        stamps[head.host, head.table].append(head.first_stamp_ns)
        rows[head.host] += head.rows
    assert all(each == list(range(1, len(each) + 1)) for each in seqs.values())
    assert all(each == sorted(each) for each in stamps.values())
    # Both recorded minutes, whichever came first, and the names.
    assert recorded.names is not None
    assert set(rows.values()) == {sum(minute.rows for minute in (*recorded.minutes, recorded.names))}


def test_times_are_moved_and_windows_stay_whole_minutes(told: list[tuple[FleetMessage, TopicMessage]]) -> None:
    """A tick lies in the minute of the sketch that counts it."""
    for _, message in told:
        found = message.rows
        at = times_of(found, "timestamp")
        assert BEGIN_NS <= min(at) <= max(at) < BEGIN_NS + 3 * MINUTE
        if found.table == "process_sketch":
            assert {start % MINUTE for start in times_of(found, "window_start")} == {0}
        if found.table == "process_scan":
            assert len(at) == 1


def test_sketches_are_those_of_the_rows(told: list[tuple[FleetMessage, TopicMessage]]) -> None:
    """The CPU of each node and minute, in process and process_tail, is the sum that its sketches have."""
    raw, sketched = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for _, found in told:
        if found.rows.table in ("process", "process_tail"):
            pairs = zip(times_of(found.rows, "timestamp"), times_of(found.rows, "cpu_ns"), strict=True)
            for at, cpu_ns in pairs:
                raw[found.head.host, at - at % MINUTE] += cpu_ns
        elif found.rows.table == "process_sketch":
            numbers = zip(times_of(found.rows, "window_start"), times_of(found.rows, "sum"), metrics_of(found.rows), strict=True)
            for start, total, metric in numbers:
                sketched[found.head.host, start] += total if metric == "cpu" else 0
    assert raw == sketched
    assert len(raw) == 6


def metrics_of(rows: TopicRows) -> list[str]:
    (column,) = [column for column in rows.columns if column.name == "metric"]
    return [column.texts[number].decode() for number in whole_numbers(column, rows.rows)]


def test_identities_are_other_ones_on_each_node(told: list[tuple[FleetMessage, TopicMessage]]) -> None:
    """And the same in all tables of a node; what is no identity stays."""
    units: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for _, message in told:
        for column in message.rows.columns:
            if column.name == "pod_uid":
                units[message.head.host][message.rows.table] |= {text.decode() for text in column.texts}
    first, second, _ = (set.union(*tables.values()) for tables in units.values())
    assert all(tables["process_tail"] <= tables["pod_group"] for tables in units.values())
    assert len(first) == 3
    assert first & second == {"/system.slice/service-0.service"}


def test_columns_of_times_are_known() -> None:
    """By their names, as the tables have them."""
    assert all(map(is_time, ("timestamp", "window_start", "started_timestamp", "valid_until", "since")))
    assert not any(map(is_time, ("window_ns", "elapsed_ns", "cpu_ns")))
    assert is_window_time("window_start")
    assert not is_window_time("timestamp")
