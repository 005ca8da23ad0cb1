"""Processes that nobody may kill are known by their name."""

import pytest

from agent.model.self_ending import SELF_ENDING, is_self_ending


@pytest.mark.parametrize(("name", "is_left"), [("eg~gpu", True), ("eg~", True), ("eg:gpu", False), ("an eg~", False), ("", False)])
def test_the_sign_stands_at_the_beginning_of_the_name(name: str, is_left: bool) -> None:
    """A worker's own name has another one, and is killed when it hangs."""
    assert is_self_ending(name) is is_left


def test_the_sign_leaves_room_for_a_name() -> None:
    """proc_pid_comm(5): 15 bytes."""
    assert len(SELF_ENDING) < 15
