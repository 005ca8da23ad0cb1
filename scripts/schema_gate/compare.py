"""Which differences between two declarations are no additions, each as a sentence that says what to do. PURE.

An addition is what keeps both directions readable: a new reader finds defaults for what old data lack, and an old reader passes
over what is new. Everything else is refused.
"""

from collections.abc import Iterator, Sequence

from schema_gate.declaration import Declaration, DeclaredColumn, DeclaredField, DeclaredMessage, DeclaredTable


def refusals(old: Declaration, new: Declaration) -> list[str]:
    """A sentence for each difference that is no addition; none: `new` may follow `old`."""
    return [
        *_tables(old, new),
        *_messages(old, new),
        *_listed(old.channels, new.channels, "channel", "message"),
        *_listed(old.words, new.words, "the words of", "word"),
        *_layouts(old, new),
    ]


def additions(old: Declaration, new: Declaration) -> list[str]:
    """What is new, a line each, for a person who reads the outcome."""
    found = [f"table {name}" for name in new.tables if name not in old.tables]
    for name, table in new.tables.items():
        if name in old.tables:
            known = {each.name for each in old.tables[name].columns}
            found += [f"column {each.name} of table {name}" for each in table.columns if each.name not in known]
    found += [f"message {name}" for name in new.messages if name not in old.messages]
    for name, message in new.messages.items():
        if name in old.messages:
            known = {each.name for each in old.messages[name].fields}
            found += [f"field {each.name} of {name}" for each in message.fields if each.name not in known]
    for kind, before, after in (("channel", old.channels, new.channels), ("words of", old.words, new.words)):
        for name in after:
            found += [f"{each} in {kind} {name}" for each in after[name] if name in before and each not in before[name]]
    return found


# ---- tables --------------------------------------------------------------------------------------


def _tables(old: Declaration, new: Declaration) -> Iterator[str]:
    for name, table in old.tables.items():
        if name not in new.tables:
            yield f"table {name} was removed or renamed: keep its declaration, also where nobody fills it any more"
        else:
            yield from _table(name, table, new.tables[name])


def _table(name: str, old: DeclaredTable, new: DeclaredTable) -> Iterator[str]:
    if new.key != old.key:
        yield (
            f"the key of table {name} was ({', '.join(old.key)}) and is ({', '.join(new.key)}): put it back; "
            "a table with another key needs another name"
        )
    if new.prefix != old.prefix:
        yield f"file names of table {name} began with {old.prefix!r} and begin with {new.prefix!r}: put the prefix back"
    problems = list(_columns(name, old.columns, new.columns))
    yield from problems
    is_longer = len(new.columns) > len(old.columns)
    if new.version < old.version:
        yield f"table {name} was of version {old.version} and is of {new.version}: a version never falls, raise it"
    elif is_longer and new.version == old.version:
        yield f"table {name} has new columns and still version {old.version}: raise the version by one"
    elif not is_longer and not problems and new.version != old.version:
        yield f"table {name} is of version {new.version} without a new column: put the version back to {old.version}"


def _columns(table: str, old: Sequence[DeclaredColumn], new: Sequence[DeclaredColumn]) -> Iterator[str]:
    now = {column.name: column for column in new}
    before = {column.name for column in old}
    for column in old:
        if column.name not in now:
            yield (
                f"column {column.name} of table {table} was removed or renamed: put it back; if it must not be filled any more, "
                "and it is nullable, write nulls"
            )
        else:
            yield from _column(table, column, now[column.name])
    kept = [column.name for column in old if column.name in now]
    if kept != [column.name for column in new if column.name in before]:
        yield f"columns of table {table} changed their order: put it back; a row is read by the order"
    for number, column in enumerate(new):
        if column.name in before:
            continue
        if any(each.name in before for each in new[number + 1 :]):
            yield f"column {column.name} of table {table} stands before older ones: move it behind the last"
        if not column.nullable:
            yield f"column {column.name} of table {table} is new and never null: make it nullable, older rows have no value for it"
    if len(now) != len(new):
        yield f"table {table} has two columns of one name: rename the new one"


def _column(table: str, old: DeclaredColumn, new: DeclaredColumn) -> Iterator[str]:
    where = f"column {old.name} of table {table}"
    if new.type != old.type:
        yield f"{where} was {old.type} and is {new.type}: put the type back, and add a column for the new one"
    if new.unit != old.unit:
        yield f"{where} was in {old.unit!r} and is in {new.unit!r}: put the unit back, and add a column for the new one"
    if new.nullable != old.nullable:
        words = ("was never null and may be null", "may have been null and may not any more")[old.nullable]
        yield f"{where} {words}: put nullable back"


# ---- messages ------------------------------------------------------------------------------------


def _messages(old: Declaration, new: Declaration) -> Iterator[str]:
    for name, message in old.messages.items():
        if name not in new.messages:
            yield f"message {name} was removed or renamed: keep it, older parts of the agent may still say it"
        else:
            yield from _message(name, message, new.messages[name])


def _message(name: str, old: DeclaredMessage, new: DeclaredMessage) -> Iterator[str]:
    if new.tag != old.tag:
        yield f"the tag of message {name} was {_shown(old.tag)} and is {_shown(new.tag)}: put it back, or make a new message"
    if new.positional != old.positional:
        forms = ("found by name", "found by position")
        yield f"fields of message {name} were {forms[old.positional]} and are {forms[new.positional]}: put the form back"
    if new.refuses_unknown and not old.refuses_unknown:
        yield f"message {name} now refuses fields that it does not know: let it pass over them, or nothing can ever be added"
    now = {field.name: field for field in new.fields}
    for field in old.fields:
        if field.name not in now:
            yield f"field {field.name} of message {name} was removed or renamed: put it back, and give it a value that says nothing"
        else:
            yield from _field(name, field, now[field.name])
    if new.positional:
        yield from _order(name, old, new)
    yield from _new_fields(name, old, new)


def _field(message: str, old: DeclaredField, new: DeclaredField) -> Iterator[str]:
    where = f"field {old.name} of message {message}"
    if new.type != old.type:
        yield f"{where} was {old.type} and is {new.type}: put the type back, and add a field for the new one"
    if new.default != old.default:
        yield f"the default of {where} was {_shown(old.default)} and is {_shown(new.default)}: put it back, absent fields mean it"


def _order(name: str, old: DeclaredMessage, new: DeclaredMessage) -> Iterator[str]:
    before = [field.name for field in old.fields]
    after = [field.name for field in new.fields]
    if [each for each in after if each in before] != [each for each in before if each in after]:
        yield f"fields of message {name} changed their order: put it back; it is read by position"
    for number, field in enumerate(after):
        if field not in before and any(each in before for each in after[number + 1 :]):
            yield f"field {field} of message {name} stands before older ones: move it behind the last; it is read by position"


def _new_fields(name: str, old: DeclaredMessage, new: DeclaredMessage) -> Iterator[str]:
    before = {field.name for field in old.fields}
    for field in new.fields:
        if field.name in before:
            continue
        if field.default is None:
            yield f"field {field.name} of message {name} is new and has no default: give it one, older senders do not send it"
        if old.refuses_unknown and not new.omits_defaults:
            yield (
                f"field {field.name} is new in message {name}, which older readers refuse with a field that they do not know: "
                "declare it with omit_defaults=True, so that only those that use the field have it"
            )


# ---- words and layouts ---------------------------------------------------------------------------


def _listed(old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]], whose: str, what: str) -> Iterator[str]:
    for name, words in old.items():
        missing = [word for word in words if word not in new.get(name, ())]
        yield from (f"{what} {word} is no longer in {whose} {name}: put it back, others may still say it" for word in missing)


def _layouts(old: Declaration, new: Declaration) -> Iterator[str]:
    for name, layout in old.layouts.items():
        if new.layouts.get(name) != layout:
            yield (
                f"the layout {name} was {layout} and is {_shown(new.layouts.get(name))}: put it back, "
                "and give a new format a name and a reader of its own beside it"
            )


def _shown(value: str | None) -> str:
    return "absent" if value is None else value
