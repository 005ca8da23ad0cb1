"""What /metrics says of a status."""

import re

import pytest
from fakes.status import status_document, worker_row

from agent.model.worker_kind import Statistic
from workers import registry
from workers.gateway.metrics import Family, GatewayCounts, Labels, families
from workers.gateway.supervisor_answer import status_of

COUNTS = GatewayCounts(requests=4, refused=1)


def by_name(**different: object) -> dict[str, Family]:
    """The metrics of a host on which all is well but what is different."""
    return {family.name: family for family in families(status_of(status_document(**different)), COUNTS, registry.statistics())}


def of(worker: str) -> Labels:
    """The labels of a metric of one worker."""
    return (("worker", worker),)


def test_the_metrics_are_those_that_are_documented() -> None:
    """Names are an interface: dashboards and alerts hang on them."""
    stats = status_document()["stats"]
    stats["writer"]["quota"] = {"removed_files": 2, "removed_bytes": 3000}
    held = by_name(stats=stats, conditions=[{"worker": "gateway", "kind": "gateway", "detail": "d", "blocks_ready": False}])
    assert sorted(held) == [
        "evergauge_build_info",
        "evergauge_condition_active",
        "evergauge_gateway_refused_total",
        "evergauge_gateway_requests_total",
        "evergauge_outbox_refused_batches_total",
        "evergauge_outbox_refused_rows_total",
        "evergauge_pods",
        "evergauge_ready",
        "evergauge_resctrl_groups",
        "evergauge_resctrl_groups_waiting",
        "evergauge_resctrl_readings_absent_total",
        "evergauge_resctrl_readings_total",
        "evergauge_resctrl_unmeasured",
        "evergauge_resctrl_unreconciled",
        "evergauge_rules",
        "evergauge_rules_revision",
        "evergauge_sampler_processes",
        "evergauge_sampler_processes_refused",
        "evergauge_sampler_processes_unreadable_total",
        "evergauge_sampler_readers_stuck",
        "evergauge_sampler_ticks_missed_total",
        "evergauge_sampler_ticks_total",
        "evergauge_supervisor_events_total",
        "evergauge_up",
        "evergauge_uptime_seconds",
        "evergauge_worker_cpu_seconds_total",
        "evergauge_worker_heartbeat_age_seconds",
        "evergauge_worker_pss_bytes",
        "evergauge_worker_resident_memory_bytes",
        "evergauge_worker_restarts_total",
        "evergauge_worker_rules_in_sync",
        "evergauge_worker_up",
        "evergauge_writer_batches_total",
        "evergauge_writer_duplicates_total",
        "evergauge_writer_gap_rows_total",
        "evergauge_writer_quota_removed_bytes_total",
        "evergauge_writer_quota_removed_files_total",
        "evergauge_writer_rows_total",
        "evergauge_writer_sealed_files_total",
        "evergauge_writer_spool_bytes",
    ]


def test_names_follow_the_conventions() -> None:
    """Counters end in _total, infos in _info, and every metric says what it is in one sentence."""
    for family in by_name().values():
        assert re.fullmatch(r"evergauge_[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.name.endswith("_info") == (family.kind == "info")
        # A quote would be escaped in one of the two formats and not in the other.
        assert re.fullmatch(r"[^\"\\\n]+\.", family.about)


def test_values_are_those_of_the_status() -> None:
    """One of each kind."""
    held = by_name()
    assert held["evergauge_up"].samples == {(): 1}
    assert held["evergauge_ready"].samples == {(): 1}
    assert held["evergauge_build_info"].samples == {(("version", "0.1.0"),): 1}
    assert held["evergauge_rules_revision"].samples == {(): 7}
    assert held["evergauge_pods"].samples == {(): 5}
    assert held["evergauge_worker_restarts_total"].samples == {of("writer"): 2, of("sampler/process"): 2}
    assert held["evergauge_worker_pss_bytes"].samples[of("writer")] == 1 << 19
    assert held["evergauge_writer_rows_total"].samples == {of("writer"): 1000}
    assert held["evergauge_writer_gap_rows_total"].samples == {of("writer"): 0}
    assert held["evergauge_sampler_processes"].samples == {of("sampler/process"): 500}
    assert held["evergauge_sampler_processes_refused"].samples == {of("sampler/process"): 6}
    assert held["evergauge_sampler_processes_unreadable_total"].samples == {of("sampler/process"): 12}
    assert held["evergauge_sampler_readers_stuck"].samples == {of("sampler/process"): 2}
    assert held["evergauge_resctrl_unmeasured"].samples == {of("control-plane"): 2}
    assert held["evergauge_outbox_refused_rows_total"].samples == {of("sampler/process"): 4}
    assert held["evergauge_supervisor_events_total"].samples == {(("event", "resyncs"),): 1}


def test_missed_ticks_are_what_the_writer_counts_over_all_starts_of_a_sampler() -> None:
    """The sampler's own count begins again with each start: ticks lost in its death would be nobody's."""
    assert by_name()["evergauge_sampler_ticks_missed_total"].samples == {of("sampler/process"): 12}
    for odd in (None, {"ticks_missed": None}, {"ticks_missed": [1]}, {"ticks_missed": {"sampler/process": "1"}}):
        assert "evergauge_sampler_ticks_missed_total" not in by_name(stats={"writer": odd})


def test_what_the_quota_removed_is_counted_only_where_there_is_a_quota() -> None:
    """A counter that stands at zero would say that somebody looks after the disk."""
    stats = status_document()["stats"]
    assert not [name for name in by_name(stats=stats) if "quota" in name]
    stats["writer"]["quota"] = {"removed_files": 2, "removed_bytes": 3000}
    held = by_name(stats=stats)
    assert held["evergauge_writer_quota_removed_files_total"].samples == {of("writer"): 2}
    assert held["evergauge_writer_quota_removed_bytes_total"].samples == {of("writer"): 3000}


def test_what_is_not_known_is_absent_and_never_zero() -> None:
    """A worker that is down has no memory, no heartbeat and no rules, but it is known to be down."""
    nothing = {"heartbeat_age_seconds": None, "in_sync": None, "cpu_seconds": None, "rss_bytes": None, "pss_bytes": None}
    held = by_name(workers=[worker_row("writer", state="backoff", **nothing)], stats={"writer": None})
    assert held["evergauge_worker_up"].samples == {of("writer"): 0}
    absent = ("heartbeat_age_seconds", "rules_in_sync", "cpu_seconds_total", "resident_memory_bytes", "pss_bytes")
    assert not {f"evergauge_worker_{name}" for name in absent} & set(held)
    assert not [name for name in held if name.startswith(("evergauge_writer_", "evergauge_sampler_", "evergauge_outbox_"))]


@pytest.mark.parametrize("value", [None, "12", True, {"rows": 1}, [1]])
def test_a_statistic_that_is_no_number_is_absent(value: object) -> None:
    """Whatever a worker says of itself, the scrape goes on."""
    assert "evergauge_writer_rows_total" not in by_name(stats={"writer": {"rows": value}, "sampler/process": {"outbox": value}})


def test_conditions_and_a_failed_readiness_are_seen() -> None:
    """Each active condition once, by worker and kind."""
    condition = {"worker": "gateway", "kind": "gateway", "detail": "in use", "blocks_ready": False}
    held = by_name(ready=False, reasons=["x"], conditions=[condition, condition])
    assert held["evergauge_ready"].samples == {(): 0}
    assert held["evergauge_condition_active"].samples == {(("worker", "gateway"), ("kind", "gateway")): 1}


def test_without_an_answer_only_the_gateway_speaks() -> None:
    """`evergauge_up` 0 is what an alert hangs on; nothing is invented beside it."""
    held = {family.name: family.samples for family in families(None, COUNTS, registry.statistics())}
    assert held == {
        "evergauge_up": {(): 0},
        "evergauge_gateway_requests_total": {(): 4},
        "evergauge_gateway_refused_total": {(): 1},
    }


def test_nanoseconds_are_shown_as_seconds() -> None:
    """Prometheus counts in base units."""
    stats = {"w": {"start_ns": 1_500_000_000, "by": {"a": 5 * 10**8}}}
    statistics = {
        "w": (
            Statistic("evergauge_a_seconds", "gauge", "A.", ("start_ns",), per=10**9),
            Statistic("evergauge_b_seconds", "gauge", "B.", ("by",), by="kind", per=10**9),
        )
    }
    found = {family.name: family.samples for family in families(status_of(status_document(stats=stats)), COUNTS, statistics)}
    assert found["evergauge_a_seconds"] == {of("w"): 1.5}
    assert found["evergauge_b_seconds"] == {(("kind", "a"),): 0.5}
