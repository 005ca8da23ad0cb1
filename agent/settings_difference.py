"""Two readings of the settings compared: what is different, what that needs, who reads it. PURE."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.config import LOG_FORMAT, LOG_LEVEL, POLICY_SETTINGS, Config, policy_key
from agent.limit_setting import GOVERNOR_ENABLED
from agent.setting import AnySetting

# What the supervisor itself can follow at once.
_AT_ONCE = frozenset({LOG_LEVEL.key, LOG_FORMAT.key, GOVERNOR_ENABLED.key, *(setting.key for setting in POLICY_SETTINGS)})
# What stands for the sections of workloads and of sinks, which have keys of their own.
WORKLOADS, SINK = "workload", "sink"


class SettingDifference(Struct, frozen=True):
    """One setting that differs, as a person would write both values. `workers` read it; `is_live`: the supervisor follows it."""

    key: str
    before: str
    after: str
    workers: tuple[str, ...]
    is_live: bool


def differences(
    settings: Iterable[AnySetting], readers: Mapping[str, frozenset[str]], before: Config, after: Config
) -> list[SettingDifference]:
    """What is different, in the order of the settings. `readers` names the keys that each worker reads."""
    found = [
        _difference(setting.key, before.show(setting), after.show(setting), readers)
        for setting in settings
        if before.of_any(setting) != after.of_any(setting)
    ]
    for worker in readers:
        for setting in POLICY_SETTINGS:
            key = policy_key(setting, worker)
            values = before.values.get(key), after.values.get(key)
            if values[0] != values[1]:
                shown = [setting.show(int(value)) if value is not None else "(as all workers)" for value in values]
                found.append(SettingDifference(key, shown[0], shown[1], (), is_live=True))
    return [*found, *_sections(WORKLOADS, before.workloads, after.workloads, readers), *_sinks(before, after, readers)]


def _difference(key: str, before: str, after: str, readers: Mapping[str, frozenset[str]]) -> SettingDifference:
    workers = tuple(name for name, keys in readers.items() if key in keys)
    return SettingDifference(key, before, after, workers, is_live=key in _AT_ONCE)


def _sections(
    what: str, before: Mapping[str, object], after: Mapping[str, object], readers: Mapping[str, frozenset[str]]
) -> list[SettingDifference]:
    workers = tuple(name for name, keys in readers.items() if what in keys)
    return [
        SettingDifference(
            f"{what}.{name}", _state(name, before), _state(name, after, changed=name in before), workers, is_live=False
        )
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _sinks(before: Config, after: Config, readers: Mapping[str, frozenset[str]]) -> list[SettingDifference]:
    """Their values may be secrets, so they are not shown."""
    return [
        SettingDifference(
            key := f"{SINK}.{name}",
            _state(name, before.sinks),
            _state(name, after.sinks, changed=name in before.sinks),
            tuple(worker for worker, keys in readers.items() if key in keys),
            is_live=False,
        )
        for name in sorted({*before.sinks, *after.sinks})
        if before.sinks.get(name) != after.sinks.get(name)
    ]


def _state(name: str, sections: Mapping[str, object], *, changed: bool = False) -> str:
    if name not in sections:
        return "(none)"
    return "another section" if changed else "a section"
