"""What there is to run and to store: the samplers, found by discovery, and every table.

A new sampler is one new module in `workers/samplers` with a `SAMPLER`; nothing here or elsewhere names it.
"""

import os
from functools import cache
from importlib import import_module
from importlib.machinery import all_suffixes

from agent.config import SETTINGS, STATE_DIR, STORAGE_QUOTA, Config, default_quota_bytes
from agent.model.table import Table
from agent.model.tables import SYSTEM_TABLES
from agent.setting import AUTO_BYTES, AnySetting, AutoSwitch
from workers import samplers
from workers.framework.sampler import Sampler

_NOT_SAMPLERS = frozenset({"__init__"})


@cache
def all_samplers() -> tuple[Sampler, ...]:
    """Every sampler in the package, in the order of their names."""
    found = []
    for name in sorted(_module_names() - _NOT_SAMPLERS):
        sampler = import_module(f"{samplers.__name__}.{name}").SAMPLER
        assert isinstance(sampler, Sampler), name
        found.append(sampler)
    return tuple(found)


def _module_names() -> set[str]:
    """The modules in the package's folders. `pkgutil.iter_modules` finds them too, and brings `inspect` for it: 1 MiB."""
    entries = (entry.partition(".") for folder in samplers.__path__ for entry in os.listdir(folder))
    return {name for name, dot, ending in entries if name and dot + ending in all_suffixes()}


def sampler(name: str) -> Sampler:
    """The sampler of a worker `sampler/<name>`. *Raises:* KeyError."""
    return {candidate.name: candidate for candidate in all_samplers()}[name]


def worker_names() -> tuple[str, ...]:
    """Every worker that there can be, in the order of their start."""
    return ("writer", "control-plane", *(f"sampler/{candidate.name}" for candidate in all_samplers()), "gateway")


def tables() -> tuple[Table, ...]:
    """Every table that the agent can write, system tables first."""
    return SYSTEM_TABLES + tuple(table for candidate in all_samplers() for table in candidate.tables)


def settings() -> tuple[AnySetting, ...]:
    """Every setting there is: the agent's own and those that samplers declare."""
    return SETTINGS + tuple(setting for candidate in all_samplers() for setting in candidate.settings)


def decided(config: Config) -> Config:
    """The configuration with every `auto` decided by what this host has now.

    Once, at the agent's start: a worker that is started anew later must not decide otherwise.
    """
    words: dict[str, int | str | bool] = {
        candidate.is_enabled.key: "true" if candidate.is_wanted(config) else "false"
        for candidate in all_samplers()
        if isinstance(candidate.is_enabled, AutoSwitch)
    }
    if config.of(STORAGE_QUOTA) == AUTO_BYTES:
        words[STORAGE_QUOTA.key] = default_quota_bytes(_file_system_bytes(config.of(STATE_DIR)))
    return Config({**config.values, **words})


def _file_system_bytes(folder: str) -> int:
    """The size of the file system that holds a folder; 0 where it does not tell."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize
