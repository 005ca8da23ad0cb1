"""CPU of an interval: whatever the kernel's counters do, it never falls, and its parts are the whole."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.process.cpu_time import advance, parse_slices, user_total_ns

counters = st.integers(min_value=0, max_value=1 << 62)
clock_ticks = st.integers(min_value=0, max_value=1 << 40)


@given(st.lists(counters, min_size=2, max_size=20))
def test_cpu_never_falls_and_its_intervals_add_up_to_the_total(counter: list[int]) -> None:
    """Also where the kernel's counter goes back and forth: what it grew by is counted, and nothing else."""
    cpu_ns, offset_ns = counter[0], 0
    used = []
    for before, now in pairwise(counter):
        step = advance(cpu_ns, offset_ns, now, before)
        used.append(step.cpu_ns - cpu_ns)
        assert step.is_reset == (now < before)
        cpu_ns, offset_ns = step.cpu_ns, step.offset_ns
    assert used == [max(0, now - before) for before, now in pairwise(counter)]
    assert cpu_ns == counter[0] + sum(used)


@given(st.lists(st.tuples(st.integers(min_value=0, max_value=1 << 50), clock_ticks, clock_ticks), max_size=20))
def test_neither_user_nor_system_time_falls_and_together_they_are_the_cpu(steps: list[tuple[int, int, int]]) -> None:
    """Whatever the tick counters say, in any order."""
    cpu_ns = user_ns = 0
    for used_ns, user_ticks, system_ticks in steps:
        now_ns = user_total_ns(cpu_ns + used_ns, used_ns, user_ns, (user_ticks, system_ticks))
        assert 0 <= now_ns - user_ns <= used_ns
        cpu_ns, user_ns = cpu_ns + used_ns, now_ns
        assert 0 <= user_ns <= cpu_ns


@pytest.mark.parametrize(
    ("ticks", "user_ns"), [((0, 0), 1000), ((5, 0), 1000), ((0, 5), 0), ((1, 3), 250), ((1 << 62, 1 << 62), 500)]
)
def test_the_run_time_is_split_as_the_tick_counters_stand(ticks: tuple[int, int], user_ns: int) -> None:
    """Without a single tick in the kernel it is user time, as the kernel itself has it."""
    assert user_total_ns(1000, 1000, 0, ticks) == user_ns


@pytest.mark.parametrize(
    ("line", "slices"),
    [(b"870808 2270438 2\n", 2), (b"0 0 0\n", None), (b"5 6\n", None), (b"", None), (b"5 6 x\n", None), (b"5 6 -1\n", None),
     (b"1 1 %d\n" % (1 << 63), None), (b"1 1 %d" % ((1 << 63) - 1), (1 << 63) - 1)],
)  # fmt: skip
def test_time_slices_are_the_third_number(line: bytes, slices: int | None) -> None:
    """All zeros are of a kernel that does not count; other lines say nothing."""
    assert parse_slices(line) == slices


@given(st.binary(max_size=80))
def test_any_bytes_are_a_number_or_nothing(line: bytes) -> None:
    """Nothing else comes out, and nothing is raised."""
    slices = parse_slices(line)
    assert slices is None or slices > 0
