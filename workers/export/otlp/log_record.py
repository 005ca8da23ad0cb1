"""Log records of rows. PURE. *Source:* opentelemetry/proto/logs/v1/logs.proto, `LogRecord`."""

from collections.abc import Sequence

from agent.model.protobuf import delimited, whole
from workers.export.otlp.column_map import RecordMap
from workers.export.otlp.wire import AttributeValue, any_value, attributes, fixed64, text

INFO, WARN = 9, 13
_WORDS = {INFO: "INFO", WARN: "WARN"}


def log_record(time_ns: int, name: str, severity: int, pairs: Sequence[tuple[str, AttributeValue]]) -> bytes:
    """A record as an element of `ScopeLogs.log_records`. Its body is its name, for those who show nothing else."""
    data = (
        fixed64(1, time_ns)
        + whole(2, severity)
        + text(3, _WORDS[severity])
        + delimited(5, any_value(name))
        + attributes(6, pairs)
        + fixed64(11, time_ns)
        + text(12, name)
    )
    return delimited(2, data)


def name_and_severity(record: RecordMap, word: str) -> tuple[str, int]:
    """Of a record whose column says this word; empty: there is no such column."""
    if not record.column:
        return record.name, WARN if record.is_warning else INFO
    return f"{record.name}.{word}", WARN if word in record.warnings else INFO
