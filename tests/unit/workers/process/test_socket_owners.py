"""Who holds which socket, and whose open files are read next."""

from fakes.tcp_world import tracked

from agent.model.absence import Absence
from workers.process.socket_owners import GIVEN_UP_TICKS, LISTINGS_MAX, OWNERS_MAX, PERIOD_TICKS, TRIES_MAX, SocketOwners
from workers.process.tracked_process import TrackedProcess


def _owners(*processes: TrackedProcess) -> SocketOwners:
    owners = SocketOwners({process.name: process for process in processes})
    owners.begin_tick()
    return owners


def test_a_shared_socket_counts_for_the_one_that_ran_most() -> None:
    """The bytes are counted once: the child that sends, and not the parent that waits. Of two alike it is the older."""
    parent, child, helper = tracked(1, cpu_ns=1), tracked(2, cpu_ns=9), tracked(3, cpu_ns=1)
    owners = _owners(parent, child, helper)
    for process, inodes in ((parent, {7, 8}), (child, {7}), (helper, {8})):
        owners.take(process, frozenset(inodes))
    assert owners.bytes_by_process({7: (5, 1), 8: (2, 0), 9: (4, 4)}) == {child: (5, 1), parent: (2, 0)}


def test_small_connections_are_not_sought() -> None:
    """Only those with a part of the bytes that is worth a search."""
    owners = _owners()
    assert owners.unresolved({1: (4000, 95), 2: (4000, 96), 3: (50_000, 0)}) == [2, 3]
    assert owners.unresolved({2: (4000, 96), 3: (5_000_000, 0)}) == [3]


def test_winners_are_read_in_turn_and_idle_ones_not_at_all() -> None:
    """What did not run has sent nothing."""
    busy, idle, thread = tracked(1), tracked(2, cpu_ns=0), tracked(3, is_kernel_thread=True)
    owners = _owners(busy, idle, thread)
    assert owners.candidates([busy, idle, thread], [], []) == [busy]
    owners.take(busy, frozenset())
    asked = []
    for _ in range(2 * PERIOD_TICKS):
        owners.begin_tick()
        asked.append(owners.candidates([busy, idle], [], []))
    assert asked.index([busy]) == PERIOD_TICKS


def test_while_a_socket_is_sought_all_that_ran_are_read_in_rotation() -> None:
    """Those read longest ago first, then those that used the most CPU; at most so many in one tick."""
    ran = [tracked(pid, cpu_ns=pid) for pid in range(1, 3 * LISTINGS_MAX)]
    owners = _owners(*ran)
    seen: list[int] = []
    for _ in range(3):
        chosen = owners.candidates([], ran, [77])
        assert len(chosen) == LISTINGS_MAX
        for process in chosen:
            owners.take(process, frozenset())
        seen += [process.pid for process in chosen]
        owners.begin_tick()
    assert seen[:2] == [3 * LISTINGS_MAX - 1, 3 * LISTINGS_MAX - 2]
    assert len(set(seen)) == len(ran)


def test_a_search_is_given_up_and_begun_again_much_later() -> None:
    """A socket of the kernel costs nothing for most of the time."""
    ran = [tracked(1)]
    owners = _owners(*ran)
    searched = []
    for tick in range(TRIES_MAX + GIVEN_UP_TICKS + 2):
        searched += [tick] * bool(owners.candidates([], ran, [77]))
        owners.begin_tick()
    assert searched == [*range(TRIES_MAX), TRIES_MAX + GIVEN_UP_TICKS, TRIES_MAX + GIVEN_UP_TICKS + 1]


def test_what_is_gone_is_forgotten() -> None:
    """Its sockets have no owner any more."""
    process = tracked(1)
    living = {"1": process}
    owners = SocketOwners(living)
    owners.take(process, frozenset({7}))
    assert owners.unresolved({7: (5000, 0)}) == []
    living.clear()
    owners.begin_tick()
    assert owners.holding(process) is None
    assert owners.unresolved({7: (5000, 0)}) == [7]


def test_a_reading_replaces_the_one_before() -> None:
    """And a reason takes its place."""
    process = tracked(1)
    owners = _owners(process)
    owners.take(process, frozenset({7, 8}))
    owners.take(process, frozenset({8}), Absence.TOO_MANY)
    holding = owners.holding(process)
    assert holding is not None
    assert (holding.inodes, holding.reason, owners.is_read_now(process)) == (frozenset({8}), Absence.TOO_MANY, True)
    assert owners.unresolved({7: (5000, 0), 8: (5000, 0)}) == [7]


def test_no_more_than_a_limit_is_remembered() -> None:
    """Those known longest are forgotten first."""
    crowd = [tracked(pid) for pid in range(1, OWNERS_MAX + 2)]
    owners = _owners(*crowd)
    for process in crowd:
        owners.take(process, frozenset())
    assert owners.holding(crowd[0]) is None
    assert owners.holding(crowd[1]) is not None


def test_a_socket_that_one_of_two_has_closed_belongs_to_the_other() -> None:
    """Its files were read again without it; and when nobody has it, it is nobody's."""
    parent, child = tracked(1, cpu_ns=9), tracked(2, cpu_ns=1)
    owners = _owners(parent, child)
    for process in (parent, child):
        owners.take(process, frozenset({7}))
    owners.take(parent, frozenset())
    assert owners.bytes_by_process({7: (5, 1)}) == {child: (5, 1)}
    owners.take(child, frozenset())
    assert owners.bytes_by_process({7: (5, 1)}) == {}
