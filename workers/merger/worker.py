"""The worker `merger`: it fills the fleet's store from the topics that agents write."""

from agent.config import Config
from agent.lake_setting import LAKE_SETTINGS, LAKE_URL
from agent.merger_setting import MARKS_SETTINGS, MERGER_BROKERS, MERGER_SETTINGS
from agent.model.errors import ConfigError
from agent.model.limit import CPU_PER_CORE
from agent.model.worker_kind import RULES, STATS, Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    from agent.store.install import read_install
    from workers.merger.engine import EngineParts
    from workers.merger.making import MergerPlace, engine_parts
    from workers.merger.work import MergerWork

    launch = context.launch
    tables = tuple(context.tables())

    def make() -> EngineParts:
        # By the installation's name it has its partitions back at once after a crash.
        install = read_install(launch.state_dir) or ""
        return engine_parts(launch.config, MergerPlace(f"merger-{install}" if install else "", f"merger/{launch.host}"), tables)

    return MergerWork(make, context.clock, context.bus)


def _is_wanted(config: Config) -> bool:
    """Only where rows are to be taken from somewhere."""
    return bool(config.of(MERGER_BROKERS))


def _check(config: Config, origin: str) -> None:
    if config.of(MERGER_BROKERS) and not config.of(LAKE_URL):
        raise ConfigError(
            f"{origin}: {LAKE_URL.key}", "merger.brokers is set, and there is no store", "name one, such as file:///srv/lake"
        )


WORKER = Worker(
    name="merger",
    # It keeps a commit as messages, as Arrow and as Parquet; 8 MiB of messages take some 150 MiB more than the libraries.
    kind=WorkerKind("merger", start_order=70, answers=frozenset({STATS, RULES}), cpu_limit=CPU_PER_CORE, memory_limit=1 << 30),
    make=_make,
    preload=(),
    is_wanted=_is_wanted,
    settings=(*LAKE_SETTINGS, *MERGER_SETTINGS, *MARKS_SETTINGS),
    check=_check,
    statistics=(
        Statistic("evergauge_merger_rows_total", "counter", "Rows committed to the store.", ("rows",)),
        Statistic("evergauge_merger_raw_writes_total", "counter", "Rows committed without a sketch.", ("raw_writes",)),
        Statistic("evergauge_merger_messages_total", "counter", "Messages committed.", ("messages",)),
        Statistic("evergauge_merger_bytes_total", "counter", "Bytes of messages committed.", ("bytes",)),
        Statistic("evergauge_merger_stored_bytes_total", "counter", "Bytes put into the store.", ("stored_bytes",)),
        Statistic("evergauge_merger_commits_total", "counter", "Commits.", ("commits",)),
        Statistic("evergauge_merger_refused_total", "counter", "Commits refused: others store the partition.", ("refused",)),
        Statistic("evergauge_merger_unreadable_total", "counter", "Messages that were passed unread.", ("unreadable",)),
        Statistic("evergauge_merger_offsets_lost_total", "counter", "Offsets gone from topics unread.", ("offsets_lost",)),
        Statistic("evergauge_merger_mark_regressions_total", "counter", "Marks that went back.", ("mark_regresses",)),
        Statistic("evergauge_merger_marks_published_total", "counter", "Marks written to the cache.", ("marks_published",)),
        Statistic("evergauge_merger_lag", "gauge", "Offsets that are not taken yet.", ("lag",)),
        Statistic("evergauge_merger_partitions", "gauge", "Partitions that are merged here.", ("partitions",)),
        Statistic("evergauge_merger_gathered_bytes", "gauge", "Messages that wait for a commit.", ("gathered_bytes",)),
    ),
)
