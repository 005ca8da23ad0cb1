"""The real agent: starts, answers, ends, and leaves nothing behind."""

import itertools
import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from harness.agent_process import UNHURRIED, AgentProcess, run_agentd
from harness.waiting import DEADLINE_SECONDS, in_time, wait_until

ROOT = Path(__file__).parents[2]
# Holds a port, at all addresses, without the rights that an agent's workers give up: else they may not look at it.
HOLDER = """
import socket, sys
from agent.capability import keep_only
keep_only(())
server = socket.create_server(("0.0.0.0", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
NAMES = {"control-plane", "sampler/node", "sampler/process", "writer", "gateway"}
# Warnings about the host, which other tests keep busy: what a sampler finds, folders of the cgroup tree that cannot be read, and a
# worker that gets no processor for a second. Conditions of the other workers are the agent's own.
OF_A_BUSY_MACHINE = (" condition_begins worker=sampler/", " condition=cgroup_tree ", " rules_drift ")
ROW_KEYS = {
    "name", "kind", "state", "pid", "epoch", "uptime_seconds", "restarts", "last_exit", "backoff_seconds", "heartbeat_age_seconds",
    "rules_revision", "rules_digest", "in_sync", "cpu_percent", "rss_bytes", "pss_bytes",
}  # fmt: skip


def test_it_becomes_ready_with_all_workers_up_and_says_what_each_costs(tmp_path: Path) -> None:
    """list-workers shows every worker by name, in sync, with its memory."""
    with AgentProcess(tmp_path) as agent:
        rows = agent.workers()
        assert set(rows) == NAMES
        for row in rows.values():
            assert set(row) >= ROW_KEYS
            assert row["state"] == "up"
            assert row["restarts"] == 0
            assert 1 << 20 < row["pss_bytes"] <= row["rss_bytes"]
        # A unit that another program has just made is on its way to the workers.
        wait_until(lambda: all(row["in_sync"] for row in agent.workers().values()), "all are in sync")


def test_for_a_duration_it_ends_by_itself_with_exit_0(tmp_path: Path) -> None:
    """`--for 300ms` measures, seals and goes."""
    folders = ("--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path), "--gateway-port", "0")
    ended = run_agentd("--for", "300ms", *folders, *itertools.chain(*UNHURRIED.items()))
    assert ended.returncode == 0, ended.stderr
    assert "evergauge" in ended.stdout
    warnings = [line for line in ended.stderr.splitlines() if " warning " in line]
    assert [line for line in warnings if not any(kind in line for kind in OF_A_BUSY_MACHINE)] == []
    assert str(tmp_path / "data") in ended.stdout
    assert list(tmp_path.glob("data/process/date=*/*.parquet"))
    assert list(tmp_path.glob("*.sock")) == []
    assert not (tmp_path / "fork").exists()


def test_an_end_without_time_to_seal_alarms_nobody_and_the_next_start_seals(tmp_path: Path) -> None:
    """The sealer dies with the writer; the segment is still there."""
    points = tmp_path / "points"
    points.mkdir()
    (points / "sealer.before_report").write_text("hang")
    agent = AgentProcess(tmp_path, flags=UNHURRIED, failpoints=points)
    agent.start()
    assert agent.process is not None
    agent.process.terminate()
    wait_until(lambda: list(points.iterdir()) == [], "a sealer came so far")
    # The second signal ends it at once.
    assert agent.end() == 0
    agent.assert_nothing_left()
    assert "stray_killed" not in agent.output
    segment = min(tmp_path.glob("state/spool/*.spool"))

    with AgentProcess(tmp_path):
        wait_until(lambda: not segment.exists(), "the next agent has sealed it")
    assert list(tmp_path.glob("state/data/process/date=*/*.parquet"))


def test_a_start_in_a_pod_beside_services_of_its_name_ignores_their_variables_and_says_so_once(tmp_path: Path) -> None:
    """Kubernetes sets them without being asked."""
    services = {"EVERGAUGE_GATEWAY_PORT": "tcp://10.0.0.1:9464", "EVERGAUGE_METRICS_SERVICE_HOST": "10.0.0.2"}
    folders = ("--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path), "--gateway-port", "0")
    ended = run_agentd("--for", "50ms", *folders, environment=services)
    assert ended.returncode == 0, ended.stderr
    told = [line for line in ended.stderr.splitlines() if "environment_ignored" in line]
    assert len(told) == 1
    assert 'names="EVERGAUGE_GATEWAY_PORT, EVERGAUGE_METRICS_SERVICE_HOST"' in told[0]


def test_what_a_killed_start_left_behind_refuses_no_later_one(tmp_path: Path) -> None:
    """In a container every start has the same process number, so the file that tries the folder may lie there already."""
    touch = "pathlib.Path(sys.argv[2], f'.probe-{os.getpid()}').touch()"
    start = f"import os, pathlib, sys\nfrom agent.daemon.main import main\n{touch}\nmain()"
    (tmp_path / "state").mkdir()
    with AgentProcess(tmp_path, program=(sys.executable, "-c", start)) as agent:
        assert list(agent.state_dir.glob(".probe-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_two_seconds(tmp_path: Path, number: int) -> None:
    """Ctrl-C and systemctl stop: exit 0, everything sealed, nobody left."""

    def attempt(which: int) -> float:
        folder = tmp_path / str(which)
        folder.mkdir()
        agent = AgentProcess(folder)
        agent.start()
        began = time.monotonic()
        assert agent.end(number) == 0
        took = time.monotonic() - began
        agent.assert_nothing_left()
        # What cannot be sealed in time is left to the next start.
        return took if list(agent.state_dir.glob("data/process/date=*/*.parquet")) else math.inf

    in_time(attempt, seconds=2.0)


def test_workers_do_not_hear_the_terminals_ctrl_c(tmp_path: Path) -> None:
    """SIGINT to the whole process group reaches the supervisor alone; every worker stops cleanly."""
    agent = AgentProcess(tmp_path, flags=UNHURRIED)
    agent.start()
    assert agent.process is not None
    os.killpg(agent.process.pid, signal.SIGINT)
    assert agent.process.wait(DEADLINE_SECONDS) == 0
    agent.assert_nothing_left()
    assert "Traceback" not in agent.output, agent.output
    exits = [line for line in agent.output.splitlines() if "worker_stopped" in line]
    assert len(exits) == len(NAMES)
    assert all('exit="done (0)"' in line for line in exits), exits


def test_an_agent_whose_port_another_program_holds_is_not_ready_and_says_so_until_it_is_free(tmp_path: Path) -> None:
    """Else a scraper reads the other program's numbers, and everything here looks well."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        agent = AgentProcess(tmp_path, flags={"--gateway-port": str(port)})
        sentence = f"127.0.0.1:{port} is in use by "

        def is_alone() -> bool:
            status = agent.call("status")
            return not status["ready"] and [reason for reason in status["reasons"] if sentence in reason] == status["reasons"]

        def attempt(which: int) -> float:
            if which:
                agent.end()
            begin = len(agent.output) if which else 0
            agent.start(ready=False)
            wait_until(lambda: " not ready after " in agent.output[begin:], "the banner")
            wait_until(is_alone, "the port is the only reason")
            # The banner comes after two seconds, on a busy machine before the gateway has said anything.
            return 2.0 if f"not ready gateway: {sentence}" in agent.output[begin:] else math.inf

        in_time(attempt, seconds=2.0)
        assert f"(process {other.pid})" in agent.output
        other.communicate()
    wait_until(agent.is_ready, "the port is free, and the agent ready")
    agent.note_processes()
    agent.end()
    agent.assert_nothing_left()


def test_a_killed_supervisor_leaves_no_process_and_its_successor_starts(tmp_path: Path) -> None:
    """SIGKILL of the supervisor: all workers are gone within a second, even one that is stopped; the stale sockets are replaced."""
    agent = AgentProcess(tmp_path)

    def attempt(_which: int) -> float:
        agent.start()
        os.kill(agent.workers()["gateway"]["pid"], signal.SIGSTOP)
        assert agent.process is not None
        agent.process.kill()
        agent.process.wait()
        began = time.monotonic()
        wait_until(lambda: not agent.living(), "all processes are gone")
        return time.monotonic() - began

    # 0.9 s of it are the time that they wait for the next supervisor.
    in_time(attempt, seconds=1.0)
    agent.start()
    assert agent.end() == 0
    agent.assert_nothing_left()


def test_a_second_agent_on_the_same_state_folder_is_refused_by_name(tmp_path: Path) -> None:
    """Exit code 75 (try again) and a sentence with the holder's pid; the first goes on."""
    with AgentProcess(tmp_path) as agent:
        assert agent.process is not None
        other = run_agentd("--state-dir", str(agent.state_dir), "--runtime-dir", str(tmp_path / "elsewhere"))
        assert other.returncode == 75
        assert f"another agent (pid {agent.process.pid}) uses this state folder" in other.stderr
        assert len(other.stderr.splitlines()) == 1
        shared = run_agentd("--state-dir", str(tmp_path / "other"), "--runtime-dir", str(agent.runtime_dir))
        assert shared.returncode == 75
        assert "runtime folder" in shared.stderr
        assert agent.is_ready()


def test_two_agents_side_by_side_do_not_see_each_other(tmp_path: Path) -> None:
    """Own folders, own rules, own workers."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with AgentProcess(tmp_path / "one") as one, AgentProcess(tmp_path / "two") as two:
        one.call("add-rule", rule={"name": "only-here"})
        assert [rule["name"] for rule in one.call("list-rules")["rules"]] == ["only-here"]
        assert two.call("list-rules")["rules"] == []
        assert {row["pid"] for row in one.workers().values()}.isdisjoint(row["pid"] for row in two.workers().values())


def test_garbage_on_the_control_socket_is_answered_and_changes_nothing(tmp_path: Path) -> None:
    """Not JSON, not an object, a wrong version, an unknown operation, a line without an end."""
    with AgentProcess(tmp_path) as agent:
        for line in (
            b"garbage",
            b"[]",
            b'{"v": 99, "op": "status"}',
            b'{"op": "format-disk"}',
            b'{"op": "status", "x": 1}',
            b"\xff\xfe",
        ):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(agent.runtime_dir / "control.sock"))
                client.sendall(line + b"\n")
                answer = client.makefile().readline()
                assert '"ok":false' in answer.replace(" ", "")
                assert "sentence" in answer
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(agent.runtime_dir / "control.sock"))
            client.sendall(b"x" * 70_000)
            assert "at most 65536 bytes" in client.makefile().readline()
        assert set(agent.workers()) == NAMES


def _stored_batches(agent: AgentProcess, sampler: str) -> int:
    count: int = agent.stats(sampler)["outbox"]["acknowledged_seq"]
    return count


def test_rotate_answers_with_the_sealed_files(tmp_path: Path) -> None:
    """Each file with its table and rows, all of them there; SIGUSR1 does the same unasked."""
    with AgentProcess(tmp_path) as agent:
        wait_until(lambda: _stored_batches(agent, "sampler/process") >= 2, "its batches are stored")
        answer = agent.call("rotate")
        assert {file["table"] for file in answer["files"]} >= {"process", "process_tail"}
        assert sum(file["rows"] for file in answer["files"]) == answer["rows"] > 0
        assert all(Path(file["path"]).is_file() for file in answer["files"])
        assert agent.process is not None
        agent.process.send_signal(signal.SIGUSR1)
        sealed = len(answer["files"])
        wait_until(lambda: agent.stats("writer")["sealed_files"] > sealed, "SIGUSR1 seals too")


def test_for_a_duration_it_ends_even_when_it_never_becomes_ready(tmp_path: Path) -> None:
    """A missing proc root: the banner says why it is not ready, no traceback, exit 0."""
    folders = ("--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path))
    ended = run_agentd("--for", "200ms", *folders, "--gateway-port", "0", "--kernel-proc-root", str(tmp_path / "nowhere"))
    assert ended.returncode == 0, ended.stderr
    assert "not ready" in ended.stdout
    assert "sampler/process: nothing can be read" in ended.stdout
    assert "Traceback" not in ended.stderr
    # No terminal is there, and so no Ctrl-C.
    assert "ms; `kill " in ended.stdout or "ms; `systemctl stop " in ended.stdout


def test_everything_it_makes_is_its_users_alone(tmp_path: Path) -> None:
    """Whatever the umask: folders 0700, files and sockets without a bit for others; a folder that was there keeps its mode."""
    tmp_path.chmod(0o755)
    before = os.umask(0)
    try:
        with AgentProcess(tmp_path) as agent:
            agent.call("add-rule", rule={"name": "kept"})
            agent.wait_sealed("process")
            modes = _modes(agent.state_dir) | _modes(agent.runtime_dir)
            assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
            assert {oct(mode) for path, mode in modes.items() if path.is_dir()} == {"0o700"}
            assert tmp_path.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)


def _modes(folder: Path) -> dict[Path, int]:
    """The modes of all that is below a folder of a running agent; what goes meanwhile is left out."""
    found: dict[Path, int] = {}
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            with suppress(FileNotFoundError):
                found[path] = path.lstat().st_mode & 0o777
    return found


@pytest.mark.parametrize("sign", ["state/state.lock", "run/runtime.lock", "run/fork", "run/bus.sock", "run/control.sock"])
def test_a_ctrl_c_at_any_stage_of_the_start_ends_it_quietly(tmp_path: Path, sign: str) -> None:
    """At the first sign of each stage: no traceback, nobody left, and within the time of a stop."""

    def attempt(which: int) -> float:
        folder = tmp_path / str(which)
        folder.mkdir()
        agent = AgentProcess(folder)
        agent.start(ready=False)
        wait_until((folder / sign).exists, f"{sign} is there")
        agent.note_processes()
        began = time.monotonic()
        assert agent.end(signal.SIGINT) == 0
        took = time.monotonic() - began
        wait_until(lambda: not agent.living(), "all processes are gone")
        assert "Traceback" not in agent.output, agent.output
        return took

    in_time(attempt, seconds=3.0)


def test_with_closed_standard_streams_it_runs_and_ends(tmp_path: Path) -> None:
    """A careless parent: exit 0, and the data is there."""
    command = AgentProcess(tmp_path, flags=UNHURRIED).command_line("--for", "200ms")
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    assert subprocess.run(shell, timeout=DEADLINE_SECONDS, check=False).returncode == 0
    assert list(tmp_path.glob("state/data/process/date=*/*.parquet"))


def test_garbage_on_the_inner_sockets_is_counted_visibly_and_harms_nothing(tmp_path: Path) -> None:
    """Foreign identities and foreign bytes on bus and data socket: status shows the counts, the workers stay."""
    with AgentProcess(tmp_path) as agent:
        before = agent.workers()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        for name in ("bus.sock", "data.sock"):
            stranger = context.socket(zmq.DEALER)
            stranger.setsockopt(zmq.LINGER, int(DEADLINE_SECONDS * 1000))
            stranger.setsockopt(zmq.IDENTITY, b"nobody")
            stranger.connect(f"ipc://{agent.runtime_dir / name}")
            stranger.send_multipart([b"\xc1garbage", b"x"])
            stranger.close()

        def is_counted() -> bool:
            return bool(agent.call("status")["counters"]["bus_malformed"] and agent.stats("writer")["data_malformed"])

        wait_until(is_counted, "both are counted")
        context.term()
        assert {name: row["pid"] for name, row in agent.workers().items()} == {name: row["pid"] for name, row in before.items()}
