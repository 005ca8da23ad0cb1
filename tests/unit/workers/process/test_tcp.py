"""TCP bytes of processes: who gets which bytes, and what is null with which reason."""

import errno

import pytest
from fakes.tcp_world import MB, TcpWorld

from agent.model.absence import Absence
from agent.side_reader import Unanswered
from workers.process.breaker import FAR_OVER, WAIT_TICKS
from workers.process.socket_owners import LISTINGS_MAX, PERIOD_TICKS, TRIES_MAX
from workers.process.tcp import FAILURE_TICKS, FD_LIMITS, OTHERS_MAX, QUIET_BYTES_PER_SECOND
from workers.process.tracked_process import TrackedProcess

Values = tuple[int | None, int | None, str | None]


def _values(process: TrackedProcess) -> Values:
    return process.tcp_sent, process.tcp_received, process.why_no_tcp


def _busy(world: TcpWorld, *processes: TrackedProcess) -> None:
    """Two ticks with traffic that is nobody's: then the counters of every socket are known."""
    for _ in range(2):
        assert isinstance(world.total, int)
        world.total += MB
        world.tick(processes)


def test_bytes_go_to_the_process_that_holds_the_socket() -> None:
    """Sent and received apart; another process has none, and that is known."""
    world = TcpWorld()
    sender, receiver, other = world.start(1, 11), world.start(2, 12), world.start(3)
    _busy(world, sender, receiver, other)
    world.move(11, 5 * MB)
    world.move(12, 7, 5 * MB)
    world.tick([sender, receiver, other])
    assert [_values(each) for each in (sender, receiver, other)] == [(5 * MB, 0, None), (7, 5 * MB, None), (0, 0, None)]


def test_a_quiet_host_is_not_measured() -> None:
    """Nothing is listed, and nobody's bytes are known; the first busy tick has no difference."""
    world = TcpWorld()
    process = world.start(1, 11)
    world.tick([process])
    assert _values(process) == (None, None, "first_tick")
    world.move(11, QUIET_BYTES_PER_SECOND - 1)
    world.tick([process])
    assert (_values(process), world.listings, world.side.asked) == ((None, None, "quiet_network"), 0, [])
    for expected in ((None, None, "first_tick"), (MB, 0, None)):
        world.move(11, MB)
        world.tick([process])
        assert _values(process) == expected


def test_open_files_that_cost_too_much_are_not_listed_for_a_while() -> None:
    """An unknown process has the reason; what is known already is believed, and the condition says what it cost."""
    world = TcpWorld()
    known, other = world.start(1, 11), world.start(2, 12)
    _busy(world, known)
    world.cpu.step_ns = FD_LIMITS.cost_ns_max * (FAR_OVER + 1)
    third = world.start(3, 13)
    world.move(11, MB)
    world.tick([known, third])
    world.move(11, MB)
    world.move(12, 2 * MB)
    world.tick([known, other])
    assert _values(known)[0] == MB
    assert _values(other) == (None, None, "breaker_open")
    assert [(condition.kind, condition.active) for condition in world.bus.conditions] == [("breaker_open:fd", True)]
    world.cpu.step_ns = 0
    for _ in range(WAIT_TICKS):
        world.move(12, 2 * MB)
        world.tick([known, other])
    assert not world.reader.is_breaker_open
    assert not world.bus.conditions[-1].active


def test_a_first_tick_without_elapsed_time_has_no_difference() -> None:
    """The sampler has just begun."""
    world = TcpWorld()
    process = world.start(1, 11)
    world.tick([process])
    world.move(11, MB)
    assert world.reader.read([process], [], None) == []
    assert _values(process) == (None, None, "first_tick")


def test_a_connection_that_began_since_counts_whole() -> None:
    """Also one whose number was another connection's before: its counters are smaller."""
    world = TcpWorld()
    process = world.start(1, 11)
    _busy(world, process)
    world.move(11, 9 * MB)
    world.tick([process])
    world.counters.clear()
    world.start(1, 11, 12)
    process = world.processes["1"]
    world.move(11, MB)
    world.move(12, MB, 3)
    world.tick([process])
    assert _values(process) == (2 * MB, 3, None)


def test_a_sender_that_is_no_winner_is_named() -> None:
    """Those with the most bytes, at most a few, so that they can have a row."""
    world = TcpWorld()
    winner = world.start(1)
    others = [world.start(pid, pid) for pid in range(10, 20)]
    _busy(world, winner)
    for each in others:
        world.move(each.pid, each.pid * MB)
    named = world.tick([winner], others)
    assert [each.pid for each in named] == [19, 18, 17, 16][:OTHERS_MAX]
    assert _values(named[0]) == (19 * MB, 0, None)
    assert _values(winner) == (0, 0, None)


def test_a_socket_without_an_owner_leaves_the_others_incomplete() -> None:
    """A hidden process, or the kernel itself, moved bytes: a process that was not read now may have moved some of them."""
    world = TcpWorld()
    read_before, thread = world.start(1, 11), world.start(2, is_kernel_thread=True)
    _busy(world, read_before, thread)
    world.move(11, MB)
    world.tick([read_before, thread])
    crowd = [world.start(pid, cpu_ns=99) for pid in range(100, 100 + LISTINGS_MAX)]
    world.start(99, 66)
    del world.holders[99], world.processes["99"]
    world.move(11, MB)
    world.move(66, MB)
    world.tick([read_before, thread], crowd)
    assert _values(read_before) == (MB, 0, "incomplete")
    assert _values(thread) == (None, None, "kernel_thread")


def test_a_winner_that_was_never_read_is_incomplete_while_an_owner_is_sought() -> None:
    """More winners than are read in one tick."""
    world = TcpWorld()
    winners = [world.start(pid) for pid in range(1, LISTINGS_MAX + 10)]
    world.start(999, 66)
    del world.processes["999"]
    _busy(world)
    world.move(66, MB)
    world.tick(winners)
    assert {_values(each) for each in winners[:LISTINGS_MAX]} == {(0, 0, None)}
    assert {_values(each) for each in winners[LISTINGS_MAX:]} == {(None, None, "incomplete")}


def test_an_owner_is_not_sought_for_ever() -> None:
    """Kernel sockets have none. After some ticks only the winners' own turns are left."""
    world = TcpWorld()
    winner = world.start(1)
    world.start(999, 66)
    del world.processes["999"]
    _busy(world, winner)
    asked = []
    for _ in range(TRIES_MAX + 4):
        world.move(66, MB)
        before = len(world.side.asked)
        world.tick([winner])
        asked.append(len(world.side.asked) - before)
    assert asked == [1] * TRIES_MAX + [0] * 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Absence.OTHER_NETWORK_NAMESPACE, "other_network_namespace"),
        (Absence.TOO_MANY, "too_many"),
        (OSError(errno.EIO, "broken"), "unreadable"),
        (Unanswered.STUCK, "not_answered"),
        (Unanswered.NOT_ASKED, "readers_stuck"),
    ],
)
def test_a_process_whose_files_are_not_known_says_why(answer: Absence | OSError | Unanswered, reason: str) -> None:
    """Its bytes are null; those of others are right."""
    world = TcpWorld()
    hidden, plain = world.start(1), world.start(2, 12)
    world.holders[1] = answer
    _busy(world, hidden, plain)
    world.move(12, MB)
    world.tick([hidden, plain])
    assert (_values(hidden), _values(plain)) == ((None, None, reason), (MB, 0, None))


def test_files_that_could_not_be_read_in_this_tick_are_read_later() -> None:
    """The budget of the tick was used up before its turn came."""
    world = TcpWorld()
    process = world.start(1, 11)
    world.holders[1] = Absence.INCOMPLETE
    _busy(world, process)
    world.move(11, MB)
    world.tick([process])
    assert _values(process) == (None, None, "incomplete")
    world.holders[1] = frozenset({11})
    world.move(11, MB)
    world.tick([process])
    assert _values(process) == (MB, 0, None)


def test_too_many_connections_are_not_listed() -> None:
    """Each costs some microseconds."""
    world = TcpWorld(sockets_max=1)
    process = world.start(1, 11, 12)
    _busy(world, process)
    world.move(11, MB)
    world.tick([process])
    assert (_values(process), world.listings) == ((None, None, "too_many"), 0)
    assert world.reader.stats() == {"connections": 2, "listings": 0, "stuck": 0}


@pytest.mark.parametrize("part", ["total", "connection_count"])
def test_without_the_kernels_counts_nothing_is_known(part: str) -> None:
    """A file that cannot be read is a reason, and no zero."""
    world = TcpWorld()
    process = world.start(1, 11)
    _busy(world, process)
    world.move(11, MB)
    setattr(world, part, Absence.NO_PERMISSION)
    world.tick([process])
    assert _values(process) == (None, None, "no_permission")


def test_a_kernel_that_cannot_list_sockets_is_asked_rarely() -> None:
    """Without its module every question fails the same way."""
    world = TcpWorld()
    process = world.start(1, 11)
    world.failure = OSError(errno.ENOENT, "no such module")
    _busy(world, process)
    for _ in range(FAILURE_TICKS + 1):
        world.move(11, MB)
        world.tick([process])
    assert _values(process) == (None, None, "not_in_kernel")
    assert world.listings == 2


def test_a_process_under_the_same_number_inherits_nothing() -> None:
    """What is known belongs to the process, not to its number."""
    world = TcpWorld()
    process = world.start(1, 11)
    _busy(world, process)
    world.move(11, MB)
    world.tick([process])
    again = world.start(1)
    world.move(11, MB)
    world.tick([again])
    assert _values(again) == (0, 0, None)


def test_sockets_that_a_process_gave_away_move_with_the_next_reading() -> None:
    """A server that accepts and forks: the child has the connection from then on."""
    world = TcpWorld()
    parent = world.start(1, 11)
    _busy(world, parent)
    world.move(11, MB)
    world.tick([parent])
    child = world.start(2, 11)
    world.holders[1] = frozenset()
    for _ in range(2 * PERIOD_TICKS + 2):
        world.move(11, MB)
        world.tick([parent, child])
    assert (_values(parent), _values(child)) == ((0, 0, None), (MB, 0, None))


def test_it_gives_back_what_it_holds() -> None:
    """The netlink socket and the kept files."""
    world = TcpWorld()
    world.reader.close()
    assert world.is_closed
