"""Metrics in the protobuf format, taken apart field by field."""

from fakes.series_rows import BEGIN_NS, made, sketch_batch, unit_batch
from harness.protobuf_fields import Fields, double_in, message_in, numbers_in, signed_in, text_in, varint_at

from agent.model.sketch import Sketch
from agent.model.sketch_export import BucketSpan, NativeHistogram, sketch_of_native
from agent.model.timebase import S
from workers.export.series.sketch_cache import SketchCache
from workers.gateway.measured_protobuf import agent_protobuf, histogram_of, measured_protobuf
from workers.gateway.metrics import Family


def families(data: bytes) -> dict[str, Fields]:
    """Each family by its name; each is preceded by its length."""
    found = {}
    at = 0
    while at < len(data):
        length, at = varint_at(data, at)
        fields = message_in(data[at : at + length])
        found[text_in(fields[1][0])] = fields
        at += length
    return found


def labels(metric: Fields) -> dict[str, str]:
    """The labels of a metric."""
    pairs = map(message_in, metric.get(1, []))
    return {text_in(pair[1][0]): text_in(pair[2][0]) for pair in pairs}


def test_counters_have_their_start_and_gauges_their_value() -> None:
    """Types, labels and numbers."""
    table = made()
    table.take(unit_batch(5, "/a", "/b", cpu_user_ns=S // 2, memory_current_bytes=7, elapsed_ns=2 * S + 7))
    found = families(b"".join(measured_protobuf(table.families(), SketchCache(histogram_of))))
    cpu = found["evergauge_unit_cpu_seconds_total"]
    assert cpu[3] == [0]
    first = message_in(cpu[4][0])
    assert labels(first) == {"mode": "user", "kind": "service", "unit": "/a"}
    counter = message_in(first[3][0])
    assert double_in(counter[1][0]) == 0.5
    assert message_in(counter[3][0]) == {1: [BEGIN_NS // S + 2], 2: [S - 7]}
    gauge = found["evergauge_unit_memory_current_bytes"]
    assert gauge[3] == [1]
    assert [double_in(message_in(message_in(metric)[2][0])[1][0]) for metric in gauge[4]] == [7.0, 7.0]


def test_a_sketch_is_a_native_histogram_bucket_for_bucket() -> None:
    """What is read back is the sketch."""
    values = [0, 1, 5, 5, 1000, 10**9]
    table = made()
    table.take(sketch_batch(0, "/a", "x", "rss", values))
    found = families(b"".join(measured_protobuf(table.families(), SketchCache(histogram_of))))["evergauge_process_memory_bytes"]
    assert found[3] == [5]
    histogram = message_in(message_in(found[4][0])[7][0])
    spans = [message_in(span) for span in histogram[12]]
    read = NativeHistogram(
        signed_in(histogram[5][0]),
        int(str(histogram[1][0])),
        double_in(histogram[2][0]),
        int(str(histogram[7][0])),
        [BucketSpan(signed_in(span.get(1, [0])[0]), int(str(span[2][0]))) for span in spans],
        [signed_in(number) for number in numbers_in(histogram[13][0])],
    )
    sketch = Sketch()
    sketch.add_all(values)
    assert sketch_of_native(read, 0, 10**9) == sketch


def test_a_sketch_without_buckets_says_that_it_is_a_native_histogram() -> None:
    """By an empty span; Prometheus would take it for a classic one."""
    table = made()
    table.take(sketch_batch(0, "/a", "x", "rss", [0]))
    found = families(b"".join(measured_protobuf(table.families(), SketchCache(histogram_of))))["evergauge_process_memory_bytes"]
    histogram = message_in(message_in(found[4][0])[7][0])
    assert histogram[12] == [b""]
    assert histogram[7] == [1]


def test_the_agent_s_own_metrics_are_there_too() -> None:
    """An info is a gauge of 1."""
    own = [Family("a_info", "info", "A.", {(("x", "y"),): 1}), Family("b_total", "counter", "B.", {(): 2})]
    found = families(b"".join(agent_protobuf(own)))
    assert found["a_info"][3] == [1]
    assert double_in(message_in(message_in(found["b_total"][4][0])[3][0])[1][0]) == 2.0
