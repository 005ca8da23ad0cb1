"""A hub forces the spool to the disk more often than others."""

from agent.config import SYNC_INTERVAL, Config
from agent.hub_setting import HUB_LISTEN
from agent.model.timebase import MS, S
from workers.writer.durability import HUB_SYNC_INTERVAL_NS, sync_interval_ns


def test_a_hub_syncs_four_times_a_second_or_as_often_as_it_is_told() -> None:
    """An agent that is none does as its setting says."""
    hub = "tcp://0.0.0.0:9465"
    assert sync_interval_ns(Config({})) == SYNC_INTERVAL.default == 5 * S
    assert sync_interval_ns(Config({HUB_LISTEN.key: ""})) == 5 * S
    assert sync_interval_ns(Config({HUB_LISTEN.key: hub})) == HUB_SYNC_INTERVAL_NS
    assert sync_interval_ns(Config({HUB_LISTEN.key: hub, SYNC_INTERVAL.key: 10 * MS})) == 10 * MS
