"""The last hour of each node: one byte for each ten seconds, which is a level or the reason for none."""

import tracemalloc
from collections.abc import Iterable

import pytest
from fakes.hub_story import install_id
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.live import NodeLabel, NodeUse
from agent.fleet.update import LiveState
from agent.model.timebase import S
from workers.hub.fleet_node import FleetNode, NodePhase
from workers.hub.history import (
    GONE,
    HUNDRED_PERCENT,
    LATE,
    METRICS,
    STALE,
    STEP_NS,
    STEPS,
    UNKNOWN,
    UNSEEN,
    FleetHistory,
    levels,
)

BEGUN_NS = 1000 * S
# Of ten CPUs and 1000 KiB: each CPU in use is 10 %, as each 100 KiB are.
LABEL = NodeLabel("node", "1.0", 10, 1000, 0)


def node(number: int, cpus: int | None = None, *, phase: NodePhase = NodePhase.FRESH) -> FleetNode:
    """A node of ten CPUs, so many of which are in use."""
    made = FleetNode(install_id(number), f"node-{number}", phase, 0)
    made.state = LiveState(node_label=LABEL, node_use=NodeUse(cpu=None if cpus is None else 1000 * cpus))
    return made


class Looked:
    """A history, the nodes that there are, and the time."""

    def __init__(self, *nodes: FleetNode) -> None:
        self.now_ns = BEGUN_NS
        self.history = FleetHistory(self.now_ns)
        self.nodes = {each.install: each for each in nodes}

    def step(self, count: int = 1) -> None:
        """So many steps go by, and it looks once in each."""
        for _ in range(count):
            self.now_ns += STEP_NS
            self.history.take(self.nodes, self.now_ns)

    def newest(self, number: int, count: int, metric: str = "cpu") -> list[int]:
        """The newest values of a node, the newest last."""
        values = self.history.of(install_id(number), metric)
        assert len(values) == 360
        return list(values[-count:])


def said(**values: int | None) -> FleetNode:
    """A node of ten CPUs and 1000 KiB that said this."""
    made = node(1)
    made.state.node_use = NodeUse(**values)  # type: ignore[arg-type]  # numbers alone
    return made


# ---- one moment ----


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ({"cpu": 0}, (0, UNKNOWN, UNKNOWN)),
        ({"cpu": 5000}, (100, UNKNOWN, UNKNOWN)),
        ({"cpu": 10_000}, (200, UNKNOWN, UNKNOWN)),
        # More than all: a clock that jumps makes it so.
        ({"cpu": 99_000}, (200, UNKNOWN, UNKNOWN)),
        ({"cpu": 74}, (1, UNKNOWN, UNKNOWN)),
        ({"memory_available_kib": 1000}, (UNKNOWN, 0, UNKNOWN)),
        ({"memory_available_kib": 250}, (UNKNOWN, 150, UNKNOWN)),
        ({"memory_available_kib": 0}, (UNKNOWN, 200, UNKNOWN)),
        # More than there is: memory was added since it was told.
        ({"memory_available_kib": 2000}, (UNKNOWN, 0, UNKNOWN)),
        ({"pressure_cpu": 0}, (UNKNOWN, UNKNOWN, 0)),
        ({"pressure_memory": 500}, (UNKNOWN, UNKNOWN, 100)),
        ({"pressure_io": 5000}, (UNKNOWN, UNKNOWN, 200)),
        ({"pressure_cpu": 10, "pressure_memory": None, "pressure_io": 30}, (UNKNOWN, UNKNOWN, 6)),
        ({"pressure_cpu": 40, "pressure_memory": 20, "pressure_io": 30}, (UNKNOWN, UNKNOWN, 8)),
        ({}, (UNKNOWN, UNKNOWN, UNKNOWN)),
    ],
)
def test_a_level_is_in_half_percents(use: dict[str, int | None], expected: tuple[int, int, int]) -> None:
    """Of all CPUs, of all memory, and the worst pressure that is known; what is not known is no zero."""
    assert levels(said(**use)) == expected


@pytest.mark.parametrize("label", [None, NodeLabel("n", "1", None, None, 0), NodeLabel("n", "1", 0, 0, 0)])
def test_a_share_of_an_unknown_whole_is_unknown(label: NodeLabel | None) -> None:
    """Nobody divides by what is not there; pressures need no whole, but who the node is."""
    made = said(cpu=5000, memory_available_kib=250, pressure_cpu=100)
    made.state.node_label = label
    assert levels(made) == (UNKNOWN, UNKNOWN, UNKNOWN if label is None else 20)


def test_a_node_that_has_said_nothing_yet_is_unknown() -> None:
    """It beats, and its live state has not come."""
    made = node(1)
    made.state.node_use = None
    assert levels(made) == (UNKNOWN,) * 3


@pytest.mark.parametrize(
    ("phase", "reason"),
    [(NodePhase.LATE, 254), (NodePhase.STALE, 253), (NodePhase.GONE, 252), (NodePhase.NEVER_SEEN, 251)],
)
def test_a_node_that_is_not_heard_has_a_reason_for_no_value(phase: NodePhase, reason: int) -> None:
    """Its last numbers are held and old; they are not shown as those of now."""
    made = node(1, 5, phase=phase)
    assert levels(made) == (reason,) * 3
    assert {LATE, STALE, GONE, UNSEEN, UNKNOWN} == {251, 252, 253, 254, 255}


@given(
    cpu=st.none() | st.integers(0, 1 << 62),
    free=st.none() | st.integers(0, 1 << 62),
    pressures=st.tuples(*(st.none() | st.integers(0, 10**9),) * 3),
)
def test_every_level_is_a_level_or_unknown(cpu: int | None, free: int | None, pressures: Iterable[int | None]) -> None:
    """Whatever a node says, it is never shown as silent; and known is what was said."""
    names = ("pressure_cpu", "pressure_memory", "pressure_io")
    found = levels(said(cpu=cpu, memory_available_kib=free, **dict(zip(names, pressures, strict=True))))
    for value, is_known in zip(
        found, (cpu is not None, free is not None, any(each is not None for each in pressures)), strict=True
    ):
        assert 0 <= value <= HUNDRED_PERCENT if is_known else value == UNKNOWN


# ---- an hour ----


def test_a_new_history_knows_nothing_of_anybody() -> None:
    """Its next step is ten seconds away, and a node that was never looked at is unknown for a whole hour."""
    history = FleetHistory(BEGUN_NS)
    assert (history.step, history.next_at_ns - BEGUN_NS) == (0, 10 * S)
    for metric in ("cpu", "memory", "pressure"):
        assert history.of(install_id(1), metric) == b"\xff" * 360


def test_values_stand_in_the_order_of_time() -> None:
    """The newest last, each metric in a ring of its own."""
    looked = Looked(node(1, 0))
    for cpus in (1, 2, 3):
        looked.nodes[install_id(1)].state.node_use = NodeUse(1000 * cpus, 1000 - 10 * cpus, 5 * cpus)
        looked.step()
    assert looked.newest(1, 4) == [UNKNOWN, 20, 40, 60]
    assert looked.newest(1, 4, "memory") == [UNKNOWN, 2, 4, 6]
    assert looked.newest(1, 4, "pressure") == [UNKNOWN, 1, 2, 3]


def test_a_full_hour_is_kept_and_what_is_older_is_not() -> None:
    """After an hour and two steps the two oldest values are gone, wherever the ring begins."""
    looked = Looked(node(1, 0))
    for step in range(STEPS + 2):
        looked.nodes[install_id(1)].state.node_use = NodeUse(cpu=50 * (step % 200))
        looked.step()
        expected = [UNKNOWN] * STEPS + [each % 200 for each in range(step + 1)]
        if step in (0, 1, 358, 359, 360, 361):
            assert looked.newest(1, STEPS) == expected[-STEPS:]
    assert (STEPS, looked.history.step) == (360, 362)


def test_a_node_that_comes_late_was_unknown_before() -> None:
    """It has no values of steps in which it was not there, and none of the node that was."""
    looked = Looked(node(1, 1))
    looked.step(3)
    looked.nodes[install_id(2)] = node(2, 5)
    looked.step(2)
    assert looked.newest(1, 6) == [UNKNOWN, 20, 20, 20, 20, 20]
    assert looked.newest(2, 6) == [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 100, 100]


def test_the_hour_of_a_node_that_falls_silent_and_comes_back() -> None:
    """One story: it joined, beat, was late, stale, back, and left on purpose."""
    looked = Looked(node(1, 5, phase=NodePhase.NEVER_SEEN))
    story = (NodePhase.NEVER_SEEN, NodePhase.FRESH, NodePhase.LATE, NodePhase.STALE, NodePhase.FRESH, NodePhase.GONE)
    for phase in story:
        looked.nodes[install_id(1)].phase = phase
        looked.step()
    for metric, level in (("cpu", 100), ("memory", UNKNOWN)):
        assert looked.newest(1, 6, metric) == [251, level, 254, 253, level, 252]


def test_steps_in_which_nobody_looked_stay_unknown() -> None:
    """The hub was stopped for four steps and a half: the last of them is seen, and the rhythm stays."""
    looked = Looked(node(1, 5))
    looked.step(2)
    looked.now_ns += 4 * STEP_NS + STEP_NS // 2
    looked.history.take(looked.nodes, looked.now_ns)
    assert looked.newest(1, 7) == [UNKNOWN, 100, 100, UNKNOWN, UNKNOWN, UNKNOWN, 100]
    assert (looked.history.next_at_ns - BEGUN_NS) // S == 70


def test_a_look_a_moment_late_misses_no_step() -> None:
    """Timers are never early and always a little late."""
    looked = Looked(node(1, 5))
    for _ in range(5):
        looked.now_ns = looked.history.next_at_ns + STEP_NS - 1
        looked.history.take(looked.nodes, looked.now_ns)
    assert looked.newest(1, 6) == [UNKNOWN, 100, 100, 100, 100, 100]
    assert looked.history.next_at_ns == BEGUN_NS + 6 * STEP_NS


@pytest.mark.parametrize("hours", [1, 2, 24 * 365])
def test_after_a_sleep_of_hours_only_this_moment_is_known(hours: int) -> None:
    """However long: no old value is taken for one of the last hour, and it costs an hour's steps at most."""
    looked = Looked(node(1, 5))
    looked.step(STEPS)
    looked.now_ns += hours * 3600 * S
    looked.history.take(looked.nodes, looked.now_ns)
    assert looked.newest(1, STEPS) == [UNKNOWN] * (STEPS - 1) + [100]
    assert looked.history.step <= 2 * STEPS + 1
    assert looked.now_ns < looked.history.next_at_ns <= looked.now_ns + STEP_NS


def test_a_node_that_was_taken_out_has_no_hour() -> None:
    """Also where it joins again later; the others keep theirs."""
    looked = Looked(node(1, 5), node(2, 3))
    looked.step(3)
    removed = looked.nodes.pop(install_id(1))
    looked.step()
    assert looked.newest(1, STEPS) == [UNKNOWN] * STEPS
    looked.nodes[removed.install] = removed
    looked.step()
    assert looked.newest(1, 3) == [UNKNOWN, UNKNOWN, 100]
    assert looked.newest(2, 6) == [UNKNOWN, 60, 60, 60, 60, 60]


def test_the_memory_of_nodes_that_were_taken_out_is_given_back() -> None:
    """Nodes come and go for days; the hub holds the hours of those that are there."""
    looked = Looked()
    tracemalloc.start()
    try:
        for number in range(500):
            looked.nodes[install_id(number)] = node(number)
        looked.step()
        held = tracemalloc.get_traced_memory()[0]
        looked.nodes.clear()
        looked.step()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # Three rings of 360 bytes for each.
    assert held > 500 * 3 * STEPS
    assert held - left > 500 * 3 * STEPS
    assert left < held // 10


def test_a_metric_that_is_none_is_no_hour_of_unknowns() -> None:
    """Whether the node is known or not."""
    looked = Looked(node(1, 5))
    looked.step()
    for number in (1, 2):
        with pytest.raises(KeyError, match="speed"):
            looked.history.of(install_id(number), "speed")
    assert METRICS == ("cpu", "memory", "pressure")


def test_what_was_handed_out_does_not_change() -> None:
    """An answer is made of it while the next step comes."""
    looked = Looked(node(1, 5))
    looked.step()
    before = looked.history.of(install_id(1), "cpu")
    looked.step(2)
    assert list(before[-2:]) == [UNKNOWN, 100]


class Steps:
    """What each step must show, kept as plain lists: the model of the rings."""

    def __init__(self) -> None:
        self.known: dict[int, list[int]] = {}

    def miss(self) -> None:
        """Nobody looked."""
        for values in self.known.values():
            values.append(UNKNOWN)

    def take(self, values: dict[int, int]) -> None:
        """These nodes are there with these values."""
        self.known = {number: [*self.known.get(number, []), value] for number, value in values.items()}

    def hour(self, number: int) -> list[int]:
        """The last hour."""
        return ([UNKNOWN] * STEPS + self.known.get(number, []))[-STEPS:]


@given(
    looks=st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 2, 5, 359, 360, 361, 800]), st.dictionaries(st.integers(1, 3), st.integers(0, 10))),
        max_size=12,
    )
)
def test_any_hour_is_that_of_plain_lists(looks: list[tuple[int, dict[int, int]]]) -> None:
    """Nodes come, go and come again, with pauses of any length."""
    looked, model = Looked(), Steps()
    for steps, cpus in looks:
        looked.nodes = {install_id(number): node(number, value) for number, value in cpus.items()}
        looked.now_ns += steps * STEP_NS
        looked.history.take(looked.nodes, looked.now_ns)
        for _ in range(steps - 1):
            model.miss()
        model.take({number: 20 * value for number, value in cpus.items()})
        for number in (1, 2, 3):
            assert looked.newest(number, STEPS) == model.hour(number)
