"""Changes of a declaration, drawn at random, that a schema gate must let pass."""

from random import Random

from harness.schema_mutation import Mutation, Plain, any_message, any_table, new_column, new_field, one_of


def additive_mutation(plain: Plain, random: Random) -> str:
    """One change that is an addition."""
    return one_of(ADDITIVE, plain, random)


def append_columns(plain: Plain, random: Random) -> str:
    """New columns that may be null, behind the others, with a higher version."""
    name, table = any_table(plain, random)
    count = random.randint(1, 3)
    table["columns"] += [{**new_column(True), "name": f"added_{len(table['columns'])}_{number}"} for number in range(count)]
    table["version"] += 1
    return name


def add_table(plain: Plain, random: Random) -> str:
    """A new table, of any columns."""
    name = f"new_{random.getrandbits(32)}"
    plain["tables"][name] = {"version": 1, "key": ["added"], "prefix": f"{name}-", "columns": [new_column(False)]}
    return name


def append_field(plain: Plain, random: Random) -> str:
    """A new field with a default, behind the others."""
    name, message = any_message(plain, random, lambda each: not each["refuses_unknown"])
    message["fields"].append({**new_field("0"), "name": f"added_{random.getrandbits(32)}"})
    return name


def insert_named_field(plain: Plain, random: Random) -> str:
    """A new field with a default, anywhere in a message whose fields are found by name."""
    name, message = any_message(plain, random, lambda each: not each["refuses_unknown"] and not each["positional"])
    field = {**new_field("null"), "name": f"added_{random.getrandbits(32)}"}
    message["fields"].insert(random.randint(0, len(message["fields"])), field)
    return name


def append_omitted_field(plain: Plain, random: Random) -> str:
    """A new field in a strict message that is written only where it is used."""
    name, message = any_message(plain, random, lambda each: bool(each["refuses_unknown"]))
    message["omits_defaults"] = True
    message["fields"].append({**new_field("null"), "name": f"added_{random.getrandbits(32)}"})
    return name


def add_message(plain: Plain, random: Random) -> str:
    """A new message with a tag of its own, on a channel."""
    name = f"New{random.getrandbits(32)}"
    plain["messages"][name] = {
        "tag": f"type={name}",
        "positional": random.random() < 0.5,
        "refuses_unknown": random.random() < 0.5,
        "omits_defaults": False,
        "fields": [new_field(None)],
    }
    channel = random.choice(sorted(plain["channels"]))
    plain["channels"][channel].append(name)
    return f"{name} on {channel}"


def add_word(plain: Plain, random: Random) -> str:
    """A new word where there are others."""
    name: str = random.choice(sorted(plain["words"]))
    plain["words"][name].append(f"added_{random.getrandbits(32)}")
    return name


def add_layout(plain: Plain, random: Random) -> str:
    """A new layout beside the others."""
    name = f"new.{random.getrandbits(32)}"
    plain["layouts"][name] = "<Q"
    return name


ADDITIVE: tuple[Mutation, ...] = (
    append_columns,
    add_table,
    append_field,
    insert_named_field,
    append_omitted_field,
    add_message,
    add_word,
    add_layout,
)
