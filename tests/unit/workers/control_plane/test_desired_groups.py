"""From assignments to groups: who is a member of which, kept from change to change."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.rule import Assignment, Unit, UnitKind
from workers.control_plane.desired_groups import GroupMembers, desired_group, unmeasured_sentence
from workers.control_plane.group_step import DesiredGroup


def _assignment(uid: str, group: str | None, kind: UnitKind = UnitKind.POD, priority: int = 0) -> Assignment:
    return Assignment(Unit(uid, kind, f"/{uid}"), group, None, 1, priority)


def test_a_group_has_the_parts_of_its_members() -> None:
    """Pods come before services of the same priority; a unit whose directories are not known still belongs to its group."""
    members = [_assignment("a", "front"), _assignment("b", "front", UnitKind.SERVICE)]
    assert desired_group("front", members, {"a": {"d": (), "c": ("/a/c",)}}) == DesiredGroup(
        "front", 1, (("a", "c"), ("a", "d"), ("b", ""))
    )


def test_who_goes_without_is_said_by_the_reason() -> None:
    """Nothing is said where everybody is measured."""
    assert unmeasured_sentence([]) == ""
    sentence = unmeasured_sentence([("capacity", "x"), ("io", "it broke"), ("capacity", "x")])
    assert "3 (2 capacity, 1 io)" in sentence
    assert "it broke" in sentence


_GROUPS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", "y", None]), max_size=4)


@given(st.lists(_GROUPS, max_size=6))
def test_members_after_changes_are_those_of_all_assignments(steps: list[dict[str, str | None]]) -> None:
    """And every group that lost or won a member is named."""
    members, held = GroupMembers(), dict[str, Assignment]()
    for step in steps:
        before = {group: dict(inner) for group, inner in members.by_group.items()}
        now = {uid: _assignment(uid, group) for uid, group in step.items()}
        concerned = members.change(held.keys() | now.keys(), now)
        held = now
        whole = GroupMembers()
        whole.replace(held.values())
        assert members.by_group == whole.by_group
        assert {
            group for group in before.keys() | whole.by_group.keys() if before.get(group) != whole.by_group.get(group)
        } <= concerned
