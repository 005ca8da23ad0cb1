"""Counters of devices from tick to tick, and which devices have a row of their own."""

from agent.model.absence import Absence
from workers.host.device import Devices, Increase, busiest, summed


def test_a_device_that_is_new_has_no_increase() -> None:
    """Also one that was away for a tick: it may be another one of the same name."""
    devices = Devices()
    assert devices.increases({"a": (1, 5)}) == {"a": Increase((None, None), Absence.FIRST_TICK)}
    assert devices.increases({}) == {}
    assert devices.increases({"a": (9, 9)}) == {"a": Increase((None, None), Absence.FIRST_TICK)}
    assert devices.increases({"a": (9, 10)}) == {"a": Increase((0, 1))}


def test_one_counter_that_falls_makes_all_of_them_unknown() -> None:
    """It wrapped, or the device was replaced: nothing is believed until the next tick."""
    devices = Devices()
    devices.increases({"a": (4294967295, 10)})
    assert devices.increases({"a": (5, 20)}) == {"a": Increase((None, None), Absence.COUNTER_RESET)}
    assert devices.increases({"a": (6, 20)}) == {"a": Increase((1, 0))}


def test_a_counter_that_the_kernel_does_not_have_is_left_out() -> None:
    """The others of the device are there."""
    devices = Devices()
    devices.increases({"a": (1, None)})
    assert devices.increases({"a": (2, None)}) == {"a": Increase((1, None))}


def test_the_busiest_have_their_own_rows() -> None:
    """By the counters that are said, in the order of their names; all others are together."""
    increases = {"d": Increase((1, 0)), "c": Increase((0, 9)), "b": Increase((5, 0)), "a": Increase((None, None))}
    assert busiest(increases, (0, 0), 2) == (["b", "d"], ["a", "c"])
    assert busiest(increases, (0, 1), 2) == (["b", "c"], ["a", "d"])
    assert busiest(increases, (0, 1), 4) == (["a", "b", "c", "d"], [])


def test_a_sum_says_what_it_lacks() -> None:
    """Those without an increase are left out; without any there is no sum."""
    first, known = Increase((None, None), Absence.FIRST_TICK), Increase((2, None))
    assert summed([known, Increase((3, None))]) == Increase((5, None))
    assert summed([known, first]) == Increase((2, None), Absence.INCOMPLETE)
    assert summed([first, Increase((None, None), Absence.COUNTER_RESET)]) == first
    assert (summed([known, first]).is_known, first.is_known) == (True, False)


def test_the_same_counters_again_have_not_moved() -> None:
    """A file that did not change is not parsed twice: its numbers are the same object."""
    devices, counters = Devices(), {"a": (1, 5)}
    devices.increases(counters)
    assert devices.increases(counters) == {"a": Increase((0, 0))}
