"""How often the spool is forced to the disk. PURE."""

from agent.config import SYNC_INTERVAL, Config
from agent.hub_setting import HUB_LISTEN
from agent.model.timebase import MS

# A node passes over its rows once its hub says that they are stored. What a power failure of the hub takes then is lost although
# the node still has it; so a hub promises more than `writer.sync_interval`, at the price of four syncs a second.
HUB_SYNC_INTERVAL_NS = 250 * MS


def sync_interval_ns(config: Config) -> int:
    """The time between two syncs: `writer.sync_interval`, and on a hub at most HUB_SYNC_INTERVAL_NS."""
    interval_ns = config.of(SYNC_INTERVAL)
    return min(interval_ns, HUB_SYNC_INTERVAL_NS) if config.of(HUB_LISTEN) else interval_ns
