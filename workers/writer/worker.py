"""The worker `writer`: it stores the rows of all others. It starts first and stops last, so that what they send at their end is
stored."""

import os

from agent.config import COMPACTION, SEAL_BYTES, SEAL_INTERVAL, STORAGE_QUOTA, SYNC_INTERVAL
from agent.hub_setting import HUB_LISTEN
from agent.model.worker_kind import ROTATE, RULES, STATS, Statistic, WorkerKind
from agent.ports import Work
from workers.framework.declaration import Worker, WorkerContext


def _make(context: WorkerContext) -> Work:
    from workers.writer.work import WriterWork

    launch = context.launch
    work = WriterWork(
        clock=context.clock,
        peer=context.data_peer(),
        bus=context.bus,
        config=launch.config,
        catalogue=tuple(context.tables()),
        identity=launch.identity,
        state_dir=launch.state_dir,
        host=launch.host,
        agent_version=launch.agent_version,
        segment_ids=lambda: os.urandom(4).hex(),
    )
    work.on_progress(context.heartbeat)
    return work


WORKER = Worker(
    name="writer",
    kind=WorkerKind(
        "writer", start_order=10, binds_data_socket=True, answers=frozenset({STATS, RULES, ROTATE}), stores_events=True
    ),
    make=_make,
    preload=("workers.writer.work",),
    reads=tuple(setting.key for setting in (SEAL_INTERVAL, SEAL_BYTES, SYNC_INTERVAL, STORAGE_QUOTA, COMPACTION, HUB_LISTEN)),
    statistics=(
        Statistic("evergauge_writer_rows_total", "counter", "Rows put into the spool.", ("rows",)),
        Statistic("evergauge_writer_batches_total", "counter", "Batches put into the spool.", ("batches",)),
        Statistic("evergauge_writer_duplicates_total", "counter", "Batches dropped as already stored.", ("duplicates",)),
        Statistic("evergauge_writer_foreign_rows_total", "counter", "Rows of other hosts put into the spool.", ("foreign", "rows")),
        Statistic(
            "evergauge_writer_foreign_duplicates_total",
            "counter",
            "Batches of other hosts dropped as already stored.",
            ("foreign", "duplicates"),
        ),
        Statistic(
            "evergauge_writer_foreign_refused_batches_total",
            "counter",
            "Batches of other hosts refused as nonsense; table gap has the reasons.",
            ("foreign", "refused_batches"),
        ),
        Statistic("evergauge_writer_gap_rows_total", "counter", "Rows written to table gap: known losses.", ("gap_rows",)),
        Statistic("evergauge_writer_spool_bytes", "gauge", "Size of the open spool.", ("spool_bytes",)),
        Statistic("evergauge_writer_sealed_files_total", "counter", "Parquet files finished.", ("sealed_files",)),
        Statistic(
            "evergauge_writer_quota_removed_files_total",
            "counter",
            "Sealed files removed to keep the storage quota.",
            ("quota", "removed_files"),
        ),
        Statistic(
            "evergauge_writer_quota_removed_bytes_total",
            "counter",
            "Bytes of sealed files removed to keep the storage quota.",
            ("quota", "removed_bytes"),
        ),
        Statistic(
            "evergauge_writer_compacted_dates_total",
            "counter",
            "Days of a table that were compacted into one file.",
            ("compaction", "days"),
        ),
        Statistic(
            "evergauge_writer_compacted_rows_total",
            "counter",
            "Rows of days that were compacted.",
            ("compaction", "rows"),
        ),
        # Told by the writer, which alone knows what was stored: a sampler that died cannot say what it missed.
        Statistic(
            "evergauge_sampler_ticks_missed_total",
            "counter",
            "Ticks without stored rows in this run: missed, or lost with a worker or a batch; table gap has the reasons.",
            ("ticks_missed",),
            by="worker",
        ),
    ),
)
