"""What a release declares: its tables, its messages, the words in them, and the layouts of bytes. PURE: plain data and its JSON.

Names of messages are names of classes, which are unique in the source; so a class may move to another module.
"""

from typing import Any

import msgspec
from msgspec import Struct

FORMAT_VERSION = 1


class DeclaredColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """One column of a table, without what is only explained of it."""

    name: str
    type: str
    unit: str
    nullable: bool


class DeclaredTable(Struct, frozen=True, forbid_unknown_fields=True):
    """One table; columns in the order of a row. `prefix` begins the names of its files."""

    version: int
    key: tuple[str, ...]
    prefix: str
    columns: tuple[DeclaredColumn, ...]


class DeclaredField(Struct, frozen=True, forbid_unknown_fields=True):
    """One field. `default` is the default as JSON text; None: the field must be there."""

    name: str
    type: str
    default: str | None


class DeclaredMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """One message, document or record.

    `tag` tells it apart from others on its channel; None: it stands alone. `positional`: its fields are found by their order, else
    by their names. `refuses_unknown`: a reader refuses a field that it does not know. `omits_defaults`: a field that holds its
    default is not written.
    """

    tag: str | None
    positional: bool
    refuses_unknown: bool
    omits_defaults: bool
    fields: tuple[DeclaredField, ...]


class Declaration(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that one version of the agent declares.

    `channels` names the messages that may come on each channel; `words` the words that a field, or an operation's name, may be;
    `layouts` fixed bytes: formats of `struct`, magic words, format numbers.
    """

    format: int
    version: str
    tables: dict[str, DeclaredTable]
    messages: dict[str, DeclaredMessage]
    channels: dict[str, tuple[str, ...]]
    words: dict[str, tuple[str, ...]]
    layouts: dict[str, str]


def to_json(declaration: Declaration) -> str:
    """The text of a kept declaration: sorted, so that two of them can be compared line by line."""
    plain: Any = msgspec.to_builtins(declaration)
    return msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=1).decode() + "\n"


def from_json(text: str | bytes) -> Declaration:
    """*Raises:* ValueError saying what is wrong with the text."""
    try:
        found = msgspec.json.decode(text, type=Declaration)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise ValueError(f"it is no declaration: {cause}") from cause
    if found.format != FORMAT_VERSION:
        raise ValueError(f"it is a declaration of format {found.format}, and {FORMAT_VERSION} is read here")
    return found


def version_key(version: str) -> tuple[int, ...]:
    """Puts versions in order. *Raises:* ValueError for what is no version of numbers and dots."""
    return tuple(int(part) for part in version.split("."))
