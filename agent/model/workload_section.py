"""A section `[workload."NAME"]` of the settings file, as the plain values of an order. PURE.

    [workload."train"]
    command = ["python", "train.py"]
    cpu = "200%"
    memory = "4G"
    io = ["/dev/sda:rbps=50M"]
    restart = "on-failure"
    env = { MODEL = "small" }

What it becomes is checked once more by who starts it (`workers.keeper.spec_check`), against this host.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent.model.errors import ConfigError
from agent.model.foreign import readable
from agent.model.timebase import parse_duration_ns
from agent.model.toml import quoted
from agent.model.workload_text import (
    CPU_WORDS,
    IO_WORDS,
    PIDS_WORDS,
    SIZE_WORDS,
    parse_count,
    parse_cpu,
    parse_io,
    parse_size,
)

RESTARTS = ("no", "on-failure", "always")
WORKLOADS_MAX = 1_000
SECTION = "workload"

# The value as it is in an order, from that of the file. *Raises:* ValueError.
_Parse = Callable[[object], object]


def checked_sections(table: object, *, origin: str) -> dict[str, dict[str, Any]]:
    """The sections of all workloads in the part `workload` of a settings file, by name, as they were written.

    *Raises:* ConfigError naming the key that cannot be used.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{origin}: {SECTION}", "this is no section", f'write [{SECTION}."NAME"]')
    if len(table) > WORKLOADS_MAX:
        raise ConfigError(f"{origin}: {SECTION}", f"{len(table)} workloads are described", f"{WORKLOADS_MAX} are the most")
    for name, section in table.items():
        order_of(name, section, origin=origin)
    return table


def order_of(name: str, section: object, *, origin: str = "") -> dict[str, Any]:
    """The plain values of the order for a workload. *Raises:* ConfigError naming the key that cannot be used."""
    where = f"{origin}: {SECTION}.{readable(name, 80)}"
    if not isinstance(section, dict):
        raise ConfigError(where, "this is no section", f"write [{SECTION}.{quoted(name)}] and its keys below")
    order: dict[str, Any] = {"name": name, "limits": {}}
    for key, value in section.items():
        if key not in _KEYS:
            raise ConfigError(f"{where}.{readable(key, 80)}", "there is no such key", f"there are {', '.join(_KEYS)}")
        part, field, parse, accepted = _KEYS[key]
        try:
            parsed = parse(value)
        except ValueError as cause:
            raise ConfigError(f"{where}.{key}", f"{value!r} is not accepted ({cause})", f"write {accepted}") from cause
        (order["limits"] if part else order)[field] = parsed
    if not order.get("argv"):
        raise ConfigError(f"{where}.command", "it is missing", 'write command = ["PROGRAM", "ARGUMENT"]')
    return order


def section_document(name: str, section: Mapping[str, Any]) -> list[str]:
    """The lines of a settings file that give this workload."""
    return ["", f"[{SECTION}.{quoted(name)}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return quoted(value) if isinstance(value, str) else str(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("not a list of texts")
    return value


def _words(value: object) -> list[str]:
    found = _texts(value)
    if not found or not found[0]:
        raise ValueError("no program")
    return found


def _pairs(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("not a table of texts")
    return value


def _devices(value: object) -> list[dict[str, object]]:
    return [parse_io(each) for each in _texts([value] if isinstance(value, str) else value)]


def _gpus(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if any(isinstance(each, bool) or not isinstance(each, str | int) for each in listed):
        raise ValueError("not indices or UUIDs")
    return [str(each) for each in listed]


def _restart(value: object) -> str:
    if value not in RESTARTS:
        raise ValueError("not one of the words")
    return str(value)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _duration(value: object) -> int:
    return parse_duration_ns(_text(value))


# Each key: whether it is a limit, the field of the order, its parser, what is accepted.
_KEYS: dict[str, tuple[bool, str, _Parse, str]] = {
    "command": (False, "argv", _words, 'a list of texts such as ["python", "train.py"]'),
    "cpu": (True, "cpu_cores", parse_cpu, CPU_WORDS),
    "cpu_weight": (True, "cpu_weight", parse_count, "a whole number from 1 to 10000"),
    "memory": (True, "memory_bytes", parse_size, SIZE_WORDS),
    "memory_high": (True, "memory_high_bytes", parse_size, SIZE_WORDS),
    "pids": (True, "pids", parse_count, PIDS_WORDS),
    "io": (True, "io", _devices, f"a list of {IO_WORDS}"),
    "gpu": (False, "gpus", _gpus, 'a list of indices or UUIDs such as ["0", "1"]'),
    "restart": (False, "restart", _restart, f"one of {', '.join(RESTARTS)}"),
    "env": (False, "env", _pairs, 'a table such as { NAME = "value" }'),
    "labels": (False, "labels", _pairs, 'a table such as { team = "search" }'),
    "folder": (False, "folder", _text, "an absolute path"),
    "user": (False, "user", _text, "a user's name or number"),
    "grace": (False, "grace_ns", _duration, "a duration such as 10s"),
    "killed_whole": (False, "is_killed_whole", _switch, "true or false"),
    "without_limits": (False, "without_limits", _switch, "true or false"),
    "output": (False, "output_bytes_max", parse_size, SIZE_WORDS),
}
KEYS = tuple(_KEYS)
# What each key takes, in words.
ACCEPTED = {key: accepted for key, (_part, _field, _read, accepted) in _KEYS.items()}
