"""Which workers this agent runs and where their processes begin. Plain data, made from the configuration."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.config import Config
from agent.model.limit import Ladder
from agent.model.worker_kind import WorkerKind
from workers import registry


class WorkerSet(Struct, frozen=True):
    """`kinds` maps name to kind in the order of their start; they are stopped in the reverse order. `entry` is the
    `module:function` that a new process calls, `preload` what the fork server imports for all of them. `members` names the
    samplers that share the process of a worker. `asleep` has those that have nothing to do at the agent's start, with the reason.
    `ladders` says what each can leave out, `cpu_factors` how many times the processor time of its kind it may use by default.
    """

    kinds: Mapping[str, WorkerKind]
    entry: str = "workers.runtime.worker_main:run_worker"
    preload: Sequence[str] = ("workers.runtime.preload",)
    members: Mapping[str, tuple[str, ...]] = {}
    asleep: Mapping[str, str] = {}
    ladders: Mapping[str, Ladder] = {}
    cpu_factors: Mapping[str, int] = {}


def agent_worker_set(config: Config) -> WorkerSet:
    """The agent's own workers that this configuration wants."""
    wanted = [each for each in registry.workers_of(config) if each.is_wanted(config)]
    members = {each.name: tuple(member.name for member in each.wanted_members(config)) for each in wanted if each.members}
    asleep = {each.name: reason for each in wanted if each.kind.is_on_demand and (reason := each.idle_reason(config))}
    ladders = {each.name: each.ladder for each in wanted}
    cpu_factors = {each.name: each.cpu_factor(config) for each in wanted}
    kinds = {each.name: each.kind for each in wanted}
    return WorkerSet(kinds, members=members, asleep=asleep, ladders=ladders, cpu_factors=cpu_factors)
