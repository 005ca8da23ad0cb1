"""How long a worker or workload waits before its next start. PURE: tenacity computes the growth, the caller has the chance."""

from random import Random
from typing import TYPE_CHECKING, NamedTuple, cast

from msgspec import Struct

from agent.model.timebase import S

if TYPE_CHECKING:
    from tenacity import RetryCallState


class Backoff(Struct, frozen=True):
    """The policy: the second restart in a row waits `base_ns`, each further one `factor` times longer, up to `ceiling_ns`."""

    base_ns: int
    factor: int
    ceiling_ns: int
    jitter_percent: int


class _Attempt(NamedTuple):
    attempt_number: int


def full_delay_ns(failures: int, policy: Backoff) -> int:
    """The wait before jitter, in nanoseconds: none after the first failure since the last stable period.

    *Range:* 0 to `policy.ceiling_ns`, never falling as `failures` grows.
    """
    assert failures >= 1
    if failures == 1:
        return 0
    # Imported at the first wait: an agent whose workers live never pays for it, 2.4 MiB.
    from tenacity.wait import wait_exponential

    wait = wait_exponential(multiplier=policy.base_ns / S, exp_base=policy.factor, max=policy.ceiling_ns / S)
    # The strategy reads only the attempt number of the retry state, so no retry is needed.
    seconds = wait(cast("RetryCallState", _Attempt(failures - 1)))
    return min(policy.ceiling_ns, round(seconds * S))


def delay_ns(failures: int, policy: Backoff, rng: Random) -> int:
    """The wait before the next start: the full delay, shortened at random so that those killed together do not start together."""
    full_ns = full_delay_ns(failures, policy)
    assert 0 <= policy.jitter_percent <= 100, policy.jitter_percent
    return full_ns - rng.randint(0, full_ns * policy.jitter_percent // 100)
