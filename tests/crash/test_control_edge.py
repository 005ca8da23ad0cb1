"""The edge of a real agent: who gets in, what belongs to whom, whose sockets they are, and how much anybody may ask for.

The other user is a real one (`fakes.other_user`), the sockets are looked at from outside.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.crowd import Crowd, give_many_rules
from fakes.edge import Probe, found_in, many_descriptors
from fakes.hollow_worker import HollowVoice, hollow_agent
from fakes.other_user import OTHER_UID, as_other_user, connect_to, folder_for_all
from harness.agent_process import AgentProcess, run_agentd
from harness.control_connection import ControlConnection, ask
from harness.proc import descriptors, rss_bytes
from harness.waiting import DEADLINE_SECONDS, wait_until

from agent.cli.control_client import ask_here_or_there
from agent.model.control import HUB_OPERATIONS, READ_OPERATIONS, REQUEST_BYTES_MAX, WRITE_OPERATIONS
from agent.model.errors import EvergaugeError
from agent.model.message import Hello, Identity, encode
from agent.model.timebase import S
from agent.paths import takeover_record as takeover_record_path
from supervisor.shell.control_socket import UNREAD_NS_MAX
from supervisor.shell.process import start_ticks_of
from supervisor.shell.takeover_record import ServerRecord, TakeoverRecordFile, boot_id

DENIED = "Permission denied"
ARGUMENTS: dict[str, dict[str, Any]] = {
    "worker-state": {"name": "writer"},
    "restart-worker": {"name": "writer"},
    "reset-worker": {"name": "writer"},
    "add-rule": {"rule": {"name": "theirs"}},
    "remove-rule": {"name": "ours"},
}
MIB = 1 << 20

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def sockets_of(agent: AgentProcess) -> list[Path]:
    """Every socket in the agent's runtime folder."""
    found = [path for path in agent.runtime_dir.rglob("*") if path.is_socket()]
    assert {"control.sock", "bus.sock", "data.sock"} <= {path.name for path in found}
    return found


def files_of_sockets(agent: AgentProcess) -> dict[str, tuple[int, int]]:
    """Which files its sockets are: a number that is free is given again, but not with the same time."""
    return {str(path): (path.stat().st_ino, path.stat().st_ctime_ns) for path in sockets_of(agent)}


def open_to_all(agent: AgentProcess, *sockets: Path) -> None:
    """What an administrator does who wants others to reach these sockets."""
    for folder in {agent.runtime_dir, *(path.parent for path in sockets)}:
        folder.chmod(0o755)
    for path in sockets:
        path.chmod(0o666)


# ---- who gets in ---------------------------------------------------------------------------------


@needs_root
def test_another_user_is_kept_out_by_the_folder_and_again_by_every_socket() -> None:
    """Neither listing nor connecting; and where the folders alone were opened, still not."""
    with folder_for_all() as folder, AgentProcess(folder) as agent:
        assert as_other_user(lambda: sorted(os.listdir(folder))) == ["output", "run", "state"]
        for closed in (agent.runtime_dir, agent.state_dir):
            assert as_other_user(partial(os.listdir, closed)) == DENIED
        assert {path: as_other_user(connect_to(path)) for path in sockets_of(agent)} == dict.fromkeys(sockets_of(agent), DENIED)
        open_to_all(agent)
        for path in agent.runtime_dir.rglob("*/"):
            path.chmod(0o755)
        assert {path: as_other_user(connect_to(path)) for path in sockets_of(agent)} == dict.fromkeys(sockets_of(agent), DENIED)


@needs_root
def test_another_users_agentctl_hears_whose_agent_it_is_and_what_to_do() -> None:
    """Exit code 77, never «no agent is running»: named by its folder, and found as the system's own where none is the user's."""
    with folder_for_all() as folder, AgentProcess(folder) as agent:
        control = str(agent.runtime_dir / "control.sock")

        def refusal(path: str, elsewhere: str) -> tuple[int, str]:
            try:
                ask_here_or_there(path, elsewhere, "status", {}, 5.0)
            except EvergaugeError as failure:
                return int(failure.code), failure.sentence
            return 0, ""

        told = f"control socket: the agent here belongs to root ({control}), and this user may not ask it; call `sudo agentctl`"
        # What a child of this process has not imported it may not be able to import as another user.
        refusal(str(folder / "nobody.sock"), "")
        nowhere = str(folder / "none" / "control.sock")
        assert as_other_user(lambda: refusal(control, "")) == [77, told]
        assert as_other_user(lambda: refusal(nowhere, control)) == [77, told]
        code, sentence = as_other_user(lambda: refusal(nowhere, str(folder / "neither" / "control.sock")))
        assert (code, "no agent is running" in sentence) == (69, True)


@needs_root
def test_where_the_control_socket_is_opened_another_user_may_look_and_change_nothing() -> None:
    """Every operation that only looks is answered, every other one refused, counted, and without effect."""
    with folder_for_all() as folder, AgentProcess(folder) as agent:
        agent.call("add-rule", rule={"name": "ours"})
        before = agent.workers()
        control = agent.runtime_dir / "control.sock"
        open_to_all(agent, control)
        operations = sorted(READ_OPERATIONS | WRITE_OPERATIONS)
        answers = as_other_user(lambda: [ask(control, each, **ARGUMENTS.get(each, {})) for each in operations])
        outcomes = {each: answer.get("error", {}).get("code") for each, answer in zip(operations, answers, strict=True)}
        refused = dict.fromkeys(WRITE_OPERATIONS, "not_permitted")
        # This agent is no hub.
        absent = dict.fromkeys(HUB_OPERATIONS - WRITE_OPERATIONS, "no_such_worker")
        assert outcomes == dict.fromkeys(READ_OPERATIONS) | absent | refused
        assert f"user {OTHER_UID} may not do" in answers[operations.index("rotate")]["error"]["sentence"]
        assert [rule["name"] for rule in agent.call("list-rules")["rules"]] == ["ours"]
        assert agent.call("status")["counters"]["control_refused"] == len(WRITE_OPERATIONS)
        assert {name: row["pid"] for name, row in agent.workers().items()} == {name: row["pid"] for name, row in before.items()}


@needs_root
def test_where_every_socket_is_opened_another_user_is_still_no_worker() -> None:
    """Anyone who says hello on the bus or on the data socket as somebody else is not answered; our own user is."""

    def is_greeted(path: Path, identity: Identity, word: bytes, *, seconds: float = 0.5) -> Callable[[], bool]:
        def work() -> bool:
            voice = HollowVoice(str(path), identity)
            voice.say(word)
            heard = bool(voice.socket.poll(int(seconds * 1000)))
            voice.close()
            return heard

        return work

    with folder_for_all() as folder, hollow_agent(folder, "writer=writer,hollow=idle", ready=False) as agent:
        wait_until(lambda: agent.workers()["writer"]["state"] == "up", "the writer is up")
        row = wait_until(lambda: row if (row := agent.workers()["hollow"])["pid"] else None, "the hollow one runs")
        run = agent.call("hello")["run"]
        bus, data = agent.runtime_dir / "bus.sock", agent.runtime_dir / "data.sock"
        open_to_all(agent, bus, data)
        calls: tuple[tuple[Path, Identity, bytes], ...] = (
            (bus, Identity(run, "hollow", row["epoch"]), encode(Hello(row["pid"]))),
            (data, Identity(run, "sampler/theirs", 1), b""),
        )
        assert (as_other_user(connect_to(bus)), as_other_user(connect_to(data))) == ("connected", "connected")
        assert [as_other_user(is_greeted(*call)) for call in calls] == [False, False]
        assert [is_greeted(*call, seconds=DEADLINE_SECONDS)() for call in calls] == [True, True]


def test_whatever_it_makes_belongs_to_its_user_alone(tmp_path: Path) -> None:
    """Started with umask 000: rules, samples sealed and open, damage set aside, sockets, and what a successor makes again."""
    before = os.umask(0)
    try:
        agent = AgentProcess(tmp_path)
        agent.start()
        agent.call("add-rule", rule={"name": "kept"})
        wait_until(lambda: agent.stats("writer")["batches"] >= 2, "batches are stored")
        assert agent.process is not None
        agent.process.kill()
        agent.process.wait()
        wait_until(lambda: not agent.living(), "nobody is left")
        (spool,) = (agent.state_dir / "spool").iterdir()
        spool.write_bytes(spool.read_bytes()[:-20] + bytes(20) + spool.read_bytes()[-400:])
        with agent:
            agent.call("rotate")
            made = dict(found_in(agent.state_dir, agent.runtime_dir))
            assert {"set-aside", "rules.json", "data", "control.sock"} <= {path.name for path in made}
            open_ones = {str(path): oct(stat.st_mode) for path, stat in made.items() if stat.st_mode & 0o7077}
            assert open_ones == {}
            assert {(stat.st_uid, stat.st_gid) for stat in made.values()} == {(os.geteuid(), os.getegid())}
    finally:
        os.umask(before)


# ---- whose sockets they are ----------------------------------------------------------------------


def test_a_second_agent_on_either_folder_is_refused_and_takes_nothing_from_the_first(tmp_path: Path) -> None:
    """Same state folder, same runtime folder, both: exit code 75 each, and not one socket of the first was touched."""
    with AgentProcess(tmp_path) as agent:
        before, run, rows = files_of_sockets(agent), agent.call("hello")["run"], agent.workers()
        ours, other = (str(agent.state_dir), str(agent.runtime_dir)), (str(tmp_path / "s"), str(tmp_path / "r"))
        for state_dir, runtime_dir in ((ours[0], other[1]), (other[0], ours[1]), ours):
            refused = run_agentd("--state-dir", state_dir, "--runtime-dir", runtime_dir, "--gateway-port", "0")
            assert refused.returncode == 75, refused.stderr
        assert (files_of_sockets(agent), agent.call("hello")["run"]) == (before, run)
        assert {name: row["pid"] for name, row in agent.workers().items()} == {name: row["pid"] for name, row in rows.items()}
        # A socket that was stolen and put back would let nobody new in.
        agent.wait_for_replacement(agent.kill_worker("writer"))


def test_a_second_agent_in_folders_of_its_own_cannot_take_a_socket_that_is_named_for_both(tmp_path: Path) -> None:
    """Sockets may stand outside the runtime folder; who comes second is refused, and the first is still asked there."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    shared = {f"--{name}-socket": str(tmp_path / f"{name}.sock") for name in ("bus", "data")}
    with AgentProcess(tmp_path / "one", flags=shared) as one:
        before = {path: os.stat(path).st_ino for path in shared.values()}
        two = AgentProcess(tmp_path / "two", flags=shared)
        refused = run_agentd(*two.command_line("--for", "300ms")[3:])
        assert {path: os.stat(path).st_ino for path in shared.values() if os.path.exists(path)} == before
        assert refused.returncode == 75, refused.stderr
        one.wait_for_replacement(one.kill_worker("sampler/process"))


def test_what_a_dead_agent_left_is_replaced_and_not_believed(tmp_path: Path) -> None:
    """After SIGKILL of everything the socket files are there and nobody listens; the next agent's are others."""
    # Those of it that are killed last do not come to take the sockets away before.
    agent = AgentProcess(tmp_path, flags={"--supervisor-orphan-grace": "60s"})
    agent.start()
    before = files_of_sockets(agent)
    processes = agent.note_processes()
    assert agent.process is not None
    agent.process.kill()
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    agent.process.wait()
    wait_until(lambda: not agent.living(), "nobody is left")
    with pytest.raises(ConnectionRefusedError):
        agent.call("hello")
    with agent:
        after = files_of_sockets(agent)
        assert not set(before.values()) & set(after.values())
        assert sorted(Path(path).name for path in after if "listener" not in path) == ["bus.sock", "control.sock", "data.sock"]


@pytest.mark.parametrize("is_link", [True, False], ids=["links", "files"])
def test_what_stands_under_a_sockets_name_is_replaced_and_what_it_points_to_is_left_alone(tmp_path: Path, is_link: bool) -> None:
    """A planted link or file at each name, the passing one included."""
    agent = AgentProcess(tmp_path)
    agent.runtime_dir.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    names = ("control.sock", "control.sock.new", "bus.sock", "data.sock")
    for name in names:
        planted = agent.runtime_dir / name
        planted.symlink_to(victim) if is_link else planted.write_text("")
    with agent:
        assert not [path for path in agent.runtime_dir.iterdir() if path.is_symlink()]
        assert len(sockets_of(agent)) >= 3
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["run/runtime.lock", "state/state.lock", "state/rules.json.new"])
def test_a_planted_link_leads_no_write_of_the_agent_elsewhere(tmp_path: Path, name: str) -> None:
    """It starts beside the link or refuses to; the file behind it is as it was."""
    agent = AgentProcess(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).symlink_to(victim)
    agent.start(ready=False)
    assert agent.process is not None
    process = agent.process
    wait_until(lambda: process.poll() is not None or (agent.runtime_dir / "control.sock").exists(), "it answers or ends")
    if process.poll() is None:
        agent.call("add-rule", rule={"name": "kept"})
        assert agent.end() == 0
    assert victim.read_text() == "precious", agent.output


@pytest.mark.parametrize("is_link", [True, False], ids=["link", "folder"])
def test_files_of_others_in_a_shared_runtime_folder_are_never_removed(tmp_path: Path, is_link: bool) -> None:
    """Somebody names a folder that is in use, /tmp say: what lies there under the name of the fork server's folder stays."""
    agent = AgentProcess(tmp_path)
    agent.runtime_dir.mkdir()
    theirs = agent.runtime_dir / "fork"
    if is_link:
        theirs.symlink_to(tmp_path / "theirs")
        (tmp_path / "theirs").mkdir()
    else:
        theirs.mkdir()
    (theirs / "thesis.tex").write_text("precious")
    run_agentd(*agent.command_line("--for", "200ms")[3:])
    assert (theirs / "thesis.tex").exists()


def test_a_planted_takeover_record_that_names_somebody_elses_process_ends_nobody(tmp_path: Path) -> None:
    """What a dead supervisor left is believed only as far as the processes themselves bear it out."""
    agent = AgentProcess(tmp_path)
    (agent.runtime_dir / "fork").mkdir(parents=True)
    innocent = subprocess.Popen(["sleep", "1000"])
    try:
        server = ServerRecord(innocent.pid, start_ticks_of(innocent.pid) or 0, 1, "/nowhere")
        path = takeover_record_path(str(agent.runtime_dir))
        TakeoverRecordFile(
            path, boot_id=boot_id(), run="f" * 16, fingerprint=bytes(32), epochs={"writer": 1}, server=server
        ).close()
        with agent:
            assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


# ---- how much anybody may ask for ----------------------------------------------------------------


def test_a_request_may_be_as_long_as_the_limit_and_not_one_byte_longer(tmp_path: Path) -> None:
    """64 KiB in one line are answered; with one more byte the limit is named and the connection ended."""
    request = json.dumps({"v": 1, "op": "hello", "args": {}}).encode()
    with AgentProcess(tmp_path) as agent, ControlConnection(agent.runtime_dir / "control.sock") as client:
        client.say(request.ljust(REQUEST_BYTES_MAX) + b"\n")
        assert client.answer()["ok"]
        client.say(request.ljust(REQUEST_BYTES_MAX + 1) + b"\n")
        refused = client.answer()
        assert refused["error"]["code"] == "too_long"
        assert f"at most {REQUEST_BYTES_MAX} bytes" in refused["error"]["sentence"]
        assert client.is_ended()


def test_a_hundred_megabytes_without_a_newline_are_not_taken(tmp_path: Path) -> None:
    """The agent reads no further than it must to know, says so, and holds nothing of it."""
    with AgentProcess(tmp_path) as agent:
        assert agent.process is not None
        control, pid = agent.runtime_dir / "control.sock", agent.process.pid
        Probe(control).run_while(lambda: False, least=20)
        before = rss_bytes(pid)
        for _ in range(5):
            with ControlConnection(control) as client:
                assert sent_until_refused(client, 100 * MIB) < 2 * MIB
                assert client.answer()["error"]["code"] == "too_long"
        assert rss_bytes(pid) - before < 4 * MIB
        assert agent.call("status")["counters"]["control_malformed"] == 5


def sent_until_refused(client: ControlConnection, most: int) -> int:
    """How many bytes without a newline a client gets rid of."""
    sent = 0
    with suppress(BrokenPipeError, ConnectionResetError):
        while sent < most:
            sent += client.stream.send(b"x" * MIB)
    return sent


def test_thousands_of_requests_ahead_are_all_answered_in_order_and_hold_up_nobody(tmp_path: Path) -> None:
    """Five thousand in one write: each gets its answer, and another client's answers stay quick."""
    count, share = 5000, 20
    with AgentProcess(tmp_path) as agent, ControlConnection(agent.runtime_dir / "control.sock") as client:
        probe = Probe(agent.runtime_dir / "control.sock")
        client.say(b"".join(b'{"op": "no-%d"}\n' % number for number in range(count)))
        heard: list[int] = []

        def is_under_way() -> bool:
            for _ in range(share):
                heard.append(int(client.answer()["error"]["sentence"].split("'")[1].removeprefix("no-")))
            return len(heard) < count

        probe.run_while(is_under_way, least=0)
        assert heard == list(range(count))
        probe.assert_prompt()


# ---- idle and slow clients -----------------------------------------------------------------------


def test_a_thousand_idle_and_ten_slow_clients_hold_up_nobody_and_are_all_served(tmp_path: Path) -> None:
    """Idle ones, ten that write a byte a second, ten that never read a long answer: another one's answers stay quick,
    nobody is turned away, and everything is given back when they go."""
    give_many_rules(tmp_path / "state", 1000)
    with AgentProcess(tmp_path) as agent, many_descriptors():
        assert agent.process is not None
        control, pid = agent.runtime_dir / "control.sock", agent.process.pid
        # It has descriptors of its own, and comes a moment after the workers.
        wait_until(agent.spares, "there is a process in reserve")
        Probe(control).run_while(lambda: False, least=20)
        before = descriptors(pid)
        begun = time.monotonic()
        with Crowd(control, idle=1000, deaf=10, slow=10) as crowd:
            probe = Probe(control)
            probe.run_while(crowd.go_on, least=300)
            probe.assert_prompt()
            assert crowd.slow_answers() == [True] * 10
            assert [crowd.idle[number].ask("hello")["ok"] for number in (0, 499, 999)] == [True] * 3
            counters = agent.call("status")["counters"]
            # Who never reads is cut off in the end: rightly, where this has taken so long.
            is_early = time.monotonic() - begun < UNREAD_NS_MAX / S
            assert [counters[f"control_{name}"] for name in ("refused", "malformed")] == [0, 0]
            assert counters["control_cut_off"] == 0 or not is_early
            assert descriptors(pid) >= before + 1000
            # Longer than what a socket holds: the agent has kept the rest for anyone who reads at last.
            assert not is_early or len(crowd.deaf[0].answer()["result"]["rules"]) == 1000
        wait_until(lambda: descriptors(pid) <= before, "all descriptors are given back")
