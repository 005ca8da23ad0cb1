"""Changes of a declaration that the schema gate must refuse, and one that it must let through. PURE."""

from msgspec.structs import replace
from schema_gate.declaration import Declaration, DeclaredColumn


def refused_mutations(now: Declaration) -> dict[str, Declaration]:
    """One of each kind that is no addition, by what it does, made of the first table, message, word and layout."""
    name, table = next((name, table) for name, table in now.tables.items() if len(table.columns) > 1)
    first, *others = table.columns
    kind, message = next((kind, each) for kind, each in now.messages.items() if each.fields)
    field = message.fields[0]
    words = next(key for key, each in now.words.items() if each)
    layout = next(iter(now.layouts))

    def with_table(**changed: object) -> Declaration:
        return replace(now, tables=now.tables | {name: replace(table, **changed)})

    def with_message(**changed: object) -> Declaration:
        return replace(now, messages=now.messages | {kind: replace(message, **changed)})

    return {
        "a removed table": replace(now, tables={key: each for key, each in now.tables.items() if key != name}),
        "a removed column": with_table(columns=tuple(others)),
        "a renamed column": with_table(columns=(replace(first, name=f"{first.name}_2"), *others)),
        "a column of another type": with_table(columns=(replace(first, type=f"{first.type}_2"), *others)),
        "a column of another unit": with_table(columns=(replace(first, unit=f"{first.unit}_2"), *others)),
        "columns in another order": with_table(columns=(*others, first)),
        "another key": with_table(key=(*table.key, "more")),
        "a new column under the old version": with_table(columns=(*table.columns, _added())),
        "a removed message": replace(now, messages={key: each for key, each in now.messages.items() if key != kind}),
        "a removed field": with_message(fields=message.fields[1:]),
        "a field of another type": with_message(fields=(replace(field, type=f"{field.type} | None2"), *message.fields[1:])),
        "a removed word": replace(now, words=now.words | {words: now.words[words][1:]}),
        "another layout of bytes": replace(now, layouts=now.layouts | {layout: f"{now.layouts[layout]}x"}),
    }


def allowed_mutation(now: Declaration) -> Declaration:
    """A column that may be null, at the end, with the next version."""
    name, table = next(iter(now.tables.items()))
    return replace(now, tables=now.tables | {name: replace(table, version=table.version + 1, columns=(*table.columns, _added()))})


def _added() -> DeclaredColumn:
    return DeclaredColumn("added_for_a_trial", "int64", "", True)
