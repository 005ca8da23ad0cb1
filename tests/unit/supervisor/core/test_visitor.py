"""What other users may do on the control socket, and how much at once."""

import pytest

from agent.model.control import OPERATIONS, READ_OPERATIONS
from supervisor.core.visitor import CONNECTIONS_MAX, REQUESTS_MAX, REQUESTS_OF_ALL_MAX, House, Peer, Visitors

OWN, MEMBER, STRANGER, GROUP = 500, 1000, 1001, 700


def allowed(house: House, peer: Peer) -> frozenset[str]:
    """The operations that are not refused."""
    return frozenset(each for each in OPERATIONS if house.refusal(peer, each) is None)


@pytest.mark.parametrize("gid", [None, GROUP])
def test_root_and_the_agents_own_user_may_do_everything(gid: int | None) -> None:
    """With or without a reader group, in it or not."""
    house = House(OWN, gid)
    assert (allowed(house, Peer(0)), allowed(house, Peer(OWN))) == (OPERATIONS, OPERATIONS)


def test_a_member_of_the_reader_group_may_look_and_change_nothing() -> None:
    """Whether the group is its first one or one of many; the refusal names who may, with the exit code for it."""
    house = House(OWN, GROUP)
    assert allowed(house, Peer(MEMBER, frozenset({MEMBER, GROUP}))) == READ_OPERATIONS
    refusal = house.refusal(Peer(MEMBER, frozenset({GROUP})), "add-rule")
    assert refusal is not None
    assert (refusal.code, refusal.exit) == ("not_permitted", 77)
    assert refusal.sentence == f"user {MEMBER} may not do add-rule; root and user {OWN} may"


def test_where_there_is_a_reader_group_somebody_else_may_not_even_look() -> None:
    """Although the socket let it in: its mode may have been opened by hand."""
    assert allowed(House(OWN, GROUP), Peer(STRANGER, frozenset({STRANGER}))) == frozenset()


def test_without_a_reader_group_those_whom_the_socket_lets_in_may_look() -> None:
    """It lets nobody in, unless an administrator has opened it."""
    assert allowed(House(OWN), Peer(STRANGER)) == READ_OPERATIONS


def test_an_unknown_operation_of_a_visitor_is_refused_like_a_change() -> None:
    """What is not in the table of those that only look is none of them."""
    assert House(OWN, GROUP).refusal(Peer(MEMBER, frozenset({GROUP})), "shutdown") is not None


def test_a_visitor_has_so_many_connections_and_gets_them_back() -> None:
    """One user's limit is no other user's."""
    visitors = Visitors(2048)
    assert [visitors.come(MEMBER) for _ in range(CONNECTIONS_MAX + 1)] == [True] * CONNECTIONS_MAX + [False]
    assert visitors.come(STRANGER)
    visitors.go(1, MEMBER)
    assert [visitors.come(MEMBER), visitors.come(MEMBER)] == [True, False]


def test_all_visitors_together_leave_a_quarter_of_the_connections() -> None:
    """However many users they are; on a tight limit they may get none."""
    visitors = Visitors(100)
    assert sum(visitors.come(uid) for uid in range(1000, 1200)) == 75
    assert not Visitors(1).come(MEMBER)


def test_requests_of_one_visitor_take_turns_in_the_order_in_which_they_came() -> None:
    """Those beyond the limit wait; each end names the next one, which is counted already."""
    visitors = Visitors(2048)
    assert [visitors.begin(client, MEMBER) for client in range(1, REQUESTS_MAX + 4)] == [True] * REQUESTS_MAX + [False] * 3
    assert not visitors.begin(REQUESTS_MAX + 1, MEMBER), "asking again does not put it there twice"
    assert [visitors.end(MEMBER) for _ in range(3)] == [REQUESTS_MAX + 1, REQUESTS_MAX + 2, REQUESTS_MAX + 3]
    assert [visitors.end(MEMBER) for _ in range(REQUESTS_MAX)] == [None] * REQUESTS_MAX


def test_one_visitor_that_waits_does_not_hold_up_another() -> None:
    """The user whose turn it is comes, though another one has waited longer."""
    visitors = Visitors(2048)
    for client in range(1, REQUESTS_MAX + 2):
        visitors.begin(client, MEMBER)
    assert visitors.begin(100, STRANGER)
    assert visitors.end(STRANGER) is None
    assert visitors.end(MEMBER) == REQUESTS_MAX + 1


def test_all_visitors_together_have_so_many_requests() -> None:
    """Beyond that the next user waits, and comes when any of the others has its answer."""
    visitors = Visitors(2048)
    assert all(visitors.begin(uid, uid) for uid in range(1000, 1000 + REQUESTS_OF_ALL_MAX))
    assert not visitors.begin(1, MEMBER - 1)
    assert visitors.end(1000) == 1


def test_a_connection_that_ends_waits_for_no_turn() -> None:
    """Its place goes to the one behind it."""
    visitors = Visitors(2048)
    visitors.come(MEMBER)
    for client in range(1, REQUESTS_MAX + 3):
        visitors.begin(client, MEMBER)
    visitors.go(REQUESTS_MAX + 1, MEMBER)
    assert visitors.end(MEMBER) == REQUESTS_MAX + 2
