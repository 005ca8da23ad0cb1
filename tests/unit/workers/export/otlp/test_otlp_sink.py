"""The sink of OTLP: two requests of one delivery, each settled once, and what the answers come to."""

import gzip
from collections.abc import Sequence

import pytest
from fakes.scripted_server import Act, ScriptedServer, answering, http, serving, silent
from fakes.sink_context import sink_context
from fakes.stored_batch import STAMP_NS, stored
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from agent.model.errors import FormatError
from agent.model.table import Value
from agent.model.tables import GAP, POD_GROUP
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.otlp_sink import OtlpParcel, OtlpSink
from workers.export.sink import Delivered, Later, Paused, Refused, TooLarge, Verdict
from workers.exporters.otlp import OTLP_TABLES, SINK
from workers.host.schema import HOST

OK = http(200, b"", "Content-Type: application/x-protobuf")
BATCHES = [
    stored(
        HOST,
        [{"timestamp": STAMP_NS, "elapsed_ns": S, "cores": 2}, {"timestamp": STAMP_NS + S, "elapsed_ns": S, "cores": 2}],
        seq=1,
    ),
    stored(GAP, [{"timestamp": STAMP_NS, "worker": "w", "run": "r", "epoch": 1, "rows": 4, "reason": "worker_died"}], seq=2),
]


def sink_of(server: ScriptedServer | None, tables: tuple[str, ...] = OTLP_TABLES, **section: int | str | bool) -> OtlpSink:
    """A sink that sends to a server of the test."""
    endpoint = "http://127.0.0.1:1" if server is None else f"http://127.0.0.1:{server.port}"
    made = SINK.open(sink_context("otlp", {"endpoint": endpoint, **section}, tables=tables))
    assert isinstance(made, OtlpSink)
    return made


def parcel_of(sink: OtlpSink, batches: Sequence[StoredBatch] = BATCHES) -> OtlpParcel:
    """What goes in one delivery."""
    found = sink.take(batches)
    assert found is not None
    return found


def delivered(*acts: Act, batches: Sequence[StoredBatch] = BATCHES, timeout: int = 5 * S) -> Verdict:
    """The verdict of one delivery to a server that acts so."""
    with serving(*acts) as server:
        sink = sink_of(server, timeout=timeout)
        verdict = sink.deliver(parcel_of(sink, batches))
        sink.close()
    return verdict


def test_its_tables_are_those_of_the_conventions() -> None:
    """The declaration names them, so that the supervisor need not import what maps them."""
    assert tuple(CONVENTIONS.tables) == OTLP_TABLES
    assert SINK.context_tables == tuple(CONVENTIONS.context)


def test_metrics_and_logs_go_where_they_belong() -> None:
    """Compressed, over one connection."""
    with serving(answering(OK, OK)) as server:
        sink = sink_of(server)
        parcel = parcel_of(sink)
        assert sink.deliver(parcel) == Delivered()
        sink.close()
    (first, metrics), (second, logs) = server.requests
    assert server.connections == 1
    assert first.startswith(b"POST /v1/metrics HTTP/1.1")
    assert second.startswith(b"POST /v1/logs HTTP/1.1")
    assert b"Content-Type: application/x-protobuf" in first
    assert b"Content-Encoding: gzip" in first
    assert len(metrics) + len(logs) == parcel.size_bytes
    assert ExportMetricsServiceRequest.FromString(gzip.decompress(metrics)).resource_metrics
    assert ExportLogsServiceRequest.FromString(gzip.decompress(logs)).resource_logs
    assert parcel.points == 2 + 1 + 2 + 1


def test_without_gzip_the_bytes_are_plain() -> None:
    """For receivers that read no gzip."""
    with serving(answering(OK, OK)) as server:
        sink = sink_of(server, gzip=False)
        sink.deliver(parcel_of(sink))
        sink.close()
    assert b"Content-Encoding" not in server.requests[0][0]
    assert ExportMetricsServiceRequest.FromString(server.requests[0][1]).resource_metrics


def test_what_was_acknowledged_is_not_sent_again() -> None:
    """Metrics were taken, logs were not: only these come again, the same bytes."""
    with serving(answering(OK, http(503)), answering(OK)) as server:
        sink = sink_of(server)
        parcel = parcel_of(sink)
        assert isinstance(sink.deliver(parcel), Later)
        sink.close()
        assert sink.deliver(parcel) == Delivered()
        sink.close()
    assert [head.split(b" ")[1] for head, _ in server.requests] == [b"/v1/metrics", b"/v1/logs", b"/v1/logs"]
    assert server.requests[1][1] == server.requests[2][1]


def test_partial_success_is_counted_and_never_repeated() -> None:
    """Points are not rows: at most as many rows as were sent."""
    for points, rows in ((1, 1), (99, 3)):
        answer = ExportMetricsServiceResponse(
            partial_success=ExportMetricsPartialSuccess(rejected_data_points=points, error_message="too old")
        ).SerializeToString()
        verdict = delivered(answering(http(200, answer, "Content-Type: application/x-protobuf"), OK))
        assert verdict == Delivered(rows, "partial_success", f"the receiver rejected {points} points or records: too old")


def test_a_warning_is_told() -> None:
    """A message without rejected points."""
    answer = ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(error_message="old format")
    ).SerializeToString()
    assert delivered(answering(http(200, answer), OK)) == Delivered(sentence="old format")


def test_a_refused_signal_does_not_keep_the_other_back() -> None:
    """Its rows are counted; where both are refused, all of it is."""
    verdict = delivered(answering(http(400, b"bad"), OK))
    assert isinstance(verdict, Delivered)
    assert (verdict.refused_rows, verdict.reason) == (3, "http_400")
    verdict = delivered(answering(OK, http(404)))
    assert isinstance(verdict, Delivered)
    assert (verdict.refused_rows, verdict.reason) == (1, "no_logs")
    assert "set `logs = false`" in verdict.sentence
    both = delivered(answering(http(500), http(500)))
    assert isinstance(both, Refused)
    assert both.reason == "http_500"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(404), Paused),
        (http(401), Paused),
        (http(403), Paused),
        (http(413), TooLarge),
        (http(429, b"", "Retry-After: 2"), Later),
    ],
)
def test_what_holds_a_delivery(answer: bytes, kind: type) -> None:
    """Nothing is lost by a wrong address or credentials, nor by a busy receiver."""
    assert isinstance(delivered(answering(answer)), kind)


def test_a_receiver_that_is_away_is_tried_later() -> None:
    """So is one that hangs."""
    sink = sink_of(None)
    assert isinstance(sink.deliver(parcel_of(sink)), Later)
    assert isinstance(delivered(silent, timeout=S // 5), Later)


def test_a_request_that_is_too_large_is_not_sent() -> None:
    """Counted before compression, as receivers do."""
    with serving(answering(OK)) as server:
        sink = sink_of(server, request_most=64 << 10)
        many = [stored(HOST, [{"timestamp": STAMP_NS + n, "cores": n} for n in range(4000)])]
        verdict = sink.deliver(parcel_of(sink, many))
    assert verdict == TooLarge("a request of more than 65536 bytes before compression (request_most)")
    assert server.requests == []


def test_only_wanted_tables_and_signals_are_sent() -> None:
    """Others teach names at most."""
    sink = sink_of(None, tables=("gap",), metrics=False)
    parcel = parcel_of(sink)
    assert parcel.metrics is None
    assert parcel.logs is not None
    pod: dict[str, Value] = {
        "timestamp": 1,
        "pod_uid": "u",
        "kind": "pod",
        "cgroup": "/",
        "containers": 1,
        "valid_from": 1,
        "run": "r",
    }
    assert sink.take([BATCHES[0], stored(POD_GROUP, [pod])]) is None


def test_rows_that_fit_no_column_are_rejected_rows() -> None:
    """With the rest delivered."""
    bad = stored(HOST, [{"timestamp": STAMP_NS, "cores": 1}, {"timestamp": STAMP_NS, "cores": "two"}])
    verdict = delivered(answering(OK), batches=[bad])
    assert isinstance(verdict, Delivered)
    assert (verdict.refused_rows, verdict.reason) == (1, "bad_row")


def test_a_probe_sends_no_rows() -> None:
    """An empty request to each signal's place."""
    with serving(answering(OK, OK)) as server:
        sink = sink_of(server)
        assert sink.probe() == Delivered()
        sink.close()
    assert [gzip.decompress(body) for _, body in server.requests] == [b"", b""]
    assert isinstance(sink_of(None).probe(), Later)
    with serving(answering(http(200, b"hello", "Content-Type: text/plain"), OK)) as server:
        sink = sink_of(server)
        place = f"127.0.0.1:{server.port}/v1/metrics"
        said = f"{place} answered 200 in no form that OTLP has; look whether an OTLP receiver is there"
        assert sink.probe() == Delivered(sentence=said)
        sink.close()


def test_a_variable_that_cannot_be_used_pauses() -> None:
    """The section is right, the environment is not: what is stored waits."""
    sink = SINK.open(sink_context("otlp", {}, tables=OTLP_TABLES, variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "x:1"}))
    parcel = sink.take(BATCHES)
    assert parcel is not None
    for verdict in (sink.deliver(parcel), sink.probe()):
        assert verdict == Paused(
            "OTEL_EXPORTER_OTLP_ENDPOINT: it is no URL; write it as http://HOST:PORT or https://HOST:PORT/PATH"
        )


def test_a_snapshot_makes_the_same_requests() -> None:
    """After a kill the same delivery comes again, byte for byte."""
    first, second = sink_of(None), sink_of(None)
    first.skip(BATCHES)
    second.restore(first.snapshot())
    one, two = parcel_of(first), parcel_of(second)
    assert [signal.body for signal in one.signals] == [signal.body for signal in two.signals]
    with pytest.raises(FormatError):
        second.restore(b"x")
    second.restore(b"")
