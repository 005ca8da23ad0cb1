"""A real hub and real nodes: what a person does and sees, and what happens when parts of it die."""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.fleet import Hub, fleet, hub_agent, join, node_agent
from fakes.keeper_world import own_tree
from fakes.small_disk import fill, mounted
from harness.waiting import in_time, wait_until

from agent.model.errors import ExitCode

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree, for workloads."""
    with own_tree(str(abs(hash(request.node.nodeid)) % 10**8)) as tree:
        yield tree


@pytest.mark.runbook("Hub")
def test_an_invited_node_reports_and_a_used_invitation_is_refused(tmp_path: Path) -> None:
    """Its state is there within seconds, its rows follow under its name, and each wrong line is answered in one sentence."""
    with fleet(tmp_path) as made:
        hub = made.hub
        code, text, _ = hub.ctl("hub", "list")
        assert (code, "no node has joined" in text) == (0, True)
        invitation = hub.invite()
        node = node_agent(tmp_path / "n", "node-1")
        code, text, _ = join(node, invitation, "--host", "node-1")
        assert (code, text.startswith("joined hub as node-1 (")) == (0, True)
        assert (node.state_dir / "hubs" / "hub.json").stat().st_mode & 0o777 == 0o600
        other = node_agent(tmp_path / "o", "node-2")
        code, _, warnings = join(other, invitation)
        assert (code, "was used; ask for another one" in warnings) == (ExitCode.NO_PERMISSION, True)
        assert not (other.state_dir / "hubs" / "hub.json").exists()
        with node:
            row = hub.wait_state("node-1", "fresh")
            assert row["lost"] == 0
            row = wait_until(lambda: found if (found := hub.nodes()["node-1"])["cpus"] else None, "its state is there")
            assert row["memory_bytes"] > 0
            wait_until(lambda: hub.query("SELECT 1 FROM diag WHERE host = 'node-1'"), "its events are stored at the hub")
        hub.wait_state("node-1", "gone")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("nonsense", ExitCode.BAD_DATA, "does not begin with evergauge-1:"),
        ("evergauge-1:host:9466:short:short", ExitCode.BAD_DATA, "its key or token is cut or changed"),
        (f"evergauge-1:127.0.0.1:1:{'A' * 43}:{'A' * 22}", ExitCode.TRY_AGAIN, "the hub does not answer"),
    ],
)
def test_a_wrong_invitation_is_named(tmp_path: Path, line: str, code: ExitCode, said: str) -> None:
    """One sentence, and no hub is joined: but for the keys with which it is asked again, nothing is written."""
    node = node_agent(tmp_path / "n", "node-1")
    found, _, warnings = join(node, line, "--timeout", "1")
    assert (found, said in warnings, warnings.count("\n")) == (code, True, 1)
    assert [path.suffix for path in node.state_dir.glob("hubs/*")] == ([".joining"] if code == ExitCode.TRY_AGAIN else [])


@pytest.mark.runbook("Hub")
def test_a_removed_node_is_refused_and_what_it_said_stays(tmp_path: Path) -> None:
    """The node says so itself, and an invitation brings it back."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1")
        wait_until(lambda: hub.query("SELECT 1 FROM diag WHERE host = 'node-1'"), "its events are stored at the hub")
        code, text, _ = hub.ctl("hub", "remove", "node-1")
        assert (code, "it can report no more" in text) == (0, True)
        assert hub.nodes() == {}
        wait_until(
            lambda: any("taken this node out" in row["detail"] for row in node.call("status")["conditions"]),
            "the node says that it is refused",
        )
        assert hub.query("SELECT 1 FROM diag WHERE host = 'node-1'")
        code, _, warnings = join(node, hub.invite(), "--host", "node-1")
        assert code == 0, warnings
        node.kill_worker("beat")
        node.kill_worker("uplink")
        hub.wait_state("node-1", "fresh")
        code, _, warnings = hub.ctl("hub", "remove", "nobody")
        assert (code, "no node has this id" in warnings) == (ExitCode.MISUSE, True)


@pytest.mark.runbook("Hub")
def test_hub_restart_recovers(tmp_path: Path) -> None:
    """Killed at any moment it knows its members again, gives no verdict before it has listened, and gets the whole state."""
    with fleet(tmp_path) as made:
        hub = made.hub
        made.add_node("node-1")
        made.add_node("node-2")
        before = hub.agent.call("fleet-nodes")["hub_run"]
        hub.agent.kill_worker("hub")
        first = wait_until(
            lambda: found if (found := hub.agent.call("fleet-nodes"))["hub_run"] != before else None,
            "another life of the hub answers",
        )
        assert "nobody is judged yet" in first["suspicion"]
        for host in ("node-1", "node-2"):
            hub.wait_state(host, "fresh")
        wait_until(lambda: all(row["cpus"] for row in hub.nodes().values()), "the state of all nodes is there again")


@pytest.mark.runbook("Hub")
def test_a_silent_node_leaves_with_its_units_and_comes_back(tmp_path: Path, tree: Path) -> None:
    """All of its processes stand still: it becomes late, then stale, and nothing on it is offered to a scheduler."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1", tree)
        node.call("run-workload", workload={"name": "job", "argv": ["sleep", "1000"]})
        wait_until(lambda: "job" in hub.units("node-1"), "its workload is there")
        assert hub.agent.call("fleet-workers")["found"] == 1
        beat = node.workers()["beat"]["pid"]
        stopped = [process for process in node.note_processes() if process.pid == beat]
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        supervisor = node.process
        assert supervisor is not None
        supervisor.send_signal(signal.SIGSTOP)
        try:
            hub.wait_state("node-1", "stale")
            found = hub.agent.call("fleet-workers")
            assert (found["found"], found["excluded"]) == (0, {"stale": 1})
            assert "job" in hub.units("node-1")
        finally:
            for process in stopped:
                process.send_signal(signal.SIGCONT)
            supervisor.send_signal(signal.SIGCONT)
        hub.wait_state("node-1", "fresh")
        wait_until(lambda: hub.agent.call("fleet-workers")["found"] == 1, "its worker is offered again")
        node.call("stop-workload", name="job")


def test_worker_dies_removed_from_registry(tmp_path: Path, tree: Path) -> None:
    """A workload that ends is gone from the fleet at once."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1", tree)
        node.call("run-workload", workload={"name": "job", "argv": ["sleep", "1000"]})
        wait_until(lambda: "job" in hub.units("node-1"), "its workload is there")
        node.call("stop-workload", name="job")
        wait_until(lambda: "job" not in hub.units("node-1"), "its workload is gone")


def test_node_restart_clears_workers(tmp_path: Path) -> None:
    """A node whose agent was killed and started again has one set of units: what had ended meanwhile is not shown."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1")
        run = hub.nodes()["node-1"]["run"]
        node.end(signal.SIGKILL)
        wait_until(lambda: not node.living(), "all of it has ended")
        node.start()
        row = wait_until(
            lambda: found if (found := hub.nodes()["node-1"])["run"] not in (run, None) else None, "another life reports"
        )
        assert row["problem"] is None
        hub.wait_state("node-1", "fresh")


@pytest.mark.runbook("Hub of a node")
def test_hub_unreachable(tmp_path: Path) -> None:
    """A node samples and stores as before, says that the hub is away, and nothing is lost or doubled when it is back."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1")
        wait_until(lambda: hub.query("SELECT 1 FROM diag WHERE host = 'node-1'"), "its events are stored at the hub")
        hub.agent.end()
        conditions = wait_until(
            lambda: [row for row in node.call("status")["conditions"] if row["kind"] == "sink_down"], "the node says so", seconds=60
        )
        assert "the hub" in conditions[0]["detail"]
        assert node.stats("sampler/node")
        hub.agent.start()
        hub.wait_state("node-1", "fresh", seconds=60)
        wait_until(lambda: node.stats("exporter/hub").get("ledger", {}).get("pending") == 0, "all is delivered", seconds=60)
        doubled = hub.query("SELECT seq, count(*) n FROM diag WHERE host = 'node-1' GROUP BY run, seq HAVING n > 1")
        assert doubled == []


@pytest.mark.runbook("Hub")
def test_a_copy_of_a_node_is_refused_and_both_are_named(tmp_path: Path) -> None:
    """A cloned state folder on another machine: the newer one is refused, because the older one is alive."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1")
        copy = node_agent(tmp_path / "c", "copy-of-1")
        copy.state_dir.mkdir()
        shutil.copy(node.state_dir / "install-id", copy.state_dir / "install-id")
        shutil.copytree(node.state_dir / "hubs", copy.state_dir / "hubs", ignore=shutil.ignore_patterns("*.page", "models"))
        # Another machine has another boot.
        boot = tmp_path / "boot_id"
        boot.write_text("11111111-2222-3333-4444-555555555555\n")
        begin = f"import workers.fleet.hello as hello; hello.BOOT_ID = {str(boot)!r}; from agent.daemon.main import main; main()"
        copy.run_as(sys.executable, "-c", begin)
        with copy:
            row = wait_until(lambda: found if (found := hub.nodes()["node-1"])["problem"] else None, "the hub has noticed")
            assert "copy-of-1" in row["problem"]
            assert "node-1" in row["problem"]
            hub.wait_state("node-1", "fresh")


def test_end_to_end_telemetry_flow(tmp_path: Path, tree: Path) -> None:
    """From the start of a workload to the event on the stream of the hub."""
    import http.client

    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1", tree)
        host, _, port = hub.address().rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/v1/stream?topics=unit")
        stream = connection.getresponse()
        assert stream.status == 200
        node.call("run-workload", workload={"name": "job", "argv": ["sleep", "1000"]})
        data = None
        for _ in range(100):
            line = stream.readline()
            if line.startswith(b"data: ") and b"started" in line:
                data = json.loads(line[6:])
                break
        assert data is not None
        assert (data["unit"]["name"], data["unit"]["host"], data["unit"]["kind"]) == ("job", "node-1", "workload")
        connection.close()
        node.call("stop-workload", name="job")


def test_scheduling_queries(tmp_path: Path, tree: Path) -> None:
    """By HTTP and by agentctl, with what does not fit counted by its reason."""
    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1", tree)
        node.call("run-workload", workload={"name": "job", "argv": ["sleep", "1000"]})
        wait_until(lambda: hub.agent.call("fleet-workers")["found"] == 1, "its worker is there")
        status, document = hub.get("/v1/workers?order=load&max_age=60s&limit=5")
        assert (status, document["workers"][0]["name"], document["workers"][0]["state"]) == (200, "job", "unknown")
        assert document["workers"][0]["waiting"] is None
        _, document = hub.get("/v1/workers?state=idle")
        assert (document["found"], document["excluded"]) == (0, {"unknown_state": 1})
        _, document = hub.get("/v1/workers?model=nobody/has-it")
        assert document["found"] == 0
        status, text = hub.get("/v1/workers?order=best")
        assert (status, "one of load, vram, random2" in text) == (400, True)
        code, text, _ = hub.ctl("fleet", "workers", "--order", "vram")
        assert (code, "job" in text) == (0, True)
        code, _, warnings = hub.ctl("fleet", "workers", "--order", "best")
        assert (code, "one of load, vram, random2" in warnings) == (ExitCode.MISUSE, True)
        code, text, _ = hub.ctl("fleet", "nodes")
        assert (code, "node-1" in text) == (0, True)
        code, _, warnings = hub.ctl("fleet", "everything")
        assert (code, "one of nodes, units, workers, watch" in warnings) == (ExitCode.MISUSE, True)
        node.call("stop-workload", name="job")


def test_an_agent_that_is_no_hub_says_so(tmp_path: Path) -> None:
    """Each command names the setting."""
    node = node_agent(tmp_path / "n", "node-1")
    with node:
        for words in (("hub", "list"), ("hub", "invite"), ("fleet", "nodes")):
            code, _, warnings = Hub(node).ctl(*words)
            assert (code, "this agent is no hub; set hub.listen" in warnings) == (ExitCode.UNAVAILABLE, True)


def test_a_node_joins_by_itself_with_the_file_of_an_invitation(tmp_path: Path) -> None:
    """As a node of a cluster does, which nobody types at; a used invitation is named, and another file is taken when it comes."""
    with fleet(tmp_path) as made:
        hub = made.hub
        line = tmp_path / "invitation"
        used = hub.invite()
        other = node_agent(tmp_path / "o", "other")
        assert join(other, used)[0] == 0
        line.write_text(used + "\n")
        config = tmp_path / "node.toml"
        config.write_text(f'[sink."central"]\nkind = "hub"\ninvitation_file = "{line}"\n')
        node = node_agent(tmp_path / "n", "node-1", **{"--config": str(config)})
        with node:
            conditions = wait_until(
                lambda: [row for row in node.call("status")["conditions"] if row["kind"].startswith("hub_unusable")],
                "the node says that it is refused",
            )
            assert "was used" in conditions[0]["detail"]
            line.write_text(hub.invite("--uses", "5") + "\n")
            hub.wait_state("node-1", "fresh", seconds=60)
            assert (node.state_dir / "hubs" / "central.json").stat().st_mode & 0o777 == 0o600


def test_two_hubs_have_the_same_node_each_for_itself(tmp_path: Path) -> None:
    """One node reports to both; what one of them misses while it is away the other one has."""
    with fleet(tmp_path) as made, hub_agent(tmp_path / "h2", **{"--hub-name": "second"}) as second_agent:
        first, second = made.hub, Hub(second_agent)
        node = made.join_node("node-1")
        code, _, warnings = join(node, second.invite(), "--host", "node-1", "--name", "second")
        assert code == 0, warnings
        with node:
            first.wait_state("node-1", "fresh")
            second.wait_state("node-1", "fresh")
            assert {name for name in node.workers() if name.startswith("exporter/")} == {"exporter/hub", "exporter/second"}
            first.agent.end()
            wait_until(lambda: second.query("SELECT 1 FROM diag WHERE host = 'node-1'"), "the second one stores its events")
            second.wait_state("node-1", "fresh")
            assert second.agent.call("fleet-nodes")["hub"] == "second"


def test_slow_stream_client(tmp_path: Path, tree: Path) -> None:
    """One that reads nothing delays nobody: the others see a start within a second while it stands still."""
    import http.client
    import socket

    with fleet(tmp_path) as made:
        hub, node = made.hub, made.add_node("node-1", tree)
        host, _, port = hub.address().rpartition(":")
        stalled = socket.create_connection((host, int(port)), 10)
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stalled.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader = http.client.HTTPConnection(host, int(port), timeout=30)
        reader.request("GET", "/v1/stream?topics=unit")
        stream = reader.getresponse()

        def seconds(number: int) -> float:
            name = f"job-{number}"
            node.call("run-workload", workload={"name": name, "argv": ["sleep", "1000"]})
            begun = time.monotonic()
            while name.encode() not in (line := stream.readline()) or b"started" not in line:
                assert line, "the stream has ended"
            return time.monotonic() - begun

        in_time(seconds, seconds=1.0)
        stalled.close()
        reader.close()


def test_what_may_be_asked_is_described_as_openapi(tmp_path: Path) -> None:
    """The description is valid, has every path, and a real answer fits its schema."""
    from openapi_spec_validator import OpenAPIV31SpecValidator, validate

    with fleet(tmp_path) as made:
        _, document = made.hub.get("/v1/openapi.json")
        validate(document, cls=OpenAPIV31SpecValidator)
        listed = ("nodes", "units", "workers", "changes", "heat")
        assert set(document["paths"]) == {
            f"/v1/{name}" for name in (*listed, "node", "reservations", "reservations/{reservation}", "stream")
        }
        for path in listed:
            assert made.hub.get(f"/v1/{path}")[0] == 200


def test_a_hub_on_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """Nobody joins, rows wait on the nodes, beats and questions go on; with room again everything is delivered."""
    with mounted(tmp_path / "disk", "24m") as disk, fleet(tmp_path, hub_folder=disk / "h") as made:
        hub, node = made.hub, made.add_node("node-1")
        wait_until(lambda: hub.query("SELECT 1 FROM diag WHERE host = 'node-1'"), "its events are stored at the hub")
        waiting = hub.invite()
        ballast = disk / "ballast"
        fill(ballast)
        late = node_agent(tmp_path / "late", "late")
        code, _, warnings = join(late, waiting, "--timeout", "10")
        assert (code, "cannot store its members" in warnings) == (ExitCode.NO_PERMISSION, True)
        assert hub.wait_state("node-1", "fresh")["state"] == "fresh"
        ballast.unlink()
        wait_until(lambda: node.stats("exporter/hub").get("ledger", {}).get("pending") == 0, "all is delivered", seconds=90)
        doubled = hub.query("SELECT seq, count(*) n FROM diag WHERE host = 'node-1' GROUP BY run, seq HAVING n > 1")
        assert doubled == []
