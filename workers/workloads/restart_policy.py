"""Whether a workload that ended is started again, and when. PURE."""

from random import Random

from msgspec import Struct

from agent.model.backoff import Backoff, delay_ns
from workers.keeper.protocol import Restart, WorkloadEnding, WorkloadRecord


class RestartPolicy(Struct, frozen=True):
    """The waits between starts, and the time up after which failures are forgotten: the same as of the agent's own workers."""

    backoff: Backoff
    stable_period_ns: int


def wants_restart(restart: Restart, ending: WorkloadEnding) -> bool:
    """Whether the policy of a workload starts it again after this end.

    One that was stopped on request stays so. An end that nobody could see (the host went down) counts as a failure.
    """
    if ending.stopped or restart is Restart.NO:
        return False
    return restart is Restart.ALWAYS or ending.code != 0


def failures_after(record: WorkloadRecord, failures: int, policy: RestartPolicy) -> int:
    """How many starts in a row ended early, this one included; an end after the stable period begins to count again."""
    assert record.ending is not None
    uptime_ns = record.ending.at_wall_ns - record.started_wall_ns
    return 1 if uptime_ns >= policy.stable_period_ns else failures + 1


def wait_ns(failures: int, policy: RestartPolicy, rng: Random) -> int:
    """The wait before the next start: none after the first failure."""
    return delay_ns(failures, policy.backoff, rng)
