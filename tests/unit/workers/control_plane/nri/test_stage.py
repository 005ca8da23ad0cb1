"""How long each stage of a connection may take."""

from agent.model.timebase import S
from workers.control_plane.nri.stage import LIMITS_NS, Stage


def test_every_stage_but_the_last_good_one_has_a_limit() -> None:
    """A runtime that reports nothing is silent for days; one that is to answer is not."""
    assert set(LIMITS_NS) == set(Stage)
    assert [stage for stage, limit_ns in LIMITS_NS.items() if limit_ns is None] == [Stage.CONNECTED]


def test_a_registration_outlasts_that_of_another_plugin() -> None:
    """Runtimes take one plugin after the other and give each 5 s to register, and 2 s to each of two calls."""
    limit_ns = LIMITS_NS[Stage.REGISTERING]

    assert limit_ns is not None
    assert limit_ns > (5 + 2 + 2) * S
