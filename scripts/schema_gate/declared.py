"""Reads what this checkout declares: tables from the registry, messages from the classes that readers decode."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pkgutil import iter_modules
from struct import Struct as Layout
from types import GenericAlias, UnionType
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct, inspect

import agent
from agent.fleet import message as fleet_message
from agent.fleet.update import Update
from agent.lake.commit import LakeCommit
from agent.lake.lake_state import _Checkpoint
from agent.lake.log import _Hint
from agent.launch import Launch
from agent.model import control, message
from agent.model.control.document import Document
from agent.model.rule import Assignment, GroupRule
from agent.model.table import Table
from agent.store.cursor import Cursor
from agent.store.keeping import Keeping
from agent.store.record import Entry, SegmentHead
from schema_gate.declaration import (
    FORMAT_VERSION,
    Declaration,
    DeclaredColumn,
    DeclaredField,
    DeclaredMessage,
    DeclaredTable,
)
from supervisor.core.limit_book import _LimitsDocument
from supervisor.core.rulebook import _RulesDocument
from supervisor.shell.started_worker import Certificate
from workers import registry
from workers.compactor.lease import _LeaseText
from workers.export.file.rotated import DeliveredRecord
from workers.export.kafka.sent_mark import KeptMark
from workers.export.snapshot_file import SinkSnapshot
from workers.gpu.collector_process import Debris
from workers.hub.membership import MembershipDocument
from workers.keeper import protocol
from workers.uplink.live_builder import ModelFact
from workers.workloads.remembered import RememberedStarts
from workers.writer.compaction_job import SourceList
from workers.writer.foreign import ForeignHead

# Where several messages may come, and which tell each other apart by their tags.
CHANNELS: Mapping[str, Any] = {
    "bus, from a worker": message.FromWorker,
    "bus, to a worker": message.ToWorker,
    "data, to the writer": message.ToWriter,
    "data, from the writer": message.FromWriter,
    "keeper, orders": protocol.ToKeeper,
    "keeper, answers": protocol.FromKeeper,
    "hub, answers": fleet_message.HubAnswer,
}
# What stands alone: in a file, on a page of shared memory, or as what a new process is told.
ROOTS: tuple[type[Struct], ...] = (
    message.Identity,
    Launch,
    SegmentHead,
    ForeignHead,
    Entry,
    Cursor,
    Keeping,
    GroupRule,
    Assignment,
    _RulesDocument,
    _LimitsDocument,
    Certificate,
    Debris,
    DeliveredRecord,
    SinkSnapshot,
    KeptMark,
    LakeCommit,
    _Checkpoint,
    _Hint,
    _LeaseText,
    SourceList,
    RememberedStarts,
    protocol.WorkloadRecord,
    fleet_message.NodeHello,
    fleet_message.RowsHead,
    Update,
    MembershipDocument,
    ModelFact,
)
# Fixed bytes, by the module that reads and writes them.
LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "agent.store.record": ("MAGIC", "FORMAT_VERSION", "_FRAME", "_LENGTH"),
    "agent.store.cursor": ("MAGIC", "_SLOT", "SLOT_BYTES", "SLOTS"),
    "agent.model.heartbeat_page": ("PAGE_BYTES", "CERTIFICATE_OFFSET", "VERSION", "_BODY", "MEMORY", "CERTIFICATE_LENGTH"),
    "supervisor.shell.takeover_record": ("_MAGIC", "_HEADER", "_SERVER", "_SLOT", "_SERVER_AT", "_SLOTS_AT"),
    "supervisor.core.rulebook": ("FORMAT_VERSION",),
    "agent.model.control": ("PROTOCOL_VERSION",),
    "agent.fleet.beat": ("MARK", "VERSION", "_LAYOUT"),
    "agent.fleet.update": ("UPDATE_MARK", "COMPRESSED_MARK"),
    "agent.fleet.message": ("PROTOCOL_VERSION", "HELLO_MARK", "ROWS_MARK"),
}
_SIMPLE = {
    inspect.AnyType: "any",
    inspect.NoneType: "null",
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.StrType: "str",
    inspect.BytesType: "bytes",
    inspect.RawType: "raw",
}
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
_DOCUMENT_TYPES = {str: "str", int: "int", float: "float", bool: "bool", object: "any", type(None): "null"}


def declared() -> Declaration:
    """The declaration of this checkout."""
    messages = _Messages()
    channels = {name: messages.add_union(union) for name, union in CHANNELS.items()}
    for root in ROOTS:
        messages.render(inspect.type_info(root), root.__name__)
    for kind in _documents():
        messages.add_document(kind)
    messages.words["operations of the control socket"] = tuple(sorted(control.OPERATIONS))
    messages.words["RefusalWord"] = tuple(sorted(protocol.RefusalWord))
    return Declaration(
        format=FORMAT_VERSION,
        version=agent.__version__,
        tables={table.name: _table(table) for table in registry.tables()},
        messages=messages.found,
        channels=channels,
        words=messages.words,
        layouts=dict(_layouts()),
    )


def _table(table: Table) -> DeclaredTable:
    columns = tuple(DeclaredColumn(each.name, str(each.dtype), each.unit, each.nullable) for each in table.columns)
    return DeclaredTable(table.version, table.key, table.prefix, columns)


def _layouts() -> Iterator[tuple[str, str]]:
    for module, names in LAYOUTS.items():
        for name in names:
            value = getattr(import_module(module), name)
            yield f"{module}.{name}", value.format if isinstance(value, Layout) else repr(value)


def _documents() -> Iterator[type[Document]]:
    for module in iter_modules(control.__path__):
        for value in vars(import_module(f"{control.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Document) and value is not Document:
                yield value


class _Messages:
    """Gathers messages and words, each once, by walking through their types."""

    def __init__(self) -> None:
        self.found: dict[str, DeclaredMessage] = {}
        self.words: dict[str, tuple[str, ...]] = {}

    def add_union(self, union: Any) -> tuple[str, ...]:
        """The names of the messages of a channel."""
        info = inspect.type_info(union)
        members = info.types if isinstance(info, inspect.UnionType) else (info,)
        return tuple(sorted(self.render(each, "") for each in members))

    def add_document(self, kind: type[Document]) -> str:
        """A document of the control socket; its fields are found by name, unknown ones are passed over."""
        if kind.__name__ not in self.found:
            fields = tuple(
                DeclaredField(name, self._document_type(wanted), None if name in kind._required else _default(getattr(kind, name)))
                for name, wanted in kind._types.items()
            )
            self.found[kind.__name__] = DeclaredMessage(None, False, False, True, fields)
        return kind.__name__

    def render(self, info: inspect.Type, owner: str) -> str:
        """A type as text; what it names is gathered. `owner`: the field that has it, for words without a name of their own."""
        if type(info) in _SIMPLE:
            return _SIMPLE[type(info)] + _bounds(info)
        match info:
            case inspect.StructType() | inspect.NamedTupleType():
                return self._add(info)
            case inspect.EnumType(cls=kind):
                self.words[kind.__name__] = tuple(sorted(str(each.value) for each in kind))
                return kind.__name__
            case inspect.LiteralType(values=values):
                self.words[owner] = tuple(sorted(map(str, values)))
                return f"a word of {owner}"
            case inspect.UnionType(types=types):
                return " | ".join(sorted((self.render(each, owner) for each in types), key=lambda word: (word == "null", word)))
            case inspect.TupleType(item_types=types):
                return f"tuple[{', '.join(self.render(each, owner) for each in types)}]"
            case inspect.DictType(key_type=key, value_type=value):
                return f"dict[{self.render(key, owner)}, {self.render(value, owner)}]{_bounds(info)}"
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) | inspect.SetType(item_type=item):
                # On the wire a list is a list, whatever Python makes of it.
                return f"list[{self.render(item, owner)}]{_bounds(info)}"
            case inspect.FrozenSetType(item_type=item) | inspect.CollectionType(item_type=item):
                return f"list[{self.render(item, owner)}]{_bounds(info)}"
        raise AssertionError(f"{owner}: the schema gate has no word for {info}; give it one in scripts/schema_gate/declared.py")

    def _add(self, info: inspect.StructType | inspect.NamedTupleType) -> str:
        name = info.cls.__name__
        if name in self.found:
            return name
        is_tuple = isinstance(info, inspect.NamedTupleType)
        # Its name stands before its fields are walked through: a message may hold others of its kind.
        self.found[name] = DeclaredMessage(None, is_tuple, False, False, ())
        fields = tuple(
            DeclaredField(each.encode_name, self.render(each.type, f"{name}.{each.name}"), _field_default(each))
            for each in info.fields
        )
        if isinstance(info, inspect.NamedTupleType):
            self.found[name] = DeclaredMessage(None, True, False, False, fields)
        else:
            tag = None if info.tag is None else f"{info.tag_field}={info.tag}"
            omits = bool(info.cls.__struct_config__.omit_defaults)
            self.found[name] = DeclaredMessage(tag, info.array_like, info.forbid_unknown_fields, omits, fields)
        return name

    def _document_type(self, wanted: object) -> str:
        if isinstance(wanted, UnionType):
            return " | ".join(sorted(map(self._document_type, wanted.__args__), key=lambda word: (word == "null", word)))
        if isinstance(wanted, GenericAlias):
            return f"{wanted.__origin__.__name__}[{', '.join(map(self._document_type, wanted.__args__))}]"
        assert isinstance(wanted, type), wanted
        return self.add_document(wanted) if issubclass(wanted, Document) else _DOCUMENT_TYPES[wanted]


def _bounds(info: inspect.Type) -> str:
    given = [f"{name}={value}" for name in _BOUNDS if (value := getattr(info, name, None)) is not None]
    return f"({', '.join(given)})" if given else ""


def _field_default(field: inspect.Field) -> str | None:
    if field.required:
        return None
    if field.default_factory is not NODEFAULT:
        return _default(field.default_factory())
    return _default(field.default)


def _default(value: object) -> str:
    """A default as JSON. Of a message only what differs from its own defaults: a field that is added there changes nothing here."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, Struct):
        own = {each.name: each for each in msgspec.structs.fields(type(value))}
        given = {name: getattr(value, name) for name in own}
        return {name: _plain(held) for name, held in given.items() if held != _own_default(own[name])}
    if isinstance(value, Enum):
        return value.value
    return msgspec.to_builtins(value)


def _own_default(field: Any) -> object:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()
