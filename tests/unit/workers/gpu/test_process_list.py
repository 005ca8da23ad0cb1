"""Lists of processes on a device: brought together, and refused where they cannot be true."""

import pytest

from workers.gpu.process_list import PID_MAX, ProcessRow, merged, why_refused

GIB = 1 << 30


def test_a_process_in_several_lists_counts_once_with_its_most() -> None:
    """Compute, graphics and MPS each have all of its memory."""
    assert merged([[(1, 5), (2, None)], [(1, 7)], [(1, 6), (2, 3)]]) == {1: 7, 2: 3}


def test_memory_that_no_list_knows_is_absent() -> None:
    """And not zero."""
    assert merged([[(1, None)], [(1, None)]]) == {1: None}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(2 * GIB, 4711)], "process number"),
        ([(0, 5)], "process number"),
        ([(PID_MAX + 1, 5)], "process number"),
        ([(5, 81 * GIB)], "more memory than the device"),
        ([(8, 1), (9, 1)], "2 of 2 processes do not exist"),
    ],
)
def test_a_list_that_cannot_be_true_is_refused_with_a_reason(rows: list[ProcessRow], said: str) -> None:
    """As with the driver whose record had changed."""
    assert said in why_refused(rows, 80 * GIB, lambda pid: pid == 5)


def test_one_that_has_just_ended_refuses_no_list() -> None:
    """Between the list and the look."""
    assert why_refused([(5, 1), (6, 1)], 80 * GIB, lambda pid: pid == 5) == ""
    assert why_refused([(6, 1)], 80 * GIB, lambda pid: pid == 5) == ""


def test_what_is_not_known_refuses_nothing() -> None:
    """Neither the size of the device nor, in another namespace, the processes."""
    assert why_refused([(5, 81 * GIB), (6, None), (7, 1)], None, None) == ""
    assert why_refused([], None, lambda pid: False) == ""
