"""The quick way of binding gives what the plain one gives."""

import string

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.rule import Action, GroupRule, Match, QosClass, Unit, UnitKind, bind, in_order
from workers.control_plane.binding import ANSWERS_MAX, Binder

_WORD = st.text("ab-[]*?!.\n", max_size=4)
_LABELS = st.dictionaries(st.sampled_from(string.ascii_lowercase[:3]), st.sampled_from("xy"), max_size=2)
_QOS = st.none() | st.sampled_from(QosClass)
_ACTION = st.sampled_from([Action(), Action("shared", "front"), Action("ignore")])
_GLOB = st.just("*") | _WORD
_RULE = st.builds(
    GroupRule,
    name=st.text("rs", min_size=1, max_size=3),
    priority=st.integers(0, 2),
    match=st.builds(Match, namespace=_GLOB, pod=_GLOB, labels=_LABELS, qos=_QOS),
    action=_ACTION,
)
_UNIT = st.builds(
    Unit,
    uid=st.sampled_from(["u1", "u2"]),
    kind=st.just(UnitKind.POD),
    cgroup=st.just("/c"),
    namespace=st.none() | _WORD,
    name=st.none() | _WORD,
    qos=_QOS,
    labels=_LABELS,
)


@given(st.lists(_RULE, max_size=6), st.lists(_UNIT, max_size=6))
def test_prepared_rules_bind_like_plain_ones(rules: list[GroupRule], units: list[Unit]) -> None:
    """For every unit, asked in any order and more than once, the same group and the same rule."""
    ordered = in_order(rules)
    binder = Binder(ordered)

    assert [bind(unit, ordered) for unit in units + units] == [binder.bind(unit) for unit in units + units]


def test_units_that_ask_alike_keep_their_own_groups() -> None:
    """An answer remembered from one pod never gives another pod the first one's group."""
    binder = Binder([])
    assert binder.bind(Unit("u1", UnitKind.POD, "/1")) == ("u1", None)
    assert binder.bind(Unit("u2", UnitKind.POD, "/2")) == ("u2", None)


def test_another_thread_gets_the_same_answer_and_gives_no_heartbeat() -> None:
    """What places a starting container would wait for itself there, and hide that the loop hangs."""
    beats: list[None] = []
    binder = Binder(
        [GroupRule(f"r{number:03}", number, Match(pod=f"x{number}")) for number in range(200)], lambda: beats.append(None)
    )
    unit = Unit("u1", UnitKind.POD, "/1", namespace="n", name="x7")
    prepared = len(beats)

    assert binder.bind_quietly(unit) == ("u1", "r007")
    assert len(beats) == prepared
    assert binder.bind(replace(unit, name="x8")) == ("u1", "r008")
    assert len(beats) > prepared


def test_answers_are_kept_up_to_a_maximum() -> None:
    """More pods than that ask with other labels each; all are still bound right."""
    binder = Binder([GroupRule("front", 0, Match(namespace="shop"), Action("shared", "front"))])
    unit = Unit("u1", UnitKind.POD, "/c", namespace="shop")
    for number in range(ANSWERS_MAX + 1):
        assert binder.bind(replace(unit, labels={"number": str(number)})) == ("front", "front")
    assert binder.answers_count == 1


def test_what_a_rule_binds_has_its_priority() -> None:
    """Without a rule, and by one that is gone meanwhile, it is 0."""
    binder = Binder([GroupRule("r", priority=7)])
    assert [binder.priority(name) for name in ("r", "gone", None)] == [7, 0, 0]
