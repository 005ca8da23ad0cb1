"""Typed JSON documents that cost agentctl nothing at its start. PURE.

A document is a class whose annotations are its fields:

    class Sealed(Document):
        table: str
        rows: int | None
        note: str = ""       # a field with a default may be left out of the JSON

msgspec, which does the same for the agent's own messages, takes longer to import than a whole `agentctl list-workers`
(docs/decisions/0029-documents-of-the-control-socket.md), and so do `typing` and `dataclasses`. May import nothing but the errors.
"""

from types import GenericAlias, UnionType

from agent.model.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar, dataclass_transform

    D = TypeVar("D", bound="Document")
else:

    def dataclass_transform(**_options):
        """The mark for type checkers, which read the branch above."""
        return lambda base: base


_NAMES: dict[type, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "object"}


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Document:
    """The base of all documents: made by keyword, compared by value, not changed.

    *Shape:* the JSON object has the fields in the order in which they are declared, those of a base class first.
    """

    _types: dict[str, object] = {}  # noqa: RUF012 - one per class, made below
    _required: frozenset[str] = frozenset()

    def __init_subclass__(cls) -> None:
        own = {name: kind for name, kind in cls.__annotations__.items() if not name.startswith("_")}
        cls._types = {**cls._types, **own}
        cls._required = frozenset(name for name in cls._types if not hasattr(cls, name))

    def __init__(self, **fields: object) -> None:
        ordered = {name: fields[name] for name in self._types if name in fields}
        assert len(ordered) == len(fields), f"{type(self).__name__} has no field {sorted(set(fields) - set(ordered))}"
        assert self._required <= ordered.keys(), f"{type(self).__name__} needs {sorted(self._required - ordered.keys())}"
        self.__dict__.update(ordered)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change: {name} = {value!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    # Its lists and objects cannot be hashed either.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def replaced(document: "D", **changes: object) -> "D":
    """The document with other values of some fields."""
    return type(document)(**{**document.__dict__, **changes})


def narrowed(kind: "type[D]", document: "D") -> "D":
    """The document as one of a base class: its fields and no others."""
    assert isinstance(document, kind), document
    return kind(**{name: value for name, value in document.__dict__.items() if name in kind._types})


def members(value: object) -> dict[str, object]:
    """The fields of a document, those inside it unchanged: encoders call it for a value of an unknown type.

    *Raises:* TypeError for any other value.
    """
    if isinstance(value, Document):
        return value.__dict__
    raise TypeError(f"{type(value).__name__} is not in JSON")


def plain(document: Document) -> dict[str, object]:
    """The document as a dict, with every document in it as one too: what messages between processes carry."""
    return {name: _plain(value) for name, value in document.__dict__.items()}


def _plain(value: object) -> object:
    if isinstance(value, Document):
        return plain(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return list(map(_plain, value)) if isinstance(value, list) else value


def decode(kind: "type[D]", value: object, where: str, remedy: str = "") -> "D":
    """The document that decoded JSON holds. Fields that are not declared are left out, so that a sender may say more.

    *Raises:* ProtocolError naming the first field that is missing or has another type; `where` is whose answer it is.
    """
    try:
        return _document(kind, value, "")
    except _UnfitError as unfit:
        raise ProtocolError(where, f"the answer has {unfit}", remedy) from None


class _UnfitError(Exception):
    """What is wrong with a value, and its place in the document."""


def _document(kind: "type[D]", value: object, path: str) -> "D":
    if not isinstance(value, dict):
        raise _UnfitError(f"no object at {path}" if path else "no object")
    fields: dict[str, object] = {}
    for name, wanted in kind._types.items():
        if name in value:
            fields[name] = _converted(wanted, value[name], f"{path}.{name}" if path else name)
        elif name in kind._required:
            raise _UnfitError(f"no {f'{path}.{name}' if path else name}")
    return kind(**fields)


def _converted(wanted: object, value: object, path: str) -> object:
    """The value as the annotation wants it."""
    if isinstance(wanted, UnionType):
        if value is None and type(None) in wanted.__args__:
            return None
        # Unions are of one type and None: the documents need no others.
        wanted = next(each for each in wanted.__args__ if each is not type(None))
    if isinstance(wanted, GenericAlias):
        return _collection(wanted, value, path)
    assert isinstance(wanted, type), wanted
    if issubclass(wanted, Document):
        return _document(wanted, value, path)
    if wanted is object or _is_of(wanted, value):
        return value
    raise _UnfitError(f"no {_NAMES[wanted]} at {path}")


def _collection(wanted: GenericAlias, value: object, path: str) -> object:
    inner_kind = wanted.__args__[-1]
    if isinstance(value, list) and wanted.__origin__ is list:
        return [_converted(inner_kind, inner, f"{path}[{number}]") for number, inner in enumerate(value)]
    if isinstance(value, dict) and wanted.__origin__ is dict:
        return {name: _converted(inner_kind, inner, f"{path}.{name}") for name, inner in value.items()}
    raise _UnfitError(f"no {_NAMES[list if wanted.__origin__ is list else dict]} at {path}")


def _is_of(wanted: type, value: object) -> bool:
    # JSON has one kind of number. Python's bool is an int, but JSON's true is no number.
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
