"""Which workers there are and where their processes begin. Plain data, made from the configuration."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.config import GATEWAY_ADDRESS, Config
from workers import registry


class WorkerSet(Struct, frozen=True):
    """`kinds` maps name to kind in the order of their start; they are stopped in the reverse order. `entry` is the
    `module:function` that a new process calls, `preload` what the fork server imports for all of them.
    """

    kinds: Mapping[str, str]
    entry: str = "workers.runtime.worker_main:run_worker"
    preload: Sequence[str] = ("workers.runtime.preload",)


def agent_worker_set(config: Config) -> WorkerSet:
    """The agent's own workers. The writer starts first and so stops last: what the others say at their end is stored."""
    kinds = {"writer": "writer", "control-plane": "control-plane"}
    kinds |= {f"sampler/{each.name}": "sampler" for each in registry.all_samplers() if each.is_wanted(config)}
    if config.of(GATEWAY_ADDRESS):
        kinds["gateway"] = "gateway"
    return WorkerSet(kinds)
