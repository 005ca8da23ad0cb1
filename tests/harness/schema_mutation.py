"""Changes of a declaration, drawn at random, that a schema gate must refuse."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

Plain = dict[str, Any]
Mutation = Callable[[Plain, Random], str | None]
"""Changes a plain declaration in place and says what it did; None: there is nothing there that it could change."""


def refused_mutation(plain: Plain, random: Random) -> str:
    """One change that is no addition, to something that is there."""
    return one_of(REFUSED, plain, random)


def copied(plain: Plain) -> Plain:
    """A copy that can be changed."""
    found: Plain = msgspec.json.decode(msgspec.json.encode(plain))
    return found


def one_of(mutations: Sequence[Mutation], plain: Plain, random: Random) -> str:
    """Apply one of them that finds something to change; gives its name and what it did."""
    for mutation in random.sample(mutations, len(mutations)):
        if (told := mutation(plain, random)) is not None:
            return f"{mutation.__name__}: {told}"
    raise AssertionError("nothing can be changed")


def any_table(plain: Plain, random: Random) -> tuple[str, Plain]:
    """The name of a table, and the table."""
    tables: list[tuple[str, Plain]] = sorted(plain["tables"].items())
    return random.choice(tables)


def any_message(plain: Plain, random: Random, wanted: Callable[[Plain], bool] = lambda _message: True) -> tuple[str, Plain]:
    """The name of a message that is as wanted, and the message."""
    messages: list[tuple[str, Plain]] = sorted(plain["messages"].items())
    return random.choice([each for each in messages if wanted(each[1])])


def _has_fields(message: Plain) -> bool:
    return bool(message["fields"])


# ---- refused -------------------------------------------------------------------------------------


def remove_table(plain: Plain, random: Random) -> str:
    """A table is gone."""
    name, _ = any_table(plain, random)
    del plain["tables"][name]
    return name


def rename_table(plain: Plain, random: Random) -> str:
    """A table has another name."""
    name, table = any_table(plain, random)
    del plain["tables"][name]
    plain["tables"][f"{name}_2"] = table
    return name


def change_key(plain: Plain, random: Random) -> str:
    """A key lost a column, has one more, or has another order."""
    name, table = any_table(plain, random)
    rest = [column["name"] for column in table["columns"] if column["name"] not in table["key"]]
    keys = [table["key"][1:], [*table["key"], *random.sample(rest, min(1, len(rest)))], table["key"][::-1]]
    table["key"] = random.choice([key for key in keys if key != table["key"]])
    return name


def change_prefix(plain: Plain, random: Random) -> str:
    """Files have other names."""
    name, table = any_table(plain, random)
    table["prefix"] = f"x{table['prefix']}"
    return name


def lower_version(plain: Plain, random: Random) -> str:
    """A version fell."""
    name, table = any_table(plain, random)
    table["version"] -= 1
    return name


def raise_version_alone(plain: Plain, random: Random) -> str:
    """A version grew without a column."""
    name, table = any_table(plain, random)
    table["version"] += random.randint(1, 3)
    return name


def remove_column(plain: Plain, random: Random) -> str:
    """A column is gone; half of the time the version grew with it."""
    name, table = any_table(plain, random)
    column = table["columns"].pop(random.randrange(len(table["columns"])))
    table["version"] += random.randint(0, 1)
    return f"{name}.{column['name']}"


def rename_column(plain: Plain, random: Random) -> str:
    """A column has another name."""
    name, table = any_table(plain, random)
    column = random.choice(table["columns"])
    column["name"] += "_2"
    table["version"] += random.randint(0, 1)
    return f"{name}.{column['name']}"


def retype_column(plain: Plain, random: Random) -> str:
    """A column has another type."""
    name, table = any_table(plain, random)
    column = random.choice(table["columns"])
    types = {"int64", "float64", "utf8", "bool", "binary", "list<int64>"} - {column["type"]}
    column["type"] = random.choice(sorted(types))
    return f"{name}.{column['name']}"


def change_unit(plain: Plain, random: Random) -> str:
    """A column is in another unit."""
    name, table = any_table(plain, random)
    column = random.choice(table["columns"])
    column["unit"] = "ms" if column["unit"] == "ns" else "ns"
    return f"{name}.{column['name']}"


def flip_nullable(plain: Plain, random: Random) -> str:
    """A column may be null now, or may not any more."""
    name, table = any_table(plain, random)
    column = random.choice(table["columns"])
    column["nullable"] = not column["nullable"]
    return f"{name}.{column['name']}"


def swap_columns(plain: Plain, random: Random) -> str:
    """Two columns changed places."""
    name, table = any_table(plain, random)
    _swap(table["columns"], random)
    return name


def insert_column(plain: Plain, random: Random) -> str:
    """A new column stands before an older one, with everything else right."""
    name, table = any_table(plain, random)
    table["columns"].insert(random.randrange(len(table["columns"])), new_column(True))
    table["version"] += 1
    return name


def append_column_never_null(plain: Plain, random: Random) -> str:
    """A new column is never null."""
    name, table = any_table(plain, random)
    table["columns"].append(new_column(False))
    table["version"] += 1
    return name


def append_column_in_silence(plain: Plain, random: Random) -> str:
    """A new column without a higher version."""
    name, table = any_table(plain, random)
    table["columns"].append(new_column(True))
    return name


def remove_message(plain: Plain, random: Random) -> str:
    """A message is gone."""
    name, _ = any_message(plain, random)
    del plain["messages"][name]
    return name


def rename_message(plain: Plain, random: Random) -> str:
    """A message has another name."""
    name, message = any_message(plain, random)
    del plain["messages"][name]
    plain["messages"][f"{name}2"] = message
    return name


def change_tag(plain: Plain, random: Random) -> str:
    """A tag changed, came or went."""
    name, message = any_message(plain, random)
    message["tag"] = "type=other" if message["tag"] is None else random.choice([None, f"{message['tag']}_2"])
    return name


def change_form(plain: Plain, random: Random) -> str:
    """Fields are found otherwise."""
    name, message = any_message(plain, random)
    message["positional"] = not message["positional"]
    return name


def refuse_unknown(plain: Plain, random: Random) -> str:
    """A reader got stricter."""
    name, message = any_message(plain, random, lambda each: not each["refuses_unknown"])
    message["refuses_unknown"] = True
    return name


def remove_field(plain: Plain, random: Random) -> str:
    """A field is gone."""
    name, message = any_message(plain, random, _has_fields)
    return f"{name}.{message['fields'].pop(random.randrange(len(message['fields'])))['name']}"


def rename_field(plain: Plain, random: Random) -> str:
    """A field has another name."""
    name, message = any_message(plain, random, _has_fields)
    field = random.choice(message["fields"])
    field["name"] += "_2"
    return f"{name}.{field['name']}"


def retype_field(plain: Plain, random: Random) -> str:
    """A field has another type, or a wider one."""
    name, message = any_message(plain, random, _has_fields)
    field = random.choice(message["fields"])
    wider = field["type"] if "null" in field["type"] else f"{field['type']} | null"
    field["type"] = random.choice(sorted({"int", "str", "dict[str, any]", wider} - {field["type"]}))
    return f"{name}.{field['name']}"


def change_default(plain: Plain, random: Random) -> str:
    """A default changed, came or went."""
    name, message = any_message(plain, random, _has_fields)
    field = random.choice(message["fields"])
    field["default"] = random.choice([each for each in (None, "17", '"other"') if each != field["default"]])
    return f"{name}.{field['name']}"


def add_required_field(plain: Plain, random: Random) -> str:
    """A new field must be there."""
    name, message = any_message(plain, random)
    message["fields"].append(new_field(None))
    return name


def insert_positional_field(plain: Plain, random: Random) -> str:
    """A new field stands before an older one, in a message that is read by position."""
    name, message = any_message(plain, random, lambda each: bool(each["positional"]))
    message["fields"].insert(random.randrange(len(message["fields"])), new_field("0"))
    return name


def swap_positional_fields(plain: Plain, random: Random) -> str:
    """Two fields changed places, in a message that is read by position."""
    name, message = any_message(plain, random, lambda each: bool(each["positional"]) and len(each["fields"]) > 1)
    _swap(message["fields"], random)
    return name


def add_to_strict_message(plain: Plain, random: Random) -> str:
    """A new field that is always written, in a message whose older readers refuse it."""
    name, message = any_message(plain, random, lambda each: bool(each["refuses_unknown"]) and not each["omits_defaults"])
    message["fields"].append(new_field("0"))
    return name


def remove_word(plain: Plain, random: Random) -> str:
    """A word, or a message of a channel, is gone, or has another name."""
    lists = plain[random.choice(["words", "channels"])]
    name = random.choice(sorted(lists))
    gone = lists[name].pop(random.randrange(len(lists[name])))
    if random.random() < 0.5:
        lists[name].append(f"{gone}_2")
    return f"{name}: {gone}"


def change_layout(plain: Plain, random: Random) -> str:
    """Bytes lie otherwise."""
    name: str = random.choice(sorted(plain["layouts"]))
    if random.random() < 0.5:
        del plain["layouts"][name]
    else:
        plain["layouts"][name] += "Q"
    return name


def new_column(nullable: bool) -> Plain:
    """A column of any kind."""
    return {"name": "added", "type": "int64", "unit": "1", "nullable": nullable}


def new_field(default: str | None) -> Plain:
    """A field of any kind."""
    return {"name": "added", "type": "int", "default": default}


def _swap(items: list[Plain], random: Random) -> None:
    one, other = random.sample(range(len(items)), 2)
    items[one], items[other] = items[other], items[one]


REFUSED: tuple[Mutation, ...] = (
    remove_table,
    rename_table,
    change_key,
    change_prefix,
    lower_version,
    raise_version_alone,
    remove_column,
    rename_column,
    retype_column,
    change_unit,
    flip_nullable,
    swap_columns,
    insert_column,
    append_column_never_null,
    append_column_in_silence,
    remove_message,
    rename_message,
    change_tag,
    change_form,
    refuse_unknown,
    remove_field,
    rename_field,
    retype_field,
    change_default,
    add_required_field,
    insert_positional_field,
    swap_positional_fields,
    add_to_strict_message,
    remove_word,
    change_layout,
)
