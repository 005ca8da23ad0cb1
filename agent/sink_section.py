"""The sections `[sink."NAME"]` of the settings file. PURE.

    [sink."central"]
    kind = "otlp"
    endpoint = "https://collector.example.org:4318"
    tables = ["unit", "host"]

Which keys a section may have depends on its kind; `workers.registry` hands the kinds in. Credentials are never a value here: a
section names the file or the variable that holds them.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from agent.model.errors import ConfigError
from agent.model.foreign import readable
from agent.model.timebase import HOUR, MS, S
from agent.model.toml import quoted
from agent.setting import KIB, MIB, AnySetting, Duration, Setting, Size, Whole

SECTION = "sink"
# The kind of a sink that is a hub: beat and uplink report to it too.
HUB_KIND = "hub"
# Its key that names the file with this node's keys.
KEY_FILE = "key_file"
SINKS_MAX = 16
NAME_CHARACTERS_MAX = 32
TABLES_MAX = 64
_FIRST = frozenset(string.ascii_lowercase + string.digits)
_LATER = _FIRST | frozenset("_-")


_NAME_WORDS = f"at most {NAME_CHARACTERS_MAX} lower case letters, digits, - and _, the first one a letter or digit"


def is_sink_name(text: str) -> bool:
    """Whether a sink may be called so."""
    return 0 < len(text) <= NAME_CHARACTERS_MAX and text[0] in _FIRST and _LATER.issuperset(text)


class SinkName(Setting[str]):
    """A name as sinks have it, or nothing."""

    @property
    def accepted(self) -> str:
        return _NAME_WORDS

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or (value and not is_sink_name(value)):
            raise ValueError("not such a name")
        return value


class TableNames(Setting[str]):
    """Names of tables, a list in the file; kept as one text with commas. Empty: what the kind of sink takes by itself."""

    @property
    def accepted(self) -> str:
        return 'a list of names of tables such as ["unit", "host"]; `agentctl schema` lists them'

    def parse(self, value: object) -> str:
        names = value.split(",") if isinstance(value, str) and value else [] if value == "" else value
        if not isinstance(names, list) or not all(isinstance(name, str) and name.strip().isidentifier() for name in names):
            raise ValueError("not a list of names of tables")
        if len(names) > TABLES_MAX:
            raise ValueError(f"more than {TABLES_MAX} names")
        return ",".join(dict.fromkeys(name.strip() for name in names))

    def toml(self, value: str) -> str:
        return f"[{', '.join(map(quoted, value.split(',') if value else ()))}]"


TABLES = TableNames("tables", "", "which tables it gets; empty: those that its kind has a place for")
# A week of the default agent's rows is some 4 GiB; a day, within which a sink that is away is noticed, a seventh of that.
QUOTA = Size(
    "quota",
    1 << 30,
    1 * MIB,
    65536 * KIB * MIB,
    "how much stored data may wait for this sink; beyond it the oldest is removed, counted and recorded in table `export_gap`",
)
INTERVAL = Duration("interval", 1 * S, 50 * MS, 1 * HOUR, "how often new rows are sent")
BACKLOG_PERCENT = Whole(
    "backlog_percent",
    0,
    0,
    100,
    "percent of a core that sending a backlog may take after the sink was away; 0: 25, or 75 for kinds whose new rows wait for it",
)
# A sink whose new rows go at once can take its time with the others; one whose new rows wait behind them cannot.
BACKLOG_BESIDE, BACKLOG_BEFORE = 25, 75
# An attempt that is refused costs a packet; the mean wait is half of it.
RETRY_MOST = Duration(
    "retry_most", 3 * S, 100 * MS, 1 * HOUR, "longest time between two attempts to reach a sink that is away; shortened at random"
)
PROCESS = SinkName(
    "process", "", "name of a process to share with other sinks that name it too, to save memory; empty: a process of its own"
)
COMMON: tuple[AnySetting, ...] = (TABLES, QUOTA, INTERVAL, BACKLOG_PERCENT, RETRY_MOST, PROCESS)

SinkSections = dict[str, dict[str, Any]]


def checked_sinks(table: object, kinds: Mapping[str, Sequence[AnySetting]], *, origin: str) -> SinkSections:
    """The sections of all sinks by name: `kind`, and the parsed value of each key that is given.

    `kinds` has the settings of each kind, beside those that all have. *Raises:* ConfigError naming the key that cannot be used.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{origin}: {SECTION}", "this is no section", f'write [{SECTION}."NAME"]')
    if len(table) > SINKS_MAX:
        raise ConfigError(f"{origin}: {SECTION}", f"{len(table)} sinks are described", f"{SINKS_MAX} are the most")
    sinks = {name: _checked(name, section, kinds, origin) for name, section in table.items()}
    for name, section in sinks.items():
        if section.get(PROCESS.key) in sinks:
            where = f"{origin}: {SECTION}.{name}.{PROCESS.key}"
            raise ConfigError(where, f"{section[PROCESS.key]} is a sink, which has a worker of this name", "choose another name")
    return sinks


def _checked(name: str, section: object, kinds: Mapping[str, Sequence[AnySetting]], origin: str) -> dict[str, Any]:
    where = f"{origin}: {SECTION}.{readable(name, 80)}"
    if not is_sink_name(name):
        raise ConfigError(where, "a sink cannot have this name", f"choose one of {_NAME_WORDS}")
    if not isinstance(section, dict):
        raise ConfigError(where, "this is no section", f"write [{SECTION}.{quoted(name)}] and its keys below")
    kind = section.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        given = "it is missing" if kind is None else f"there is no kind {readable(repr(kind), 80)}"
        raise ConfigError(f"{where}.kind", given, f"write one of {', '.join(sorted(kinds))}")
    known = {setting.key: setting for setting in (*COMMON, *kinds[kind])}
    values: dict[str, Any] = {"kind": kind}
    for key, value in section.items():
        if key == "kind":
            continue
        if key not in known:
            raise ConfigError(f"{where}.{readable(key, 80)}", "there is no such key", _nearest(key, known))
        try:
            values[key] = known[key].parse(value)
        except ValueError as cause:
            shown = readable(repr(value), 200)
            raise ConfigError(f"{where}.{key}", f"{shown} is not accepted ({cause})", f"write {known[key].accepted}") from cause
    return values


def _nearest(key: str, known: Mapping[str, AnySetting]) -> str:
    # Imported here: a correct section never needs it.
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are kind, {', '.join(known)}"


def sink_document(name: str, section: Mapping[str, Any], settings: Sequence[AnySetting]) -> list[str]:
    """The lines of a settings file that give this sink, all its values included. `settings`: those of its kind."""
    lines = ["", f"[{SECTION}.{quoted(name)}]", f"kind = {quoted(section['kind'])}"]
    for setting in (*COMMON, *settings):
        # Each value came from its own setting.
        lines.append(f"{setting.name} = {setting.toml(section.get(setting.key, setting.default))}")
    return lines


def hub_names(sinks: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The sinks that are hubs, in the order of their names."""
    return tuple(name for name, section in sorted(sinks.items()) if section["kind"] == HUB_KIND)
