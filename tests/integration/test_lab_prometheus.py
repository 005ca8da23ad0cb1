"""The real Prometheus of tests, an old one and a new one: what they take, refuse, keep and answer; and what their promtool says."""

import struct
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError

import pytest
from harness.sinks.http_answer import status
from harness.sinks.http_sink import HttpSink
from harness.sinks.prometheus import Prometheus, Promtool, Refused, Version
from harness.waiting import wait_until
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from remote_pb2.remote_pb2 import WriteRequest
from remote_pb2.types_pb2 import BucketSpan, Histogram

WRITE_1 = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"}
WRITE_2 = WRITE_1 | {
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str | None]:
    """Status of the answer, and how many samples it says were written. *Absent:* None where it does not say."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers)), timeout=20) as answer:
            return answer.status, answer.headers[WRITTEN]
    except HTTPError as refused:
        with refused:
            return refused.code, refused.headers[WRITTEN]


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def snappy(data: bytes) -> bytes:
    """A block in snappy's format that compresses nothing: the length, then literals of at most 60 bytes.

    *Source:* github.com/google/snappy, format_description.txt.
    """
    literals = [data[place : place + 60] for place in range(0, len(data), 60)]
    return varint(len(data)) + b"".join(bytes([len(literal) - 1 << 2]) + literal for literal in literals)


def written(value: float, at: float, **labels: str) -> WriteRequest:
    """A remote write 1.0 of one sample of series `lab` at a time in seconds."""
    request = WriteRequest()
    series = request.timeseries.add()
    for name, text in sorted({"__name__": "lab", **labels}.items()):
        series.labels.add(name=name, value=text)
    series.samples.add(value=value, timestamp=round(at * 1000))
    return request


def write(prometheus: Prometheus, value: float, at: float, **labels: str) -> int:
    """The status of the answer to it."""
    return post(prometheus.write_url, snappy(written(value, at, **labels).SerializeToString()), WRITE_1)[0]


def written_2(value: float, at: float) -> bytes:
    """A remote write 2.0 of one sample, by hand: no package has its messages.

    *Source:* prometheus.io, remote_write_spec_2_0: `symbols` = 4; `timeseries` = 5 with `labels_refs` = 1 and `samples` = 2, which
    has `value` = 1 and `timestamp` = 2.
    """
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + varint(round(at * 1000))
    series = b"\x0a\x02\x01\x02\x12" + varint(len(sample)) + sample
    symbols = b"".join(b"\x22" + varint(len(text)) + text for text in (b"", b"__name__", b"lab"))
    return symbols + b"\x2a" + varint(len(series)) + series


@pytest.mark.parametrize("version", ["old", "new"])
def test_what_a_prometheus_acknowledged_is_there_after_it_was_killed(tmp_path: Path, version: Version) -> None:
    """A remote write of version 1.0, which both know; every way to ask finds it."""
    now = float(int(time.time()))
    with Prometheus(tmp_path / "prometheus", version) as prometheus:
        assert write(prometheus, 1.5, now - 2, host="a") == 204
        prometheus.kill()
        prometheus.start()
        assert write(prometheus, 2.5, now - 1, host="a") == 204
        (stored,) = prometheus.samples("lab")
        assert (stored.labels["host"], stored.samples) == ("a", ((now - 2, 1.5), (now - 1, 2.5)))
        assert [each.samples[0][1] for each in prometheus.query("lab", at=now - 2)] == [1.5]
        assert [each.samples for each in prometheus.query_range("lab", now - 2, now - 1, 1)] == [((now - 2, 1.5), (now - 1, 2.5))]
        assert prometheus.series("lab") == [{"__name__": "lab", "host": "a"}]
        with pytest.raises(Refused, match="parse error"):
            prometheus.query("lab{")


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_prometheus_refuses_what_is_older_than_its_window(tmp_path: Path, version: Version) -> None:
    """Within the window it takes samples in any order."""
    now = float(int(time.time()))
    with Prometheus(tmp_path / "prometheus", version, out_of_order_window="1h") as prometheus:
        given = [write(prometheus, 1, now - ago) for ago in (1, 1800, 7200)]
        # The old one asks, by its status, for the same request again, which it will refuse again.
        assert given == [204, 204, 500 if version == "old" else 400]
        (stored,) = prometheus.samples("lab")
        assert [at for at, _ in stored.samples] == [now - 1800, now - 1]


@pytest.mark.parametrize(("version", "answer", "values"), [("old", (204, None), []), ("new", (204, "1"), [2.5])])
def test_only_a_new_prometheus_takes_remote_write_2(
    tmp_path: Path, version: Version, answer: tuple[int, str | None], values: list[float]
) -> None:
    """The old one finds nothing that it knows in it, and says that all is well; only the count of samples tells them apart."""
    now = float(int(time.time()))
    with Prometheus(tmp_path / "prometheus", version) as prometheus:
        assert post(prometheus.write_url, snappy(written_2(2.5, now)), WRITE_2) == answer
        assert [value for each in prometheus.samples("lab") for _, value in each.samples] == values


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_prometheus_takes_native_histograms(tmp_path: Path, version: Version) -> None:
    """Two values in the bucket from 1 to 2, of which it interpolates a percentile."""
    now = float(int(time.time()))
    request = written(0, now)
    series = request.timeseries[0]
    del series.samples[:]
    spans = [BucketSpan(offset=1, length=1)]
    series.histograms.append(
        Histogram(schema=0, count_int=2, sum=3.0, positive_spans=spans, positive_deltas=[2], timestamp=round(now * 1000))
    )
    with Prometheus(tmp_path / "prometheus", version) as prometheus:
        assert post(prometheus.write_url, snappy(request.SerializeToString()), WRITE_1)[0] == 204
        (stored,) = prometheus.query("lab", at=now)
        assert [(each["count"], each["sum"], each["buckets"]) for _, each in stored.histograms] == [
            ("2", "3", [[0, "1", "2", "2"]])
        ]
        (percentile,) = prometheus.query("histogram_quantile(0.5, lab)", at=now)
        assert 1 < percentile.samples[0][1] < 2


def test_a_new_prometheus_takes_otlp(tmp_path: Path) -> None:
    """Metrics over HTTP; the old one has no such page."""
    now = int(time.time())
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="lab")
    metric.gauge.data_points.add(as_double=3.5, time_unix_nano=now * 10**9)
    body, headers = request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
    with Prometheus(tmp_path / "new", "new") as prometheus:
        assert post(prometheus.otlp_url, body, headers)[0] == 200
        assert [each.samples for each in prometheus.samples("lab")] == [((float(now), 3.5),)]
    with Prometheus(tmp_path / "old", "old") as prometheus:
        assert post(prometheus.otlp_url, body, headers)[0] == 404


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_prometheus_scrapes_a_page(tmp_path: Path, version: Version) -> None:
    """A target is any server of a test."""
    page = status(200, b"# TYPE lab gauge\nlab 7\n", content_type="text/plain; version=0.0.4")
    with (
        HttpSink(otherwise=page) as target,
        Prometheus(tmp_path / "prometheus", version, scrape=[f"127.0.0.1:{target.port}"], scrape_interval="200ms") as prometheus,
    ):
        found = wait_until(lambda: prometheus.query("lab"), "the page was scraped", pause_seconds=0.05)
        assert [(each.labels["job"], each.samples[0][1]) for each in found] == [("test", 7.0)]


@pytest.mark.parametrize("version", ["old", "new"])
def test_promtool_judges_pages_and_rules(tmp_path: Path, version: Version) -> None:
    """A clean page, one with bad habits, one that cannot be read; rules that alert as their test says, and others."""
    promtool = Promtool(version)
    assert promtool.check_metrics("# HELP lab_bytes A size.\n# TYPE lab_bytes gauge\nlab_bytes 1\n") == (0, "")
    code, said = promtool.check_metrics("# HELP lab A size.\n# TYPE lab counter\nlab 1\n")
    assert (code, "_total" in said) == (3, True)
    assert promtool.check_metrics("lab{ 1\n")[0] == 1
    rules = tmp_path / "rules.yaml"
    rules.write_text('groups: [{name: lab, rules: [{alert: Down, expr: "up == 0"}]}]')
    assert promtool.check_rules(rules)[0] == 0
    test = """
rule_files: [rules.yaml]
tests:
  - interval: 1m
    input_series: [{{series: up, values: "0 0"}}]
    alert_rule_test: [{{eval_time: 1m, alertname: {}, exp_alerts: [{{}}]}}]
"""
    (tmp_path / "test.yaml").write_text(test.format("Down"))
    assert promtool.test_rules(tmp_path)[0] == 0
    (tmp_path / "test.yaml").write_text(test.format("Other"))
    assert promtool.test_rules(tmp_path)[0] == 1
