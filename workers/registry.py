"""What there is to run and to store: every worker, found by discovery, and every table and setting.

A kind of worker is one folder `workers/<kind>` with a `worker.py` that has a `WORKER`; a sampler is one module in
`workers/samplers` with a `SAMPLER`; a kind of sink is one in `workers/exporters` with a `SINK`, and each sink that the settings
describe is a worker. Nothing here or elsewhere names them.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.machinery import all_suffixes

import workers
from agent.config import BUFFER_BYTES, SETTINGS, STATE_DIR, STORAGE_QUOTA, Config, default_quota_bytes
from agent.model.fleet_tables import FLEET_TABLES
from agent.model.table import Table
from agent.model.tables import SYSTEM_TABLES
from agent.model.worker_kind import RULES, STATS, Statistic
from agent.setting import AUTO_BYTES, AnySetting, AutoSwitch
from workers import exporters, samplers
from workers.export.declaration import exporter_workers, sink_values
from workers.export.sink import SinkKind, SinkValues
from workers.framework.declaration import Worker
from workers.framework.sampler import Sampler, sampler_workers

# Without sinks, for example.
_NOTHING_SET = Config({})

# What every worker that sends rows says of its buffer.
_OF_OUTBOXES = (
    Statistic("evergauge_outbox_refused_batches_total", "counter", "Batches a full outbox lost.", ("outbox", "refused_batches")),
    Statistic("evergauge_outbox_refused_rows_total", "counter", "Rows a full outbox lost.", ("outbox", "refused_rows")),
)


@cache
def all_samplers() -> tuple[Sampler, ...]:
    """Every sampler in the package, in the order of their names."""
    found = []
    for name in sorted(_module_names(samplers.__path__) - {"__init__"}):
        sampler = import_module(f"{samplers.__name__}.{name}").SAMPLER
        assert isinstance(sampler, Sampler), name
        found.append(sampler)
    return tuple(found)


@cache
def all_sink_kinds() -> tuple[SinkKind, ...]:
    """Every kind of sink in the package, in the order of their names."""
    found = []
    for name in sorted(_module_names(exporters.__path__) - {"__init__"}):
        kind = import_module(f"{exporters.__name__}.{name}").SINK
        assert isinstance(kind, SinkKind), name
        found.append(kind)
    return tuple(found)


def sink_options() -> Mapping[str, tuple[AnySetting, ...]]:
    """The settings of each kind of sink, beside those that all have."""
    return {kind.name: kind.options for kind in all_sink_kinds()}


def sinks_of(config: Config) -> tuple[tuple[str, SinkKind, SinkValues], ...]:
    """The sinks that the settings describe: name, kind and values of each, in the order of their names."""
    if not config.sinks:
        return ()
    kinds = {kind.name: kind for kind in all_sink_kinds()}
    return tuple((name, kinds[section["kind"]], sink_values(name, section)) for name, section in sorted(config.sinks.items()))


def exporters_of(config: Config) -> tuple[Worker, ...]:
    """The workers of the sinks that the settings describe, in the order of their names."""
    every = tuple(table.name for table in tables())
    return tuple(exporter_workers([(kind, values) for _, kind, values in sinks_of(config)], every))


def workers_of(config: Config) -> tuple[Worker, ...]:
    """Every worker that there can be with this configuration, in the order of their start."""
    return tuple(sorted((*all_workers(), *exporters_of(config)), key=lambda each: (each.kind.start_order, each.name)))


@cache
def all_workers() -> tuple[Worker, ...]:
    """Every worker that there can be, in the order of their start."""
    found = sampler_workers(all_samplers())
    for name in sorted(_kind_folders(workers.__path__)):
        worker = import_module(f"{workers.__name__}.{name}.worker").WORKER
        assert isinstance(worker, Worker), name
        found.append(worker)
    names = [each.name for worker in found for each in (worker, *worker.members)]
    assert len(set(names)) == len(names), "two workers have one name"
    assert all({STATS, RULES} <= each.kind.answers for each in found), "every worker answers for its statistics and its rules"
    return tuple(sorted(found, key=lambda each: (each.kind.start_order, each.name)))


def _module_names(folders: Iterable[str]) -> set[str]:
    """The modules in a package's folders. `pkgutil.iter_modules` finds them too, but imports `inspect`, which costs 1 MiB."""
    entries = (entry.partition(".") for folder in folders for entry in os.listdir(folder))
    return {name for name, dot, ending in entries if name and dot + ending in all_suffixes()}


def _kind_folders(folders: Iterable[str]) -> set[str]:
    """The folders in a package's folders that have a module `worker`."""
    return {
        entry.name
        for folder in folders
        for entry in os.scandir(folder)
        if entry.is_dir() and entry.name.isidentifier() and "worker" in _module_names((entry.path,))
    }


def sampler(name: str) -> Sampler:
    """The sampler `sampler/<name>`. *Raises:* KeyError."""
    return {candidate.name: candidate for candidate in all_samplers()}[name]


def worker(name: str, config: Config = _NOTHING_SET) -> Worker:
    """The worker of this name. *Raises:* KeyError."""
    return {candidate.name: candidate for candidate in workers_of(config)}[name]


def worker_names() -> tuple[str, ...]:
    """Every worker that there can be, in the order of their start."""
    return tuple(each.name for each in all_workers())


def tables() -> tuple[Table, ...]:
    """Every table that the agent can write, system tables first, then what only a hub holds."""
    return SYSTEM_TABLES + FLEET_TABLES + tuple(table for each in all_workers() for table in each.tables)


def settings() -> tuple[AnySetting, ...]:
    """Every setting there is, once: the agent's own and those that workers declare. Some are of several workers."""
    return tuple(dict.fromkeys((*SETTINGS, *(setting for each in all_workers() for setting in each.settings))))


def readers(*configs: Config) -> dict[str, frozenset[str]]:
    """The keys of the settings that each worker reads and the supervisor does not, by worker: of all that there can be, also those
    that do not run."""
    found: dict[str, frozenset[str]] = {}
    for config in configs:
        for each in workers_of(config):
            inside = (each, *each.members)
            own = {key for part in inside for key in (*(setting.key for setting in part.settings), *part.reads)}
            found[each.name] = found.get(each.name, frozenset()) | own | {BUFFER_BYTES.key}
    return found


def statistics(config: Config = _NOTHING_SET) -> Mapping[str, tuple[Statistic, ...]]:
    """What the `stats` of each worker and member mean for /metrics, by name; under "" what holds for all."""
    named = [each for worker in workers_of(config) for each in (worker, *worker.members)]
    return {"": _OF_OUTBOXES, **{each.name: each.statistics for each in named}}


def preload(config: Config = _NOTHING_SET) -> None:
    """Import all that any worker needs, so that the fork server's children share it."""
    for each in workers_of(config):
        for module in each.preload:
            import_module(module)


def decided(config: Config) -> Config:
    """The configuration with every `auto` decided by what this host has now.

    Once, at the agent's start: a worker that is restarted later must not decide otherwise.
    """
    words: dict[str, int | str | bool] = {
        candidate.is_enabled.key: "true" if candidate.is_wanted(config) else "false"
        for candidate in all_samplers()
        if isinstance(candidate.is_enabled, AutoSwitch)
    }
    if config.of(STORAGE_QUOTA) == AUTO_BYTES:
        words[STORAGE_QUOTA.key] = default_quota_bytes(_file_system_bytes(config.of(STATE_DIR)))
    return config.with_values(words)


def _file_system_bytes(folder: str) -> int:
    """The size of the file system that holds a folder; 0 where that cannot be known."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize
