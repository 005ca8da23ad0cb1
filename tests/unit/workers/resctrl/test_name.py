"""Names of groups: readable where they can be, and never the same for two uids."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.resctrl.name import KERNEL_NAMES, NAME_CHARACTERS_MAX, checked_prefix, group_name, is_unmistakable

KUBERNETES_UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
STATIC_POD_UID = "6f1d7f8c3b0a4e55a1b2c3d4e5f60718"
DIGESTED = re.compile(r"-[0-9a-f]{16}\Z")
# Text of every kind, and texts near each other after cleaning: the pairs that could meet.
UIDS = st.one_of(
    st.text(max_size=90), st.text("ab.-_é/ \n", max_size=12), st.text("ab", min_size=55, max_size=70), st.just("unknown")
)


@pytest.mark.parametrize("uid", [KUBERNETES_UID, STATIC_POD_UID, "a", "A_b-9", "x" * 59])
def test_a_clean_short_uid_stays_as_it_is(uid: str) -> None:
    """Anyone who lists the groups finds his pods by their uids."""
    assert group_name(uid) == f"pod_{uid}"


def test_the_empty_uid_is_unknown_and_the_uid_unknown_is_another() -> None:
    """A pod without a uid has a name of its own, which no uid can take."""
    assert group_name("") == "pod_unknown"
    assert re.fullmatch(r"pod_unknown-[0-9a-f]{16}", group_name("unknown"))


def test_a_uid_of_forbidden_characters_alone_is_unknown_with_a_digest() -> None:
    """Nothing is left of it to read, and still it is not the pod without a uid."""
    assert re.fullmatch(r"pod_unknown-[0-9a-f]{16}", group_name("…/…"))


def test_uids_that_differ_only_in_forbidden_characters_have_different_groups() -> None:
    """What is taken out of a name still counts."""
    names = {group_name(uid) for uid in ("ab", "a.b", "a/b", "a b", "a\nb", "äb")}

    assert len(names) == 6
    assert {name.split("-")[0] for name in names} == {"pod_ab", "pod_b"}


def test_uids_that_differ_only_behind_the_cut_have_different_groups() -> None:
    """What is cut off a name still counts."""
    assert group_name("x" * 80 + "1") != group_name("x" * 80 + "2")
    assert len(group_name("x" * 81)) == NAME_CHARACTERS_MAX


def test_a_clean_uid_cannot_take_the_digested_name_of_another() -> None:
    """Who knows the digest of a pod's uid and calls his own pod so does not get its group."""
    victim = group_name("a.b")

    assert group_name(victim.removeprefix("pod_")) != victim


def test_lone_surrogates_are_characters_too() -> None:
    """A uid that is no valid text has a group, and not the one of a similar uid."""
    assert group_name("a\udc80") != group_name("a\udc81")


@given(UIDS, UIDS, st.sampled_from(["pod_", "p", "another-tool_of-32-characters_xx"]))
@example("ab", "a.b", "pod_")
@example("", "unknown", "pod_")
def test_no_two_uids_share_a_name(one: str, other: str, prefix: str) -> None:
    """Different uids have different names, under every prefix; the same uid always has the same."""
    assert (group_name(one, prefix) == group_name(other, prefix)) == (one == other)


@given(UIDS)
def test_no_digested_name_can_be_asked_for_by_its_own_text(uid: str) -> None:
    """Used as a uid, a name leads to another name: nobody can steer into a given group."""
    name = group_name(uid).removeprefix("pod_")
    if DIGESTED.search(name):
        assert group_name(name) != group_name(uid)


@given(UIDS, st.sampled_from(["pod_", "p", "another-tool_of-32-characters_xx"]))
def test_every_name_is_allowed(uid: str, prefix: str) -> None:
    """A name has allowed characters only, is not too long, has the prefix, and is none of the kernel's."""
    name = group_name(uid, prefix)

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,63}", name)
    assert name.startswith(prefix)
    assert len(name) > len(prefix)
    assert name not in KERNEL_NAMES


@pytest.mark.parametrize("prefix", ["", "pod/", "pöd_", "x" * 33, "mon", "mon_groups", "info", "i", "a\n"])
def test_a_prefix_that_cannot_be_is_refused(prefix: str) -> None:
    """Without a prefix everything would be ours, and with the kernel's own words its directories would be."""
    with pytest.raises(ValueError, match="no prefix of group names"):
        checked_prefix(prefix)


@pytest.mark.parametrize("uid", [KUBERNETES_UID, STATIC_POD_UID, "/system.slice/nginx.service", "x" * 80, "unknown", "ä"])
def test_names_of_pods_and_names_with_a_digest_are_unmistakable(uid: str) -> None:
    """Where others make groups too, such a one is ours."""
    assert is_unmistakable(group_name(uid))
    assert is_unmistakable(group_name(uid, "mine-"), "mine-")
    assert not is_unmistakable(group_name(uid, "mine-"))


@pytest.mark.parametrize("name", ["pod_kept", "pod_front", "pod_", "theirs", KUBERNETES_UID, f"pod_{KUBERNETES_UID}x", "pod_-0123"])
def test_other_names_may_be_anybodys(name: str) -> None:
    """A prefix alone proves nothing inside control groups of others."""
    assert not is_unmistakable(name)
