"""A real agent on a host with as many rules and units as an operator may have: nobody takes its work for a hang."""

from pathlib import Path

import pytest
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.model.rule import GroupRule, Match
from supervisor.core.rulebook import Rulebook, encode_rulebook

RULES, UNITS = 1_000, 4_000
# Long enough that other work on the machine starves nobody, and far shorter than the binding takes.
FLAGS = {"--supervisor-hang-timeout": "1s", "--sampler-process-enabled": "false"}


@pytest.mark.runbook("Unit sampler")
def test_a_binding_that_takes_seconds_is_no_hang(tmp_path: Path) -> None:
    """Every rule is tried for every unit, and the first control plane does it all."""
    cgroups = tmp_path / "cgroup"
    for number in range(UNITS):
        (cgroups / f"app-{'x' * 60}-{number:04}.service").mkdir(parents=True)
    (cgroups / "cgroup.controllers").touch()
    rules = tuple(GroupRule(f"r{number:04}", number, Match(pod=f"*x*-?-{number}*")) for number in range(RULES))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "rules.json").write_bytes(encode_rulebook(Rulebook(1, rules)))

    with AgentProcess(tmp_path, flags=FLAGS | {"--kernel-cgroup-root": str(cgroups)}) as agent:
        wait_until(lambda: len(agent.call("list-pods")["pods"]) == UNITS, "every unit is assigned")
        row = agent.workers()["control-plane"]

    assert (row["restarts"], row["deaths"]) == (0, {})
