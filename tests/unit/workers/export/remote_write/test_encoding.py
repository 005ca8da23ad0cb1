"""Requests of both versions, decoded again: the official messages for 1.0, field by field for 2.0."""

import struct

from fakes.known_names import KnownNames
from fakes.series_rows import at, made, sketch_batch, unit_batch
from harness.protobuf_fields import double_in, fields_of, message_in, numbers_in, signed_in, text_in
from remote_pb2.remote_pb2 import WriteRequest

from agent.model.sketch import Sketch
from agent.model.sketch_export import BucketSpan, NativeHistogram, sketch_of_native
from agent.model.timebase import MS, S
from workers.export.remote_write.sample import STALE, WrittenSeries, divided_at, series_of
from workers.export.remote_write.version_1 import encoded_1
from workers.export.remote_write.version_2 import encoded_2, unit_of
from workers.export.series.catalogue import SKETCHED, VIEWS
from workers.export.series.tracked import SeriesPoint

COMMON = (("instance", "node-1"), ("job", "evergauge"))
STALE_BITS = 0x7FF0000000000002


def points() -> list[SeriesPoint]:
    """A unit that ends, one that goes on, and a sketch."""
    table = made(interval_ns=S)
    table.take(unit_batch(0, "/a", "/b", cpu_user_ns=S // 2, pids=3))
    table.take(unit_batch(1, "/a", cpu_user_ns=S // 2, pids=4, is_final=True))
    table.take(sketch_batch(1, "/b", "x", "rss", [0, 5, 5, 1000]))
    return table.take_points()


def bits(number: float) -> int:
    """A double as its bits: NaNs differ."""
    (found,) = struct.unpack("<Q", struct.pack("<d", number))
    assert isinstance(found, int)
    return found


Shown = list[tuple[int, float | str]]


def shown_1(data: bytes) -> dict[str, Shown]:
    """Samples by `name{unit}`; an end is "end", a histogram its count."""
    request = WriteRequest()
    request.ParseFromString(data)
    found: dict[str, Shown] = {}
    for series in request.timeseries:
        labels = {label.name: label.value for label in series.labels}
        assert [label.name for label in series.labels] == sorted(labels)
        assert labels["job"] == "evergauge"
        samples: Shown = [
            (sample.timestamp - at(0) // MS, "end" if bits(sample.value) == STALE_BITS else sample.value)
            for sample in series.samples
        ]
        samples += [
            (each.timestamp - at(0) // MS, "end" if bits(each.sum) == STALE_BITS else each.count_int) for each in series.histograms
        ]
        found[f"{labels['__name__']}{labels.get('mode', '')}{labels['unit']}"] = samples
    return found


def shown_2(data: bytes) -> dict[str, Shown]:
    """The same of version 2.0; start times and types are checked on the way."""
    request = fields_of(data)
    symbols = [text_in(each) for each in request[4]]
    assert symbols[0] == ""
    assert len(set(symbols)) == len(symbols)
    found: dict[str, Shown] = {}
    for each in map(message_in, request[5]):
        references = [symbols[number] for number in numbers_in(each[1][0])]
        labels = dict(zip(references[::2], references[1::2], strict=True))
        assert list(labels) == sorted(labels)
        samples: Shown = []
        for sample in map(message_in, each.get(2, [])):
            value = double_in(sample[1][0])
            samples.append((int(str(sample[2][0])) - at(0) // MS, "end" if bits(value) == STALE_BITS else value))
            if labels["__name__"].endswith("_total"):
                assert sample[3] == [at(-1) // MS]
            else:
                assert 3 not in sample
        for histogram in map(message_in, each.get(3, [])):
            samples.append((int(str(histogram[15][0])) - at(0) // MS, int(str(histogram[1][0]))))
        metadata = message_in(each[5][0])
        kind = {"evergauge_unit_cpu_seconds_total": 1, "evergauge_unit_pids": 2}.get(labels["__name__"], 4)
        assert metadata[1] == [kind]
        assert symbols[int(str(metadata[3][0]))]
        found[f"{labels['__name__']}{labels.get('mode', '')}{labels['unit']}"] = samples
    return found


EXPECTED: dict[str, Shown] = {
    "evergauge_unit_cpu_seconds_totaluser/a": [(0, 0.5), (1000, 1.0), (1001, "end")],
    "evergauge_unit_cpu_seconds_totaluser/b": [(0, 0.5)],
    "evergauge_unit_pids/a": [(0, 3.0), (1000, 4.0), (1001, "end")],
    "evergauge_unit_pids/b": [(0, 3.0)],
    "evergauge_process_memory_bytes/b": [(1000, 4)],
}


def test_version_1_is_read_by_the_official_messages() -> None:
    """Sorted labels, samples at the times of their rows, ends."""
    assert shown_1(encoded_1(series_of(points(), COMMON))) == EXPECTED


def test_version_2_has_texts_once_types_and_start_times() -> None:
    """As 2.0-rc.4 numbers the fields."""
    assert shown_2(encoded_2(series_of(points(), COMMON))) == EXPECTED


def test_the_same_points_give_the_same_bytes() -> None:
    """A request that is repeated is the same."""
    for encode in (encoded_1, encoded_2):
        assert encode(series_of(points(), COMMON)) == encode(series_of(points(), COMMON))
        assert encode([]) in (b"", b"\x22\x00")


def histogram_of(data: bytes) -> NativeHistogram:
    """The histogram of the last series of a request of version 2.0."""
    found = message_in(message_in(fields_of(data)[5][-1])[3][0])
    assert found[14] == [3]
    spans = [message_in(span) for span in found[11]]
    return NativeHistogram(
        signed_in(found[4][0]),
        int(str(found[1][0])),
        double_in(found[3][0]),
        int(str(found[6][0])),
        [BucketSpan(signed_in(span.get(1, [0])[0]), int(str(span[2][0]))) for span in spans],
        [signed_in(number) for number in numbers_in(found[12][0])],
    )


def test_a_sketch_is_the_same_after_the_way() -> None:
    """Bucket for bucket."""
    series = [each for each in series_of(points(), COMMON) if each.is_histogram]
    sketch = Sketch()
    sketch.add_all([0, 5, 5, 1000])
    assert sketch_of_native(histogram_of(encoded_2(series)), 0, 1000) == sketch


def test_a_histogram_ends_with_the_nan_as_its_sum() -> None:
    """As Prometheus ends one."""
    table = made(interval_ns=S)
    table.take(sketch_batch(0, "/b", "x", "rss", [5]))
    table.take(unit_batch(500, "/a", pids=1))
    series = [each for each in series_of(table.take_points(), COMMON) if each.is_histogram]
    assert [sample.value is STALE for sample in series[0].samples] == [False, True]
    request = WriteRequest()
    request.ParseFromString(encoded_1(series))
    assert [bits(each.sum) == STALE_BITS for each in request.timeseries[0].histograms] == [False, True]


def test_one_time_has_one_sample_and_times_are_in_order() -> None:
    """An entity that comes back within one request, and a clock that was set back."""
    table = made(interval_ns=S)
    for second, is_final in ((5, False), (6, True), (8, False), (7, False)):
        table.take(unit_batch(second, "/a", pids=second, is_final=is_final))
    (series,) = series_of(table.take_points(), COMMON)
    assert isinstance(series, WrittenSeries)
    assert [(sample.at_ms - at(0) // MS) for sample in series.samples] == [5000, 6000, 6001, 7000, 8000]


def test_an_end_comes_behind_the_sample_of_its_own_millisecond() -> None:
    """Else the sample would be taken for what came after the end."""
    names = KnownNames()
    table = made(names=names, interval_ns=S)
    table.take(unit_batch(0, "uid-1", pids=1))
    names.learn("uid-1", "shop", "web-0")
    table.take(unit_batch(0.0004, "uid-1", pids=2))
    unnamed, named = series_of(table.take_points(), COMMON)
    assert [(sample.at_ms - at(0) // MS, sample.value is STALE) for sample in unnamed.samples] == [(0, False), (1, True)]
    assert ("pod", "web-0") in named.pairs
    assert [(sample.at_ms - at(0) // MS, sample.value) for sample in named.samples] == [(0, 2)]


def test_series_are_divided_at_a_time() -> None:
    """A sample of that very time is later; a series is on a side only where it has samples there."""
    earlier, later = divided_at(series_of(points(), COMMON), at(1) // MS)
    assert shown_1(encoded_1(earlier)) == {
        "evergauge_unit_cpu_seconds_totaluser/a": [(0, 0.5)],
        "evergauge_unit_cpu_seconds_totaluser/b": [(0, 0.5)],
        "evergauge_unit_pids/a": [(0, 3.0)],
        "evergauge_unit_pids/b": [(0, 3.0)],
    }
    assert shown_1(encoded_1(later)) == {
        "evergauge_unit_cpu_seconds_totaluser/a": [(1000, 1.0), (1001, "end")],
        "evergauge_unit_pids/a": [(1000, 4.0), (1001, "end")],
        "evergauge_process_memory_bytes/b": [(1000, 4)],
    }


def test_units_are_those_that_names_say() -> None:
    """Every name of a quantity ends with one."""
    assert unit_of("evergauge_unit_cpu_seconds_total") == "seconds"
    assert unit_of("evergauge_process_cpu_nanoseconds") == "nanoseconds"
    assert unit_of("evergauge_top_command_io_bytes_per_second") == "bytes_per_second"
    assert unit_of("evergauge_unit_pids") == ""
    counted = {name for view in VIEWS for name in view.families if not unit_of(name)}
    assert not {name for name in counted if "second" in name or "byte" in name}
    assert all(unit_of(family.histogram) for family in SKETCHED)
