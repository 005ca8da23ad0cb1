"""Which metrics there are and what they say of a status. PURE; `exposition` writes them down.

A value that is not known is an absent sample, never a zero.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from agent.model.control.result import AgentStatus, WorkerStatus

Kind = Literal["counter", "gauge", "info"]
Number = int | float
Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True):
    """One metric: its name as it is scraped (`_total` and `_info` included) and its samples, one per set of labels."""

    name: str
    kind: Kind
    about: str
    samples: dict[Labels, Number]


class GatewayCounts(Struct, frozen=True):
    """What the gateway knows without asking anybody."""

    requests: int
    refused: int


class _Statistic(Struct, frozen=True):
    """A metric found in what workers say of themselves, at `path` in the document of workers named `worker...`."""

    name: str
    kind: Kind
    about: str
    worker: str
    path: tuple[str, ...]


_STATISTICS = (
    _Statistic("evergauge_writer_rows_total", "counter", "Rows put into the spool.", "writer", ("rows",)),
    _Statistic("evergauge_writer_batches_total", "counter", "Batches put into the spool.", "writer", ("batches",)),
    _Statistic("evergauge_writer_duplicates_total", "counter", "Batches dropped as already stored.", "writer", ("duplicates",)),
    _Statistic("evergauge_writer_gap_rows_total", "counter", "Rows written to table gap: known losses.", "writer", ("gap_rows",)),
    _Statistic("evergauge_writer_spool_bytes", "gauge", "Size of the open spool.", "writer", ("spool_bytes",)),
    _Statistic("evergauge_writer_sealed_files_total", "counter", "Parquet files finished.", "writer", ("sealed_files",)),
    _Statistic(
        "evergauge_writer_quota_removed_files_total",
        "counter",
        "Sealed files removed to keep the storage quota.",
        "writer",
        ("quota", "removed_files"),
    ),
    _Statistic(
        "evergauge_writer_quota_removed_bytes_total",
        "counter",
        "Bytes of sealed files removed to keep the storage quota.",
        "writer",
        ("quota", "removed_bytes"),
    ),
    _Statistic("evergauge_sampler_processes", "gauge", "Processes seen at the last tick.", "sampler/", ("processes",)),
    _Statistic(
        "evergauge_sampler_processes_refused", "gauge", "Processes that refused to be read.", "sampler/process", ("refused",)
    ),
    _Statistic(
        "evergauge_sampler_processes_unreadable_total", "counter", "Processes not read.", "sampler/process", ("unreadable",)
    ),
    _Statistic(
        "evergauge_sampler_readers_stuck", "gauge", "Command lines that are not answered.", "sampler/process", ("readers_stuck",)
    ),
    _Statistic("evergauge_sampler_ticks_total", "counter", "Ticks taken.", "sampler/", ("ticks",)),
    _Statistic("evergauge_resctrl_groups", "gauge", "Monitoring group directories held.", "control-plane", ("resctrl", "groups")),
    _Statistic(
        "evergauge_resctrl_unmeasured", "gauge", "Units without a monitoring group.", "control-plane", ("resctrl", "unmeasured")
    ),
    _Statistic(
        "evergauge_resctrl_unreconciled",
        "gauge",
        "Units of which some container is not whole in its group.",
        "control-plane",
        ("resctrl", "unreconciled"),
    ),
    _Statistic("evergauge_resctrl_readings_total", "counter", "Event files read.", "sampler/resctrl", ("readings",)),
    _Statistic(
        "evergauge_resctrl_readings_absent_total", "counter", "Readings without a value.", "sampler/resctrl", ("readings_absent",)
    ),
    _Statistic("evergauge_resctrl_groups_waiting", "gauge", "Groups not opened yet.", "sampler/resctrl", ("groups_waiting",)),
    _Statistic(
        "evergauge_outbox_refused_batches_total", "counter", "Batches a full outbox lost.", "", ("outbox", "refused_batches")
    ),
    _Statistic("evergauge_outbox_refused_rows_total", "counter", "Rows a full outbox lost.", "", ("outbox", "refused_rows")),
)


def families(status: AgentStatus | None, counts: GatewayCounts) -> list[Family]:
    """Every metric that has at least one sample. `status` None: the supervisor did not answer.

    *Shape:* names are unique; within a family every set of labels is unique.
    """
    known = [
        _single("evergauge_up", "gauge", "1 when the supervisor answers.", int(status is not None)),
        _single("evergauge_gateway_requests_total", "counter", "HTTP requests answered.", counts.requests),
        _single("evergauge_gateway_refused_total", "counter", "Connections cut or refused.", counts.refused),
    ]
    if status is not None:
        known += [*_of_agent(status), *_of_workers(status.workers), *_of_statistics(status), _missed_ticks(status)]
    return [family for family in known if family.samples]


def _single(name: str, kind: Kind, about: str, value: Number) -> Family:
    return Family(name, kind, about, {(): value})


def _of_agent(status: AgentStatus) -> list[Family]:
    active: dict[Labels, Number] = {(("worker", item.worker), ("kind", item.kind)): 1 for item in status.conditions}
    counters: dict[Labels, Number] = {(("event", name),): value for name, value in status.counters.items()}
    return [
        _single("evergauge_ready", "gauge", "1 when the agent is ready; /ready says why not.", int(status.ready)),
        Family("evergauge_build_info", "info", "The version of the agent.", {(("version", status.version),): 1}),
        _single("evergauge_uptime_seconds", "gauge", "Time since the supervisor started.", status.uptime_seconds),
        _single("evergauge_rules_revision", "gauge", "Revision of the rules in force.", status.rules.revision),
        _single("evergauge_rules", "gauge", "Operator rules in force.", status.rules.rules),
        _single("evergauge_pods", "gauge", "Pods and units that are known.", status.rules.pods),
        Family("evergauge_condition_active", "gauge", "1 while a lasting condition holds.", active),
        Family("evergauge_supervisor_events_total", "counter", "What the supervisor counted, by event.", counters),
    ]


def _of_workers(workers: Iterable[WorkerStatus]) -> list[Family]:
    all_workers = list(workers)

    def family(name: str, kind: Kind, about: str, values: Iterable[Number | None]) -> Family:
        pairs = zip(all_workers, values, strict=True)
        return Family(name, kind, about, {(("worker", worker.name),): value for worker, value in pairs if value is not None})

    return [
        family("evergauge_worker_up", "gauge", "1 when the worker does its work.", (int(w.state == "up") for w in all_workers)),
        family("evergauge_worker_restarts_total", "counter", "Starts after the first.", (w.restarts for w in all_workers)),
        family("evergauge_worker_cpu_seconds_total", "counter", "CPU time used.", (w.cpu_seconds for w in all_workers)),
        family("evergauge_worker_resident_memory_bytes", "gauge", "Resident memory.", (w.rss_bytes for w in all_workers)),
        family("evergauge_worker_pss_bytes", "gauge", "Memory, shared pages divided.", (w.pss_bytes for w in all_workers)),
        family(
            "evergauge_worker_heartbeat_age_seconds",
            "gauge",
            "Time since the worker's loop last moved.",
            (w.heartbeat_age_seconds for w in all_workers),
        ),
        family(
            "evergauge_worker_rules_in_sync",
            "gauge",
            "1 when the worker holds the rules in force.",
            (None if w.in_sync is None else int(w.in_sync) for w in all_workers),
        ),
    ]


def _of_statistics(status: AgentStatus) -> list[Family]:
    return [
        Family(
            statistic.name,
            statistic.kind,
            statistic.about,
            {
                (("worker", worker),): value
                for worker, document in status.stats.items()
                if worker.startswith(statistic.worker) and (value := _number_at(document, statistic.path)) is not None
            },
        )
        for statistic in _STATISTICS
    ]


def _missed_ticks(status: AgentStatus) -> Family:
    """Told by the writer, which alone knows what was stored: a sampler that died cannot say what it missed."""
    writer = status.stats.get("writer") or {}
    missed = writer.get("ticks_missed")
    values: dict[Labels, Number] = {}
    for worker in missed if isinstance(missed, dict) else ():
        if (value := _number_at(missed, (worker,))) is not None:
            values[("worker", str(worker)),] = value
    about = "Ticks without stored rows in this run: missed, or lost with a worker or a batch; table gap has the reasons."
    return Family("evergauge_sampler_ticks_missed_total", "counter", about, values)


def _number_at(document: object, path: tuple[str, ...]) -> Number | None:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, int | float) and not isinstance(document, bool) else None
