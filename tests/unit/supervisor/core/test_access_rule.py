"""What other users may do on the control socket."""

import pytest

from agent.model.control import OPERATIONS, READ_OPERATIONS
from supervisor.core.access_rule import AccessRules, Peer

OWN, MEMBER, STRANGER, GROUP = 500, 1000, 1001, 700


def allowed(rules: AccessRules, peer: Peer) -> frozenset[str]:
    """The operations that are not refused."""
    return frozenset(each for each in OPERATIONS if rules.refusal(peer, each) is None)


@pytest.mark.parametrize("gid", [None, GROUP])
def test_root_and_the_agents_own_user_may_do_everything(gid: int | None) -> None:
    """With or without a reader group, in it or not."""
    rules = AccessRules(OWN, gid)
    assert (allowed(rules, Peer(0)), allowed(rules, Peer(OWN))) == (OPERATIONS, OPERATIONS)


def test_a_member_of_the_reader_group_may_look_and_change_nothing() -> None:
    """Whether the group is its first one or one of many; the refusal names who may, with the exit code for it."""
    rules = AccessRules(OWN, GROUP)
    assert allowed(rules, Peer(MEMBER, frozenset({MEMBER, GROUP}))) == READ_OPERATIONS
    refusal = rules.refusal(Peer(MEMBER, frozenset({GROUP})), "add-rule")
    assert refusal is not None
    assert (refusal.code, refusal.exit) == ("not_permitted", 77)
    assert refusal.sentence == f"user {MEMBER} may not do add-rule; root and user {OWN} may"


def test_where_there_is_a_reader_group_somebody_else_may_not_even_look() -> None:
    """Although the socket let it in: its mode may have been opened by hand."""
    assert allowed(AccessRules(OWN, GROUP), Peer(STRANGER, frozenset({STRANGER}))) == frozenset()


def test_without_a_reader_group_those_whom_the_socket_lets_in_may_look() -> None:
    """It lets nobody in, unless an administrator has opened it."""
    assert allowed(AccessRules(OWN), Peer(STRANGER)) == READ_OPERATIONS


def test_an_unknown_operation_of_a_reader_is_refused_like_a_change() -> None:
    """What is not in the table of those that only look is none of them."""
    assert AccessRules(OWN, GROUP).refusal(Peer(MEMBER, frozenset({GROUP})), "shutdown") is not None
