"""agentctl against a control socket: every command, every way in which the agent can fail it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.control_server import FakeControlServer, Refusal
from fakes.terminal import TerminalOutput
from harness.waiting import in_time, wait_until

from agent.cli.program import run

WORKER = {
    "name": "sampler/process",
    "kind": "sampler/process",
    "state": "up",
    "pid": 4242,
    "epoch": 3,
    "uptime_seconds": 185.2,
    "restarts": 2,
    "last_exit": "SIGKILL",
    "deaths": {},
    "stderr_tail": [],
    "backoff_seconds": None,
    "heartbeat_age_seconds": 0.31,
    "rules_revision": 7,
    "rules_digest": "00" * 32,
    "in_sync": False,
    "cpu_percent": 0.61,
    "rss_bytes": 20 << 20,
    "pss_bytes": 8 << 20,
}
NEVER = {"epoch": 0, "restarts": 0, "deaths": {}, "stderr_tail": []}
DOWN = {**dict.fromkeys(WORKER), **NEVER, "name": "writer", "kind": "writer", "state": "backoff", "backoff_seconds": 12.5}
RULE = {"name": "web", "priority": 10, "match": {"namespace": "prod-*"}, "action": {"kind": "shared", "group": "web"}}
POD = {
    "uid": "11-22",
    "kind": "pod",
    "namespace": "shop",
    "name": "front",
    "labels": {"app": "front"},
    "qos": "burstable",
    "cgroup": "/kubepods/11-22",
    "containers": 2,
    "container_names": {"c1": "server", "c2": "proxy"},
    "group": "web",
    "group_state": "exists",
    "group_problem": None,
    "group_detail": None,
    "group_paths": ["/r/mon_groups/pod_u1"],
    "total_containers": 2,
    "reconciled_containers": 2,
    "rule": "web",
    "valid_from": "2023-11-14T22:13:20.000Z",
}
EVENT = {"at": "2023-11-14T22:13:20.000Z", "kind": "exited", "severity": "warning", "worker": "writer", "fields": {"epoch": 2}}
DEATH = {
    "at": "2023-11-14T22:13:20.000Z",
    "worker": "writer",
    "epoch": 2,
    "exit": "io (74)",
    "reason": None,
    "uptime_seconds": 1,
    "stderr_tail": ["no space"],
}
STATUS = {
    "ready": False,
    "reasons": ["writer is in backoff"],
    "version": "0.1.0",
    "run": "r1",
    "host": "node-1",
    "pid": 1,
    "uptime_seconds": 60,
    "state_dir": "/s",
    "runtime_dir": "/r",
    "rules": {"revision": 7, "digest": "00", "rules": 1, "pods": 2},
    "workers": [{**WORKER, "cpu_seconds": 1.5}, {**DOWN, "cpu_seconds": None}],
    "counters": {"drifts": 0},
    "stats": {
        "writer": {"rows": 100, "batches": 9, "gap_rows": 0, "duplicates": 1, "spool_bytes": 4096, "sealed_rows": 0},
        "sampler/process": {"ticks": 9, "ticks_missed": 0, "processes": 70, "outbox": {"unacknowledged": 1, "refused_rows": 0}},
        "gateway": {"address": "127.0.0.1:9464"},
        "control-plane": None,
    },
    "conditions": [{"worker": "writer", "kind": "disk_full", "detail": "no space", "blocks_ready": True}],
    "deaths": [DEATH],
    "diag": [EVENT],
}


def _no_such_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    if arguments["name"] != "writer":
        raise Refusal("no_such_worker", f"{arguments['name']}: there is no such worker; `agentctl list-workers` names them", 64)
    return {"name": "writer", "state": "stopping"}


ANSWERS: dict[str, Any] = {
    "hello": {"version": "0.1.0", "run": "r1", "pid": 1, "host": "node-1", "state_dir": "/s", "runtime_dir": "/r"},
    "list-workers": {"workers": [WORKER, DOWN]},
    "worker-state": {"name": "writer", "epoch": 1, "revision": 7, "digest": "00", "rules": [RULE], "pods": [POD]},
    "list-pods": {"complete": True, "pods": [POD]},
    "list-rules": {"revision": 7, "digest": "00", "rules": [RULE, {"name": "first", "priority": 11}]},
    "add-rule": {"revision": 8, "changed": True},
    "remove-rule": {"revision": 9, "changed": False},
    "restart-worker": _no_such_worker,
    "reset-worker": _no_such_worker,
    "rotate": {"files": [{"table": "process", "path": "/s/data/x.parquet", "rows": 12}], "rows": 12},
    "diag": {"events": [EVENT], "deaths": [], "hidden": 3},
    "status": STATUS,
}

AssignmentUpdate = tuple[int, str, str]
Program = Callable[..., AssignmentUpdate]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeControlServer]:
    with FakeControlServer(str(tmp_path), ANSWERS) as running:
        yield running


@pytest.fixture
def agentctl(tmp_path: Path) -> Program:
    """Run a command line against the runtime folder of the test."""

    def call(*words: str) -> AssignmentUpdate:
        output, warnings = io.StringIO(), io.StringIO()
        code = run(words, {"EVERGAUGE_RUNTIME_DIR": str(tmp_path)}, output, warnings)
        return code, output.getvalue(), warnings.getvalue()

    return call


COMMANDS = {
    "list-workers": ["sampler/process", "up", "4242", "3 min 5 s", "SIGKILL", "0.31 s", "7!", "0.6 %", "8.0 MiB", "12 s"],
    "worker-state writer": ["revision", "prod-*", "shop/front"],
    "list-pods": ["shop/front", "burstable", "exists"],
    "list-rules": ["web", "prod-*", "shared web", "revision 7"],
    "add-rule web --all --shared web": ["rule web is in force; revision 8"],
    "remove-rule web": ["rule web changed nothing; revision 9"],
    "restart-worker writer": ["writer is stopping"],
    "reset-worker writer": ["writer is stopping"],
    "rotate": ["process", "sealed 12 rows in 1 file\n"],
    "diag --limit 5": ["2023-11-14T22:13:20.000Z", "exited", "epoch=2", "3 more events not shown"],
    "status": [
        "no: writer is in backoff",
        "disk_full",
        "blocked",
        "io (74)",
        "70 processes",
        "127.0.0.1:9464",
        "100 rows",
        "1 rule,",
        "1 duplicate\n",
    ],
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_prints_the_agents_answer(line: str, server: FakeControlServer, agentctl: Program) -> None:
    """What the agent says is shown within 100 columns, with units."""
    code, text, told = agentctl(*line.split())
    assert (code, told) == (0, "")
    assert [word for word in COMMANDS[line] if word not in text] == []
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("line", COMMANDS)
def test_json_is_the_agents_result(line: str, server: FakeControlServer, agentctl: Program) -> None:
    """--json prints one document: the result as it came."""
    code, text, _ = agentctl(*line.split(), "--json")
    answer = ANSWERS[line.split()[0]]
    assert (code, json.loads(text)) == (0, answer({"name": "writer"}) if callable(answer) else answer)


def test_rules_stand_in_the_order_in_which_they_are_tried(server: FakeControlServer, agentctl: Program) -> None:
    """The highest priority comes first, whatever the order of the answer."""
    text = agentctl("list-rules")[1]
    assert text.index("first") < text.index("web")


def test_the_request_is_what_the_protocol_says(server: FakeControlServer, agentctl: Program) -> None:
    """Version, operation and arguments."""
    agentctl("add-rule", "a", "--namespace", "n")
    rule = {"name": "a", "priority": 0, "match": {"namespace": "n"}, "action": {"kind": "own"}}
    assert server.requests[0] == {"v": 1, "op": "add-rule", "args": {"rule": rule}}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["web", "--namespace", "sh*"], ""),
        (["web", "--label", "app=front"], ""),
        (["web", "--from-json", '{"match": {"labels": {"app": "web"}}}'], "no pod has label app=web; its values are front"),
        (["web", "--namespace", "prod"], "no pod has namespace prod; there are shop"),
        (["web", "--pod", "front"], ""),
        (["web", "--qos", "burstable"], ""),
        (["web", "--all"], ""),
    ],
)
def test_a_new_rule_says_what_it_matches(words: list[str], reason: str, server: FakeControlServer, agentctl: Program) -> None:
    """By namespace, name, label and class of the pods that there are now; where none is met, which condition it is."""
    matched = 0 if reason else 1
    told = f"rule web is in force; revision 8\nit matches {matched} of 1 pods and units now\n"
    warning = f"agentctl: add-rule: rule web takes no pod yet: {reason}\n" if reason else ""
    assert agentctl("add-rule", *words) == (0, told, warning)


@pytest.mark.parametrize(
    ("words", "is_warned"),
    [(["--namespace", "prod"], True), (["--label", "a=b"], True), (["--namespace", "*"], False), (["--pod", "x"], False)],
)
def test_a_rule_for_names_that_nobody_reports_is_in_force_with_a_warning(
    words: list[str], is_warned: bool, tmp_path: Path, agentctl: Program
) -> None:
    """Without a container runtime no pod has a namespace or a label; a name may be a service's."""
    nameless = {**POD, "namespace": None, "name": None, "labels": {}}
    answers: dict[str, Any] = {**ANSWERS, "list-pods": {"complete": True, "pods": [nameless]}}
    with FakeControlServer(str(tmp_path), answers):
        code, _, told = agentctl("add-rule", "web", *words)
    warning = "agentctl: add-rule: rule web takes no pod yet: no container runtime has reported a namespace or label of any pod"
    assert (code, told) == (0, f"{warning}; `agentctl doctor` says why\n" if is_warned else "")


def test_a_rule_is_in_force_whether_or_not_pods_can_be_listed(tmp_path: Path, agentctl: Program) -> None:
    """What it matches is not said then; its JSON is the agent's answer alone."""
    with FakeControlServer(str(tmp_path), {"add-rule": ANSWERS["add-rule"]}):
        assert agentctl("add-rule", "web", "--all") == (0, "rule web is in force; revision 8\n", "")
        assert json.loads(agentctl("add-rule", "web", "--all", "--json")[1]) == ANSWERS["add-rule"]


def test_the_agents_error_is_the_users_sentence(server: FakeControlServer, agentctl: Program) -> None:
    """An error of the agent ends with its sentence and its exit code."""
    told = "agentctl: x: there is no such worker; `agentctl list-workers` names them\n"
    assert agentctl("restart-worker", "x") == (64, "", told)


def test_without_an_agent_the_way_to_one_is_told(tmp_path: Path, agentctl: Program) -> None:
    """The sentence names the folder that was looked at, and how to start an agent or name another folder."""
    code, text, told = agentctl("status")
    assert (code, text, told.count("\n")) == (69, "", 1)
    assert all(word in told for word in ("no agent is running", "`scripts/run`", "--runtime-dir"))
    assert told.count(str(tmp_path)) == 1


def test_a_socket_that_a_dead_agent_left_is_no_agent(tmp_path: Path, agentctl: Program) -> None:
    """A refused connection is told like a missing socket."""
    with FakeControlServer(str(tmp_path), {}) as left:
        os.link(left.path, tmp_path / "kept")
    os.rename(tmp_path / "kept", left.path)
    assert agentctl("status")[0] == 69


def test_a_path_that_is_too_long_for_a_socket_is_told(agentctl: Program) -> None:
    """The sentence says how long it may be and what to do; also where the agent is asked by the way."""
    for line in (["status"], ["query", "FROM gap"], ["top", "--once"]):
        code, text, told = agentctl(*line, "--runtime-dir", "/tmp/" + "x" * 120)
        assert (code, text, told.count("\n")) == (64, "", 1)
        assert all(word in told for word in ("138 bytes", "at most 107", "name a shorter folder with --runtime-dir"))


def test_a_mute_agent_costs_the_timeout_and_no_more(tmp_path: Path, agentctl: Program) -> None:
    """Without an answer the command ends at its deadline, with 75."""

    def attempt(_which: int) -> float:
        began = time.monotonic()
        code, _, told = agentctl("status", "--timeout", "0.2")
        assert (code, "within 0.2 s" in told) == (75, True)
        return time.monotonic() - began

    with FakeControlServer(str(tmp_path), {}, is_mute=True):
        in_time(attempt, seconds=2.0)


def test_a_timeout_that_is_over_at_once_is_a_timeout(tmp_path: Path, agentctl: Program) -> None:
    """However short the time is, its end has the exit code of no answer in time."""
    with FakeControlServer(str(tmp_path), {}, is_mute=True):
        for seconds in ("0.0001", "0.0000001"):
            code, text, told = agentctl("status", "--timeout", seconds)
            assert (code, text, told.count("\n")) == (75, "", 1)
            assert " 0 s" not in told


def test_gaps_are_rows_of_table_gap_and_told_only_where_there_are_some(tmp_path: Path, agentctl: Program) -> None:
    """How many rows are lost may be unknown; the line says where the losses stand."""
    for gap_rows, told in ((0, False), (None, False), (2, True)):
        writer = {"rows": 109, "batches": 10, "gap_rows": gap_rows, "duplicates": 0}
        with FakeControlServer(str(tmp_path), {"status": {**STATUS, "stats": {"writer": writer}}}):
            text = agentctl("status")[1]
        assert "written  109 rows of 10 batches since the writer started, 0 duplicates\n" in text
        assert ('gaps     2 rows in table gap since then: agentctl query "FROM gap"\n' in text) is told
        assert "lost" not in text


def test_processes_that_could_not_be_read_are_told_where_there_are_some(tmp_path: Path, agentctl: Program) -> None:
    """Beside the number of those that are seen."""
    counts = {"ticks": 9, "ticks_missed": 0, "processes": 70}
    for more, told in (
        ({"refused": 0, "unreadable": 0, "readers_stuck": 0}, "70 processes\n"),
        (
            {"refused": 4, "unreadable": 6, "readers_stuck": 1},
            "70 processes, 4 more refused, 6 unreadable so far, 1 without answer\n",
        ),
    ):
        stats = {"sampler/process": {**counts, **more}}
        with FakeControlServer(str(tmp_path), {"status": {**STATUS, "stats": stats}}):
            assert told in agentctl("status")[1]


def test_missed_ticks_are_those_of_all_starts_where_the_writer_tells_them(tmp_path: Path, agentctl: Program) -> None:
    """A sampler that was killed again and again has missed none since it started."""
    sampler = {"ticks": 9, "ticks_missed": 0}
    for writer, told in (
        ({"rows": 1, "ticks_missed": {"sampler/process": 12}}, "12 missed in this run"),
        ({}, "0 missed since it"),
    ):
        stats = {"writer": writer, "sampler/process": sampler}
        with FakeControlServer(str(tmp_path), {"status": {**STATUS, "stats": stats}}):
            assert f"sampler/process  9 ticks since it started, {told}" in agentctl("status")[1]


def test_an_emulated_resctrl_is_told(tmp_path: Path, agentctl: Program) -> None:
    """Its numbers look like any other's."""
    for emulated in (True, False):
        stats = {"sampler/resctrl": {"ticks": 9, "ticks_missed": 0, "emulated": emulated}}
        with FakeControlServer(str(tmp_path), {"status": {**STATUS, "stats": stats}}):
            assert ("on an emulated resctrl" in agentctl("status")[1]) is emulated


EMPTY: dict[str, Any] = {
    "list-pods": {"complete": True, "pods": []},
    "list-rules": {"revision": 0, "digest": "00", "rules": []},
    "rotate": {"files": [], "rows": 0},
    "diag": {"events": [], "deaths": [], "hidden": 0},
}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("list-pods", "no pods or units seen\n"),
        ("list-rules", "no rules: every pod has a group of its own\nrevision 0, digest 00\n"),
        ("rotate", "nothing to seal\n"),
        ("diag", "no events\n"),
    ],
)
def test_nothing_is_a_sentence_and_no_table(line: str, told: str, tmp_path: Path, agentctl: Program) -> None:
    """An empty answer is told in words; as JSON it stays what it is."""
    with FakeControlServer(str(tmp_path), EMPTY):
        assert agentctl(line) == (0, told, "")
        assert json.loads(agentctl(line, "--json")[1]) == EMPTY[line]


def test_only_a_terminal_cuts(tmp_path: Path, agentctl: Program) -> None:
    """A pipe gets every field whole; a terminal gets lines of its width."""
    long = {**EVENT, "fields": {"text": "x" * 300}}
    with FakeControlServer(str(tmp_path), {"diag": {"events": [long], "deaths": [], "hidden": 0}}):
        assert "x" * 300 in agentctl("diag")[1]
        screen = TerminalOutput()
        assert run(["diag"], {"EVERGAUGE_RUNTIME_DIR": str(tmp_path)}, screen, io.StringIO()) == 0
        assert [len(line) for line in screen.getvalue().splitlines()][1] == 80


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", 69),
        (b"{}\n", 65),
        (b"hello\n", 65),
        (b"\xff\xfe\n", 65),
        (b'{"v": 2, "ok": true, "result": {}}\n', 65),
        (b'{"v": 1, "ok": true, "result": []}\n', 65),
        (b'{"v": 1, "ok": true, "result": {}}\n', 65),
        (b'{"v": 1, "ok": true, "result": {"workers": [1]}}\n', 65),
        (b'{"v": 1, "ok": true, "result"', 69),
    ],
)
def test_a_damaged_answer_is_one_sentence(raw: bytes, code: int, tmp_path: Path, agentctl: Program) -> None:
    """Whatever comes back, the user reads one sentence."""
    with FakeControlServer(str(tmp_path), {}, raw=raw):
        ended, text, told = agentctl("list-workers")
        assert (ended, text, told.count("\n"), told[:10]) == (code, "", 1, "agentctl: ")


def test_absent_values_never_break_a_table(tmp_path: Path, agentctl: Program) -> None:
    """An answer that has null wherever there may be no value is shown."""
    whole = {name: None if name in _NULLABLE else value for name, value in {**WORKER, "cpu_seconds": None}.items()}
    status = {**STATUS, "workers": [whole], "conditions": [], "deaths": [{**DEATH, "stderr_tail": []}], "diag": [], "stats": {}}
    pod = {name: None if name in _NULLABLE else value for name, value in POD.items()}
    answers: dict[str, Any] = {"status": status, "list-pods": {"complete": True, "pods": [pod]}}
    with FakeControlServer(str(tmp_path), answers):
        assert [agentctl("status")[0], agentctl("list-pods")[0]] == [0, 0]


_NULLABLE = {
    *(
        "pid",
        "uptime_seconds",
        "last_exit",
        "backoff_seconds",
        "heartbeat_age_seconds",
        "rules_revision",
        "rules_digest",
        "in_sync",
    ),
    *("cpu_percent", "rss_bytes", "pss_bytes", "namespace", "qos", "group", "group_problem", "group_detail", "total_containers"),
    *("reconciled_containers", "rule"),
}


@pytest.mark.parametrize(
    ("line", "answer", "told"),
    [
        ("status", {**STATUS, "ready": None}, "status: the answer has no true or false at ready"),
        ("status", {**STATUS, "workers": [{}]}, "status: the answer has no workers[0].name"),
        ("list-pods", {"complete": True, "pods": [{**POD, "containers": "2"}]}, "no whole number at pods[0].containers"),
        ("diag", {"events": [], "hidden": 0}, "diag: the answer has no deaths"),
        ("ready", {"ready": True}, "ready: the answer has no reasons"),
    ],
)
def test_an_answer_that_is_not_as_agreed_names_the_field(
    line: str, answer: dict[str, Any], told: str, tmp_path: Path, agentctl: Program
) -> None:
    """Agent and agentctl are not of one version; what the agent says beyond the agreement is left out instead."""
    with FakeControlServer(str(tmp_path), {line: answer}):
        code, text, warned = agentctl(line)
    assert (code, text) == (65, "")
    assert told in warned
    assert warned.endswith("; agentctl and agentd must be of one version\n")
    with FakeControlServer(str(tmp_path), {"list-pods": {"complete": True, "pods": [{**POD, "later": 1}], "more": 2}}):
        assert agentctl("list-pods")[0] == 0


@pytest.mark.parametrize(
    ("reasons", "code", "text"), [([], 0, "ready\n"), (["a", "b"], 75, "not ready: a\nnot ready: b\n")], ids=["ready", "not"]
)
def test_readiness_is_an_exit_code_for_scripts(reasons: list[str], code: int, text: str, tmp_path: Path, agentctl: Program) -> None:
    """0 or 75, and 69 where no agent answers."""
    document = {"ready": not reasons, "reasons": reasons}
    with FakeControlServer(str(tmp_path), {"ready": document}):
        assert agentctl("ready") == (code, text, "")
        ended, printed, _ = agentctl("ready", "--json")
    assert (ended, json.loads(printed)) == (code, document)
    assert agentctl("ready")[0] == 69


# ---- the whole program ---------------------------------------------------------------------------

MAIN = [sys.executable, "-m", "agent.cli.main"]


def started(tmp_path: Path, *words: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "EVERGAUGE_RUNTIME_DIR": str(tmp_path)}
    return subprocess.Popen([*MAIN, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_that_leaves_ends_the_program_quietly(tmp_path: Path) -> None:
    """`agentctl … | head` says nothing about the pipe."""
    pods = [{**POD, "uid": str(number)} for number in range(5_000)]
    answers: dict[str, Any] = {"list-pods": {"complete": True, "pods": pods}}
    with FakeControlServer(str(tmp_path), answers), started(tmp_path, "list-pods") as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        assert (program.wait(20), program.stderr.read()) == (141, b"")


@pytest.mark.parametrize("line", ["status", "status --json", "list-pods", "--help", "--version", "status --help"])
def test_a_full_standard_output_is_one_sentence(line: str, tmp_path: Path) -> None:
    """The operating system's word and the exit code of input and output, no traceback."""
    environment = {**os.environ, "EVERGAUGE_RUNTIME_DIR": str(tmp_path)}
    with FakeControlServer(str(tmp_path), ANSWERS), open("/dev/full", "wb") as full:
        done = subprocess.run([*MAIN, *line.split()], env=environment, stdout=full, stderr=subprocess.PIPE, timeout=20)
    assert (done.returncode, done.stderr) == (74, b"agentctl: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("closing", "code"), [(">&-", 0), (">&- 2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full 2>/dev/full", 74), ("2>&-", 0)]
)
def test_closed_and_full_streams_end_quietly(closing: str, code: int, tmp_path: Path) -> None:
    """Who closes a stream wants nothing on it; where nothing can be told the exit code remains."""
    environment = {**os.environ, "EVERGAUGE_RUNTIME_DIR": str(tmp_path)}
    shell = ["/bin/sh", "-c", f'exec "$@" {closing}', "sh", *MAIN, "list-pods"]
    with FakeControlServer(str(tmp_path), ANSWERS):
        done = subprocess.run(shell, env=environment, capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (code, b"")
    assert bool(done.stdout) is (closing == "2>&-")


def test_misuse_with_closed_streams_keeps_its_code(tmp_path: Path) -> None:
    """The sentence has nowhere to go, the exit code is the same."""
    shell = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *MAIN, "lst-pods"]
    assert subprocess.run(shell, timeout=20).returncode == 64


@pytest.mark.parametrize(("data", "told"), [(b"\xff", b"not UTF-8"), (b"{", b"not JSON")])
def test_a_rule_on_standard_input_that_is_none_is_told(data: bytes, told: bytes, tmp_path: Path) -> None:
    """Whatever comes in, the user reads one sentence."""
    line = [*MAIN, "add-rule", "--from-json", "-"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(line, input=data, env=environment, capture_output=True, timeout=20)
    assert (done.returncode, told in done.stderr, done.stderr.count(b"\n")) == (65, True, 1)


def test_control_c_ends_the_program_quietly(tmp_path: Path) -> None:
    """No traceback while it waits for an answer; the exit code is that of SIGINT."""
    with FakeControlServer(str(tmp_path), {}, is_mute=True) as server, started(tmp_path, "status", "--timeout", "30") as program:
        wait_until(lambda: server.held, "it asks")
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=20) == (b"", b"")
        assert program.returncode == 130


def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    """A character outside the terminal's encoding does not end the program."""
    with FakeControlServer(str(tmp_path), {"list-pods": {"complete": True, "pods": [{**POD, "name": "käse\u2026\x1b[2J"}]}}):
        environment = {**os.environ, "EVERGAUGE_RUNTIME_DIR": str(tmp_path), "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([*MAIN, "list-pods"], env=environment, capture_output=True, timeout=20, check=True)
        assert b"k\\xe4se" in done.stdout
        assert b"\x1b" not in done.stdout


def test_list_workers_imports_nothing_heavy(tmp_path: Path) -> None:
    """What `agentctl list-workers` imports is what makes it fast: no argparse, socket, msgspec or typing."""
    with FakeControlServer(str(tmp_path), ANSWERS):
        script = (
            "import sys; from agent.cli.main import main; sys.argv = ['agentctl', 'list-workers']; main();"
            "heavy = {'argparse', 'socket', 'msgspec', 'typing', 'dataclasses', 'logging', 'pathlib', 'importlib.metadata'};"
            "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
        )
        environment = {**os.environ, "EVERGAUGE_RUNTIME_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("limit", "asked", "code"), [("0", [{"limit": 0}], 0), ("5", [{"limit": 5}], 0), ("-1", [], 64)])
def test_diag_asks_for_as_many_events_as_it_was_told(limit: str, asked: list[dict[str, int]], code: int, tmp_path: Path) -> None:
    """None is a number too; fewer than none is told."""
    with FakeControlServer(str(tmp_path), {"diag": {"events": [], "deaths": [], "hidden": 3}}) as server:
        ended = run(["diag", f"--limit={limit}"], {"EVERGAUGE_RUNTIME_DIR": str(tmp_path)}, (shown := io.StringIO()), io.StringIO())
    assert (ended, [request["args"] for request in server.requests]) == (code, asked)
    hidden = "… 3 more events not shown; table diag has all: agentctl query\n"
    assert shown.getvalue() == {"0": hidden, "5": f"no events\n{hidden}", "-1": ""}[limit]
