"""The worker `exporter/NAME` of one sink, from its kind and its section of the settings file. The supervisor imports it too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.config import Config, exporter_name
from agent.model.errors import ConfigError
from agent.model.limit import CPU_PER_CORE, Ladder, LadderStep
from agent.model.worker_kind import Statistic, WorkerKind
from agent.ports import Work
from agent.sink_section import PROCESS, SECTION, TABLES
from workers.export.sink import SinkKind, SinkValues
from workers.framework.declaration import Worker, WorkerContext

# Behind the samplers, whose rows it sends; before the gateway, which shows it from its start.
# A whole core: one that has waited for its sink catches up with as much of it as `backlog_percent` allows.
EXPORTER_KIND = WorkerKind("exporter", start_order=70, cpu_limit=CPU_PER_CORE)
_LADDER = Ladder((LadderStep.BACKLOG_SLOWED,), is_dispensable=True)


def _rows(name: str, about: str, *path: str) -> Statistic:
    return Statistic(f"evergauge_export_{name}", "gauge" if name.startswith("pending") else "counter", about, path)


STATISTICS = (
    _rows("produced_rows_total", "Rows of its tables since the sink was made.", "ledger", "produced"),
    _rows("delivered_rows_total", "Rows that the sink has acknowledged.", "ledger", "delivered"),
    _rows("rejected_rows_total", "Rows that the sink refused for good.", "ledger", "rejected"),
    _rows("pruned_rows_total", "Rows that were removed before they could be sent.", "ledger", "pruned"),
    _rows("pending_rows", "Rows that wait for the sink.", "ledger", "pending"),
    _rows("pending_bytes", "Stored bytes that wait for the sink.", "lag_bytes"),
    Statistic("evergauge_export_lag_seconds", "gauge", "Age of the oldest row that waits; 0: none waits.", ("lag_seconds",)),
    Statistic("evergauge_export_up", "gauge", "1 while the sink takes rows.", ("is_up",)),
    Statistic("evergauge_export_deliveries_total", "counter", "Deliveries that the sink acknowledged.", ("deliveries",)),
    Statistic("evergauge_export_failures_total", "counter", "Attempts that failed and were tried again.", ("failures",)),
    Statistic("evergauge_export_sent_bytes_total", "counter", "Bytes sent, repeated ones too.", ("sent_bytes",)),
    _rows("left_out_rows_total", "Rows that are in no minute of those that a hub gets.", "left_out", "rows"),
    _rows("left_out_series_total", "Series beyond the budget of remote write.", "left_out", "series"),
    Statistic("evergauge_export_points_total", "counter", "Points, records or rows in acknowledged deliveries.", ("points",)),
)


def sink_values(name: str, section: Mapping[str, Any]) -> SinkValues:
    """The values of a section, as the settings file gives them."""
    return SinkValues(name, section["kind"], {key: value for key, value in section.items() if key != "kind"})


def wanted_tables(kind: SinkKind, values: SinkValues, every: Sequence[str]) -> tuple[str, ...]:
    """The tables whose rows this sink gets and accounts for."""
    named = values.of(TABLES)
    return tuple(named.split(",")) if named else kind.default_tables or kind.tables or tuple(every)


def exporter_workers(sinks: Iterable[tuple[SinkKind, SinkValues]], every: Sequence[str]) -> list[Worker]:
    """A worker for each sink, or for all sinks that share a process. `every`: the names of all tables that the agent can write."""
    by_process: dict[tuple[str, bool], list[tuple[SinkKind, SinkValues]]] = {}
    for kind, values in sinks:
        process = values.of(PROCESS)
        by_process.setdefault((process or values.name, bool(process)), []).append((kind, values))
    return [
        _shared_worker(name, inside, every) if is_shared else exporter_worker(*inside[0], every)
        for (name, is_shared), inside in by_process.items()
    ]


def _shared_worker(name: str, sinks: Sequence[tuple[SinkKind, SinkValues]], every: Sequence[str]) -> Worker:
    members = tuple(exporter_worker(kind, values, every) for kind, values in sinks)

    def make(context: WorkerContext) -> Work:
        from workers.export.shared_exporters import SharedExporters
        from workers.export.work import make_work
        from workers.framework.member_context import MemberContext

        works = {
            member.name: make_work(kind, values, wanted_tables(kind, values, every), MemberContext(context, member.name))
            for member, (kind, values) in zip(members, sinks, strict=True)
        }
        return SharedExporters(context.clock, works)

    def check(config: Config, origin: str) -> None:
        for member in members:
            member.check(config, origin)

    return Worker(
        name=exporter_name(name),
        kind=EXPORTER_KIND,
        make=make,
        preload=("workers.export.shared_exporters", *(module for member in members for module in member.preload)),
        members=members,
        check=check,
        ladder=_LADDER,
    )


def exporter_worker(kind: SinkKind, values: SinkValues, every: Sequence[str]) -> Worker:
    """The worker of one sink. `every`: the names of all tables that the agent can write."""
    name = values.name
    tables = wanted_tables(kind, values, every)

    def make(context: WorkerContext) -> Work:
        from workers.export.work import make_work

        return make_work(kind, values, tables, context)

    def check(config: Config, origin: str) -> None:
        where = f"{origin}: {SECTION}.{name}"
        if unknown := sorted(set(tables) - set(every)):
            raise ConfigError(f"{where}.tables", f"there is no table {unknown[0]}", "`agentctl schema` lists them")
        if kind.tables and (unfit := sorted(set(tables) - set(kind.tables))):
            problem = f"a sink of kind {kind.name} has no place for table {unfit[0]}"
            raise ConfigError(f"{where}.tables", problem, f"it takes {', '.join(kind.tables)}")
        if problem := kind.check(values):
            raise ConfigError(where, problem, "see docs/sinks/")

    return Worker(
        name=exporter_name(name),
        kind=EXPORTER_KIND,
        make=make,
        preload=("workers.export.work", *kind.preload),
        statistics=STATISTICS,
        check=check,
        ladder=_LADDER,
        reads=(f"sink.{name}",),
    )
