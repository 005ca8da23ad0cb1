"""The reader group of a real agent: its members may look and read, change nothing, and take nothing away from the operator.

The members are real users of the machine (`fakes.other_user`), in the group by its number alone.
"""

import grp  # noqa: F401  what a refusal imports, and another user may not be let into the folder of this interpreter
import io
import json
import os
import pwd  # noqa: F401  the same
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from fakes.edge import Probe, many_descriptors
from fakes.other_user import OTHER_UID, as_other_user, connect_to, folder_for_all
from harness.agent_process import AgentProcess, run_agentd
from harness.control_connection import ControlConnection, ask
from harness.waiting import wait_until

from agent.cli.program import run
from agent.model.control import HUB_OPERATIONS, READ_OPERATIONS, WRITE_OPERATIONS
from supervisor.core.client_quota import CONNECTIONS_MAX

GROUP, OTHER_GROUP = 64888, 64777
READERS = {"--reader-group": str(GROUP)}
DENIED = "Permission denied"
QUERY = "SELECT count(*) AS n FROM process"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def agentctl(agent: AgentProcess, *words: str) -> Callable[[], tuple[int, str, str]]:
    """Work that calls agentctl for this agent: its exit code and what it printed."""

    def work() -> tuple[int, str, str]:
        output, warnings = io.StringIO(), io.StringIO()
        code = run([*words, "--runtime-dir", str(agent.runtime_dir)], {}, output, warnings)
        return code, output.getvalue(), warnings.getvalue()

    return work


def _group_and_mode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_gid, stat.S_IMODE(status.st_mode)


def _read(path: Path) -> str:
    path.read_bytes()
    return "read"


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    """An agent with readers, in a folder that everybody may pass through, with data sealed and open."""
    with folder_for_all() as folder, AgentProcess(folder, flags=READERS) as started:
        wait_until(lambda: started.stats("writer")["batches"] >= 2, "batches are stored")
        started.wait_sealed("process")
        yield started


def modes(agent: AgentProcess) -> dict[str, str]:
    """Mode and group of everything that the agent has made, by its path."""
    made = [path for folder in (agent.state_dir, agent.runtime_dir) for path in (folder, *folder.rglob("*"))]
    told = {}
    for path in made:
        try:
            status = path.lstat()
        except FileNotFoundError:
            # The agent goes on: a segment that was being made has its name by now.
            continue
        told[str(path.relative_to(agent.folder))] = f"{stat.S_IMODE(status.st_mode):o} {status.st_gid}"
    return told


def test_a_member_looks_and_reads_and_changes_nothing(agent: AgentProcess) -> None:
    """status, list-workers, query and top as root has them; a change is refused with 77; the other sockets stay shut."""
    calls = [agentctl(agent, *words) for words in (("status", "--json"), ("list-workers",), ("top",), ("query", "--json", QUERY))]
    # What a child of this process has not imported it may not be able to import as another user.
    assert [call()[0] for call in calls] == [0] * 4
    for groups in ([GROUP], [OTHER_GROUP, GROUP], [*range(1000, 1400), GROUP]):
        told = [as_other_user(call, groups=groups) for call in calls]
        assert [(code, warned) for code, _, warned in told] == [(0, "")] * 4
    assert json.loads(told[0][1])["ready"]
    assert json.loads(told[3][1])[0]["n"] > 0
    code, _, warned = as_other_user(agentctl(agent, "add-rule", "theirs", "--all"), groups=[GROUP])
    assert (code, f"user {OTHER_UID} may not do add-rule" in warned) == (77, True), warned
    assert agent.call("list-rules")["rules"] == []
    for name in ("bus.sock", "data.sock"):
        assert as_other_user(connect_to(agent.runtime_dir / name), groups=[GROUP]) == DENIED
    for private in (agent.state_dir / "rules.json", agent.state_dir / "state.lock", agent.runtime_dir / "fork" / "takeover-record"):
        assert not private.exists() or as_other_user(partial(_read, private), groups=[GROUP]) == DENIED
    assert as_other_user(lambda: os.listdir(agent.runtime_dir), groups=[GROUP]) == DENIED


def test_every_operation_that_only_looks_is_a_members_and_no_other(agent: AgentProcess) -> None:
    """Asked word for word over the socket; what is refused is counted."""
    control = agent.runtime_dir / "control.sock"
    operations = sorted(READ_OPERATIONS | WRITE_OPERATIONS)
    answers = as_other_user(lambda: [ask(control, each, name="writer") for each in operations], groups=[GROUP])
    outcomes = {each: answer.get("error", {}).get("code") for each, answer in zip(operations, answers, strict=True)}
    refused = dict.fromkeys(WRITE_OPERATIONS, "not_permitted")
    # This agent is no hub.
    absent = dict.fromkeys(HUB_OPERATIONS - WRITE_OPERATIONS, "no_such_worker")
    assert outcomes == dict.fromkeys(READ_OPERATIONS) | absent | refused
    assert agent.call("status")["counters"]["control_refused"] == len(WRITE_OPERATIONS)


@pytest.mark.runbook("Reader group")
def test_who_is_no_member_hears_which_group_to_join(agent: AgentProcess) -> None:
    """77 for a question and for the data; the group is asked for even where somebody has opened the socket's mode."""
    for words in (("status",), ("query", QUERY), ("query", QUERY, "--state-dir", str(agent.state_dir))):
        call = agentctl(agent, *words)
        call()
        code, _, warned = as_other_user(call, groups=[OTHER_GROUP])
        assert code == 77, warned
        assert f"or join group {GROUP} (`sudo usermod -aG {GROUP} USER`, then log in again)" in warned
    control = agent.runtime_dir / "control.sock"
    agent.runtime_dir.chmod(0o755)
    control.chmod(0o666)
    refused = as_other_user(lambda: ask(control, "status"), groups=[OTHER_GROUP])
    assert refused["error"]["code"] == "not_permitted"
    assert f"not in group {GROUP}" in refused["error"]["sentence"]


def test_group_and_modes_are_as_documented_and_off_by_default_nothing_is_open(agent: AgentProcess) -> None:
    """With readers: folders 0750, files 0640, socket 0660; all else, and all of an agent without readers, 0700 and 0600."""
    seen = modes(agent)
    theirs = {path: mode for path, mode in seen.items() if mode.endswith(str(GROUP))}
    assert theirs["run"] == f"710 {GROUP}"
    assert theirs["run/control.sock"] == f"660 {GROUP}"
    rest = {path: mode for path, mode in theirs.items() if path not in ("run", "run/control.sock")}
    assert {"state", "state/spool", "state/data", "state/data/process"} <= set(rest)
    assert {path.partition("/")[0] for path in rest} == {"state"}
    files = {path: mode for path, mode in rest.items() if path.endswith((".spool", ".parquet", "/install-id"))}
    assert "state/install-id" in files, "a query tells by it which files are this agent's"
    assert set(files.values()) == {f"640 {GROUP}"}
    assert {mode for path, mode in rest.items() if path not in files} == {f"750 {GROUP}"}
    others = set(seen) - set(theirs)
    assert {"state/set-aside", "state/state.lock", "state/data/.tmp", "run/fork", "run/bus.sock", "run/data.sock"} <= others
    assert {seen[path] for path in others} <= {"700 0", "600 0"}
    agent.end()
    # Without the setting again: what it makes from now on is its own alone.
    before = set(modes(agent))
    closed = AgentProcess(agent.folder)
    with closed:
        wait_until(lambda: closed.stats("writer")["batches"] >= 2, "batches are stored")
        made = {path: mode for path, mode in modes(closed).items() if path not in before}
        assert "run/control.sock" in made
        assert set(made.values()) <= {"700 0", "600 0"}


def test_a_runtime_folder_that_is_made_again_is_open_to_the_group_again(agent: AgentProcess) -> None:
    """A cleaner removes it: folder and control socket come back with the group and modes that they had."""
    before = {path: mode for path, mode in modes(agent).items() if path in ("run", "run/control.sock")}
    # At once: of a folder that goes file by file the agent may have made something again before it is gone.
    shutil.rmtree(agent.runtime_dir.rename(agent.folder / "removed"))
    wait_until(lambda: (agent.runtime_dir / "control.sock").exists(), "the control socket is there again")
    assert {path: mode for path, mode in modes(agent).items() if path in before} == before
    assert as_other_user(lambda: ask(agent.runtime_dir / "control.sock", "hello")["ok"], groups=[GROUP])


@pytest.mark.runbook("Reader group")
def test_data_of_before_are_opened_at_the_start_and_what_is_not_the_agents_is_not(tmp_path: Path) -> None:
    """Sealed files and segments that a private agent has left; links and other people's files in its folders stay as they are."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with folder_for_all() as folder:
        with AgentProcess(folder) as private:
            wait_until(lambda: private.stats("writer")["batches"] >= 2, "batches are stored")
            sealed, *_ = private.wait_sealed("process")
        link, theirs = sealed.parent / "link.parquet", sealed.parent / "theirs.parquet"
        link.symlink_to(victim)
        theirs.write_text("theirs")
        os.chown(theirs, OTHER_UID, OTHER_UID)
        before = (victim.stat(), theirs.stat())
        with AgentProcess(folder, flags=READERS) as agent:
            # The folder is opened last, and the mode after the group.
            wait_until(lambda: _group_and_mode(agent.state_dir / "data") == (GROUP, 0o750), "what is old is handed over")
            assert _group_and_mode(sealed) == (GROUP, 0o640)
            assert as_other_user(lambda: sealed.read_bytes()[:4].decode(), groups=[GROUP]) == "PAR1"
            after = (victim.stat(), theirs.stat())
            assert [(each.st_mode, each.st_gid) for each in after] == [(each.st_mode, each.st_gid) for each in before]


@pytest.mark.runbook("Reader group")
def test_a_group_that_the_agents_user_is_not_in_is_refused_at_the_start() -> None:
    """78 with what to do, as is one that there is none of; a group of its own user's can be used without a privilege."""
    with folder_for_all() as folder:
        folder.chmod(0o777)

        def start(group: int | str) -> Callable[[], tuple[int, str]]:
            # In this process: another user may not be let into the folder of the interpreter.
            def work() -> tuple[int, str]:
                from agent.config_file import load_config
                from agent.daemon.foreground import _make_folder, _with_readers
                from agent.model.errors import EvergaugeError

                flags = {"state_dir": str(folder / "s"), "runtime_dir": str(folder / "r"), "reader_group": str(group)}
                try:
                    from agent.command import Invocation

                    config = load_config(Invocation(flags=flags), {})
                    for name in ("s", "r"):
                        _make_folder(str(folder / name), name, name)
                    _with_readers(config)
                except EvergaugeError as failure:
                    return int(failure.code), failure.sentence
                return 0, ""

            return work

        assert start(0)() == (0, "")
        for name in ("s", "r"):
            (folder / name).rmdir()
        code, sentence = as_other_user(start(GROUP), groups=[OTHER_GROUP])
        assert (code, f"cannot be given to group {GROUP} by user {OTHER_UID}" in sentence) == (78, True), sentence
        assert as_other_user(start(OTHER_GROUP), groups=[OTHER_GROUP]) == [0, ""]
        refused = run_agentd("--state-dir", str(folder / "s"), "--reader-group", "no-such-group", "--check-config")
        assert (refused.returncode, "there is no group 'no-such-group'" in refused.stderr) == (78, True), refused.stderr


def test_a_member_with_more_connections_than_there_are_takes_none_from_the_operator(agent: AgentProcess) -> None:
    """2,100 connections held by one reader, each with questions ahead: root's own are still answered promptly."""
    control = agent.runtime_dir / "control.sock"
    with many_descriptors():
        ready, held = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            _crowd(control, ready[1], held[0])
        assert os.read(ready[0], 1) == b"x"
        probe = Probe(control)
        with ExitStack() as closes:
            mine = [closes.enter_context(ControlConnection(control)) for _ in range(CONNECTIONS_MAX + 1)]
            probe.run_while(lambda: False, least=100)
            assert all(each.ask("hello")["ok"] for each in mine)
        counters = agent.call("status")["counters"]
        os.write(held[1], b"x")
        os.waitpid(pid, 0)
        for descriptor in (*ready, *held):
            os.close(descriptor)
        probe.assert_prompt()
        assert counters["control_refused"] >= 2100 - CONNECTIONS_MAX


def _crowd(control: Path, ready: int, held: int) -> None:
    """In a child: become a member, connect without end, ask on each connection and read nothing. Does not return."""
    import signal

    try:
        signal.alarm(60)
        os.setgroups([GROUP])
        os.setgid(OTHER_UID)
        os.setuid(OTHER_UID)
        connections = []
        for _ in range(2100):
            connection = ControlConnection(control)
            connections.append(connection)
            try:
                connection.say(b'{"op": "list-workers"}\n' * 20)
            except OSError:
                continue  # Turned away.
        os.write(ready, b"x")
        os.read(held, 1)
    finally:
        os._exit(0)
