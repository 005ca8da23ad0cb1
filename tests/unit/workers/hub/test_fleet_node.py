"""What a hub holds of one node."""

import pytest
from fakes.hub_story import install_id, labelled
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.live import UnitLabel
from agent.model.timebase import MS, S
from workers.hub.fleet_node import PRESENT, FleetNode, NodePhase, shared

NOW_NS = 1000 * S
WORDS = ("kind", "namespace", "model", "served_model", "engine", "model_source")
TEXT = st.text(max_size=8)


def node(number: int = 1) -> FleetNode:
    """One that has joined."""
    return FleetNode(install_id(number), f"node-{number}", NodePhase.NEVER_SEEN, 0)


def test_nothing_is_known_of_the_age_of_what_is_not_held() -> None:
    """It is not zero, which would be new."""
    assert (node().age_ns(NOW_NS), node().as_of_ns) == (None, None)


@pytest.mark.parametrize(("progress_ms", "age_ns"), [(None, 0), (0, 0), (1, 1 * MS), (1500, 1500 * MS)])
def test_what_is_held_is_as_old_as_the_nodes_own_rows(progress_ms: int | None, age_ns: int) -> None:
    """And grows older by the hub's clock until it is confirmed again."""
    made = node()
    made.progress_ms = progress_ms
    made.confirm(NOW_NS)
    assert (made.age_ns(NOW_NS), made.age_ns(NOW_NS + 7 * S)) == (age_ns, age_ns + 7 * S)
    made.confirm(NOW_NS + 9 * S)
    assert made.age_ns(NOW_NS + 9 * S) == age_ns


@pytest.mark.parametrize(
    ("phase", "word", "is_present"),
    [
        (NodePhase.FRESH, "fresh", True),
        (NodePhase.LATE, "late", True),
        (NodePhase.STALE, "stale", False),
        (NodePhase.GONE, "gone", False),
        (NodePhase.NEVER_SEEN, "never_seen", False),
    ],
)
def test_units_of_a_node_that_is_late_can_still_be_scheduled(phase: NodePhase, word: str, is_present: bool) -> None:
    """Those of one that is silent for longer, has left or never reported cannot; rows have the words."""
    assert (str(phase), phase in PRESENT) == (word, is_present)


def test_a_node_holds_nothing_of_another() -> None:
    """Each has counts, units and lives of its own."""
    first, second = node(1), node(2)
    first.counts.received += 1
    first.state.labels[1] = labelled(1)
    first.state.uses.clear()
    assert (second.counts.received, second.state.labels, node(3).state.labels) == (0, {}, {})


@given(
    label=st.builds(
        UnitLabel,
        st.integers(0, 99),
        TEXT,
        TEXT,
        TEXT,
        *(st.none() | TEXT,) * 3,
        st.lists(TEXT, max_size=2).map(tuple),
        *(st.none() | TEXT,) * 2,
        *(st.none() | st.integers(0, 99),) * 2,
    )
)
def test_a_label_whose_words_are_shared_is_the_same_label(label: UnitLabel) -> None:
    """What is absent stays absent, and an empty word empty."""
    assert shared(label) == label


def test_units_that_are_alike_have_one_object_for_each_word() -> None:
    """Words come from the wire as new objects each time; who the unit is, is its own."""
    first, second = (shared(labelled(key, **{name: bytes(f"some {name}", "ascii").decode() for name in WORDS})) for key in (1, 2))
    assert all(getattr(first, name) is getattr(second, name) for name in WORDS)
    assert [getattr(first, name) for name in WORDS] == [f"some {name}" for name in WORDS]
    assert first.unit != second.unit
