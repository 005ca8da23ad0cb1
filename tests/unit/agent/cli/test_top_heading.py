"""The first line of `agentctl top`, now and at a moment of the past."""

from agent.cli.top_heading import HistoryMoment, heading

S = 10**9
# 2024-01-31 03:12:00 UTC.
ASKED = 1_706_670_720 * S


def told(at: int, moment: HistoryMoment) -> str:
    return heading("node-1", at, ASKED + 10**6 * S, "agent not running", moment)


def test_now_has_the_age_of_the_data() -> None:
    """And why it is old, where it is."""
    assert heading("h", 0, 2 * S, "") == "h   00:00:02 UTC   data is 2 s old"
    assert heading("h", 0, 9 * S, "") == "h   00:00:09 UTC   no new samples: data is 9 s old"


def test_a_moment_is_named_with_the_distance_to_it() -> None:
    """The tick that was the newest then; what ails the agent now says nothing of it."""
    near = HistoryMoment(ASKED, is_near=True)
    assert told(ASKED, near) == "node-1   2024-01-31 03:12:00 UTC   as asked"
    assert told(ASKED - 400_000_000, near) == "node-1   2024-01-31 03:11:59 UTC   0.4 s before the moment asked for"


def test_without_data_near_the_nearest_are_named_and_what_is_missing() -> None:
    """The shown tick, the one on the other side, and what table gap says."""
    before, after = ASKED - 7_200 * S, ASKED + 90 * S
    moment = HistoryMoment(ASKED, False, before, after, ("sampler/process suspended",))
    assert told(after, moment) == (
        "node-1   2024-01-31 03:13:30 UTC   1 min 30 s after the moment asked for; "
        "no data at 2024-01-31 03:12:00 UTC (sampler/process suspended); the other nearest 2 h before the moment asked for"
    )
    alone = HistoryMoment(ASKED, False, before, None)
    assert told(before, alone).endswith("   2 h before the moment asked for; no data at 2024-01-31 03:12:00 UTC")
