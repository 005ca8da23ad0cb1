"""How many connections and requests readers may have at once."""

from supervisor.core.client_quota import CONNECTIONS_MAX, REQUESTS_MAX, REQUESTS_OF_ALL_MAX, ClientQuota

MEMBER, STRANGER = 1000, 1001


def test_a_reader_has_so_many_connections_and_gets_them_back() -> None:
    """One user's limit is no other user's."""
    quota = ClientQuota(2048)
    assert [quota.connect(MEMBER) for _ in range(CONNECTIONS_MAX + 1)] == [True] * CONNECTIONS_MAX + [False]
    assert quota.connect(STRANGER)
    quota.disconnect(1, MEMBER)
    assert [quota.connect(MEMBER), quota.connect(MEMBER)] == [True, False]


def test_all_readers_together_leave_a_quarter_of_the_connections() -> None:
    """However many users they are; on a tight limit they may get none."""
    quota = ClientQuota(100)
    assert sum(quota.connect(uid) for uid in range(1000, 1200)) == 75
    assert not ClientQuota(1).connect(MEMBER)


def test_requests_of_one_reader_take_turns_in_the_order_in_which_they_came() -> None:
    """Those beyond the limit wait; each end names the next one, which is counted already."""
    quota = ClientQuota(2048)
    assert [quota.begin_request(client, MEMBER) for client in range(1, REQUESTS_MAX + 4)] == [True] * REQUESTS_MAX + [False] * 3
    assert not quota.begin_request(REQUESTS_MAX + 1, MEMBER), "asking again does not put it there twice"
    assert [quota.end_request(MEMBER) for _ in range(3)] == [REQUESTS_MAX + 1, REQUESTS_MAX + 2, REQUESTS_MAX + 3]
    assert [quota.end_request(MEMBER) for _ in range(REQUESTS_MAX)] == [None] * REQUESTS_MAX


def test_one_reader_that_waits_does_not_hold_up_another() -> None:
    """The user whose turn it is comes, though another one has waited longer."""
    quota = ClientQuota(2048)
    for client in range(1, REQUESTS_MAX + 2):
        quota.begin_request(client, MEMBER)
    assert quota.begin_request(100, STRANGER)
    assert quota.end_request(STRANGER) is None
    assert quota.end_request(MEMBER) == REQUESTS_MAX + 1


def test_all_readers_together_have_so_many_requests() -> None:
    """Beyond that the next user waits, and comes when any of the others has its answer."""
    quota = ClientQuota(2048)
    assert all(quota.begin_request(uid, uid) for uid in range(1000, 1000 + REQUESTS_OF_ALL_MAX))
    assert not quota.begin_request(1, MEMBER - 1)
    assert quota.end_request(1000) == 1


def test_a_connection_that_ends_waits_for_no_turn() -> None:
    """Its place goes to the one behind it."""
    quota = ClientQuota(2048)
    quota.connect(MEMBER)
    for client in range(1, REQUESTS_MAX + 3):
        quota.begin_request(client, MEMBER)
    quota.disconnect(REQUESTS_MAX + 1, MEMBER)
    assert quota.end_request(MEMBER) == REQUESTS_MAX + 2
