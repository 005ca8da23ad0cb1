"""Ids of monitoring: how they run out, rest until the cache has forgotten them, and come back."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from errno import EBUSY, ENOSPC
from itertools import count

import pytest
from conformance.companion import Companion
from conformance.mounted import LASTING_PREFIX, PATIENCE_SECONDS, PREFIX, Mounted, refused
from harness.waiting import wait_until

pytestmark = pytest.mark.profiles("tiny")
OUT = "Out of RMIDs\n"
# The kernel looks at resting ids once a second; a little less, as it counts in ticks.
REST_SECONDS = 0.95
_NUMBERS = count(1)
Rest = Callable[[], AbstractContextManager[None]]


def errno_of_making(resctrl: Mounted, made: list[str], parent: str = "") -> int:
    """0 where it succeeds; the new group is then one more of `made`."""
    group = f"{parent}/mon_groups/{PREFIX}id{next(_NUMBERS)}".lstrip("/")
    try:
        os.mkdir(resctrl.path(group))
    except OSError as failure:
        return failure.errno or 0
    made.append(group)
    return 0


@pytest.fixture
def total(resctrl: Mounted) -> int:
    """How many ids there are."""
    resctrl.need_monitoring()
    resctrl.disturb("takes all monitoring ids of the machine")
    return int(resctrl.read("info", "L3_MON", "num_rmids"))


@pytest.fixture(scope="module")
def lasting(_mounted: Mounted) -> Iterator[list[str]]:
    """Groups that keep their ids from case to case, as each id that is given back costs a second; removed at the end."""
    groups: list[str] = []
    yield groups
    _mounted.clean_up(LASTING_PREFIX)


@pytest.fixture
def full(resctrl: Mounted, total: int, lasting: list[str]) -> list[str]:
    """Groups that have all ids but that of the default group: none is free and none rests. A case takes out what it removes."""

    def all_taken() -> bool:
        while (failure := errno_of_making_lasting(resctrl, lasting)) == 0:
            pass
        assert failure in (EBUSY, ENOSPC)
        return failure == ENOSPC

    wait_until(all_taken, "all ids have come back and are taken", seconds=PATIENCE_SECONDS)
    return lasting


def errno_of_making_lasting(resctrl: Mounted, groups: list[str]) -> int:
    """0 where it succeeds; the new group is then one more of `groups`."""
    group = f"mon_groups/{LASTING_PREFIX}{next(_NUMBERS)}"
    try:
        os.mkdir(resctrl.path(group))
    except OSError as failure:
        return failure.errno or 0
    groups.append(group)
    return 0


@pytest.fixture
def resting(resctrl: Mounted) -> Rest:
    """While this lasts no id that rests is clean, however long that takes: the threshold is 0, and the usual one at the end."""
    place = ("info", "L3_MON", "max_threshold_occupancy")

    @contextmanager
    def rest() -> Iterator[None]:
        usual = resctrl.read(*place)
        resctrl.write("0\n", *place)
        try:
            yield
        finally:
            resctrl.write(usual, *place)

    return rest


def can_be_made(resctrl: Mounted) -> bool:
    """A group is made where an id is free; False where one rests, and nothing else is expected."""
    failure = errno_of_making(resctrl, [])
    assert failure in (0, EBUSY)
    return failure == 0


def test_there_is_one_id_for_each_group_with_the_default_one(resctrl: Mounted, total: int, full: list[str]) -> None:
    """As many as num_rmids says."""
    assert len(full) == total - 1


def test_no_id_is_left_when_all_are_in_use(resctrl: Mounted, full: list[str]) -> None:
    """ENOSPC with a word for it, for groups of either kind; nothing of them stays behind."""
    before = resctrl.names(), resctrl.names("mon_groups")
    kinds = (resctrl.new_monitor, resctrl.new_control) if resctrl.can_allocate else (resctrl.new_monitor,)
    for make in kinds * 10:
        with refused(ENOSPC):
            make()
        assert resctrl.status() == OUT
    assert (resctrl.names(), resctrl.names("mon_groups")) == before


def test_a_shortage_of_monitoring_ids_costs_no_control_id(resctrl: Mounted, full: list[str]) -> None:
    """The control id that was taken first is given back each time: the word stays the same."""
    resctrl.need_control()
    limit = min(int(resctrl.read("info", resource, "num_closids")) for resource in resctrl.control_resources())
    for _ in range(2 * limit):
        with refused(ENOSPC):
            resctrl.new_control()
        assert resctrl.status() == OUT


def test_an_id_rests_after_its_group(resctrl: Mounted, full: list[str], resting: Rest) -> None:
    """EBUSY and not ENOSPC, with the same word, until the kernel has looked at the cache a second later."""
    resctrl.need_events("llc_occupancy")
    began = time.monotonic()
    with resting():
        resctrl.remove(full.pop())
        assert not can_be_made(resctrl)
        assert resctrl.status() == OUT
    wait_until(lambda: can_be_made(resctrl), "the id is free again", seconds=PATIENCE_SECONDS)
    assert time.monotonic() - began >= REST_SECONDS
    with refused(ENOSPC):
        resctrl.new_monitor()


def test_control_groups_wait_for_ids_too(resctrl: Mounted, full: list[str], resting: Rest) -> None:
    """EBUSY for them as well, and no control id is lost by it."""
    resctrl.need_events("llc_occupancy")
    resctrl.need_control()
    limit = min(int(resctrl.read("info", resource, "num_closids")) for resource in resctrl.control_resources())
    with resting():
        resctrl.remove(full.pop())
        for _ in range(2 * limit):
            with refused(EBUSY):
                os.mkdir(resctrl.path(f"{PREFIX}control"))
            assert resctrl.status() == OUT


def test_an_id_that_is_never_clean_rests_for_ever(resctrl: Mounted, full: list[str], resting: Rest) -> None:
    """Clean is below the threshold, and nothing is below 0; raised again, the id comes free."""
    resctrl.need_events("llc_occupancy")
    with resting():
        resctrl.remove(full.pop())
        until = time.monotonic() + 1.15 * REST_SECONDS
        while time.monotonic() < until:
            assert not can_be_made(resctrl)
            time.sleep(0.02)
    wait_until(lambda: can_be_made(resctrl), "the id is free again", seconds=PATIENCE_SECONDS)


def test_ids_of_all_removed_groups_come_back(resctrl: Mounted, total: int, full: list[str]) -> None:
    """A control group gives back its own and those of all its monitoring groups."""
    resctrl.need_control()
    parent_name = resctrl.path("conformance_parent")
    while full:
        resctrl.remove(full.pop())
    wait_until(lambda: _made(parent_name), "a control group can be made", seconds=PATIENCE_SECONDS)
    made = 0

    def filled() -> bool:
        nonlocal made
        with suppress(OSError):
            while True:
                resctrl.new_monitor("conformance_parent")
                made += 1
        return made == total - 2

    wait_until(filled, "all other ids are in its groups", seconds=PATIENCE_SECONDS)
    resctrl.remove("conformance_parent")

    def refilled() -> bool:
        while errno_of_making_lasting(resctrl, full) == 0:
            pass
        return len(full) == total - 1

    wait_until(refilled, "every id is back", seconds=PATIENCE_SECONDS)


def _made(path: str) -> bool:
    with suppress(OSError):
        os.mkdir(path)
        return True
    return False


def test_a_renaming_needs_no_id(resctrl: Mounted, full: list[str]) -> None:
    """A group keeps its own, also when there is no other."""
    other = f"mon_groups/{LASTING_PREFIX}other"
    os.rename(resctrl.path(full[0]), resctrl.path(other))
    full[0] = other
    with refused(ENOSPC):
        resctrl.new_monitor()


def test_a_used_id_counts_from_the_start_again(resctrl: Mounted, full: list[str], process: Companion) -> None:
    """Its next group, which can have no other id, begins near 0 whatever was counted before."""
    resctrl.need_events("mbm_total_bytes")
    resctrl.need(not resctrl.exists("mbm_L3_assignments"), "counters that not every group can have")
    group = full.pop()
    resctrl.assign(process.pid, group)
    process.be_busy()

    def counted(path: str) -> int:
        return sum(int(resctrl.read(path, "mon_data", domain, "mbm_total_bytes")) for domain in resctrl.domains())

    wait_until(lambda: counted(group) > 1 << 20, "there is traffic")
    resctrl.assign(process.pid)
    process.be_busy(False)
    resctrl.remove(group)
    again: list[str] = []
    wait_until(lambda: errno_of_making(resctrl, again) == 0, "the id is free again", seconds=PATIENCE_SECONDS)
    assert counted(again[0]) < 1 << 16


@pytest.mark.profiles("mbm-only")
def test_without_occupancy_no_id_rests(resctrl: Mounted, full: list[str]) -> None:
    """Where nothing is known of the cache, an id is free at once: fifty times in a row."""
    resctrl.need("llc_occupancy" not in resctrl.events(), "ids that rest")
    for _ in range(50):
        resctrl.remove(full.pop())
        assert errno_of_making_lasting(resctrl, full) == 0
    with refused(ENOSPC):
        resctrl.new_monitor()


@pytest.mark.profiles("arm-mpam")
def test_where_ids_belong_to_control_groups_each_has_its_own(resctrl: Mounted) -> None:
    """ENOSPC in one control group leaves another one all it has."""
    resctrl.need(_ids_belong_to_control_groups(resctrl), "ids that are common to all control groups")
    one, other = resctrl.new_control(), resctrl.new_control()
    made = _fill(resctrl, one)
    assert resctrl.status() == OUT
    assert made == _fill(resctrl, other)


@pytest.mark.profiles("arm-mpam")
def test_where_ids_belong_to_control_groups_a_shortage_is_no_rest(resctrl: Mounted, resting: Rest) -> None:
    """ENOSPC and not EBUSY for a full control group whose id rests, as long as others have free ones."""
    resctrl.need(_ids_belong_to_control_groups(resctrl), "ids that are common to all control groups")
    parent = resctrl.new_control()
    _fill(resctrl, parent)
    inner = next(iter(resctrl.names(parent, "mon_groups")))
    with resting():
        resctrl.remove(f"{parent}/mon_groups/{inner}")
        with refused(ENOSPC):
            resctrl.new_monitor(parent)
    wait_until(lambda: _made(resctrl.path(parent, "mon_groups", inner)), "the id is free again", seconds=PATIENCE_SECONDS)


def _ids_belong_to_control_groups(resctrl: Mounted) -> bool:
    """Arm's MPAM; no file says so."""
    return resctrl.profile == "arm-mpam" or os.uname().machine == "aarch64"


def _fill(resctrl: Mounted, parent: str) -> int:
    """How many monitoring groups it takes."""
    made: list[str] = []
    while (failure := errno_of_making(resctrl, made, parent)) == 0:
        pass
    assert failure == ENOSPC
    return len(made)
