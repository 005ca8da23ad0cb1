"""docs/sinks/kafka.md says what the code has: settings, headers, fields; and its protobuf text reads what the sink writes."""

import re
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from agent.model.column_type import DType
from agent.topic import columns as wire
from agent.topic.columns import TopicColumn, columns_of, encode_columns
from agent.topic.head import MessageHead, encode_headers
from agent.topic.topic import topic_of
from workers.export.kafka.option import OPTIONS
from workers.exporters.kafka import SINK

PAGE = (Path(__file__).parents[5] / "docs" / "sinks" / "kafka.md").read_text()
PROTO = PAGE.split("```proto\n")[1].split("```")[0]
FIELD = re.compile(r"^  (repeated )?(\w+) (\w+) = (\d+);", re.MULTILINE)
SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("string", "bytes", "uint32", "uint64", "sint64")
}


def messages() -> dict[str, Any]:
    """The classes of the messages in the protobuf text."""
    file = descriptor_pb2.FileDescriptorProto(name="kafka.proto", package="evergauge.topic.v1", syntax="proto3")
    for name, body in re.findall(r"message (\w+) \{\n(.*?)\n\}", PROTO, re.DOTALL):
        message = file.message_type.add(name=name)
        for repeated, kind, field, number in FIELD.findall(f"{body}\n"):
            made = message.field.add(name=field, number=int(number), label=3 if repeated else 1)
            if kind in SCALARS:
                made.type = SCALARS[kind]
            else:
                made.type, made.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".evergauge.topic.v1.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"evergauge.topic.v1.{name}"))
        for name in ("Rows", "Column")
    }


def as_column(found: Any) -> TopicColumn:
    """A column as the official library has read it."""
    return TopicColumn(
        name=found.name,
        dtype=DType(found.type),
        valid=found.valid,
        base=found.base,
        width=found.width,
        values=found.values,
        texts=tuple(found.texts),
        element=as_column(found.element) if found.HasField("element") else None,
        factor=found.factor or 1,
        dividend=found.dividend,
        divisor=as_column(found.divisor) if found.HasField("divisor") else None,
    )


def test_the_official_library_reads_what_the_sink_writes() -> None:
    """By the text of the page."""
    names = ("n", "share", "word", "blob", "flag", "items")
    dtypes = (DType.INT64, DType.FLOAT64, DType.UTF8, DType.BYTES, DType.BOOL, DType.LIST_INT64)
    rows = [(-4096 * each, -4096 * each / 7, "ü", b"\xff" if each % 2 else None, each > 3, [each] * each) for each in range(9)]
    written = columns_of("t", 5, names, dtypes, rows)
    found = messages()["Rows"].FromString(encode_columns(written))
    assert (found.table, found.version, found.rows) == ("t", 5, 9)
    assert tuple(map(as_column, found.columns)) == written.columns
    assert any(column.divisor is not None for column in written.columns)


def test_the_page_has_the_numbers_of_all_fields() -> None:
    """As they are written and read."""
    numbers = {name: int(number) for _, _, name, number in FIELD.findall(PROTO)}
    constants = ("TABLE", "VERSION", "ROWS", "COLUMNS", "NAME", "TYPE", "VALID", "BASE", "WIDTH", "VALUES", "TEXTS", "ELEMENT")
    for name in (*constants, "FACTOR", "DIVIDEND", "DIVISOR"):
        assert numbers[name.lower()] == getattr(wire, name)


def test_the_page_has_all_headers_settings_and_topics() -> None:
    """Each in a table."""
    head = MessageHead("process", 1, "h", "i", "r", "w", 1, 1, 1, 1, 0, 1, 1, True, 1, 2)
    for key, _ in encode_headers(head):
        assert f"`{key}`" in PAGE
    for option in OPTIONS:
        assert f"`{option.key}`" in PAGE
    for table in ("process", "process_sketch", "TABLE"):
        assert f"`{topic_of(table)}`" in PAGE
    assert f"`interval` is {SINK.interval_ns // 10**9} s" in PAGE
