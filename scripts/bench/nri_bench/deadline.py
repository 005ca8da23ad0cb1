"""The reply while the same worker computes for seconds: the most rules and units that there may be."""

import time

from fakes.nri_dialect import Event
from fakes.nri_node import Where
from harness.agent_process import AgentProcess
from harness.waiting import wait_until
from resctrl_bench.figures import Figure, Section

from agent.model.rule import Action, GroupRule, Match
from nri_bench.bench import Bench, World
from nri_bench.inside import reply_figures
from supervisor.core.rulebook import Rulebook, encode_rulebook

ALIVE_MAX = 50
BOUND_SECONDS = 120.0
# The number of a pod that is no other's.
FIRST = 1_000_000


def measure(bench: Bench) -> Section:
    """A rule changes all along, so that everything is bound again and again while containers start."""
    options = bench.options
    with bench.world("d", ids=2_000) as world:
        for number in range(options.deadline_units):
            (world.node.root / f"app-{'x' * 60}-{number:04}.service").mkdir()
        rules = _rules(options.deadline_rules - 1)
        (world.folder / "state").mkdir()
        (world.folder / "state" / "rules.json").write_bytes(encode_rulebook(Rulebook(1, rules)))
        with world.agent() as agent:
            world.runtime.wait_plugin()
            wait_until(
                lambda: len(agent.call("list-pods")["pods"]) >= options.deadline_units, "all are bound", seconds=BOUND_SECONDS
            )
            first = world.node.run_pod(FIRST)
            world.node.start(first)
            # What an earlier agent left is gone, and groups can be made.
            wait_until(world.node.group_of(first).exists, "the first group is made", seconds=BOUND_SECONDS)
            places, changes = _start(bench, world, agent)
            row = agent.workers()["control-plane"]
    replies = world.runtime.replies(Event.START)
    return Section(
        "deadline",
        f"beside {options.deadline_rules:,} rules and {options.deadline_units:,} services; a rule changed {changes} times",
        [
            *reply_figures(replies),
            Figure("container starts", len(replies)),
            Figure("containers with an instruction outside of their group", len(places) - places.count(Where.INSIDE)),
            Figure("operations that failed", len(world.runtime.failed_operations), "", 0),
            Figure("connections that were lost", len(world.runtime.dropped), "", 0),
            Figure("restarts of the control plane", row["restarts"], "", 0),
        ],
        {"reply_ms": replies},
    )


def _rules(count: int) -> tuple[GroupRule, ...]:
    """Rules that are all tried before one gives pods a group; services, which fall to the last one, get none, as ids are few."""
    passed = [GroupRule(f"r{number:04}", 10 + number, Match(pod=f"*x*-?-{number}*")) for number in range(count - 2)]
    pods = GroupRule("pods", 5, Match(namespace="team-*"))
    return (*passed, pods, GroupRule("rest", 0, Match(), Action(kind="ignore")))


def _start(bench: Bench, world: World, agent: AgentProcess) -> tuple[list[Where | None], int]:
    places, changes = list[Where | None](), 0
    end = time.monotonic() + bench.options.deadline_seconds
    change_at = 0.0
    while (now := time.monotonic()) < end:
        if now >= change_at:
            changes += 1
            rule = {"name": "changing", "priority": 10_000 + changes, "match": {"pod": f"never-{changes}"}}
            agent.call("add-rule", rule=rule)
            change_at = now + 1.0
        pod = world.node.run_pod(len(places))
        places.append(world.node.start(pod).where)
        if len(world.node.running) > ALIVE_MAX:
            world.node.remove_pod(world.node.running[0].pod)
    return places, changes
