"""Rows as OTLP: every value and attribute, read back by the official classes."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from fakes.stored_batch import HOST, INSTALL, STAMP_NS, stored, stored_bytes
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agent.model.errors import FormatError
from agent.model.sketch import Sketch
from agent.model.sketch_export import ExponentialHistogram, sketch_of_exponential
from agent.model.table import Table, Value
from agent.model.tables import CONTAINER_NAME, GAP, POD_GROUP
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from agent.store.record import form_of
from workers.export.otlp.column_map import Role
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.encoder import NO_ZEROS, PLANS_MAX, EncodedBatches, OtlpEncoder, batch_id
from workers.export.otlp.log_record import INFO, WARN
from workers.gpu import schema as gpu
from workers.host import schema as host
from workers.process import schema as process
from workers.registry import tables
from workers.resctrl.row import OCCUPANCY
from workers.unit import schema as unit

Fields = Mapping[str, Value]
Series = dict[tuple[str, frozenset[tuple[str, Any]]], Any]
COMMON = {"host.name": HOST, "service.name": "evergauge", "service.version": "9", "service.instance.id": INSTALL}


def encoder(*options: str) -> OtlpEncoder:
    """A new one."""
    return OtlpEncoder(CONVENTIONS, "9", frozenset(options))


def pairs(attributes: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def metrics_of(encoded: EncodedBatches) -> ExportMetricsServiceRequest:
    """The request, which the official encoder writes in the same bytes."""
    found: ExportMetricsServiceRequest = ExportMetricsServiceRequest.FromString(encoded.metrics)
    assert found.SerializeToString() == encoded.metrics
    return found


def logs_of(encoded: EncodedBatches) -> list[tuple[dict[str, Any], Any]]:
    """Each record with the attributes of its resource."""
    found = ExportLogsServiceRequest.FromString(encoded.logs)
    assert found.SerializeToString() == encoded.logs
    return [
        (pairs(each.resource.attributes), record)
        for each in found.resource_logs
        for scope in each.scope_logs
        for record in scope.log_records
    ]


def series_of(encoded: EncodedBatches) -> dict[frozenset[tuple[str, Any]], Series]:
    """The last point of each series, by resource; without the count of rows."""
    found: dict[frozenset[tuple[str, Any]], Series] = {}
    for each in metrics_of(encoded).resource_metrics:
        assert each.schema_url == CONVENTIONS.schema_url
        resource = frozenset(pairs(each.resource.attributes).items() - COMMON.items())
        for scope in each.scope_metrics:
            assert (scope.scope.name, scope.scope.version) == ("evergauge", "9")
            for metric in scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    if metric.name != "evergauge.export.rows":
                        series = found.setdefault(resource, {})
                        series[metric.name, frozenset(pairs(point.attributes).items())] = point
    return found


def only(encoded: EncodedBatches) -> Series:
    """The series of the one resource that there is."""
    (found,) = series_of(encoded).values()
    return found


def value_of(series: Series, name: str, **attributes: Any) -> Any:
    """The value of a point; `_` in a name of an attribute is `.`."""
    point = series[name, frozenset((key.replace("_", "."), value) for key, value in attributes.items())]
    return getattr(point, point.WhichOneof("value"))


def process_row(**values: Value) -> Fields:
    """A row of table `process` that has what must be there."""
    return {"timestamp": STAMP_NS, "pid": 7, "start_ticks": 500, "comm": "web", "state": "S", "chosen_for": "cpu", **values}


def host_row(**values: Value) -> Fields:
    """A row of table `host`."""
    return {"timestamp": STAMP_NS, "elapsed_ns": S, "boot_timestamp": STAMP_NS - 100 * S, "ticks_per_second": 100, **values}


def unit_row(**values: Value) -> Fields:
    """A row of table `unit` of a pod."""
    return {"timestamp": STAMP_NS, "unit": "u1", "kind": "pod", "cgroup": "/p", "is_final": False, "elapsed_ns": 2 * S, **values}


def pod_row(uid: str = "u1", name: str = "web-1") -> StoredBatch:
    """A batch that names a pod."""
    return stored(
        POD_GROUP,
        [
            {
                "timestamp": 1, "kind": "pod", "cgroup": "/p", "containers": 1, "valid_from": 1, "run": "r", "pod_uid": uid,
                "pod_namespace": "shop", "pod_name": name,
            }
        ],
    )  # fmt: skip


def test_a_process_has_its_resource_and_its_points() -> None:
    """Values as they are, with what the convention requires."""
    row = process_row(
        ppid=1, uid=1000, pod_uid="u1", unit_kind="pod", container="c1", threads=3, cpu_total_ns=9_000_000_001, cpu_ns=250_000_000,
        cpu_share=0.5, cpu_user_ns=200_000_000, cpu_system_ns=50_000_000, rss_bytes=(1 << 63) - 1, read_bytes=0, write_bytes=4096,
        minor_faults=2, major_faults=1, tcp_sent_bytes=5, command_line="web --token ***",
    )  # fmt: skip
    name = stored(CONTAINER_NAME, [{"timestamp": 1, "container_id": "c1", "name": "nginx", "pod_uid": "u1", "run": "r"}])
    encoded = encoder().take([stored(process.PROCESS, [row]), pod_row(), name])
    (resource,) = (each for each in series_of(encoded))
    assert dict(resource) == {
        "process.pid": 7, "process.parent_pid": 1, "process.executable.name": "web", "process.user.id": 1000,
        "evergauge.process.start_ticks": 500, "k8s.pod.uid": "u1", "k8s.pod.name": "web-1", "k8s.namespace.name": "shop",
        "k8s.container.name": "nginx",
    }  # fmt: skip
    series = only(encoded)
    assert value_of(series, "process.cpu.time", cpu_mode="user") == 0.2
    assert value_of(series, "process.cpu.time", cpu_mode="system") == 0.05
    assert value_of(series, "process.disk.io", disk_io_direction="read") == 0
    assert value_of(series, "process.disk.io", disk_io_direction="write") == 4096
    assert value_of(series, "process.memory.usage") == (1 << 63) - 1
    assert value_of(series, "process.thread.count") == 3
    assert value_of(series, "evergauge.process.cpu.run_time") == 9_000_000_001
    assert value_of(series, "evergauge.process.tcp.io", network_io_direction="transmit") == 5
    assert len(series) == 10
    assert (encoded.points, encoded.metric_rows, encoded.bad_rows) == (10 + 1, 1, 0)
    # Half a core of 0.25 s: the tick was half a second long.
    assert series["process.cpu.time", frozenset({("cpu.mode", "user")})].start_time_unix_nano == STAMP_NS - S // 2


def test_a_command_line_is_sent_only_if_an_option_says_so() -> None:
    """Even masked it may tell too much."""
    batch = stored(process.PROCESS, [process_row(command_line="web -x", threads=1)])
    assert b"web -x" not in encoder().take([batch]).metrics
    assert b"process.command_line" in encoder("command_line").take([batch]).metrics


def test_a_container_without_a_name_is_told_by_its_id() -> None:
    """Of processes; of containers always."""
    row = process_row(pod_uid="u1", unit_kind="pod", container="c1", threads=1)
    assert b"container.id" in encoder().take([stored(process.PROCESS, [row])]).metrics
    name = stored(CONTAINER_NAME, [{"timestamp": 1, "container_id": "c1", "name": "nginx", "pod_uid": "u1", "run": "r"}])
    assert b"container.id" not in encoder().take([stored(process.PROCESS, [row]), name]).metrics
    assert b"container.id" in encoder().take([stored(unit.UNIT, [unit_row(container="c1", pids=1)]), name]).metrics


def test_sums_of_zero_can_be_left_out() -> None:
    """Only those of an interval: a level of 0 is a value."""
    row = process_row(threads=0, major_faults=0, minor_faults=1)
    names = [name for name, _ in only(encoder(NO_ZEROS).take([stored(process.PROCESS, [row])]))]
    assert names == ["process.thread.count", "process.paging.faults"]
    assert len(only(encoder().take([stored(process.PROCESS, [row])]))) == 3


def test_metrics_are_of_the_right_kind() -> None:
    """Sums are delta or cumulative, monotonic or not; gauges have no start."""
    batches = [
        stored(host.HOST, [host_row(load_1=0.5, cores=2, context_switches=7)]),
        stored(process.PROCESS, [process_row(cpu_total_ns=5)]),
    ]
    found = {}
    for each in metrics_of(encoder().take(batches)).resource_metrics:
        for metric in each.scope_metrics[0].metrics:
            found[metric.name] = metric
    cores, switches, total = (
        found[name].sum
        for name in ("system.cpu.logical.count", "evergauge.host.context_switches", "evergauge.process.cpu.run_time")
    )
    assert (cores.aggregation_temporality, cores.is_monotonic) == (2, False)
    assert (switches.aggregation_temporality, switches.is_monotonic) == (1, True)
    assert (total.aggregation_temporality, total.is_monotonic) == (2, True)
    assert found["evergauge.host.load.1m"].gauge.data_points[0].as_double == 0.5
    assert found["evergauge.host.load.1m"].gauge.data_points[0].start_time_unix_nano == 0
    assert switches.data_points[0].start_time_unix_nano == STAMP_NS - S
    # 500 ticks of 10 ms after a boot 100 s ago.
    assert total.data_points[0].start_time_unix_nano == STAMP_NS - 95 * S


def test_a_process_keeps_its_start_though_the_boot_is_told_a_little_differently() -> None:
    """A start that moves would look like another process."""
    at = encoder()
    starts = set()
    for number in range(3):
        moved = host_row(boot_timestamp=STAMP_NS - 100 * S + number * 1_000_000)
        encoded = at.take([stored(host.HOST, [moved]), stored(process.PROCESS, [process_row(cpu_total_ns=5)])])
        starts |= {
            point.start_time_unix_nano
            for found in series_of(encoded).values()
            for (name, _), point in found.items()
            if "run_time" in name
        }
    assert starts == {STAMP_NS - 95 * S}


def test_absent_values_have_no_point() -> None:
    """Neither nulls nor numbers that are none."""
    batch = stored(host.HOST, [host_row(load_1=float("nan"), load_5=float("inf"), load_15=1, cpu_user_ns=None)])
    assert [name for name, _ in only(encoder().take([batch]))] == ["evergauge.host.load.15m"]


def test_pods_containers_and_other_units_have_their_own_names() -> None:
    """Those of the convention where it has any."""
    rows = [
        unit_row(cpu_ns=S, io_read_bytes=1),
        unit_row(cpu_ns=2 * S, io_read_bytes=2, container="c1"),
        unit_row(cpu_ns=3 * S, io_read_bytes=3, unit="/system.slice/ssh.service", kind="service"),
    ]
    found = {frozenset(resource): series for resource, series in series_of(encoder().take([stored(unit.UNIT, rows)])).items()}
    pod = found[frozenset({("k8s.pod.uid", "u1")})]
    container = found[frozenset({("k8s.pod.uid", "u1"), ("container.id", "c1")})]
    service = found[frozenset({("evergauge.unit", "/system.slice/ssh.service"), ("evergauge.unit.kind", "service")})]
    assert value_of(pod, "k8s.pod.cpu.time") == 1.0
    assert value_of(container, "container.cpu.time") == 2.0
    assert value_of(container, "container.disk.io", disk_io_direction="read") == 2
    assert value_of(service, "evergauge.unit.cpu.time") == 3.0
    assert value_of(pod, "evergauge.unit.disk.io", disk_io_direction="read") == 1
    assert pod["k8s.pod.cpu.time", frozenset()].start_time_unix_nano == STAMP_NS - 2 * S


def test_devices_are_attributes_of_points() -> None:
    """Rows of one resource; a row of all further devices has no name."""
    rows: list[Fields] = [{"timestamp": STAMP_NS, "device": name, "devices": 1, "reads": 5} for name in ("sda", "sdb", None)]
    ticks = stored(host.HOST, [host_row()])
    series = only(encoder().take([stored(host.HOST_DISK, rows), ticks]))
    for name in ("sda", "sdb"):
        assert value_of(series, "system.disk.operations", system_device=name, disk_io_direction="read") == 5
    point = series["system.disk.operations", frozenset({("disk.io.direction", "read")})]
    # The sampler's other table says how long the tick was, though it stands behind.
    assert point.start_time_unix_nano == STAMP_NS - S


def test_without_a_known_interval_the_rows_before_begin_it() -> None:
    """And without rows before, or behind a backlog, nothing does."""
    at = encoder()

    def start_of(after_ns: int) -> int:
        row: Fields = {"timestamp": STAMP_NS + after_ns, "device": "sda", "devices": 1, "reads": 5}
        (point,) = (p for (name, _), p in only(at.take([stored(host.HOST_DISK, [row])])).items() if name.endswith("operations"))
        return int(point.start_time_unix_nano)

    assert start_of(0) == 0
    assert start_of(S) == STAMP_NS
    assert start_of(-S) == 0
    assert start_of(2 * S) == STAMP_NS + S
    assert start_of(10_000 * S) == 0


def test_a_sketch_is_an_exponential_histogram() -> None:
    """Bucket for bucket, with exact least, largest and sum."""
    sketch = Sketch()
    for value in (0, 1, 5, 5, 10**9, 7_000_000):
        sketch.add(value)
    columns = sketch.to_columns()
    row: Fields = {
        "timestamp": STAMP_NS + 61 * S, "window_start": STAMP_NS, "window_ns": 60 * S, "pod_uid": "u1", "command": "web",
        "metric": "cpu",
        "ticks": 60, "scale": columns.scale, "relative_error": columns.relative_error, "zero_count": columns.zero_count,
        "count": columns.count, "sum": columns.sum, "min": columns.min, "max": columns.max, "first_bucket": columns.first_bucket,
        "counts": list(columns.counts), "keys": 1,
    }  # fmt: skip
    series = only(encoder().take([stored(process.PROCESS_SKETCH, [row])]))
    point = series["evergauge.process.cpu.distribution", frozenset({("process.executable.name", "web")})]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (STAMP_NS, STAMP_NS + 60 * S)
    back = ExponentialHistogram(
        point.scale,
        point.count,
        point.sum,
        point.zero_count,
        point.positive.offset,
        list(point.positive.bucket_counts),
        point.min,
        point.max,
    )
    assert sketch_of_exponential(back) == sketch


@pytest.mark.parametrize(
    "wrong", [{"counts": [1, -1]}, {"count": -1}, {"scale": 1 << 40}, {"first_bucket": 1 << 40}, {"window_start": -1}]
)
def test_a_sketch_that_no_histogram_has_is_counted(wrong: Fields) -> None:
    """It costs itself alone."""
    row: dict[str, Value] = {
        "timestamp": STAMP_NS, "window_start": STAMP_NS, "window_ns": S, "metric": "rss", "ticks": 1, "scale": 6,
        "relative_error": 0.005,
        "zero_count": 0, "count": 1, "sum": (1 << 63) - 1, "first_bucket": 3, "counts": [1], "keys": 1,
    }  # fmt: skip
    encoded = encoder().take([stored(process.PROCESS_SKETCH, [row, row | dict(wrong)])])
    assert (encoded.bad_rows, encoded.metric_rows) == (1, 1)
    (point,) = only(encoded).values()
    assert not point.HasField("sum")
    assert not point.HasField("min")


def test_an_unknown_metric_of_a_sketch_is_told_apart() -> None:
    """As an attribute, never as a name that others chose."""
    row: Fields = {
        "timestamp": STAMP_NS, "window_start": STAMP_NS, "window_ns": S, "metric": "io", "ticks": 1, "scale": 6,
        "relative_error": 0.005,
        "zero_count": 1, "count": 1, "sum": 0, "min": 0, "max": 0, "first_bucket": 0, "counts": [], "keys": 1,
    }  # fmt: skip
    ((name, attributes),) = only(encoder().take([stored(process.PROCESS_SKETCH, [row])]))
    assert (name, dict(attributes)) == ("evergauge.process.distribution", {"evergauge.metric": "io"})


def test_events_are_log_records() -> None:
    """With the name of the event, and a warning for an OOM."""
    common: dict[str, Value] = {"timestamp": STAMP_NS, "unit": "u1", "kind": "pod", "cgroup": "/p", "sequence": 3}
    rows = [common | {"event": "oom", "verdict": "own_limit", "kills": 2}, common | {"event": "started"}]
    encoded = encoder().take([pod_row(), stored(unit.UNIT_EVENT, rows)])
    assert (encoded.metrics, encoded.records, encoded.log_rows) == (b"", 2, 2)
    (resource, oom), (_, started) = logs_of(encoded)
    assert resource.items() >= {"k8s.pod.name": "web-1", "k8s.pod.uid": "u1"}.items()
    assert (oom.event_name, oom.severity_number, oom.severity_text, oom.time_unix_nano) == (
        "evergauge.unit.oom",
        WARN,
        "WARN",
        STAMP_NS,
    )
    assert (
        pairs(oom.attributes).items()
        >= {"evergauge.oom.verdict": "own_limit", "evergauge.oom.kills": 2, "evergauge.event.sequence": 3}.items()
    )
    assert (started.event_name, started.severity_number) == ("evergauge.unit.started", INFO)


def test_a_death_is_a_record_and_a_sum() -> None:
    """Deaths that are summed have no record."""
    common: dict[str, Value] = {"timestamp": STAMP_NS, "source": "taskstats", "unseen": 0, "command": "job"}
    rows = [common | {"pid": 5, "deaths": 1, "exit_code": 1}, common | {"deaths": 9}]
    encoded = encoder().take([stored(process.PROCESS_EXIT, rows)])
    ((_, record),) = logs_of(encoded)
    assert record.event_name == "evergauge.process.exit"
    assert pairs(record.attributes).items() >= {"process.pid": 5, "process.exit.code": 1}.items()
    points = metrics_of(encoded).resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    assert [point.as_int for point in points] == [1, 9]


def test_a_gap_is_a_record_a_sum_and_points_without_a_value() -> None:
    """The series of the host have no value in its middle; only those that ever had one."""
    at = encoder()
    at.take([stored(host.HOST, [host_row(load_1=0.5, cores=2)], worker="sampler/host")])
    gap: dict[str, Value] = {
        "timestamp": STAMP_NS + 9 * S, "worker": "sampler/host", "run": "r", "epoch": 1, "rows": 4, "reason": "worker_died",
        "from_timestamp": STAMP_NS, "until_timestamp": STAMP_NS + 8 * S,
    }  # fmt: skip
    encoded = at.take([stored(GAP, [gap])])
    series = only(encoded)
    attributes = frozenset({("evergauge.gap.worker", "sampler/host"), ("evergauge.gap.reason", "worker_died")})
    assert series["evergauge.gap.rows", attributes].as_int == 4
    for name in ("evergauge.host.load.1m", "system.cpu.logical.count"):
        point = series[name, frozenset()]
        assert (point.flags, point.time_unix_nano, point.WhichOneof("value")) == (1, STAMP_NS + 4 * S, None)
    assert len(series) == 3
    ((_, record),) = logs_of(encoded)
    assert (record.event_name, record.severity_number) == ("evergauge.gap", WARN)
    other = stored(GAP, [gap | {"worker": "sampler/gpu", "table": "gpu"}])
    assert len(only(at.take([other]))) == 1


def test_occupancy_has_the_names_of_its_own_row() -> None:
    """They came with it."""
    row: Fields = {
        "timestamp": STAMP_NS, "pod_uid": "u1", "pod_namespace": "shop", "pod_name": "web-1", "resctrl_group": "/g",
        "llc_occupancy_bytes": 5, "mbm_total_bytes": 7, "mbm_local_bytes_per_second": 1.5,
    }  # fmt: skip
    ((resource, series),) = series_of(encoder().take([stored(OCCUPANCY, [row])])).items()
    assert dict(resource) == {"k8s.pod.uid": "u1", "k8s.namespace.name": "shop", "k8s.pod.name": "web-1"}
    assert value_of(series, "evergauge.llc.occupancy") == 5
    assert value_of(series, "evergauge.memory.bandwidth.io", evergauge_memory_traffic="total") == 7


def test_a_gpu_is_told_by_its_id() -> None:
    """Watts of milliwatts."""
    row: Fields = {
        "timestamp": STAMP_NS,
        "device": "GPU-1",
        "source": "nvml",
        "state": "ok",
        "busy_time": 0.5,
        "power_milliwatts": 1500,
    }
    series = only(encoder().take([stored(gpu.GPU, [row])]))
    assert value_of(series, "hw.gpu.utilization", hw_id="GPU-1") == 0.5
    assert value_of(series, "evergauge.gpu.power", hw_id="GPU-1") == 1.5


def test_each_batch_is_counted_with_the_id_of_the_request() -> None:
    """In an exemplar: as an attribute it would make a series for each request."""
    batches = [stored(host.HOST, [host_row(cores=1)], seq=1), stored(host.HOST, [host_row(cores=2)], seq=2)]
    for each in metrics_of(encoder().take(batches)).resource_metrics[0].scope_metrics[0].metrics:
        if each.name == "evergauge.export.rows":
            first, second = each.sum.data_points
    assert pairs(first.attributes) == {"evergauge.table": "host"}
    assert first.as_int == second.as_int == 1
    (exemplar,) = first.exemplars
    assert pairs(exemplar.filtered_attributes) == {"evergauge.batch.id": batch_id(batches)}
    assert batch_id(batches) == "install-1:00000000456789ab+100:00000000456789ab+300"


def ticks(count: int, processes: int = 20) -> list[StoredBatch]:
    """Batches of several tables over some ticks."""
    batches = [pod_row(f"u{number}", f"web-{number}") for number in range(3)]
    for tick in range(count):
        at = STAMP_NS + tick * S
        rows = [
            process_row(
                timestamp=at, pid=pid, pod_uid=f"u{pid % 3}", unit_kind="pod", cpu_total_ns=tick * pid, cpu_user_ns=pid, threads=1
            )
            for pid in range(processes)
        ]
        batches.append(stored(process.PROCESS, rows, seq=3 * tick + 1))
        batches.append(stored(host.HOST, [host_row(timestamp=at, cores=2, load_1=0.25)], seq=3 * tick + 2))
        batches.append(stored(unit.UNIT, [unit_row(timestamp=at, cpu_ns=tick)], seq=3 * tick + 3))
    return batches


def test_the_same_batches_give_the_same_bytes_in_another_process() -> None:
    """After the snapshot of the batches before them, whether these were sent or skipped."""
    first, second = encoder(), encoder()
    before, after = ticks(4)[:7], ticks(4)[7:]
    first.take(before)
    second.skip(before)
    assert first.state.snapshot() == second.state.snapshot()
    third = encoder()
    third.restore(first.state.snapshot())
    expected = first.take(after)
    assert second.take(after) == expected
    assert third.take(after) == expected
    assert third.state.snapshot() == first.state.snapshot()
    assert expected.metrics != encoder().take(after).metrics


def test_ticks_of_one_process_are_in_one_metric() -> None:
    """Its attributes are sent once."""
    encoded = encoder().take(ticks(5, processes=1))
    assert encoded.metrics.count(b"process.pid") == 1
    (points,) = [
        metric.sum.data_points
        for each in metrics_of(encoded).resource_metrics
        for metric in each.scope_metrics[0].metrics
        if metric.name == "evergauge.process.cpu.run_time"
    ]
    assert [point.time_unix_nano for point in points] == [STAMP_NS + tick * S for tick in range(5)]


def test_rows_that_do_not_fit_are_counted_and_bytes_that_are_no_rows_are_refused() -> None:
    """One bad row costs itself; a batch that cannot be read changes nothing."""
    good = list(msgspec.msgpack.decode(stored(host.HOST, [host_row(cores=1)]).rows)[0])
    bad = ["soon", *good[1:]]
    at = encoder()
    encoded = at.take([stored_bytes("host", form_of(host.HOST), msgspec.msgpack.encode([bad, good, good[:-1]]), 3)])
    assert (encoded.bad_rows, encoded.metric_rows) == (2, 1)
    state = at.state.snapshot()
    with pytest.raises(FormatError):
        at.take([pod_row(), stored_bytes("host", form_of(host.HOST), b"\xc1", 1)])
    at.skip([stored_bytes("host", form_of(host.HOST), b"\xc1", 1)])
    assert at.state.snapshot() == state


def test_unknown_tables_and_columns_are_passed_over() -> None:
    """Also a known column with values of another kind."""
    form = msgspec.structs.replace(
        form_of(host.HOST),
        names=("timestamp", "future", "cores", "load_1", "elapsed_ns"),
        dtypes=("int64", "utf8", "float64", "utf8", "utf8"),
        nullable=(),
    )
    rows = msgspec.msgpack.encode([(STAMP_NS, "x", 1.5, "y", "z")])
    encoded = encoder().take([stored_bytes("host", form, rows, 1), stored_bytes("future", form, rows, 1)])
    ((key, point),) = only(encoded).items()
    assert (key, point.as_double) == (("system.cpu.logical.count", frozenset()), 1.5)
    assert (
        encoder().take([stored_bytes("host", msgspec.structs.replace(form, names=("a", "b", "c", "d", "e")), rows, 1)]).metrics
        == b""
    )
    assert encoder().take([]) == EncodedBatches(b"", b"", 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "snapshot",
    [
        b"x",
        b"\x90",
        msgspec.msgpack.encode([9, 0, 0, {}, {}, {}, {}, b""]),
        msgspec.msgpack.encode([1, 0, 0, {}, {}, {}, {}, b"x"]),
    ],
)
def test_a_damaged_snapshot_is_refused(snapshot: bytes) -> None:
    """Then it begins from nothing."""
    at = encoder()
    with pytest.raises(FormatError):
        at.restore(snapshot)


VALUES = {
    "int64": st.integers(-(1 << 63), (1 << 63) - 1),
    "float64": st.floats() | st.integers(-(1 << 63), (1 << 63) - 1),
    "utf8": st.text(st.characters(codec="utf-8"), max_size=20) | st.just("x" * 65_536) | st.just("\x1b[31m\x00"),
    "bool": st.booleans(),
    "list<int64>": st.lists(st.integers(-1, 1 << 40), max_size=5),
}


@given(st.data(), st.sampled_from([table for table in tables() if table.name in CONVENTIONS.tables]))
def test_any_row_becomes_a_request_that_the_official_decoder_reads(data: st.DataObject, table: Table) -> None:
    """Whatever fits its columns: the largest numbers, endless names, control characters."""

    def value(column: Any) -> Value:
        strategy: st.SearchStrategy[Value] = VALUES[str(column.dtype)]
        if column.name == "timestamp":
            # The official encoder leaves a time of 0 out, ours sends it.
            return data.draw(st.integers(1, (1 << 63) - 1))
        return data.draw(st.none() | strategy) if column.nullable else data.draw(strategy)

    rows: Sequence[Fields] = [{column.name: value(column) for column in table.columns} for _ in range(data.draw(st.integers(1, 2)))]
    encoded = encoder("command_line").take([stored(table, rows)])
    if encoded.metrics:
        metrics_of(encoded)
    if encoded.logs:
        logs_of(encoded)
    assert encoded.bad_rows + max(encoded.metric_rows, encoded.log_rows) <= len(rows)


def test_the_cost_is_linear() -> None:
    """Four times the batches take about four times the time."""

    def seconds(count: int) -> float:
        batches = ticks(count, processes=100)
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            encoder().take(batches)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(80) < 12 * max(seconds(20), 0.001)


def test_an_empty_snapshot_begins_from_nothing() -> None:
    """Names and times that were learned before it are forgotten."""
    at = encoder()
    at.take([*ticks(2), pod_row()])
    assert at.state.snapshot() != encoder().state.snapshot()
    at.restore(b"")
    assert at.state.snapshot() == encoder().state.snapshot()
    assert at.take(ticks(2)) == encoder().take(ticks(2))


def test_a_batch_whose_rows_are_all_bad_is_counted_and_sends_nothing() -> None:
    """There is not even a point that counts its rows."""
    encoded = encoder().take([stored_bytes("host", form_of(host.HOST), msgspec.msgpack.encode([["soon"]]), 1)])
    assert encoded == EncodedBatches(b"", b"", 0, 0, 0, 0, bad_rows=1)


def test_more_forms_of_a_table_than_are_remembered_are_encoded_all_the_same() -> None:
    """A spool may hold segments of many versions; what is forgotten is made again, and gives the same bytes."""
    form = msgspec.structs.replace(form_of(host.HOST), dtypes=("int64", "int64", "int64"), nullable=(False,))
    batches = [
        stored_bytes(
            "host",
            msgspec.structs.replace(form, names=("timestamp", "cores", f"future_{number}")),
            msgspec.msgpack.encode([(STAMP_NS, number, 0)]),
            1,
        )
        for number in range(PLANS_MAX + 1)
    ]
    at = encoder()
    first = at.take(batches[:1])
    encoded = at.take(batches)
    points = [
        point.as_int
        for each in metrics_of(encoded).resource_metrics
        for metric in each.scope_metrics[0].metrics
        if metric.name == "system.cpu.logical.count"
        for point in metric.sum.data_points
    ]
    assert points == list(range(PLANS_MAX + 1))
    assert at.take(batches[:1]) == first


def test_a_tick_from_a_backlog_has_its_own_length_and_leaves_the_newest_known() -> None:
    """Rows of other tables of either tick begin where their own tick did."""
    at = encoder()

    def start_of(time_ns: int, *before: StoredBatch) -> int:
        row: Fields = {"timestamp": time_ns, "device": "sda", "devices": 1, "reads": 5}
        series = only(at.take([*before, stored(host.HOST_DISK, [row])]))
        (point,) = (each for (name, _), each in series.items() if name == "system.disk.operations")
        return int(point.start_time_unix_nano)

    old_ns = STAMP_NS - 1000 * S
    at.take([stored(host.HOST, [host_row(elapsed_ns=S)])])
    assert start_of(old_ns, stored(host.HOST, [host_row(timestamp=old_ns, elapsed_ns=5 * S)])) == old_ns - 5 * S
    assert start_of(STAMP_NS) == STAMP_NS - S


def test_a_tick_of_unknown_length_says_nothing_of_how_long_others_were() -> None:
    """The sums of other tables have no start then, as without any row of the host."""
    disk: Fields = {"timestamp": STAMP_NS, "device": "sda", "devices": 1, "reads": 5}
    series = only(encoder().take([stored(host.HOST, [host_row(elapsed_ns=None)]), stored(host.HOST_DISK, [disk])]))
    (point,) = (each for (name, _), each in series.items() if name == "system.disk.operations")
    assert (point.as_int, point.start_time_unix_nano) == (5, 0)


def test_only_rows_of_the_host_say_when_it_was_booted() -> None:
    """A scan of the processes is of the whole host too, and tells no boot."""
    at = encoder()
    at.take([stored(process.PROCESS_SCAN, [{"timestamp": STAMP_NS, "processes": 9}])])
    scanned = stored(process.PROCESS, [process_row(cpu_total_ns=5)])

    def start_of_process() -> int:
        series = only(at.take([scanned]))
        return int(series["evergauge.process.cpu.run_time", frozenset()].start_time_unix_nano)

    assert start_of_process() == 0
    at.take([stored(host.HOST, [host_row()])])
    assert start_of_process() == STAMP_NS - 95 * S


def test_a_table_that_these_conventions_do_not_know_has_no_points_in_a_gap() -> None:
    """Another version of the conventions may have sent its series."""
    before = encoder()
    before.take([stored(host.HOST, [host_row(cores=2)])])
    gap: Fields = {"timestamp": STAMP_NS + S, "worker": "sampler/x", "run": "r", "epoch": 1, "rows": 4, "reason": "worker_died"}
    without_host = {name: mapped for name, mapped in CONVENTIONS.tables.items() if name != "host"}
    for mapped, names in (
        (CONVENTIONS.tables, ["evergauge.gap.rows", "system.cpu.logical.count"]),
        (without_host, ["evergauge.gap.rows"]),
    ):
        at = OtlpEncoder(msgspec.structs.replace(CONVENTIONS, tables=mapped), "9")
        at.restore(before.state.snapshot())
        assert [name for name, _ in only(at.take([stored(GAP, [gap])]))] == names


def test_a_gap_of_unknown_time_has_no_points_without_a_value() -> None:
    """Nobody knows where in the series it lies; the gap itself is told, at the time that its table has by another name."""
    mapped = CONVENTIONS.tables["gap"]
    columns = {name: meaning for name, meaning in mapped.columns.items() if name != "timestamp"} | {"found": Role.TIME}
    renamed = msgspec.structs.replace(mapped, columns=columns)
    at = OtlpEncoder(msgspec.structs.replace(CONVENTIONS, tables={**CONVENTIONS.tables, "gap": renamed}), "9")
    at.take([stored(host.HOST, [host_row(cores=2)])])
    names, dtypes = ("found", "worker", "rows"), ("int64", "utf8", "int64")
    form = msgspec.structs.replace(form_of(GAP), names=names, dtypes=dtypes, nullable=())
    rows = msgspec.msgpack.encode([(STAMP_NS + S, "sampler/x", 4)])
    encoded = at.take([stored_bytes("gap", form, rows, 1)])
    ((key, point),) = only(encoded).items()
    assert key == ("evergauge.gap.rows", frozenset({("evergauge.gap.worker", "sampler/x")}))
    assert (point.as_int, encoded.records) == (4, 1)
