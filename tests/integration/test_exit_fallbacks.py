"""A source of deaths is taken away for real: the next one is used, it is said everywhere, and the CPU of the dead stays right."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.capability import without_effective
from fakes.http_probe import ask_http
from fakes.taken_away import WITHOUT_CAPABILITY, has_filter, without_netlink
from fakes.watched_host import WatchedHost, fewer
from harness.agent_process import AgentProcess
from harness.waiting import SLOWNESS, wait_until

from agent.capability import NET_ADMIN
from workers.process.exits.watcher import RETRY_NS

ROOT = Path(__file__).parents[2]
EVENTS = "connector" if has_filter() else "cutime"
# A process that lost something watches the host while children of a burner come and go, most of them unseen.
WATCH = """
import json
from fakes.watched_host import WatchedHost, fewer
with WatchedHost() as host:
    host.tick()
    share = host.share_of_burn(fewer(200), rate=200, seconds=0.003)
    host.forget()
    host.end_unseen(20)
    (condition,) = host.bus.conditions
    print(json.dumps({"source": host.watcher.source, "share": share, "unseen": host.unseen,
                      "kind": condition.kind, "detail": condition.detail}))
"""
PID_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.mark.parametrize(
    ("prefix", "source", "remedy"),
    [
        (WITHOUT_CAPABILITY, EVENTS, "CAP_NET_ADMIN"),
        (("unshare", "--net", *WITHOUT_CAPABILITY), "cutime", "CAP_NET_ADMIN" if has_filter() else "namespaces"),
        (PID_NAMESPACE, "cutime", "pid namespaces"),
        (("unshare", "--user", "--map-root-user"), "cutime", "outside of a user namespace"),
        (without_netlink(), "cutime", "AF_NETLINK"),
    ],
    ids=["no-capability", "no-capability-no-network", "pid-namespace", "user-namespace", "no-netlink"],
)
def test_the_next_source_has_all_the_cpu_of_the_dead(prefix: Sequence[str], source: str, remedy: str) -> None:
    """Of children of 3 ms the counters of their parent have it, in steps of 10 ms; a condition has why and what to do."""
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LAB_SLOWNESS": str(SLOWNESS)}
    ended = subprocess.run(
        [*prefix, sys.executable, "-c", WATCH], capture_output=True, text=True, env=environment, timeout=60 * SLOWNESS, check=True
    )
    said: dict[str, Any] = json.loads(ended.stdout)
    assert (said["source"], said["kind"]) == (source, "sampler_fallback:exits")
    assert remedy in said["detail"]
    assert 0.9 <= said["share"] <= 1.1
    # Without events nobody knows how many they were; with them the machine's other processes are among them.
    assert said["unseen"] == 0 if source == "cutime" else said["unseen"] >= 20


@pytest.mark.runbook("Process sampler")
def test_a_capability_that_comes_back_brings_the_records_back() -> None:
    """Within a minute; the condition ends, and nothing that ended meanwhile is missing or counted twice."""
    with without_effective(NET_ADMIN):
        host = WatchedHost()
    with host:
        assert host.watcher.source == EVENTS
        host.tick()
        assert 0.9 <= host.share_of_burn(fewer(200), rate=200, seconds=0.003) <= 1.1
        host.later_ns += RETRY_NS
        host.tick()
        assert host.watcher.source == "taskstats"
        assert [condition.active for condition in host.bus.conditions] == [True, False]
        # A record lacks the way out, up to half a millisecond on a busy machine, and so few children tell little of it.
        assert 0.9 <= host.share_of_burn(fewer(50), rate=30, seconds=0.02) <= 1.1
        host.forget()
        host.end_unseen(20)
        assert host.unseen >= 20


@pytest.mark.parametrize(("prefix", "source"), [(WITHOUT_CAPABILITY, EVENTS), (without_netlink(), "cutime")])
@pytest.mark.runbook("Exit records")
def test_an_agent_says_everywhere_which_source_it_has(prefix: tuple[str, ...], source: str, tmp_path: Path) -> None:
    """Its rows, its status, its metrics, and the doctor with the remedy."""
    program = (*prefix, sys.executable, "-c", "from agent.daemon.main import main; main()")
    with AgentProcess(tmp_path, program=program) as agent:
        held = wait_until(lambda: _condition(agent), "the condition holds")
        assert "AF_NETLINK in RestrictAddressFamilies=" in held["detail"]
        address = agent.stats("gateway")["address"]
        wait_until(lambda: f'exit_source{{source="{source}"' in _ones(address), "metrics name the source")
    (rows,) = json.loads(
        _agentctl(agent, "query", "SELECT count(*) AS n, any_value(exit_source) AS source FROM process_scan", "--json")
    )
    assert rows["source"] == source
    assert rows["n"] > 0
    doctor = " ".join(_agentctl(agent, "doctor", prefix=prefix).split())
    assert "limited exit records" in doctor
    assert "AF_NETLINK in RestrictAddressFamilies=" in doctor


def _condition(agent: AgentProcess) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = [each for each in agent.call("status")["conditions"] if each["kind"] == "sampler_fallback:exits"]
    return found[0] if found else None


def _ones(address: str) -> str:
    """The metrics whose value is one."""
    _code, body = ask_http(address, "/metrics")
    return "\n".join(line for line in body.decode().splitlines() if line.endswith((" 1", " 1.0")))


def _agentctl(agent: AgentProcess, *words: str, prefix: Sequence[str] = ()) -> str:
    code = "from agent.cli.main import main; main()"
    options = ["--state-dir", str(agent.state_dir)]
    command = [*prefix, sys.executable, "-c", code, *words, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS)
    assert done.returncode in (0, 69), done.stderr
    return done.stdout
