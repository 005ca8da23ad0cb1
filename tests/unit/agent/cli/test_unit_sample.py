"""The moment of all units: rows of a minute put together, idle units, what other tables know of them."""

from agent.cli.unit_sample import UnitLine, UnitMinute, UnitReading
from agent.model.table import Value

S = 10**9
AT = 1_700_000_000 * S


def row(at: int, unit: str, **values: Value) -> dict[str, Value]:
    usual: dict[str, Value] = {"timestamp": at, "unit": unit, "kind": "pod", "cgroup": f"/kubepods/{unit}", "elapsed_ns": S}
    return {**usual, "is_final": False, "container": None, **values}


def lines(minute: UnitMinute) -> dict[tuple[str, str | None], UnitLine]:
    sample = minute.sample("h")
    assert sample is not None
    return {line.reading.key: line for line in sample.lines}


def test_an_idle_unit_stands_for_a_minute_with_rates_of_none() -> None:
    """Its levels are those of its last row; what nobody measured is not known, and no 0. Then it is gone."""
    minute = UnitMinute()
    minute.take("unit", [row(AT - 30 * S, "idle", cpu_cores=0.7, memory_current_bytes=5, net_sent_bytes=None)])
    minute.take("unit", [row(AT - 90 * S, "old"), row(AT, "busy", cpu_cores=1.5)])
    found = lines(minute)
    assert set(found) == {("idle", None), ("busy", None)}
    idle = found["idle", None].reading
    assert (idle.cpu_cores, idle.memory_bytes, idle.net_sent_bytes) == (0, 5, None)
    assert found["busy", None].reading.cpu_cores == 1.5


def test_a_unit_that_has_gone_has_no_line() -> None:
    """Its last row says so, in any order of arrival; one that comes back has."""
    minute = UnitMinute()
    minute.take("unit", [row(AT, "gone", is_final=True), row(AT - S, "gone"), row(AT, "other")])
    assert set(lines(minute)) == {("other", None)}
    minute.take("unit", [row(AT + S, "gone")])
    assert ("gone", None) in lines(minute)


def test_kills_of_the_minute_are_summed() -> None:
    """One that happened a minute ago is not told any more; where nothing is known there is none."""
    minute = UnitMinute()
    minute.take("unit", [row(AT - second * S, "a", oom_kills=1 if second in (3, 20) else 0) for second in range(30)])
    minute.take("unit", [row(AT, "b")])
    found = lines(minute)
    assert (found["a", None].oom_kills, found["b", None].oom_kills) == (2, None)
    minute.take("unit", [row(AT + 120 * S, "a", oom_kills=0)])
    assert lines(minute)["a", None].oom_kills == 0


def test_cache_gpus_and_models_are_joined_by_the_unit() -> None:
    """To whole units alone, and only what is of this moment; processes of a unit are summed."""
    minute = UnitMinute()
    minute.take("unit", [row(AT, "a"), row(AT, "a", container="c1")])
    minute.take("occupancy", [{"timestamp": AT, "pod_uid": "a", "llc_occupancy_bytes": 7, "mbm_total_bytes_per_second": 9.0}])
    gpu: dict[str, Value] = {"device": "g", "driver_pid": 1, "unit": "a", "memory_bytes": 100, "busy_share": 0.25}
    minute.take("gpu_process", [{**gpu, "timestamp": AT - 5 * S, "pid": 1, "busy_share": 9.0}])
    minute.take("gpu_process", [{**gpu, "timestamp": AT, "pid": pid} for pid in (1, 2)])
    minute.take("unit_model", [{"timestamp": AT - 9_000 * S, "unit": "a", "model": "org/model", "served_model": "m"}])
    found = lines(minute)
    whole, inner = found["a", None], found["a", "c1"]
    assert (whole.cache.llc_bytes, whole.cache.bandwidth) == (7, 9.0)
    assert (whole.gpu.busy, whole.gpu.memory_bytes, whole.model) == (0.5, 200, "org/model")
    assert (inner.cache.llc_bytes, inner.gpu.busy, inner.model) == (None, None, None)
    minute.take("unit_model", [{"timestamp": AT, "unit": "a", "container": "c1", "model": None, "served_model": "inner"}])
    assert [lines(minute)["a", container].model for container in (None, "c1")] == ["org/model", "inner"]
    minute.take("unit", [row(AT + 30 * S, "a")])
    late = lines(minute)["a", None]
    assert (late.cache.llc_bytes, late.gpu.busy, late.model) == (None, None, "org/model")


def test_rows_of_other_versions_are_read_as_far_as_they_go() -> None:
    """A missing column is not known; one of another type neither."""
    minute = UnitMinute()
    minute.take("unit", [{"timestamp": AT, "unit": "a", "cpu_cores": "many"}])
    minute.take("occupancy", [{"timestamp": None, "pod_uid": "a"}, {"timestamp": AT, "pod_uid": "a", "llc_occupancy_bytes": "x"}])
    minute.take("unit_model", [{"timestamp": AT, "unit": None}])
    minute.take("gpu_process", [{"timestamp": AT, "unit": None, "pid": 1}])
    line = lines(minute)["a", None]
    assert (line.reading.cpu_cores, line.reading.kind, line.cache.llc_bytes) == (None, "", None)
    assert UnitMinute().sample("h") is None


def test_shares_and_rates_need_the_time() -> None:
    """Of a first row neither is known."""
    first = UnitReading(AT, "a", "pod", "/a")
    assert (first.share_of_time(5), first.per_second(5)) == (None, None)
    assert UnitReading(AT, "a", "pod", "/a", elapsed_ns=2 * S).per_second(4) == 2
    assert UnitReading(AT, "a", "pod", "/a", elapsed_ns=S).share_of_time(3 * S) == 1.0


def test_a_table_that_says_nothing_of_units_changes_nothing() -> None:
    """A segment has all tables."""
    minute = UnitMinute()
    minute.take("unit", [row(AT, "a")])
    before = minute.sample("h")
    minute.take("gap", [row(AT + S, "b")])
    assert minute.sample("h") == before
