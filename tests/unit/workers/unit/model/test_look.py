"""One look at the processes of a unit, over files in memory."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.kernel_tree import MemoryTree

from agent.model.absence import Absence
from agent.model.served_model import ServedModel
from workers.unit.model.finding import ModelFinding, ModelSource
from workers.unit.model.look import LINE_BYTES_MAX, PROCESSES_MAX, Look, LookOrder, UnitLook, records_below

UNIT, DIRECTORY = "/system.slice/chat.service", "system.slice/chat.service"
VLLM = ServedModel("vllm", "org/a", "org/a")
ARGUMENTS = b"python\0/usr/bin/vllm\0serve\0org/a\0"


class Host:
    """Processes with arguments, in the cgroup of one unit."""

    def __init__(self) -> None:
        self.cgroups, self.proc = MemoryTree(), MemoryTree()
        self.record: Callable[[], bytes] = lambda: b""
        self.look = UnitLook(self.cgroups, self.proc, lambda _cgroup: self.record())
        self.pids: dict[str, list[int]] = {}

    def start(self, pid: int, arguments: bytes, *, ppid: int = 1, start: int | None = None, inner: str = "") -> None:
        """One more process, or another program in it."""
        numbers = " ".join(["0"] * 17)
        line = f"{pid} (a) S {ppid} {numbers} {pid if start is None else start} 0 0 0"
        self.proc.put(f"{pid}/stat", line.encode())
        self.proc.put(f"{pid}/cmdline", arguments)
        pids = self.pids.setdefault(inner, [])
        pids += [] if pid in pids else [pid]
        self.cgroups.put(f"{DIRECTORY}{inner}/cgroup.procs", b"".join(b"%d\n" % each for each in pids))

    def see(self, look: Look | None = None, *, is_workload: bool = False) -> Look:
        known = () if look is None or look.root is None else (look.root, *look.tellers)
        return self.look(LookOrder(UNIT, UNIT, DIRECTORY, is_workload, known))


@pytest.fixture
def host() -> Host:
    """A host with nobody in the unit."""
    return Host()


def test_the_root_process_says_it(host: Host) -> None:
    """Its children are not read then."""
    host.start(50, ARGUMENTS)
    host.start(51, b"VLLM::EngineCore\0", ppid=50)
    seen = host.see()
    assert seen.findings == (ModelFinding(ModelSource.ARGUMENTS, VLLM),)
    assert [each.pid for each in seen.tellers] == [50]
    assert ("read", "51/cmdline") not in host.proc.calls


def test_collect_parses_cmdline_of_descendants_where_the_root_is_a_shell(host: Host) -> None:
    """All that agree."""
    host.start(50, b"/bin/sh\0/start.sh\0")
    host.start(51, ARGUMENTS, ppid=50)
    host.start(52, ARGUMENTS, ppid=51)
    seen = host.see()
    assert seen.findings == (ModelFinding(ModelSource.DESCENDANT, VLLM),)
    assert seen.root is not None
    assert (seen.root.pid, [each.pid for each in seen.tellers]) == (50, [51, 52])


def test_a_title_is_the_last_to_be_believed(host: Host) -> None:
    """It names the server alone, once, however many have one."""
    host.start(50, b"VLLM::APIServer_0\0")
    host.start(51, b"VLLM::EngineCore\0", ppid=50)
    assert host.see().findings == (ModelFinding(ModelSource.TITLE, ServedModel("vllm")),)


def test_what_is_known_is_only_compared(host: Host) -> None:
    """One line each; until one of them ends, or is called otherwise."""
    host.start(50, ARGUMENTS)
    seen = host.see()
    host.proc.calls.clear()
    assert host.see(seen) == Look(is_same=True)
    assert {path for _, path in host.proc.calls} == {"50/stat"}
    host.start(50, b"python\0/usr/bin/vllm\0serve\0org/b\0", start=51)
    again = host.see(seen)
    assert again.findings[0].told == ServedModel("vllm", "org/b", "org/b")
    host.proc.remove("50")
    assert host.see(again) == Look()


def test_variables_are_read_where_arguments_leave_the_model_open(host: Host) -> None:
    """Of a process whose environment may not be read, that is the reason."""
    host.start(50, b"text-generation-launcher\0--port\0" + b"80\0")
    host.proc.put("50/environ", b"HF_TOKEN=hf_x\0MODEL_ID=org/t\0")
    assert host.see().findings == (ModelFinding(ModelSource.ARGUMENTS, ServedModel("tgi", "org/t", "org/t")),)
    host.proc.fail("50/environ", errno.EACCES)
    assert host.see().findings == (ModelFinding(ModelSource.ARGUMENTS, ServedModel("tgi"), Absence.NO_PERMISSION),)


@pytest.mark.parametrize(
    ("code", "findings"),
    [
        (errno.ESRCH, ()),
        (errno.ENOENT, ()),
        (errno.EPERM, (ModelFinding(ModelSource.ARGUMENTS, None, Absence.NO_PERMISSION),)),
        (errno.EIO, (ModelFinding(ModelSource.ARGUMENTS, None, Absence.UNREADABLE),)),
    ],
)
def test_arguments_that_cannot_be_read(host: Host, code: int, findings: tuple[ModelFinding, ...]) -> None:
    """A process that has just ended is nobody's; a refusal is a reason, of the root alone."""
    host.start(50, ARGUMENTS)
    host.proc.fail("50/cmdline", code)
    assert host.see().findings == findings
    host.start(51, ARGUMENTS, ppid=50)
    host.proc.fail("50/cmdline", None)
    host.start(50, b"sh\0")
    host.proc.fail("51/cmdline", code)
    assert host.see().findings == ()


@pytest.mark.parametrize("name", [f"{DIRECTORY}/cgroup.procs", "50/stat", "50/cmdline"])
def test_a_unit_may_vanish_at_any_read(host: Host, name: str) -> None:
    """Then there is nothing to see."""
    host.start(50, ARGUMENTS)
    for tree in (host.cgroups, host.proc):
        tree.fail(name, errno.ENODEV if name.startswith("sys") else errno.ESRCH)
    assert host.see().findings == ()


def test_a_number_that_changes_hands_while_it_is_read_says_nothing() -> None:
    """What was read may be another process's."""
    host = Host()
    host.start(50, ARGUMENTS)

    class Swapping(MemoryTree):
        def read(self, path: str, bytes_max: int) -> bytes:
            found = host.proc.read(path, bytes_max)
            if path.endswith("cmdline"):
                host.start(50, b"other\0", start=99)
            return found

    host.look = UnitLook(host.cgroups, Swapping(), lambda _cgroup: b"")
    assert host.see().findings == ()


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\0\xc3(\0", b"a" * (128 << 10), b"\0" * 1000, b"vllm\0serve\0" + b"\xff" * (128 << 10), b""]
)
def test_any_arguments_are_survived(host: Host, line: bytes) -> None:
    """No text, very long, empty; what they say is bounded and printable."""
    host.start(50, line)
    for finding in host.see().findings:
        assert finding.told is not None
        assert len(finding.told.raw or "") <= 512
        assert (finding.told.raw or "").isprintable()


def test_of_very_long_arguments_the_whole_words_at_the_beginning_count(host: Host) -> None:
    """Half a name is none; and all lines of a unit together are bounded."""
    host.start(50, b"vllm\0serve\0" + b"a" * LINE_BYTES_MAX)
    (finding,) = host.see().findings
    assert finding.told == ServedModel("vllm")
    host.start(50, b"vllm\0serve\0org/a\0" + b"-x\0" * LINE_BYTES_MAX)
    assert host.see().findings == (ModelFinding(ModelSource.ARGUMENTS, VLLM),)
    for pid in (50, 51):
        host.start(pid, b"sh\0" + b"x\0" * LINE_BYTES_MAX, ppid=pid - 1)
    host.start(52, ARGUMENTS, ppid=50)
    host.proc.calls.clear()
    assert host.see().findings == ()
    assert ("read", "52/cmdline") not in host.proc.calls


def test_processes_below_the_unit_are_its_own_unless_they_are_another_units(host: Host) -> None:
    """Only where it has none itself."""
    host.start(50, b"vllm\0serve\0inner\0", inner="/other.service")
    assert host.see().findings == ()
    host.start(51, ARGUMENTS, inner="/container")
    assert host.see().findings == (ModelFinding(ModelSource.ARGUMENTS, VLLM),)
    host.start(52, b"sleep\0")
    assert host.see().findings == ()


def test_a_unit_with_very_many_processes_is_looked_at_in_part(host: Host) -> None:
    """The first of them."""
    for pid in range(100, 100 + 2 * PROCESSES_MAX):
        host.start(pid, b"sleep\0")
    host.see()
    assert len({path for _, path in host.proc.calls if path.endswith("/stat")}) == PROCESSES_MAX


def test_the_record_of_a_workload_is_read_too(host: Host) -> None:
    """Of no other unit; also of one whose processes cannot be seen."""
    host.record = lambda: b'{"spec": {"argv": ["vllm", "serve", "org/r"]}, "cgroup": "%s"}' % UNIT.encode()
    assert host.see().findings == ()
    told = ServedModel("vllm", "org/r", "org/r")
    assert host.see(is_workload=True).findings == (ModelFinding(ModelSource.SPAWN_RECORD, told),)

    def refuse() -> bytes:
        raise PermissionError

    host.record = refuse
    assert host.see(is_workload=True).findings == ()


def test_records_are_found_by_the_name_in_the_cgroup(tmp_path: Path) -> None:
    """In the keeper's folder."""
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/chat.json").write_bytes(b"{}")
    assert records_below(str(tmp_path))("/evergauge-workloads/chat.workload") == b"{}"
    with pytest.raises(FileNotFoundError):
        records_below(str(tmp_path))("/evergauge-workloads/other.workload")
