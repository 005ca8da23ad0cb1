"""A real agent with a real keeper runs programs: what a person types and sees."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fakes.keeper_world import own_tree
from fakes.workload_agent import workload_agent
from harness.agent_process import AgentProcess, run_agentctl, run_agentd
from harness.waiting import wait_until

DESCRIBED = """
[workload."web"]
command = ["sleep", "1000"]
restart = "always"
env = { SECRET = "hunter2" }
labels = { team = "search" }

[workload."once"]
command = ["true"]
"""


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(str(abs(hash(request.node.nodeid)) % 10**8)) as tree:
        yield tree


def test_a_person_runs_looks_stops_and_forgets(tmp_path: Path, tree: Path) -> None:
    """The worker sleeps until then; each command says what it did, each refusal what to do, and nothing is left behind."""
    with workload_agent(tmp_path, tree) as host:
        (worker,) = [row for row in host.agent.call("list-workers")["workers"] if row["name"] == "workloads"]
        assert (worker["state"], worker["pid"]) == ("asleep", None)
        assert "agentctl run" in worker["asleep_why"]
        code, text, _ = host.ctl("list-workloads")
        assert (code, text) == (0, "no workload runs, and none has run; `agentctl run NAME -- PROGRAM` starts one\n")
        code, text, _ = host.ctl("run", "talker", "--label", "token=abc", "--", "sh", "-c", "echo one; echo two >&2; sleep 1000")
        assert (code, text.startswith("talker is running, process ")) == (0, True)
        assert text.endswith(", born in its cgroup\n")
        assert host.agent.workers()["workloads"]["state"] == "up"
        wait_until(lambda: host.ctl("logs", "talker")[1] == "one\ntwo\n", "its output is there")
        assert host.ctl("logs", "talker", "--lines", "1")[1] == "two\n"
        for words, exit_code, said in (
            (("run", "talker", "--", "true"), 75, "a workload of this name runs"),
            (("run", "x", "--", "no-such-program"), 64, "missing binary no-such-program"),
            (("run", "x", "--cpu", "fast", "--", "true"), 64, "'fast' is not accepted"),
            (("run", "x", "--cpu", "0.1%", "--", "true"), 64, "give 0.01"),
            (("run", "../x", "--", "true"), 64, "is no name of a workload"),
            (("run", "x"), 64, "no workload of this name has run"),
            (("stop", "x"), 64, "there is no workload of this name"),
            (("forget", "talker"), 75, "it runs"),
            (("logs", "x"), 64, "there is no workload of this name"),
        ):
            code, text, warnings = host.ctl(*words)
            assert (code, text) == (exit_code, ""), (words, warnings)
            assert said in warnings
            assert warnings.count("\n") == 1
        assert sorted(path.name for path in (tree / "evergauge-workloads").glob("*.workload")) == ["talker.workload"]
        assert host.ctl("stop", "talker", "--grace", "5s")[:2] == (0, "talker has ended: SIGTERM, stopped\n")
        (row,) = json.loads(host.ctl("list-workloads", "--json")[1])["workloads"]
        assert (row["state"], row["labels"], row["signal"]) == ("ended", {"token": "***"}, "SIGTERM")
        assert "ended" in host.ctl("list-workloads", "--wide")[1]
        assert host.ctl("run", "talker")[0] == 0
        assert host.ctl("stop", "talker", "--json")[0] == 0
        assert host.ctl("forget", "talker")[:2] == (0, "talker is forgotten, its output removed\n")
        assert host.rows() == {}


@pytest.mark.runbook("Workloads")
def test_described_workloads_start_once_and_changes_wait_for_a_restart(tmp_path: Path, tree: Path) -> None:
    """The agent's own restart starts nothing twice; a changed description is a condition until the workload is started again."""
    config = tmp_path / "agentd.toml"
    config.write_text(DESCRIBED)
    with workload_agent(tmp_path, tree, config=str(config)) as host:
        web = host.wait_state("web", "running")
        once = host.wait_state("once", "ended")
        assert "hunter2" not in json.dumps([web, once])
        assert (web["source"], web["environment"], web["has_changed"]) == ("file", ["SECRET"], False)
        assert host.agent.end() == 0
        config.write_text(DESCRIBED.replace("1000", "2000"))
        host.agent.start()
        again = host.wait_state("web", "running")
        assert (again["pid"], again["has_changed"], host.rows()["once"]["restarts"]) == (web["pid"], True, 0)
        told = wait_until(lambda: host.agent.call("status")["conditions"], "it is told")
        assert [(each["kind"], each["blocks_ready"]) for each in told] == [("workload_changed", False)]
        assert host.ctl("run", "web", "--", "true")[0] == 75
        assert host.ctl("stop", "web")[0] == 0
        assert host.ctl("run", "web")[0] == 0
        assert (host.rows()["web"]["command"], host.rows()["web"]["has_changed"]) == ("sleep 2000", False)
        assert host.ctl("forget", "web")[0] == 75


def test_bad_descriptions_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """With the key's name; a good one is printed as a settings file."""
    config = tmp_path / "agentd.toml"
    for text, said in (
        ('[workload."a"]\ncommand = "x"\n', "workload.a.command"),
        ('[workload."a"]\ncommand = ["x"]\nmemory = "lots"\n', "workload.a.memory"),
        ('[workload."a"]\ncommand = ["x"]\nspeed = 1\n', "there is no such key"),
        ('[workload."a/b"]\ncommand = ["x"]\n', "is no name of a workload"),
        ("workload = 7\n", "this is no section"),
    ):
        config.write_text(text)
        done = run_agentd("--config", str(config), "--check-config")
        assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (78, True, 1), done.stderr
    config.write_text(DESCRIBED)
    done = run_agentd("--config", str(config), "--check-config")
    assert done.returncode == 0
    assert '[workload."web"]\ncommand = ["sleep", "1000"]' in done.stdout


@pytest.mark.runbook("Workloads")
def test_limits_that_cannot_be_set_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """No cgroup v2 at all: the sentence says so; with --without-limits it runs without."""
    root = tmp_path / "no-cgroups"
    root.mkdir()
    agent = AgentProcess(tmp_path, flags={"--kernel-cgroup-root": str(root)})
    # Not ready, because no pods can be seen there.
    agent.start(ready=False)
    try:
        wait_until(lambda: (agent.runtime_dir / "control.sock").exists(), "it answers")

        def ctl(*words: str) -> tuple[int, str, str]:
            done = run_agentctl("--runtime-dir", str(agent.runtime_dir), *words, seconds=60)
            return done.returncode, done.stdout, done.stderr

        code, text, warnings = ctl("run", "a", "--memory", "64M", "--", "sleep", "1000")
        assert (code, text) == (69, "")
        assert "there is no cgroup v2 hierarchy" in warnings
        assert "--without-limits" in warnings
        code, text, warnings = ctl("run", "a", "--memory", "64M", "--without-limits", "--", "sleep", "1000")
        assert (code, "in no cgroup of its own, without limits" in text) == (0, True), warnings
        assert ctl("stop", "a")[0] == 0
    finally:
        agent.end()
        # Not before: the agent starts another one for a keeper that died.
        for process in agent.seen:
            with suppress(psutil.NoSuchProcess):
                if process.name() == "eg:keeper":
                    process.kill()
    agent.assert_nothing_left()


def test_without_an_agent_every_command_says_how_to_start_one(tmp_path: Path) -> None:
    """As all of agentctl does."""
    for words in (("run", "a", "--", "true"), ("stop", "a"), ("list-workloads",), ("logs", "a"), ("forget", "a")):
        done = run_agentctl("--runtime-dir", str(tmp_path), *words)
        assert (done.returncode, "no agent is running" in done.stderr) == (69, True)
