"""The whole agent over a resctrl, with real processes in real cgroups: rows, readiness, restarts, bad hands.

On an emulated mount in every test run, on the real one by `scripts/e2e --hardware`.
"""

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fakes.pod import Node, Pod, node
from fakes.resctrl_machine import ResctrlMachine, cpus_of_domain, domains_of, emulated, is_emulated, resctrl_machine
from fakes.resctrl_mount import tasks_of
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

from agent.cli.query_database import QueryRequest, open_query_database
from workers import registry

TICK = "100ms"


@pytest.fixture
def host() -> Iterator[Node]:
    """A node with cgroups of its own."""
    with node("resctrl") as made:
        yield made


def _agent(folder: Path, host: Node, resctrl: ResctrlMachine, **more: str) -> AgentProcess:
    flags = {
        "--kernel-cgroup-root": str(host.root),
        "--resctrl-mount": str(resctrl.mount),
        "--resctrl-check-interval": "300ms",
        "--resctrl-retry-interval": "500ms",
        "--sampler-resctrl-interval": TICK,
    }
    return AgentProcess(folder, flags=flags | {f"--{name.replace('_', '-')}": value for name, value in more.items()})


def _rows(agent: AgentProcess, statement: str) -> list[tuple[Any, ...]]:
    with closing(open_query_database(QueryRequest(str(agent.state_dir), statement), registry.tables())) as database:
        return database.connection.execute(statement).fetchall()


def _pods(agent: AgentProcess) -> dict[str, dict[str, Any]]:
    return {pod["uid"]: pod for pod in agent.call("list-pods")["pods"]}


def _is_whole(agent: AgentProcess, pod: Pod) -> bool:
    row = _pods(agent).get(pod.uid)
    return row is not None and row["group_state"] == "exists" and row["reconciled_containers"] == row["total_containers"] == 1


def _group(resctrl: ResctrlMachine, pod: Pod) -> Path:
    return resctrl.mount / "mon_groups" / f"pod_{pod.uid}"


def _ready(agent: AgentProcess) -> tuple[int, str]:
    """What /ready says."""
    address = agent.stats("gateway")["address"]
    try:
        with urllib.request.urlopen(f"http://{address}/ready", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def test_running_pods_have_every_thread_measured_and_their_rows_are_stored(tmp_path: Path, host: Node) -> None:
    """Pods with many threads that ran before the agent: all threads in the group, rows with uid, bytes and rates."""
    pods = [host.run(number, threads, is_busy=True) for number, threads in ((1, 2), (2, 40))]
    with resctrl_machine(tmp_path) as resctrl, _agent(tmp_path, host, resctrl) as agent:
        wait_until(lambda: all(_is_whole(agent, pod) for pod in pods), "all pods are whole in their groups")
        for pod in pods:
            assert tasks_of(_group(resctrl, pod)) == pod.threads()
        measured = "SELECT pod_uid FROM occupancy WHERE llc_occupancy_bytes > 0 AND mbm_total_bytes_per_second > 0"
        wait_until(lambda: {row[0] for row in _rows(agent, measured)} == {pod.uid for pod in pods}, "both pods have traffic")
        agent.wait_banner(f"with a monitoring group{', on an emulated resctrl' if is_emulated(resctrl.mount) else ''}, every 100ms")
        columns = "resctrl_group, total_containers, reconciled_containers, pod_name, pods_in_group"
        rows = _rows(agent, f"SELECT {columns} FROM occupancy ORDER BY timestamp")
        assert {row[0] for row in rows} == {str(_group(resctrl, pod)) for pod in pods}
        assert {row[1:] for row in rows[-2:]} == {(1, 1, None, 1)}
        per_domain = "SELECT count(DISTINCT domain) FROM occupancy_domain"
        assert _rows(agent, per_domain) == [(len(domains_of(resctrl.mount)),)]
        late = host.run(3, 5)
        wait_until(lambda: _is_whole(agent, late), "a pod that starts later is measured as well")
        assert tasks_of(_group(resctrl, late)) == late.threads()
        late.end()
        wait_until(lambda: not _group(resctrl, late).exists(), "its group goes with it")
        groups = set(resctrl.groups())
    assert len(groups) == 3
    assert run_agentctl("--help").returncode == 0


def test_pods_on_different_sockets_are_seen_in_their_own_caches(tmp_path: Path, host: Node) -> None:
    """Two busy pods, each on the CPUs of one cache: there each has nearly all of its bytes and traffic."""
    with resctrl_machine(tmp_path, host_cpus=True) as resctrl:
        cpus = {domain: cpus_of_domain(resctrl.mount, domain) for domain in domains_of(resctrl.mount)}
        places = [domain for domain, found in cpus.items() if found][:2]
        if len(places) < 2:
            pytest.skip(f"this machine has one cache with CPUs for this process: {cpus}")
        pods = {host.run(number, 3, is_busy=True, cpus=cpus[place]): place for number, place in enumerate(places, 1)}
        with _agent(tmp_path, host, resctrl) as agent:
            most = (
                "SELECT resctrl_group, arg_max(domain, bytes) FROM (SELECT resctrl_group, domain, "
                "max(llc_occupancy_bytes) AS bytes, max(mbm_total_bytes_per_second) AS rate FROM occupancy_domain GROUP BY ALL) "
                "GROUP BY resctrl_group HAVING arg_max(domain, bytes) = arg_max(domain, rate) AND max(rate) > 0"
            )
            expected = {str(_group(resctrl, pod)): place for pod, place in pods.items()}
            wait_until(lambda: dict(_rows(agent, most)) == expected, "each pod is in its own cache", seconds=40)


def test_top_shows_who_holds_the_cache(tmp_path: Path, host: Node) -> None:
    """One line a pod with bytes, share and bandwidth; who has no group stands there with the reason."""
    busy, ignored = host.run(1, 2, is_busy=True), host.run(2)
    with emulated(tmp_path, "has so few ids", profile="tiny") as resctrl:
        for number in range(6):
            resctrl.make_group(f"mon_groups/theirs{number}")
        with _agent(tmp_path, host, resctrl) as agent:
            wait_until(lambda: {row["group_state"] for row in _pods(agent).values()} == {"exists", "failed"}, "one has no id")
            wait_until(
                lambda: _rows(agent, "SELECT 1 FROM occupancy WHERE mbm_total_bytes_per_second IS NOT NULL"), "there are rates"
            )
            folders = ("--state-dir", str(agent.state_dir), "--runtime-dir", str(agent.runtime_dir))

            def shown() -> str | None:
                """What is shown, once the sampler knows the reason, too."""
                ended = run_agentctl(*folders, "top", "--occupancy", "--once", seconds=60)
                assert ended.returncode == 0, ended.stderr
                return ended.stdout if "capacity" in ended.stdout else None

            text = wait_until(shown, "it says that there was no id")
    assert all(pod.uid[:8] in text for pod in (busy, ignored))


def test_killed_workers_lose_no_group_and_counters_go_on(tmp_path: Path, host: Node) -> None:
    """Neither the control plane's nor the sampler's death gives an id back: the same group, whose counters never fall."""
    pod = host.run(1, 3, is_busy=True)
    with resctrl_machine(tmp_path) as resctrl, _agent(tmp_path, host, resctrl) as agent:
        wait_until(lambda: _is_whole(agent, pod), "the pod is whole in its group")
        (before,) = [group for path, group in resctrl.groups().items() if path]
        for name in ("control-plane", "sampler/resctrl", "control-plane"):
            agent.wait_for_replacement(agent.kill_worker(name))
        wait_until(lambda: _is_whole(agent, pod), "the pod is still whole")
        (after,) = [group for path, group in resctrl.groups().items() if path]
        assert (after["path"], after["rmid"]) == (before["path"], before["rmid"])
        epochs = "SELECT count(*) FROM occupancy"
        stored = _rows(agent, epochs)[0][0]
        wait_until(lambda: _rows(agent, epochs)[0][0] > stored + 5, "samples go on")
        falls = (
            "SELECT count(*) FROM (SELECT mbm_total_bytes - lag(mbm_total_bytes) OVER (ORDER BY timestamp) moved FROM occupancy) "
            "WHERE moved < 0"
        )
        assert _rows(agent, falls) == [(0,)]


def test_readiness_goes_with_the_mount_and_comes_back_with_it(tmp_path: Path, host: Node) -> None:
    """The emulator dies, and with it the file system: /ready says why and what to do; a new one gets all groups again."""
    pod = host.run(1)
    with (
        emulated(tmp_path, "can die with its mount; a plain umount is refused while somebody reads") as resctrl,
        _agent(tmp_path, host, resctrl) as agent,
    ):
        wait_until(lambda: _is_whole(agent, pod), "the pod is whole in its group")
        wait_until(lambda: _ready(agent)[0] == 200, "ready")
        resctrl.kill()
        wait_until(lambda: _ready(agent)[0] == 503, "not ready any more")
        wait_until(lambda: _pods(agent)[pod.uid]["group_problem"] == "not_mounted", "the pod says why it is not measured")
        wait_until(lambda: "mount -t resctrl" in _ready(agent)[1], "it says what to do")
        assert {row["state"] for row in agent.workers().values()} == {"up"}
        resctrl.start()
        wait_until(lambda: _ready(agent)[0] == 200, "ready again")
        wait_until(lambda: _is_whole(agent, pod), "measured again")
        assert tasks_of(_group(resctrl, pod)) == pod.threads()
        stored = _rows(agent, "SELECT max(timestamp) FROM occupancy")[0][0]
        wait_until(lambda: _rows(agent, "SELECT max(timestamp) FROM occupancy")[0][0] > stored, "rows again")


def test_without_resctrl_an_agent_that_demands_it_is_not_ready_and_says_why(tmp_path: Path, host: Node) -> None:
    """The rest of it works and stores, without a file of what it cannot measure; with auto it is ready and has no such worker."""
    (tmp_path / "resctrl").mkdir()
    flags = {"--kernel-cgroup-root": str(host.root), "--resctrl-mount": str(tmp_path / "resctrl")}
    demanding = AgentProcess(tmp_path / "demanding", flags=flags | {"--sampler-resctrl-enabled": "true"})
    demanding.folder.mkdir()
    demanding.start(ready=False)
    try:
        status = wait_until(lambda: _status(demanding), "it answers and has looked")
        assert not status["ready"]
        assert any("no resctrl is mounted" in reason and "mount -t resctrl" in reason for reason in status["reasons"]), status
        wait_until(lambda: {row["state"] for row in demanding.workers().values()} == {"up"}, "all workers do what they can")
        demanding.wait_sealed("process")
        assert list((demanding.state_dir / "data").glob("occupancy*/*/*.parquet")) == []
    finally:
        demanding.end()
    demanding.assert_nothing_left()
    modest = AgentProcess(tmp_path / "modest", flags=flags)
    modest.folder.mkdir()
    with modest:
        assert "sampler/resctrl" not in modest.workers()


def _status(agent: AgentProcess) -> dict[str, Any] | None:
    try:
        status: dict[str, Any] = agent.call("status")
    except OSError:
        return None
    return status if any("resctrl is mounted" in reason for reason in status["reasons"]) else None


def test_the_usual_names_of_the_settings_reach_every_part(tmp_path: Path, host: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """RESCTRL_MOUNT for group creation and for reading, RESCTRL_SAMPLING_INTERVAL for the ticks; a bad value ends the start."""
    pod = host.run(1)
    with resctrl_machine(tmp_path) as resctrl:
        monkeypatch.setenv("RESCTRL_MOUNT", str(resctrl.mount))
        monkeypatch.setenv("RESCTRL_SAMPLING_INTERVAL", "70ms")
        with AgentProcess(tmp_path, flags={"--kernel-cgroup-root": str(host.root)}) as agent:
            wait_until(lambda: _group(resctrl, pod).exists(), "the group is made there")
            wait_until(lambda: _rows(agent, "SELECT 1 FROM occupancy"), "and read there")
            assert agent.stats("sampler/resctrl")["interval_seconds"] == 0.07
    monkeypatch.setenv("RESCTRL_SAMPLING_INTERVAL", "soon")
    refused = subprocess.run(
        ["env", "RESCTRL_SAMPLING_INTERVAL=soon", *agent.command_line()], capture_output=True, text=True, timeout=20, check=False
    )
    assert refused.returncode == 78
    assert "environment variable RESCTRL_SAMPLING_INTERVAL: 'soon' is not accepted" in refused.stderr


def test_files_are_rotated_and_whole_after_a_kill(tmp_path: Path, host: Node) -> None:
    """SIGUSR1 seals what is open, under the prefix that readers know; after kill -9 every acknowledged row can be read.

    The next start clears away what was half made, by the killed writer or by a sealer that the end left no time.
    """
    pod = host.run(1)
    with resctrl_machine(tmp_path) as resctrl, _agent(tmp_path, host, resctrl) as agent:
        assert agent.process is not None
        wait_until(lambda: len(_rows(agent, "SELECT 1 FROM occupancy")) > 3, "there are rows")
        os.kill(agent.process.pid, signal.SIGUSR1)
        sealed = wait_until(lambda: list(agent.state_dir.glob("data/occupancy/*/*.parquet")), "a file is sealed")
        assert sealed[0].name.startswith("resctrl-occupancy-")
        before = len(_rows(agent, "SELECT 1 FROM occupancy"))
        row = agent.kill_worker("writer")
        agent.wait_for_replacement(row)
        wait_until(lambda: len(_rows(agent, "SELECT 1 FROM occupancy")) > before, "rows go on")
        twice = "SELECT count(*) FROM (SELECT timestamp, pod_uid FROM occupancy GROUP BY ALL HAVING count(*) > 1)"
        assert _rows(agent, twice) == [(0,)]
        assert _group(resctrl, pod).exists()
    with _agent(tmp_path, host, resctrl) as following:
        wait_until(lambda: not _half_made(following), f"nothing half made is left of {_half_made(following)}")


def _half_made(agent: AgentProcess) -> list[str]:
    found = (os.path.join(folder, name) for folder, _folders, names in os.walk(agent.state_dir) for name in names)
    return [path for path in found if ".tmp" in path.removeprefix(str(agent.state_dir))]


def test_a_foreign_agent_that_empties_and_removes_groups_does_no_lasting_harm(tmp_path: Path, host: Node) -> None:
    """Threads moved away come back, a removed group is made again, and other pods go on meanwhile."""
    first, second = host.run(1), host.run(2)
    with resctrl_machine(tmp_path) as resctrl, _agent(tmp_path, host, resctrl) as agent:
        wait_until(lambda: _is_whole(agent, first) and _is_whole(agent, second), "both are whole")
        stolen = min(first.threads())
        (resctrl.mount / "tasks").write_text(str(stolen))
        wait_until(lambda: stolen in tasks_of(_group(resctrl, first)), "the thread is back")
        _group(resctrl, first).rmdir()
        wait_until(
            lambda: _group(resctrl, first).exists() and tasks_of(_group(resctrl, first)) == first.threads(), "the group is back"
        )
        vanished = _rows(agent, f"SELECT count(*) FROM occupancy WHERE pod_uid = '{second.uid}' AND absent LIKE '%vanished%'")
        assert vanished == [(0,)]


def test_two_agents_do_not_share_a_resctrl_by_accident(tmp_path: Path, host: Node) -> None:
    """An agent that ends gives every group back, so that the next one finds all ids free."""
    pod = host.run(1)
    with resctrl_machine(tmp_path) as resctrl:
        with _agent(tmp_path, host, resctrl) as agent:
            wait_until(lambda: _is_whole(agent, pod), "the pod is whole in its group")
        assert set(resctrl.groups()) == {""}


def test_what_a_killed_agent_left_in_a_control_group_of_others_goes_with_the_next(tmp_path: Path, host: Node) -> None:
    """Killed as a whole while a pod's thread lived in another tool's control group, and the pod ended: no id is held for ever."""
    pod, other = host.run(1), host.run(2)
    with resctrl_machine(tmp_path) as resctrl:
        resctrl.make_group("batch")
        inside = resctrl.mount / "batch" / "mon_groups"
        with _agent(tmp_path, host, resctrl) as agent:
            (resctrl.mount / "batch" / "tasks").write_text(str(max(pod.threads())))
            wait_until(lambda: (inside / f"pod_{pod.uid}").is_dir() and _is_whole(agent, pod), "its group is in both places")
            assert agent.process is not None
            agent.note_processes()
            agent.process.kill()
            agent.process.wait()
            wait_until(lambda: not agent.living(), "nothing of it lives")
            resctrl.make_group("batch/mon_groups/pod_kept")
            pod.end()
            agent.start()
            wait_until(lambda: {path.name for path in inside.iterdir()} == {"pod_kept"}, "what it had left is gone")
            wait_until(lambda: _is_whole(agent, other), "the others are measured")
