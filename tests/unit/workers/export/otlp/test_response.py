"""What receivers of OTLP answer, in protobuf and in JSON, whole and damaged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsPartialSuccess, ExportMetricsServiceResponse

from agent.model.protobuf import delimited, whole
from workers.export.http_answer import HttpAnswer
from workers.export.otlp.response import PartialSuccess, error_text, partial_success
from workers.export.otlp.wire import text

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json; charset=utf-8"}


def metrics(**fields: Any) -> bytes:
    """An answer to metrics."""
    return ExportMetricsServiceResponse(partial_success=ExportMetricsPartialSuccess(**fields)).SerializeToString()  # type: ignore[no-any-return]  # the package is not typed


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"", PROTOBUF, PartialSuccess()),
        (metrics(), PROTOBUF, PartialSuccess()),
        (metrics(rejected_data_points=3, error_message="too\nold"), PROTOBUF, PartialSuccess(3, "too\\nold")),
        (metrics(error_message="slow down"), PROTOBUF, PartialSuccess(0, "slow down")),
        (metrics(rejected_data_points=-1), PROTOBUF, PartialSuccess()),
        (
            ExportLogsServiceResponse(partial_success=ExportLogsPartialSuccess(rejected_log_records=1)).SerializeToString(),
            PROTOBUF,
            PartialSuccess(1),
        ),
        (b"{}", JSON, PartialSuccess()),
        (b'{"partialSuccess":{"rejectedDataPoints":"4","errorMessage":"x"}}', JSON, PartialSuccess(4, "x")),
        (b'{"partialSuccess":{"rejectedLogRecords":2}}', JSON, PartialSuccess(2)),
        (b'{"partialSuccess":{"rejectedDataPoints":"many"}}', JSON, None),
        (b'{"partial', JSON, None),
        (b"\x0a\x05ab", PROTOBUF, None),
        (b"\x0b", PROTOBUF, None),
        (b"\xff" * 11, PROTOBUF, None),
    ],
)
def test_partial_success(body: bytes, headers: dict[str, str], expected: PartialSuccess | None) -> None:
    """Rejected points, warnings, and answers that cannot be read."""
    assert partial_success(HttpAnswer(200, headers, body)) == expected


def test_an_answer_that_was_cut_is_not_believed() -> None:
    """What stands behind could change it."""
    assert partial_success(HttpAnswer(200, PROTOBUF, metrics(), is_cut=True)) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_none(body: bytes) -> None:
    """Nothing is raised."""
    for headers in (PROTOBUF, JSON):
        partial_success(HttpAnswer(200, headers, body))
        error_text(HttpAnswer(400, headers, body))


def test_the_text_of_an_error() -> None:
    """The message of a status, or plain text."""
    status = whole(1, 3) + text(2, "bad \x1b label") + delimited(3, b"x")
    assert error_text(HttpAnswer(400, PROTOBUF, status)) == "bad \\x1b label"
    assert error_text(HttpAnswer(400, PROTOBUF, b"\x0a\x05ab")) == ""
    assert error_text(HttpAnswer(400, PROTOBUF, whole(1, 3))) == ""
    assert error_text(HttpAnswer(400, {}, b"plain  words")) == "plain words"


def test_fields_of_a_later_version_are_passed_over() -> None:
    """What is known is read."""
    body = delimited(1, text(2, "slow down") + text(9, "x"))
    assert partial_success(HttpAnswer(200, PROTOBUF, body)) == PartialSuccess(0, "slow down")
