"""What a kind of worker is taken for where its declaration does not say."""

from agent.model.limit import CPU_PER_CORE
from agent.model.worker_kind import RULES, STATS, Statistic, WorkerKind


def test_a_kind_may_do_nothing_but_answer_until_it_says_so() -> None:
    """Rights are given, never assumed."""
    kind = WorkerKind("probe")
    assert kind.answers == {STATS, RULES}
    assert kind.asks == frozenset()
    assert {kind.may_publish, kind.binds_data_socket, kind.is_on_demand, kind.stores_events} == {False}


def test_a_kind_has_limits_from_the_start() -> None:
    """Half a core and 512 MiB: none is unlimited by oversight."""
    assert (WorkerKind("probe").cpu_limit, WorkerKind("probe").memory_limit) == (CPU_PER_CORE // 2, 512 << 20)


def test_a_statistic_is_one_sample_in_its_own_unit() -> None:
    """Until it names a mapping or another unit."""
    assert (Statistic("rows", "counter", "Rows.", ("rows",)).by, Statistic("rows", "counter", "Rows.", ("rows",)).per) == ("", 1)
