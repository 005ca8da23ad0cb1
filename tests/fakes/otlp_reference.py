"""The mapping of docs/sinks/otlp.md, made from the table of conventions: `PYTHONPATH=tests:. python -m fakes.otlp_reference`."""

from collections.abc import Iterator

from workers.export.otlp.column_map import (
    Dimension,
    Logged,
    Meaning,
    MetricKind,
    NotSent,
    OptionalTag,
    Point,
    Role,
    TableMap,
    Tag,
    ValueForm,
)
from workers.export.otlp.conventions_1_44 import CONVENTIONS

_KINDS = {
    MetricKind.GAUGE: "gauge",
    MetricKind.DELTA: "sum, delta",
    MetricKind.TOTAL: "sum, cumulative",
    MetricKind.LEVEL: "up-down counter",
}


def reference() -> str:
    """All tables, column by column."""
    parts = []
    for mapped in CONVENTIONS.tables.values():
        parts += [f"### `{mapped.table}`", "", "| column | OTLP |", "|---|---|", *_lines(mapped), ""]
    return "\n".join(parts)


def _lines(mapped: TableMap) -> Iterator[str]:
    for column in mapped.columns:
        yield f"| `{column}` | {'; '.join(_said(each) for each in mapped.meanings(column))} |"


def _said(meaning: Meaning) -> str:
    match meaning:
        case Role():
            return meaning.value
        case Tag():
            return f"resource attribute `{meaning.name}`"
        case OptionalTag():
            return f"resource attribute `{meaning.name}`, only with `command_lines = true`"
        case Dimension():
            return f"attribute `{meaning.name}` of the points"
        case Logged():
            return f"attribute `{meaning.name}` of the log record"
        case NotSent():
            return f"not sent: {meaning.reason}"
        case Point():
            return _point(meaning)


def _point(point: Point) -> str:
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(point.names))
    attributes = "".join(f" {{{key}={value}}}" for key, value in point.attributes)
    unit = f"{point.unit}{' of ns' if point.form is ValueForm.SECONDS else ''}"
    return f"{names}{attributes}, {unit}, {_KINDS[point.kind]}"


if __name__ == "__main__":
    print(reference())
