"""Which metrics there are, and their values in a status. PURE; `exposition` writes them down.

A value that is not known is an absent sample, never a zero.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from agent.model.control.result import AgentStatus, WorkerStatus
from agent.model.worker_kind import MetricType as Kind
from agent.model.worker_kind import Statistic

Number = int | float
Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True):
    """One metric: its name as it is scraped (`_total` and `_info` included) and its samples, one per set of labels."""

    name: str
    kind: Kind
    about: str
    samples: dict[Labels, Number]


class GatewayCounts(Struct, frozen=True):
    """What the gateway counts itself."""

    requests: int
    refused: int


Statistics = Mapping[str, Sequence[Statistic]]


def families(status: AgentStatus | None, counts: GatewayCounts, statistics: Statistics) -> list[Family]:
    """Every metric that has at least one sample. `status` None: the supervisor did not answer. `statistics` say what the documents
    of the workers mean, by worker name; under "" what holds for all.

    *Shape:* names are unique; within a family every set of labels is unique.
    """
    known = [
        _single("evergauge_up", "gauge", "1 when the supervisor answers.", int(status is not None)),
        _single("evergauge_gateway_requests_total", "counter", "HTTP requests answered.", counts.requests),
        _single("evergauge_gateway_refused_total", "counter", "Connections cut or refused.", counts.refused),
    ]
    if status is not None:
        known += [*_of_agent(status), *_of_workers(status.workers), *_of_statistics(status, statistics)]
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
        # One that sleeps has nothing to do: no sample, so that nobody is alarmed.
        family(
            "evergauge_worker_up",
            "gauge",
            "1 when the worker does its work.",
            (None if w.state == "asleep" else int(w.state == "up") for w in all_workers),
        ),
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


def _of_statistics(status: AgentStatus, statistics: Statistics) -> list[Family]:
    found: dict[str, Family] = {}
    for worker, document in status.stats.items():
        for statistic in (*statistics.get("", ()), *statistics.get(worker, ())):
            family = found.setdefault(statistic.name, Family(statistic.name, statistic.type, statistic.about, {}))
            family.samples.update(_samples(statistic, worker, document))
    return list(found.values())


def _samples(statistic: Statistic, worker: str, document: object) -> dict[Labels, Number]:
    if not statistic.by:
        value = _number_at(document, statistic.path)
        return {} if value is None else {(("worker", worker),): _scaled(value, statistic)}
    values = _value_at(document, statistic.path)
    numbers = {str(label): _number_at(values, (label,)) for label in values} if isinstance(values, dict) else {}
    return {((statistic.by, label),): _scaled(number, statistic) for label, number in numbers.items() if number is not None}


def _scaled(value: Number, statistic: Statistic) -> Number:
    return value if statistic.per == 1 else value / statistic.per


def _value_at(document: object, path: tuple[str, ...]) -> object:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _number_at(document: object, path: tuple[str, ...]) -> Number | None:
    value = _value_at(document, path)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
