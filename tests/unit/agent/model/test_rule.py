"""Rules take pods, in order, and are written in one way."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from agent.model.rule import (
    NAME_BYTES_MAX,
    Action,
    Assignment,
    GroupRule,
    Match,
    Monitoring,
    QosClass,
    Unit,
    UnitKind,
    bind,
    canonical,
    decode_assignment,
    decode_rule,
    in_order,
    matches,
    pod_key,
    problem_of_new_rule,
    problem_of_rule,
    rule_key,
)

POD = Unit(
    uid="u-1",
    kind=UnitKind.POD,
    cgroup="/kubepods/u-1",
    namespace="shop",
    name="cart-7f9",
    qos=QosClass.BURSTABLE,
    labels={"app": "cart", "tier": "web"},
)
NAMELESS = Unit(uid="u-2", kind=UnitKind.SERVICE, cgroup="/system.slice/cron.service")

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
names = st.sampled_from(["a", "b", "cart", "ü"])
matches_of = st.builds(
    Match,
    namespace=st.sampled_from(["*", "shop", "sh?p", "kube-*"]),
    pod=st.sampled_from(["*", "cart-*", "x"]),
    labels=st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["cart", "web"]), max_size=2),
    qos=st.none() | st.sampled_from(QosClass),
)
actions = st.sampled_from([Action(), Action("ignore"), Action("shared", "g1"), Action("shared", "g2")])
rules = st.builds(GroupRule, name=names, priority=st.integers(-3, 3), match=matches_of, action=actions)
units = st.builds(
    Unit,
    uid=text,
    kind=st.sampled_from(UnitKind),
    cgroup=text,
    containers=st.integers(0, 9),
    namespace=st.none() | st.just("shop"),
    name=st.none() | st.just("cart-1"),
    qos=st.none() | st.sampled_from(QosClass),
    labels=st.dictionaries(text, text, max_size=3),
)


@pytest.mark.parametrize(
    "match",
    [
        Match(),
        Match(namespace="shop"),
        Match(namespace="sh*", pod="cart-???"),
        Match(labels={"app": "cart"}),
        Match(labels={"app": "cart", "tier": "web"}, qos=QosClass.BURSTABLE),
    ],
)
def test_a_rule_takes_a_pod_for_which_all_of_it_holds(match: Match) -> None:
    """Globs, labels and class together."""
    assert matches(GroupRule("r", match=match), POD)


@pytest.mark.parametrize(
    "match",
    [
        Match(namespace="SHOP"),
        Match(namespace="shop", pod="cart"),
        Match(labels={"app": "cart", "zone": "b"}),
        Match(labels={"app": ""}),
        Match(qos=QosClass.GUARANTEED),
    ],
)
def test_a_rule_leaves_a_pod_for_which_one_part_fails(match: Match) -> None:
    """Case counts, a missing label is not an empty one."""
    assert not matches(GroupRule("r", match=match), POD)


def test_a_pod_without_a_known_name_is_taken_by_the_star_only() -> None:
    """An unknown name is not an empty text: `?*` and an empty glob do not take it."""
    assert matches(GroupRule("r"), NAMELESS)
    assert not any(matches(GroupRule("r", match=Match(pod=glob)), NAMELESS) for glob in ("", "**", "?*", "cart-*"))


@given(units, st.lists(rules, max_size=6))
def test_the_highest_priority_that_matches_wins_and_among_equals_the_first_name(unit: Unit, some: list[GroupRule]) -> None:
    """The answer is that of the definition, spelled out, whatever the order in which rules were added."""
    taking = [rule for rule in some if matches(rule, unit)]
    winner = min(taking, key=lambda rule: (-rule.priority, rule.name), default=None)
    group, name = bind(unit, in_order(some))
    assert name == (None if winner is None else winner.name)
    if winner is None or winner.action.kind == "own":
        assert group == unit.uid
    else:
        assert group == (None if winner.action.kind == "ignore" else winner.action.group)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (GroupRule(""), "a rule's name has 1 to 63"),
        (GroupRule("é" * 32), "a rule's name has 1 to 63"),
        (GroupRule("a\nb"), "a rule's name has 1 to 63"),
        (GroupRule("a/b"), "a rule's name holds no slash"),
        (GroupRule("a", priority=1_000_001), "a priority lies between"),
        (GroupRule("a", action=Action("shared")), "a shared group needs a name"),
        (GroupRule("a", action=Action("own", "g")), "a shared group needs a name"),
        (GroupRule("a", action=Action("shared", "../g")), "a shared group's name holds no slash"),
        (GroupRule("a", action=Action("shared", "g" * 64)), "a shared group's name has 1 to 63"),
        (GroupRule("a", match=Match(pod="é" * 127)), "a pattern has at most 253 bytes"),
        (GroupRule("a", match=Match(namespace="x" * 254)), "a pattern has at most 253 bytes"),
        (GroupRule("a", match=Match(labels={str(number): "" for number in range(33)})), "a rule names at most 32 labels"),
        (GroupRule("a", match=Match(labels={"app": "x", "k" * 318: ""})), "a label's key has at most 317 bytes, its value 63"),
        (GroupRule("a", match=Match(labels={"app": "x" * 64})), "a label's key has at most 317 bytes, its value 63"),
    ],
)
def test_a_rule_that_cannot_be_kept_says_why(rule: GroupRule, problem: str) -> None:
    """Names become keys and groups."""
    assert (problem_of_rule(rule) or "").startswith(problem)


def test_a_sound_rule_has_no_problem() -> None:
    """At the limits too."""
    assert problem_of_rule(GroupRule("x" * NAME_BYTES_MAX, priority=-1_000_000, action=Action("shared", "gold"))) is None
    labels = {f"{number}".rjust(317, "k"): "v" * 63 for number in range(32)}
    assert problem_of_rule(GroupRule("x", match=Match(namespace="n" * 253, pod="p" * 253, labels=labels))) is None


@given(rules)
def test_a_rule_is_read_as_it_was_written(rule: GroupRule) -> None:
    """And written again as it was read: equal contents have equal bytes."""
    content = canonical(rule)
    assert decode_rule(content) == rule
    assert canonical(decode_rule(content)) == content


@given(units, st.none() | text, st.none() | text, st.integers(0, 2**62))
def test_an_assignment_is_read_as_it_was_written(unit: Unit, group: str | None, rule: str | None, valid_from_wall_ns: int) -> None:
    """And written again as it was read."""
    assignment = Assignment(unit, group, rule, valid_from_wall_ns)
    assert decode_assignment(canonical(assignment)) == assignment
    assert canonical(decode_assignment(canonical(assignment))) == canonical(assignment)


@pytest.mark.parametrize(
    "spelling",
    [
        b'{"name":"a"}',
        b'{"name":"a","match":{}}',
        b'{"match":{"pod":"*","namespace":"*","qos":null},"name":"a"}',
        b'{"name":"a","priority":0,"action":{"kind":"own","group":""},"match":{"labels":{}}}',
    ],
)
def test_a_rule_has_one_writing_however_it_was_spelled(spelling: bytes) -> None:
    """Adding the same rule twice changes nothing, also when a default is spelled out."""
    assert canonical(decode_rule(spelling)) == canonical(GroupRule("a"))


def test_the_order_of_labels_does_not_count() -> None:
    """A dictionary has no order here."""
    one = GroupRule("a", match=Match(labels={"x": "1", "y": "2"}))
    other = GroupRule("a", match=Match(labels={"y": "2", "x": "1"}))
    assert canonical(one) == canonical(other)


@given(rules, st.data())
def test_a_damaged_rule_is_a_rule_or_refused(rule: GroupRule, data: st.DataObject) -> None:
    """One byte altered, or the end cut off."""
    content = bytearray(canonical(rule))
    place = data.draw(st.integers(0, len(content) - 1))
    cut = bytes(content[:place])
    content[place] = data.draw(st.integers(0, 255))
    with pytest.raises(FormatError):
        decode_rule(cut)
    with suppress(FormatError):
        assert isinstance(decode_rule(bytes(content)), GroupRule)


@pytest.mark.parametrize(
    "document", [{"name": "a", "prio": 1}, {"name": "a", "match": {"node": "x"}}, {"name": "a", "action": {"type": "own"}}]
)
def test_a_word_that_no_rule_has_is_refused(document: dict[str, object]) -> None:
    """A misspelled condition must not turn into a rule that takes everything."""
    with pytest.raises(FormatError, match="unknown field"):
        decode_rule(msgspec.json.encode(document))


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'{"name":1}', b'\xff"', b'{"later":' + b"[" * 100_000])
def test_what_is_no_content_is_refused(content: bytes) -> None:
    """Including a nesting without end."""
    with pytest.raises(FormatError):
        decode_rule(content)
    with pytest.raises(FormatError):
        decode_assignment(content)


def test_rules_and_pods_have_keys_of_their_own() -> None:
    """A pod and a rule of one name do not meet."""
    assert (rule_key("a"), pod_key("a")) == ("rule/a", "pod/a")


def test_a_new_rule_with_too_many_stars_is_refused_and_an_old_one_stays_readable() -> None:
    """Each star costs a walk over every name; a rules document that holds such a rule must still open."""
    least = GroupRule("r", match=Match(pod="*a" * 16, namespace="*"))
    most = GroupRule("r", match=Match(pod="*a" * 17))
    assert problem_of_new_rule(least) is None
    assert problem_of_new_rule(most) == problem_of_new_rule(GroupRule("r", match=Match(namespace="a*" * 17)))
    assert problem_of_new_rule(most) == "a pattern has at most 16 stars"
    assert problem_of_rule(most) is None
    assert problem_of_new_rule(GroupRule("", match=Match(pod="*"))) == problem_of_rule(GroupRule(""))


def test_an_assignment_with_a_name_that_is_no_utf8_has_its_one_encoding() -> None:
    """A detail that names somebody's cgroup is published, and reads back as it was written."""
    held = Assignment(POD, "g", None, 5, monitoring=Monitoring((), "io", "/x\udcff: refused"))
    plain = Assignment(POD, "g", None, 5, monitoring=Monitoring((), "io", r"/x\xff: refused"))
    assert canonical(held) == canonical(plain)
    assert decode_assignment(canonical(held)) == plain


@pytest.mark.parametrize("match", [Match(namespace=""), Match(pod=""), Match(namespace="", pod="*")])
def test_a_new_rule_with_an_empty_pattern_is_refused_and_an_old_one_stays_readable(match: Match) -> None:
    """It matches nothing, which nobody means: a variable of a shell was not set."""
    rule = GroupRule("r", match=match)
    assert problem_of_new_rule(rule) == "an empty pattern matches no pod, `*` matches every one"
    assert problem_of_rule(rule) is None
