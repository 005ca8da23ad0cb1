"""Which operations go wrong, how often, and when."""

from errno import EBUSY, EIO

import pytest

from workers.resctrl.emulator.faults import REMEMBERED_MAX, ScriptedFaults, fits
from workers.resctrl.emulator.scenario import Fault

SECOND = 1_000_000_000
START_NS = 5 * SECOND


def faults(*rules: Fault, seed: int = 1) -> ScriptedFaults:
    """These faults, from a start on."""
    return ScriptedFaults(rules, seed, START_NS)


def strikes(scripted: ScriptedFaults, operation: str = "read", path: str = "tasks", at_seconds: float = 0) -> bool:
    """Whether an operation fails now."""
    try:
        scripted.check(operation, path, START_NS + round(at_seconds * SECOND))
    except OSError:
        return True
    return False


def test_an_operation_fails_with_the_errno() -> None:
    """The errno is the one that was asked for, on this operation and path and on no other."""
    scripted = faults(Fault(operation="mkdir", path="mon_groups/*", errno="EBUSY"))
    with pytest.raises(OSError, match="EBUSY") as caught:
        scripted.check("mkdir", "mon_groups/a", START_NS)
    assert caught.value.errno == EBUSY
    assert not strikes(scripted, "rmdir", "mon_groups/a")
    assert not strikes(scripted, "mkdir", "a/mon_groups/a")


def test_it_strikes_so_often_and_not_before() -> None:
    """`skip` go well first, then `count` fail, then all go well."""
    scripted = faults(Fault(errno="EIO", skip=2, count=3))
    assert [strikes(scripted) for _ in range(7)] == [False, False, True, True, True, False, False]
    assert scripted.struck() == [3]


def test_it_is_bounded_in_time() -> None:
    """`after`, `until`, and within them only the first part of each period."""
    scripted = faults(Fault(errno="EIO", after="10s", until="31s", every="10s", lasts="2s"))
    bad = [second for second in range(40) if strikes(scripted, at_seconds=second)]
    assert bad == [10, 11, 20, 21, 30]


def test_its_chance_is_that_of_the_seed() -> None:
    """A share of 5 % is about 5 %, and the same seed gives the same ones again."""
    rule = Fault(errno="EIO", probability=0.05)
    first, again = ([strikes(scripted) for _ in range(10_000)] for scripted in (faults(rule), faults(rule)))
    assert first == again
    assert 400 < sum(first) < 600
    other = faults(rule, seed=2)
    assert [strikes(other) for _ in range(10_000)] != first


@pytest.mark.parametrize(("word", "answer"), [("Unavailable", b"Unavailable\n"), ("12 13", b"12 13\n"), ("empty", b"")])
def test_an_event_file_shows_another_word(word: str, answer: bytes) -> None:
    """The word stands there as written, with the newline that the kernel would put behind it."""
    scripted = faults(Fault(operation="read", path="**/llc_occupancy", answer=word))
    assert scripted.value("mon_data/mon_L3_00/llc_occupancy", START_NS) == answer
    assert scripted.value("mon_data/mon_L3_00/mbm_total_bytes", START_NS) is None
    assert not strikes(scripted, path="mon_data/mon_L3_00/llc_occupancy")


def test_garbage_is_no_number_and_no_text() -> None:
    """Garbage holds no digit, so that nobody can read a number out of it."""
    scripted = faults(Fault(answer="garbage"))
    values = [scripted.value("a", START_NS) for _ in range(50)]
    assert all(value is not None and not any(byte in b"0123456789\n" for byte in value) for value in values)
    assert len(set(values)) > 40


def test_delays_add_up_and_are_known_to_be_there() -> None:
    """Whether there is any delay at all is told without asking for each operation."""
    scripted = faults(Fault(errno="EIO"))
    had_delays = scripted.delays
    scripted.add(Fault(operation="read", delay="10ms", count=1), START_NS)
    scripted.add(Fault(path="a/*", delay="5ms"), START_NS)
    assert (had_delays, scripted.delays) == (False, True)
    assert [scripted.delay_ns("read", "a/b", START_NS) for _ in range(2)] == [15_000_000, 5_000_000]
    assert scripted.delay_ns("write", "b", START_NS) == 0


def test_a_new_fault_counts_from_its_own_start() -> None:
    """Of a fault that comes later `after` is counted from then on, and clearing ends all of them."""
    scripted = faults()
    assert not strikes(scripted)
    scripted.add(Fault(errno="EIO", after="1s"), START_NS + 10 * SECOND)
    assert not strikes(scripted, at_seconds=10.5)
    assert strikes(scripted, at_seconds=11)
    scripted.clear()
    assert not strikes(scripted, at_seconds=12)
    assert not scripted.delays


def test_the_first_of_several_wins() -> None:
    """When two faults fit the older one strikes, until it is used up."""
    scripted = faults(Fault(errno="EBUSY", count=1), Fault(errno="EIO"))
    numbers = []
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            scripted.check("read", "tasks", START_NS)
        numbers.append(caught.value.errno)
    assert numbers == [EBUSY, EIO]


@pytest.mark.parametrize(
    ("pattern", "path", "fitting"),
    [
        ("**", "", True),
        ("**", "a/b/c", True),
        ("**/tasks", "tasks", True),
        ("**/tasks", "mon_groups/a/tasks", True),
        ("**/tasks", "mon_groups/a/tasks_", False),
        ("**/mon_data/*/llc*", "mon_groups/a/mon_data/mon_L3_00/llc_occupancy", True),
        ("**/mon_data/*/llc*", "mon_data/llc_occupancy", False),
        ("mon_groups/*", "mon_groups/a/tasks", False),
        ("mon_groups/pod_[0-9]", "mon_groups/pod_7", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_pattern_fits_part_by_part(pattern: str, path: str, fitting: bool) -> None:
    """No wildcard goes beyond a slash but `**`, alone or in front."""
    assert fits(pattern, path) == fitting


def test_an_answer_that_does_not_strike_leaves_the_value() -> None:
    """And paths without end do not fill the memory: what is looked for again gives the same."""
    scripted = faults(Fault(operation="read", path="a*", answer="empty", count=1))
    assert [scripted.value("a", START_NS) for _ in range(2)] == [b"", None]
    for number in range(REMEMBERED_MAX + 1):
        assert scripted.value(f"b{number}", START_NS) is None
    assert not strikes(scripted, "mkdir", "a")
