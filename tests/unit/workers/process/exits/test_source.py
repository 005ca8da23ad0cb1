"""What brings a source of deaths back, by the reason for which it was refused."""

from errno import EAFNOSUPPORT, EINVAL, EPERM

import pytest
from fakes.capability import without_effective

from agent.capability import NET_ADMIN
from workers.process.exits.source import remedy, why_not


def test_who_has_the_capability_and_is_refused_is_in_a_user_namespace() -> None:
    """Without it that is what lacks."""
    refused = OSError(EPERM, "netlink: Operation not permitted")
    assert why_not(refused) == "Operation not permitted"
    assert "outside of a user namespace" in remedy(refused)
    with without_effective(NET_ADMIN):
        assert remedy(refused).startswith("give the agent CAP_NET_ADMIN")


@pytest.mark.parametrize(
    ("number", "words"), [(EAFNOSUPPORT, "RestrictAddressFamilies="), (EINVAL, "pid namespaces"), (999, "CAP_NET_ADMIN")]
)
def test_other_reasons_have_their_remedy(number: int, words: str) -> None:
    """An unknown one has the most likely."""
    assert words in remedy(OSError(number, "netlink: no"))
