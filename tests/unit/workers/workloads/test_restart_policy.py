"""Whether and when a workload that ended starts again."""

from random import Random

import pytest
from fakes.keeper_model import KeeperModel
from msgspec.structs import replace

from agent.model.backoff import Backoff
from agent.model.timebase import MS, S
from workers.keeper.protocol import Restart, SpawnWorkload, WorkloadEnding, WorkloadSpec
from workers.workloads.restart_policy import RestartPolicy, failures_after, wait_ns, wants_restart

POLICY = RestartPolicy(Backoff(100 * MS, 2, 30 * S, 0), 60 * S)


@pytest.mark.parametrize(("code", "signal", "on_failure"), [(0, None, False), (1, None, True), (None, 9, True), (None, None, True)])
def test_the_policy_looks_at_how_it_ended(code: int | None, signal: int | None, on_failure: bool) -> None:
    """An end that nobody saw counts as a failure; one that was asked for is final."""
    ending = WorkloadEnding(0, code=code, signal=signal)
    assert [wants_restart(policy, ending) for policy in Restart] == [False, on_failure, True]
    assert not any(wants_restart(policy, replace(ending, stopped=True)) for policy in Restart)


def test_failures_count_until_it_ran_for_the_stable_period() -> None:
    """Then they begin again; waits grow as those of workers do."""
    keeper = KeeperModel()
    keeper.answer(SpawnWorkload(1, WorkloadSpec("a", ("x",))))
    early = keeper.end("a", code=1).record
    assert early.ending is not None
    late = replace(early, ending=replace(early.ending, at_wall_ns=early.started_wall_ns + 60 * S))
    assert [failures_after(early, 0, POLICY), failures_after(early, 4, POLICY), failures_after(late, 4, POLICY)] == [1, 5, 1]
    assert [wait_ns(failures, POLICY, Random(1)) for failures in (1, 2, 3)] == [0, 100 * MS, 200 * MS]
