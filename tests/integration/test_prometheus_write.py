"""The sink of remote write against real receivers, an old one that knows version 1.0 alone and a new one."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.series_rows import BEGIN_NS, sketch_batch, unit_batch
from harness.sinks.prometheus import Prometheus, Version
from harness.waiting import wait_until

from agent.endpoint import Endpoint
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from workers.export.http_client import HttpClient
from workers.export.http_option import HttpSetup
from workers.export.remote_write_sink import RemoteWriteOptions, RemoteWriteSink, WriteParcel
from workers.export.sink import Delivered, Later

# Seconds since the first row of `series_rows` of a time some minutes ago: receivers refuse what is far from now.
PAST = float(int(time.time()) - BEGIN_NS // S - 600)
UNIT = "evergauge_unit_cpu_seconds_total{mode='user',unit='/a'}"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=["old", "new"])
def prometheus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Prometheus]:
    """A receiver of each version."""
    version: Version = request.param
    with Prometheus(tmp_path, version) as found:
        yield found


def sink_to(prometheus: Prometheus, notes: list[str] | None = None) -> RemoteWriteSink:
    """A sink that sends each row."""
    options = RemoteWriteOptions("/api/v1/write", (("instance", "n"), ("job", "evergauge")), S, 10_000, False, repeated_bytes_max=1)
    client = HttpClient(Endpoint(False, prometheus.address, prometheus.port), HttpSetup("a receiver of remote writes"))
    return RemoteWriteSink(options, client, lambda kind, *_: None if notes is None else notes.append(kind))


def units(begin: int, end: int, *, is_final: bool = False) -> list[StoredBatch]:
    """A unit that uses half a second of CPU each second; its last row may be its end."""
    return [
        unit_batch(PAST + second, "/a", cpu_user_ns=S // 2, pids=second, is_final=is_final and second == end - 1)
        for second in range(begin, end)
    ]


def deliver(sink: RemoteWriteSink, batches: list[StoredBatch]) -> WriteParcel:
    """All of it is written."""
    parcel = sink.take(batches)
    assert isinstance(parcel, WriteParcel)
    assert sink.deliver(parcel) == Delivered()
    return parcel


def test_what_was_stored_is_what_is_queried(prometheus: Prometheus) -> None:
    """Each row at its own time; an end ends the series at once, not after five minutes."""
    notes: list[str] = []
    sink = sink_to(prometheus, notes)
    assert sink.probe() == Delivered()
    deliver(sink, units(0, 20))
    deliver(sink, units(20, 40, is_final=True))
    sink.close()
    (found,) = prometheus.samples(UNIT)
    begin = BEGIN_NS // S + PAST
    assert found.samples == tuple((begin + second, (second + 1) / 2) for second in range(40))
    assert found.labels["instance"] == "n"
    assert prometheus.query(UNIT, at=begin + 39) != []
    assert prometheus.query(UNIT, at=begin + 41) == []
    (rate,) = prometheus.query(f"rate({UNIT}[30s])", at=begin + 39)
    assert rate.samples[0][1] == pytest.approx(0.5)
    assert notes == (["prometheus_version_1"] if prometheus.component == "prometheus" else [])


def test_quantiles_of_sketches_are_right(prometheus: Prometheus) -> None:
    """As native histograms, within the sketch's error."""
    sink = sink_to(prometheus)
    deliver(sink, [sketch_batch(PAST + 60, "/a", "x", "rss", list(range(1, 10_001)))])
    deliver(sink, [sketch_batch(PAST + 120, "/a", "x", "rss", list(range(1, 10_001)))])
    sink.close()
    at = BEGIN_NS // S + PAST + 120
    expressions = ["evergauge_process_memory_bytes", "sum_over_time(evergauge_process_memory_bytes[10m])"]
    for part in (0.5, 0.9, 0.99):
        # The old one cannot add up histograms over time.
        for expression in expressions[: 1 if prometheus.component == "prometheus" else 2]:
            (found,) = prometheus.query(f"histogram_quantile({part}, {expression})", at=at)
            assert found.samples[0][1] == pytest.approx(part * 10_000, rel=0.01)


def test_what_is_repeated_changes_nothing(prometheus: Prometheus) -> None:
    """A sink that was killed before it noted the answer sends it again, with more behind it, and none of that is lost."""
    sink = sink_to(prometheus)
    snapshot = sink.snapshot()
    deliver(sink, units(0, 5))
    again = sink_to(prometheus)
    again.restore(snapshot)
    parcel = again.take(units(0, 8))
    assert parcel is not None
    verdict = again.deliver(parcel)
    assert isinstance(verdict, Delivered)
    assert verdict.refused_rows == 0
    assert "there already" in verdict.sentence
    (found,) = prometheus.samples(UNIT)
    assert [value for _, value in found.samples] == [(second + 1) / 2 for second in range(8)]
    sink.close()
    again.close()


def test_what_is_too_old_is_refused_and_counted(prometheus: Prometheus) -> None:
    """Without a window for samples out of order; what follows is written."""
    sink, late = sink_to(prometheus), sink_to(prometheus)
    late.take([unit_batch(PAST, "/b", pids=1)])
    deliver(sink, units(20, 25))
    parcel = late.take(units(0, 5))
    assert parcel is not None
    verdict = late.deliver(parcel)
    assert isinstance(verdict, Delivered)
    assert (verdict.refused_rows, verdict.reason) == (5, "too_old")
    deliver(sink, units(25, 30))
    (found,) = prometheus.samples(UNIT)
    assert len(found.samples) == 10
    sink.close()
    late.close()


@pytest.mark.runbook("Sink of kind prometheus")
def test_a_receiver_that_was_killed_gets_all_when_it_is_back(prometheus: Prometheus) -> None:
    """Nothing is missing, nothing stands twice."""
    sink = sink_to(prometheus)
    deliver(sink, units(0, 5))
    prometheus.kill()
    parcel = sink.take(units(5, 10))
    assert parcel is not None
    assert isinstance(sink.deliver(parcel), Later)
    prometheus.start()
    wait_until(lambda: sink.deliver(parcel) == Delivered(), "the receiver takes it")
    sink.close()
    (found,) = prometheus.samples(UNIT)
    assert [value for _, value in found.samples] == [(second + 1) / 2 for second in range(10)]


@pytest.mark.runbook("Sink of kind prometheus")
def test_a_window_takes_what_is_out_of_order(tmp_path: Path) -> None:
    """As the page of this sink recommends."""
    with Prometheus(tmp_path, "new", out_of_order_window="30m") as prometheus:
        sink, late = sink_to(prometheus), sink_to(prometheus)
        deliver(sink, units(20, 25))
        deliver(late, units(0, 5))
        assert len(prometheus.samples(UNIT)[0].samples) == 10
        sink.close()
        late.close()


def test_a_new_receiver_knows_types_and_units(tmp_path: Path) -> None:
    """From version 2.0; see docs/sinks/prometheus.md for what a receiver does with them."""
    with Prometheus(tmp_path, "new") as prometheus:
        sink = sink_to(prometheus)
        parcel = deliver(sink, units(0, 2))
        assert parcel.points == 4
        assert {series["__name__"] for series in prometheus.series("{job='evergauge'}")} == {
            "evergauge_unit_cpu_seconds_total",
            "evergauge_unit_pids",
        }
        sink.close()
