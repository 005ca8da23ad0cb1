"""The known traps of supervisors, each with tests that fall into it; those without a file are in this one.

timers made on every turn of the loop
    test_polling_without_a_pause_delays_neither_restarts_nor_the_finding_of_hangs
    unit/supervisor/core/test_machine.py: test_polling_list_workers_does_not_postpone_a_restart
a backoff sleep inside the loop
    test_a_worker_that_waits_ten_minutes_holds_up_nobody
unframed JSON read as a length
    test_a_length_that_nobody_can_mean_ends_the_connection
    test_json_on_an_inner_socket_harms_nobody
rules marked clean at send
    crash/test_stopped_reader.py: test_a_rule_is_not_held_by_a_worker_until_it_says_so
    unit/supervisor/core/test_authority.py: test_a_worker_is_in_sync_only_after_its_acknowledgement
an orphan left by a failed set-up
    test_a_process_whose_start_fails_halfway_is_ended
    crash/test_limits.py: test_out_of_descriptors_it_answers_connected_clients_and_recovers
a socket that nobody reads filling up
    crash/test_stopped_reader.py: test_a_hundred_thousand_changes_flow_past_a_stopped_worker
    test_a_log_that_nobody_reads_stops_nothing
    integration/test_supervisor_control.py: test_a_client_that_never_reads_is_cut_off_in_time
backoff reset at spawn
    crash/test_resilience.py: test_a_worker_that_always_dies_waits_exponentially_longer_until_a_stable_period
a hash of ids only
    test_a_rule_that_changes_under_its_name_changes_what_every_worker_reports
    unit/agent/model/test_rule_state.py: test_different_contents_have_different_digests
an acknowledgement that does not name what it answers
    test_an_old_acknowledgement_of_the_same_rules_is_not_taken_for_that_of_the_repair
    unit/supervisor/core/test_authority.py: test_an_acknowledgement_of_an_older_message_is_not_taken_for_the_last
ROUTER dropping to a stopped peer
    test_a_message_that_a_stopped_peer_has_no_room_for_is_refused_and_not_dropped
a second ipc bind stealing the endpoint
    test_a_second_supervisor_steals_no_socket_of_the_first
a ZeroMQ context crossing a fork
    test_no_socket_and_no_thread_of_zeromq_is_there_to_cross_a_fork
reuse of process numbers
    test_a_stranger_with_a_dead_workers_number_is_not_signalled
    integration/test_supervisor_shell.py: test_a_dead_child_is_seen_as_a_zombie_and_then_not_at_all
wall-clock arithmetic
    test_a_wall_clock_that_jumps_by_days_changes_no_delay
a health check that kills busy workers
    crash/test_signals.py: test_a_worker_that_is_merely_busy_is_never_killed
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import zmq
from fakes.convergence import Pollster, assert_converged, assert_holds_the_rules, events, rss_bytes, take_census, wait_until_up
from fakes.restarts import JSON_LOG, delays_ms, pauses_ms
from fakes.story import Story
from fakes.worker_set_agent import WorkerSetAgent
from harness.agent_process import AgentProcess, run_agentd
from harness.numbered_process import NumberedProcess
from harness.waiting import DEADLINE_SECONDS, SLOWNESS, wait_until

from agent.model.heartbeat_page import Beat
from agent.model.message import Ack, Delta, Hello, Identity, Snapshot, encode
from supervisor.core.effect import Send, WorkerObservation, WorkersObserved
from supervisor.core.watchdog import ProcessState
from supervisor.shell.bus import QUEUE_MAX, BusRouter

MIB = 1 << 20
EXACT = {"--supervisor-backoff-jitter-percent": "0"}
BASE_MS = round(400 * SLOWNESS)
STEPS = {"--supervisor-backoff-base": f"{BASE_MS}ms", "--supervisor-backoff-ceiling": f"{BASE_MS}ms"}


# ---- time ------------------------------------------------------------------------------------------


def test_polling_without_a_pause_delays_neither_restarts_nor_the_finding_of_hangs(tmp_path: Path) -> None:
    """Three clients that ask list-workers as fast as they are answered: the delays are exact, a stopped worker is replaced."""
    with WorkerSetAgent(tmp_path, "bad=dies,stopped=idle", flags={**EXACT, **STEPS, **JSON_LOG}, ready=False) as agent:
        row = wait_until_up(agent, "stopped")
        with Pollster(agent, pause_seconds=0), Pollster(agent, pause_seconds=0), Pollster(agent, pause_seconds=0):
            os.kill(row["pid"], signal.SIGSTOP)
            agent.wait_for_replacement(row)
            wait_until(lambda: len(delays_ms(agent, "bad")) >= 6, "six restarts")
        agent.spare("bad")
        assert all(each >= BASE_MS for each in pauses_ms(agent.ledger("bad"))[1:6])
        # The one that the machine held up least tells. Before the line of the first of them the supervisor imports what plans them.
        assert min(delays_ms(agent, "bad")[2:6]) == pytest.approx(BASE_MS, rel=0.1)
        assert_converged(agent)


def test_a_worker_that_waits_ten_minutes_holds_up_nobody(tmp_path: Path) -> None:
    """While it waits, questions are answered and another worker's death is answered at once; a reset ends the wait."""
    slow = {"--supervisor-backoff-base": "10m", "--supervisor-backoff-ceiling": "10m"}
    with WorkerSetAgent(tmp_path, "bad=dies,good=idle", flags=slow, ready=False) as agent:
        wait_until_up(agent, "good")
        wait_until(lambda: agent.workers()["bad"]["state"] == "backoff", "it waits")
        with Pollster(agent):
            # The other one waits for ten minutes.
            agent.wait_for_replacement(agent.kill_worker("good"))
            agent.call("add-rule", rule={"name": "new"})
            assert_holds_the_rules(agent, "good")
        agent.spare("bad")
        agent.call("reset-worker", name="bad")
        assert_converged(agent)


def test_a_wall_clock_that_jumps_by_days_changes_no_delay(tmp_path: Path) -> None:
    """To and fro at every look: restarts come when they should, a hang is found, nobody is killed, and all uptimes are sane."""
    module = "fakes.jumping_worker_set"
    started_at = time.monotonic()
    with WorkerSetAgent(tmp_path, "bad=dies,good=idle,stopped=idle", flags={**EXACT, **STEPS}, module=module, ready=False) as agent:
        good, _stopped = (wait_until_up(agent, name) for name in ("good", "stopped"))
        row = agent.kill_worker("stopped", signal.SIGSTOP)
        agent.wait_for_replacement(row)
        waited_ms = wait_until(lambda: len(found := pauses_ms(agent.ledger("bad"))) >= 4 and found, "four restarts")
        agent.spare("bad")
        # A busy machine makes them late. None comes at once, and one that came a day later would have ended the wait above.
        assert all(each >= BASE_MS for each in waited_ms[1:4]), waited_ms
        assert_converged(agent)
        rows = agent.workers()
        assert rows["good"]["pid"] == good["pid"]
        assert all(0 <= row["uptime_seconds"] <= time.monotonic() - started_at + SLOWNESS for row in rows.values())
        assert [event["worker"] for event in events(agent, "worker_hung")] == ["stopped"]


# ---- sockets ---------------------------------------------------------------------------------------


def test_json_on_an_inner_socket_harms_nobody(tmp_path: Path) -> None:
    """A client that takes bus or data socket for the control socket: no worker dies, no memory is taken, both go on."""
    with AgentProcess(tmp_path) as agent:
        before, rss_before = agent.workers(), _rss(agent)
        with _connected(agent, "bus.sock") as bus, _connected(agent, "data.sock") as data:
            for stream in (bus, data):
                for _ in range(100):
                    stream.sendall(b'{"v": 1, "op": "status", "args": {}}\n')
            agent.wait_for_replacement(agent.kill_worker("gateway"))
            agent.call("rotate")
        after = agent.workers()
        assert {name: after[name]["pid"] for name in ("writer", "control-plane", "sampler/process")} == {
            name: before[name]["pid"] for name in ("writer", "control-plane", "sampler/process")
        }
        assert _rss(agent) - rss_before < 4 * MIB
        assert_converged(agent)


@pytest.mark.parametrize("name", ["bus.sock", "data.sock"])
def test_a_length_that_nobody_can_mean_ends_the_connection(tmp_path: Path, name: str) -> None:
    """A well-behaved peer until it announces a frame of 2 GiB, the first bytes of a JSON text read as a length: cut off at once."""
    with AgentProcess(tmp_path) as agent:
        assert agent.process is not None
        holder = agent.process.pid if name == "bus.sock" else agent.workers()["writer"]["pid"]
        size_before = psutil.Process(holder).memory_info().vms
        with _connected(agent, name) as stream:
            _greet_as_dealer(stream)
            stream.sendall(b"\x02" + (2 << 30).to_bytes(8, "big") + b'{"v": 1}')
            assert _is_cut_off(stream)
        assert psutil.Process(holder).memory_info().vms - size_before < 512 * MIB
        assert_converged(agent)


def test_a_message_that_a_stopped_peer_has_no_room_for_is_refused_and_not_dropped(tmp_path: Path) -> None:
    """A peer that does not read: after its queue is full each send says no, at once; so does one to nobody."""
    bus = BusRouter(str(tmp_path / "bus.sock"), "run")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peer = context.socket(zmq.DEALER)
    peer.setsockopt(zmq.IDENTITY, Identity("run", "stopped", 1).encode())
    peer.setsockopt(zmq.RCVHWM, 1)
    peer.setsockopt(zmq.LINGER, 0)
    peer.connect(f"ipc://{tmp_path / 'bus.sock'}")
    peer.send(encode(Hello(1)))
    wait_until(lambda: list(bus.receive()), "it is connected")
    message = Delta(1, 1, bytes(32), [("rule/large", bytes(64 << 10))])
    sent = 0
    while bus.send("stopped", 1, message):
        sent += 1
        # What the kernel holds of a stream comes on top, and that is some 200 KiB.
        assert sent < 4 * QUEUE_MAX, "it takes whatever it is given"
    assert sent >= QUEUE_MAX
    began_at = time.monotonic()
    assert not any(bus.send("stopped", 1, message) for _ in range(1000))
    assert not bus.send("nobody", 1, message)
    assert time.monotonic() - began_at < 1.0 * SLOWNESS
    peer.close()
    context.term()
    bus.close()


def test_a_second_supervisor_steals_no_socket_of_the_first(tmp_path: Path) -> None:
    """It is refused by its runtime folder alone; the first one's workers still reach it, and so do new ones."""
    with AgentProcess(tmp_path) as agent:
        before = {name: (agent.runtime_dir / name).stat().st_ino for name in ("bus.sock", "data.sock", "control.sock")}
        folders = ("--state-dir", str(tmp_path / "other"), "--runtime-dir", str(agent.runtime_dir), "--gateway-port", "0")
        refused = run_agentd(*folders)
        assert refused.returncode == 75, refused.stderr
        assert {name: (agent.runtime_dir / name).stat().st_ino for name in before} == before
        for row in agent.workers().values():
            agent.wait_for_replacement(agent.kill_worker(row["name"]))
        agent.call("add-rule", rule={"name": "new"})
        assert_converged(agent)


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    """stderr is a full pipe from the start: workers talk, die and come back, questions are answered, and the end comes in time."""
    pipe = tmp_path / "stderr"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(reader, bytes(4096))
    prefix = ("sh", "-c", f'exec "$@" 2>"{pipe}"', "sh")
    # One that floods is silent for as long as nobody reads.
    with WorkerSetAgent(tmp_path, "loud=idle,other=idle", prefix=prefix, flags={"--supervisor-hang-timeout": "60s"}) as agent:
        with Pollster(agent):
            # What waits for a reader is bounded; only a number of stderr lines per second are logged for each worker.
            def are_lost() -> bool:
                agent.order("loud", "flood 4")
                return bool(agent.call("status")["counters"]["log_unwritten"] > 100)

            wait_until(are_lost, "lines are lost")
            for name in ("loud", "other"):
                agent.wait_for_replacement(agent.kill_worker(name))
            assert_converged(agent)
        assert agent.end() == 0
    os.close(reader)


# ---- rules -----------------------------------------------------------------------------------------


def test_a_rule_that_changes_under_its_name_changes_what_every_worker_reports(tmp_path: Path) -> None:
    """Same names, other content: another digest in force, and each worker itself has the new content and that digest."""
    with AgentProcess(tmp_path) as agent:
        agent.call("add-rule", rule={"name": "same", "priority": 1})
        first = agent.call("list-rules")["digest"]
        agent.call("add-rule", rule={"name": "same", "priority": 2})
        assert agent.call("list-rules")["digest"] != first
        for name in agent.workers():
            assert_holds_the_rules(agent, name)
            assert [rule["priority"] for rule in agent.call("worker-state", name=name)["rules"]] == [2]


def test_an_old_acknowledgement_of_the_same_rules_is_not_taken_for_that_of_the_repair() -> None:
    """A worker has drifted and was sent all again: what it said of the same revision and digest before proves nothing now."""
    story = Story({"writer": "writer"})
    story.spawned("writer")
    (first,) = [effect.message for effect in story.say("writer", Hello(100)) if isinstance(effect, Send)]
    assert isinstance(first, Snapshot)
    old = Ack(first.sequence, first.revision, first.digest)
    story.say("writer", old)
    assert story.supervisor_state.authority.is_in_sync("writer")
    drifted = Beat(1, story.now_ns, first.revision, bytes(31) + b"\1")
    effects = story.tell(WorkersObserved((WorkerObservation("writer", 1, drifted, ProcessState("S", 0)),)))
    (repair,) = [effect.message for effect in effects if isinstance(effect, Send)]
    assert isinstance(repair, Snapshot)
    story.say("writer", old)
    assert not story.supervisor_state.authority.is_in_sync("writer")
    story.say("writer", Ack(repair.sequence, repair.revision, repair.digest))
    assert story.supervisor_state.authority.is_in_sync("writer")


# ---- processes -------------------------------------------------------------------------------------


def test_a_process_whose_start_fails_halfway_is_ended(tmp_path: Path) -> None:
    """It exists, and then the supervisor fails to take note of it: it is found and ended, and the worker is there once."""
    failpoints = tmp_path / "failpoints"
    failpoints.mkdir()
    with WorkerSetAgent(tmp_path, "one=idle,two=idle", variables={"EVERGAUGE_FAILPOINTS": str(failpoints)}) as agent:
        before = take_census(agent)
        for _ in range(3):
            (failpoints / "launcher.started").write_text("error EMFILE")
            # The first takes the place from the reserve; the one that is to fill that place, or to come after it, fails.
            for name in ("one", "two"):
                agent.wait_for_replacement(agent.kill_worker(name))
            wait_until(lambda: not (failpoints / "launcher.started").exists(), "a start has failed")
            assert_converged(agent, before)


def test_no_socket_and_no_thread_of_zeromq_is_there_to_cross_a_fork(tmp_path: Path) -> None:
    """The process that all are forked from has one thread and no connection to the bus; each worker has its own, once."""
    with AgentProcess(tmp_path) as agent:
        take_census(agent)
        server = agent.fork_server()
        assert server.num_threads() == 1
        assert _eventfds(server) == 0
        assert not any("bus.sock" in str(each.laddr) for each in server.net_connections("unix"))
        for row in agent.workers().values():
            # Threads do not cross a fork: its loop, and beside it those of a context that it has made itself.
            assert psutil.Process(row["pid"]).num_threads() >= 3, row["name"]


def test_a_stranger_with_a_dead_workers_number_is_not_signalled(tmp_path: Path) -> None:
    """Between the decision to kill a worker and the signal its number becomes another's: that one lives, and the worker is back."""
    with WorkerSetAgent(tmp_path, "stopped=idle,other=idle", module="fakes.swapping_worker_set") as agent:
        row = agent.kill_worker("stopped", signal.SIGSTOP)
        asked = agent.orders / "swap"
        wait_until(asked.exists, "the supervisor is about to kill it")
        stranger = NumberedProcess(int(asked.read_text()))
        try:
            assert stranger.pid == row["pid"]
            (agent.orders / "swapped").touch()
            agent.wait_for_replacement(row)
            assert_converged(agent)
            assert stranger.is_running()
        finally:
            stranger.kill()


# ---- parts -----------------------------------------------------------------------------------------


@contextmanager
def _connected(agent: AgentProcess, name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(DEADLINE_SECONDS)
        stream.connect(str(agent.runtime_dir / name))
        yield stream


def _greet_as_dealer(stream: socket.socket) -> None:
    """The handshake of ZMTP 3.0 without security, byte for byte as its specification (rfc.zeromq.org, 23) has it."""
    stream.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    _read(stream, 64)
    metadata = b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER" + b"\x08Identity" + (6).to_bytes(4, "big") + b"nobody"
    ready = b"\x05READY" + metadata
    stream.sendall(b"\x04" + bytes([len(ready)]) + ready)
    head = _read(stream, 2)
    assert head[0] == 0x04, head
    assert _read(stream, head[1]).startswith(b"\x05READY")


def _read(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        assert part, "the connection was ended"
        data += part
    return data


def _is_cut_off(stream: socket.socket) -> bool:
    try:
        while stream.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def _eventfds(process: psutil.Process) -> int:
    """How many of the descriptors that ZeroMQ wakes its threads with a process holds."""
    folder = Path(f"/proc/{process.pid}/fd")
    return sum(1 for each in folder.iterdir() if str(each.readlink()) == "anon_inode:[eventfd]")


def _rss(agent: AgentProcess) -> int:
    assert agent.process is not None
    return rss_bytes(agent.process.pid)
