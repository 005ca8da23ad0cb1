"""A struct made of a row whose values have names. PURE.

The row comes from a file that another version may have written, so a column may be missing or of another type.
"""

from functools import cache
from typing import TypeVar, get_args

from msgspec import Struct
from msgspec.structs import fields

from agent.cli.render import escape
from agent.cli.top_sample import Named

StructT = TypeVar("StructT", bound=Struct)


def struct_of(kind: type[StructT], row: Named) -> StructT:
    """A struct whose fields are the columns of a row with the same names. Names that others chose are safe to print in it.

    *Absent:* a column that is missing or of another type gives the field's default; a field without a default must be given by
    the table, else the field's type gives 0 or the empty text.
    """
    values: dict[str, object] = {}
    for name, accepted, fallback, is_required in _fields(kind):
        value = row.get(name)
        # A truth value is no count.
        if isinstance(value, accepted) and (bool in accepted or not isinstance(value, bool)):
            values[name] = _taken(value, accepted)
        elif is_required:
            values[name] = fallback
    return kind(**values)


def _taken(value: object, accepted: tuple[type, ...]) -> object:
    """The value as the field holds it: a whole number as ratio where it is one, a text without control characters."""
    if isinstance(value, str):
        return escape(value)
    return float(value) if float in accepted and isinstance(value, int) else value


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, tuple[type, ...], object, bool], ...]:
    """Name, accepted types, value where there is none, and whether the field has no default, of each field."""
    found = []
    for field in fields(kind):
        types = tuple(each for each in (get_args(field.type) or (field.type,)) if each in (int, float, str, bool))
        accepted = (*types, int) if float in types else types
        found.append((field.name, accepted, types[0]() if types else None, field.required))
    return tuple(found)
