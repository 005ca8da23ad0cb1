"""Who may report: invitations, keys, rates, removal."""

import pytest
from fakes.hub_story import install_id
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.invitation import TOKEN_BYTES, to_text
from agent.model.errors import FormatError, MisuseError
from agent.model.timebase import S
from workers.hub.membership import (
    EMPTY,
    INVITATIONS_MAX,
    JOINS_BURST,
    JOINS_PER_SECOND,
    USES_MAX,
    Member,
    Membership,
    NotJoined,
    decode_membership,
    encode_membership,
    key_text,
    new_token,
)

TOKEN, OTHER = b"t" * TOKEN_BYTES, b"o" * TOKEN_BYTES
NOW = 1_700_000_000 * S
N1, N2 = install_id(1), install_id(2)


def invited(uses: int = 1, nodes_max: int = 10) -> Membership:
    """A hub with one open invitation of a minute."""
    made = Membership(EMPTY, nodes_max)
    made.invite(TOKEN, NOW, 60 * S, uses)
    return made


def code_of(outcome: Member | NotJoined) -> str:
    """Why a node was not taken; empty: it was."""
    return outcome.code if isinstance(outcome, NotJoined) else ""


def test_an_invitation_is_used_once() -> None:
    """The member is known by its key; the token is nowhere in what is kept."""
    members = invited()
    assert members.open_invitations(NOW) == 1
    joined = members.join(TOKEN, N1, "node-1", "k1", NOW)
    assert joined == Member(N1, "node-1", "k1", NOW)
    assert (members.by_key("k1"), members.by_key("k2"), N1 in members, members.open_invitations(NOW)) == (joined, None, True, 0)
    assert code_of(members.join(TOKEN, N2, "node-2", "k2", NOW)) == "unknown_token"
    assert to_text(TOKEN).encode() not in encode_membership(members.document())


def test_a_node_whose_answer_was_lost_asks_again() -> None:
    """With the same key; another key is another one."""
    members = invited()
    joined = members.join(TOKEN, N1, "node-1", "k1", NOW)
    assert members.join(TOKEN, N1, "node-1", "k1", NOW + S) == joined
    assert code_of(members.join(TOKEN, N1, "node-1", "k2", NOW)) == "unknown_token"


def test_an_invitation_for_several_nodes_and_one_that_has_expired() -> None:
    """So many, and not later."""
    members = invited(uses=2)
    assert code_of(members.join(TOKEN, N1, "a", "k1", NOW)) == ""
    assert code_of(members.join(TOKEN, N2, "b", "k2", NOW)) == ""
    assert code_of(members.join(TOKEN, install_id(3), "c", "k3", NOW)) == "unknown_token"
    members = invited(uses=2)
    assert (code_of(members.join(TOKEN, N1, "a", "k1", NOW + 60 * S)), members.open_invitations(NOW + 60 * S)) == (
        "expired_token",
        0,
    )
    assert code_of(members.join(OTHER, N1, "a", "k1", NOW)) == "unknown_token"


def test_another_key_of_a_member_replaces_the_one_before() -> None:
    """A key belongs to one node."""
    members = invited(uses=5)
    members.join(TOKEN, N1, "a", "k1", NOW)
    members.join(TOKEN, N1, "a", "k2", NOW)
    found = members.by_key("k2")
    assert (members.by_key("k1"), found is not None and found.install) == (None, N1)
    assert code_of(members.join(TOKEN, N2, "b", "k2", NOW)) == "key_in_use"


def test_a_hub_takes_so_many_nodes() -> None:
    """One that is a member may join again."""
    members = invited(uses=5, nodes_max=1)
    members.join(TOKEN, N1, "a", "k1", NOW)
    assert code_of(members.join(TOKEN, N2, "b", "k2", NOW)) == "full"
    assert code_of(members.join(TOKEN, N1, "a", "k3", NOW)) == ""


def test_requests_to_join_are_looked_at_at_a_bounded_rate() -> None:
    """A burst, then so many a second."""
    members = invited()
    members.may_try(NOW)
    assert sum(members.may_try(NOW) for _ in range(200)) == JOINS_BURST - 1
    assert sum(members.may_try(NOW + S) for _ in range(200)) == JOINS_PER_SECOND
    assert members.joins_refused == 400 - JOINS_BURST + 1 - JOINS_PER_SECOND


def test_invitations_have_bounds() -> None:
    """Uses and number; expired ones make room."""
    members = Membership(EMPTY, 10)
    for uses in (0, USES_MAX + 1):
        with pytest.raises(MisuseError, match="for 1 to"):
            members.invite(TOKEN, NOW, S, uses)
    for number in range(INVITATIONS_MAX):
        members.invite(number.to_bytes(TOKEN_BYTES), NOW, S, 1)
    with pytest.raises(MisuseError, match="are open"):
        members.invite(TOKEN, NOW, S, 1)
    members.invite(TOKEN, NOW + S, S, 1)
    assert members.open_invitations(NOW + S) == 1


def test_a_node_is_removed_by_its_id_or_by_a_name_that_is_only_its_own() -> None:
    """And not kept by another one that calls its host by that id."""
    members = invited(uses=5)
    members.join(TOKEN, N1, "same", "k1", NOW)
    members.join(TOKEN, N2, "same", "k2", NOW)
    members.join(TOKEN, install_id(3), N1, "k3", NOW)
    with pytest.raises(MisuseError, match="2 nodes have this host name"):
        members.remove("same")
    with pytest.raises(MisuseError, match="no node has this id"):
        members.remove("nobody")
    assert members.remove(N1).install == N1
    assert (members.by_key("k1"), N1 in members) == (None, False)
    assert members.remove("same").install == N2
    assert [member.host for member in members.members()] == [N1]


def test_when_a_node_reported_last_is_kept() -> None:
    """With the name that it had then; nobody else is added."""
    members = invited()
    members.join(TOKEN, N1, "node-1", "k1", NOW)
    members.saw(N1, "renamed", NOW + S)
    members.saw(N2, "other", NOW)
    members.saw(N1, "", NOW + 2 * S)
    [member] = members.members()
    assert (member.host, member.seen_wall_ns) == ("renamed", NOW + 2 * S)
    again = Membership(decode_membership(encode_membership(members.document()), "members.json"), 10)
    assert again.members() == members.members()


@given(data=st.binary(max_size=100))
def test_nonsense_is_no_file_of_members(data: bytes) -> None:
    """Every prefix of one, and another format."""
    members = invited()
    whole = encode_membership(members.document()).strip()
    for each in (data, b"[" * 100_000, *(whole[:end] for end in range(len(whole))), whole.replace(b'"format":1', b'"format":9')):
        with pytest.raises(FormatError):
            decode_membership(each, "members.json")


def test_tokens_and_keys_are_text() -> None:
    """Random bytes of their length."""
    assert new_token(lambda size: b"x" * size) == b"x" * TOKEN_BYTES
    assert key_text(b"k" * 32) == to_text(b"k" * 32)
