"""The wait before a restart."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agent.model.backoff import Backoff, delay_ns, full_delay_ns
from agent.model.timebase import MS, S

POLICY = Backoff(base_ns=100 * MS, factor=2, ceiling_ns=30 * S, jitter_percent=10)


def test_delays_double_from_the_second_failure_to_the_ceiling() -> None:
    """None, then 100 ms, 200 ms … and never more than 30 s."""
    delays = [full_delay_ns(failures, POLICY) // MS for failures in range(1, 13)]
    assert delays == [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]


def test_a_factor_of_one_keeps_the_delay_flat() -> None:
    """Growth is a matter of the policy."""
    flat = Backoff(base_ns=5 * MS, factor=1, ceiling_ns=S, jitter_percent=0)
    assert [full_delay_ns(failures, flat) for failures in (1, 2, 3, 50)] == [0, 5 * MS, 5 * MS, 5 * MS]


@given(
    failures=st.integers(1, 10_000),
    base_ns=st.integers(1, 10 * S),
    factor=st.integers(1, 10),
    ceiling_ns=st.integers(1, 3600 * S),
    jitter=st.integers(0, 100),
    seed=st.integers(),
)
def test_every_delay_lies_within_the_jitter_below_the_full_delay(
    failures: int, base_ns: int, factor: int, ceiling_ns: int, jitter: int, seed: int
) -> None:
    """Whatever the policy and however many failures, a delay is bounded on both sides."""
    policy = Backoff(base_ns=base_ns, factor=factor, ceiling_ns=ceiling_ns, jitter_percent=jitter)
    full_ns = full_delay_ns(failures, policy)
    assert 0 <= full_ns <= ceiling_ns
    assert full_ns - full_ns * jitter // 100 <= delay_ns(failures, policy, Random(seed)) <= full_ns


def test_the_same_seed_gives_the_same_delays() -> None:
    """A crash story can be replayed."""
    first, second = Random(7), Random(7)
    assert [delay_ns(n, POLICY, first) for n in range(1, 20)] == [delay_ns(n, POLICY, second) for n in range(1, 20)]
