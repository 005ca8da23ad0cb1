"""Probes of a real agent with a worker that answers nothing."""

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from fakes.edge import percentile
from fakes.http_probe import HttpProbe, ask_http
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

PROBES = 200
# The benchmark (scripts/bench/readiness) has the promised 5 ms, on a quiet machine. A question to the stopped worker would take
# the supervisor 300 ms.
PROBE_SECONDS_P99_MAX = 0.1


def test_a_stopped_worker_delays_no_probe(tmp_path: Path) -> None:
    """/live and /ready need nothing of it; readiness stays what the supervisor knows until the worker counts as hung."""
    with AgentProcess(tmp_path, flags={"--supervisor-hang-timeout": "10m"}) as agent:
        assert agent.process is not None
        address = wait_until(lambda: agent.stats("gateway")["address"], "the gateway serves")
        rows = agent.workers()
        stopped = psutil.Process(rows["sampler/process"]["pid"])
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: stopped.status() == psutil.STATUS_STOPPED, "the worker stands still")
            probes = [HttpProbe(address, path, [agent.process.pid, rows["gateway"]["pid"]]) for path in ("/live", "/ready")]
            for _ in range(PROBES):
                for probe in probes:
                    probe.ask()
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        assert [probe.statuses for probe in probes] == [{200}, {200}]
        assert max(percentile(probe.own_seconds, 0.99) for probe in probes) <= PROBE_SECONDS_P99_MAX


@pytest.mark.runbook("Status and events")
def test_readiness_is_told_alike_on_every_way(tmp_path: Path) -> None:
    """HTTP, the control socket and agentctl say the same."""
    with AgentProcess(tmp_path) as agent:
        address = wait_until(lambda: agent.stats("gateway")["address"], "the gateway serves")
        status, body = ask_http(address, "/ready")
        assert (status, json.loads(body)) == (200, {"ready": True, "reasons": []})
        assert agent.call("ready") == {"ready": True, "reasons": []}
        done = run_agentctl("ready", "--runtime-dir", str(agent.runtime_dir))
        assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")
