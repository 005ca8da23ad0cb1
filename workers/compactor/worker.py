"""The worker `compactor`: it makes few large files of the many small ones of a fleet's store."""

from agent.config import STATE_DIR, Config
from agent.lake_setting import (
    COMPACTOR_ENABLED,
    COMPACTOR_INTERVAL,
    COMPACTOR_SETTINGS,
    LAKE_SETTINGS,
    LAKE_URL,
)
from agent.model.errors import ConfigError
from agent.model.limit import CPU_PER_CORE
from agent.model.worker_kind import RULES, STATS, Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext

FOLDER = "compactor"


def _make(context: WorkerContext) -> Work:
    import os
    from random import Random

    from workers.compactor.order import order_of
    from workers.compactor.work import CompactorParts, CompactorWork, start_round

    config = context.launch.config
    holder = f"the compactor of {context.launch.host}"
    parts = CompactorParts(
        os.path.join(config.of(STATE_DIR), FOLDER),
        config.of(COMPACTOR_INTERVAL),
        lambda passed: order_of(config, holder, passed),
        start_round,
        Random(os.urandom(8)),
    )
    return CompactorWork(parts, context.bus)


def _is_wanted(config: Config) -> bool:
    """Where it is asked for; by itself where rows are merged into a bucket or a folder."""
    if not config.of(LAKE_URL) or config.of(LAKE_URL).startswith("clickhouse+"):
        return False
    merges = bool(config.values.get("merger.brokers"))
    return config.of(COMPACTOR_ENABLED) == "true" or (config.of(COMPACTOR_ENABLED) == "auto" and merges)


def _check(config: Config, origin: str) -> None:
    is_asked_for = config.of(COMPACTOR_ENABLED) == "true"
    if not config.of(LAKE_URL):
        if is_asked_for:
            remedy = "name the fleet's store, such as file:///srv/lake"
            raise ConfigError(f"{origin}: {LAKE_URL.key}", "compactor.enabled is true, and there is no store", remedy)
        return
    # Imported here: most agents have no store.
    from importlib.util import find_spec

    from agent.lake.setup import files_of, lake_setup
    from workers.compactor.order import check_sizes

    setup = lake_setup(config)
    if is_asked_for or _is_wanted(config):
        files_of(setup, has_library=find_spec("obstore") is not None)
        check_sizes(config)


WORKER = Worker(
    name="compactor",
    # The process of a round counts as this worker's; it yields to all others.
    kind=WorkerKind("compactor", start_order=75, answers=frozenset({STATS, RULES}), cpu_limit=CPU_PER_CORE, memory_limit=2 << 30),
    make=_make,
    preload=("workers.compactor.work",),
    is_wanted=_is_wanted,
    settings=(*LAKE_SETTINGS, *COMPACTOR_SETTINGS),
    check=_check,
    statistics=(
        Statistic("evergauge_compactor_rounds_total", "counter", "Rounds that were done.", ("rounds",)),
        Statistic("evergauge_compactor_rounds_failed_total", "counter", "Rounds that failed.", ("rounds_failed",)),
        Statistic("evergauge_compactor_jobs_total", "counter", "Compactions that were committed.", ("jobs",)),
        Statistic("evergauge_compactor_sources_total", "counter", "Files that were compacted.", ("sources",)),
        Statistic("evergauge_compactor_files_total", "counter", "Files that they became.", ("files",)),
        Statistic("evergauge_compactor_rows_total", "counter", "Rows in them.", ("rows",)),
        Statistic("evergauge_compactor_read_bytes_total", "counter", "Bytes of the files that were compacted.", ("bytes_before",)),
        Statistic("evergauge_compactor_written_bytes_total", "counter", "Bytes of the files that they became.", ("bytes_after",)),
        Statistic("evergauge_compactor_deleted_total", "counter", "Files deleted that counted no more.", ("deleted",)),
        Statistic("evergauge_compactor_returned_total", "counter", "Files that landed twice, and were deleted.", ("returned",)),
        Statistic("evergauge_compactor_waiting", "gauge", "Files that wait for the end of their grace.", ("waiting",)),
        Statistic("evergauge_compactor_left", "gauge", "Files that cannot be compacted.", ("passed",)),
    ),
)
