"""The networks of units, over real namespaces: one reading each, and nothing of them is kept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import own_network
from fakes.load import started
from fakes.pair_of_interfaces import HERE, THERE
from harness.waiting import wait_until

from agent.model.absence import Absence
from agent.model.rule import UnitKind
from agent.model.timebase import S
from workers.runtime.kernel_tree import OpenKernelTree
from workers.unit.network import CGROUPS_SEARCHED_MAX, RETRY_NS, SLOW_NS, ProcessNetworks, UnitNetworks, processes_of
from workers.unit.tracked_unit import Instant, TrackedUnit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")

SENDER = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    sender.sendto(b"x" * 100, (sys.argv[1], 9))
"""


CHECKOUT = Path(__file__).parents[2]
WITHOUT_CAPABILITIES = """
import os, sys
from agent.capability import keep_only
from workers.runtime.kernel_tree import OpenKernelTree
from workers.unit.network import ProcessNetworks
keep_only(())
try:
    os.stat(f"/proc/{sys.argv[1]}/ns/net")
except OSError as refused:
    print(type(refused).__name__)
networks = ProcessNetworks(OpenKernelTree("/proc"), "/proc")
own, other = (networks.namespace(pid) for pid in (1, int(sys.argv[1])))
print(type(own).__name__, type(other).__name__, own != other)
"""


class Networks:
    """Units with these processes, and their rows tick by tick."""

    def __init__(self, **processes: list[int]) -> None:
        self.processes = processes
        self.networks = ProcessNetworks(OpenKernelTree("/proc"), "/proc")
        self.part = UnitNetworks(self.networks, self._list, self.networks.namespace(os.getpid()))
        self.at = Instant(100 * S, 100 * S)
        self.units = {name: TrackedUnit(f"/{name}.service", UnitKind.SERVICE, f"/{name}.service") for name in processes}
        for unit in self.units.values():
            self.part.begin(unit, self.at)

    def _list(self, unit: TrackedUnit) -> bytes:
        pids = self.processes.get(unit.uid.removeprefix("/").removesuffix(".service"))
        if pids is None:
            raise FileNotFoundError(unit.uid)
        return "".join(f"{pid}\n" for pid in pids).encode()

    def tick(self, after_ns: int = 1 * S) -> dict[str, tuple[list[int | None], Absence | None]]:
        """The columns of each unit, and why some are absent."""
        self.at = Instant(self.at.now_ns + after_ns, self.at.wall_ns + after_ns)
        for unit in self.units.values():
            self.part.read(unit, self.at)
        return {name: (unit.network, unit.absences.get("network")) for name, unit in self.units.items()}


@contextmanager
def place() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a network of its own, without an interface besides the loopback."""
    own = os.readlink("/proc/self/ns/net")
    with started([sys.executable, own_network.__file__, "--", "/bin/sleep", "120"]) as process:
        wait_until(lambda: _comm(process.pid) == "sleep" and _namespace(process.pid) != own, "the other network is there")
        yield process


def _comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def send(pid: int, count: int) -> None:
    """Packets into a pair of interfaces there, of which nobody takes them: each 100 bytes of UDP."""
    inside = ("nsenter", f"--net=/proc/{pid}/ns/net")
    subprocess.run([*inside, "ip", "link", "add", "eg0", "type", "veth", "peer", "name", "eg1"], check=False, capture_output=True)
    for name in ("eg0", "eg1"):
        subprocess.run([*inside, "ip", "link", "set", name, "up"], check=True)
    subprocess.run([*inside, "ip", "address", "replace", f"{HERE}/24", "dev", "eg0"], check=True)
    subprocess.run([*inside, "ip", "neighbour", "replace", THERE, "lladdr", "02:00:00:00:00:01", "dev", "eg0"], check=True)
    subprocess.run([*inside, sys.executable, "-S", "-c", SENDER, THERE, str(count)], check=True)


def test_a_unit_has_what_its_own_network_moved() -> None:
    """Packets that were sent there and nowhere else; the first row has a reason and no numbers."""
    with place() as process:
        send(process.pid, 0)
        story = Networks(a=[process.pid])
        first = story.tick()["a"]
        assert first[0][:6] == [None] * 6
        assert first[1] is Absence.FIRST_TICK
        send(process.pid, 50)
        columns, reason = story.tick()["a"]
        assert reason is None
        sent_bytes, sent_packets = columns[1], columns[3]
        assert sent_bytes is not None
        assert sent_packets is not None
        # IPv6 announces a new interface with a few packets of its own.
        assert 50 <= sent_packets <= 90
        assert sent_bytes >= 50 * 128
        story.part.close()


def test_units_that_share_a_network_share_its_reading() -> None:
    """All containers of a pod do."""
    with place() as process:
        story = Networks(a=[process.pid], b=[process.pid], c=[process.pid])
        story.tick()
        before = story.part.reads
        rows = story.tick()
        assert story.part.reads == before + 1
        assert rows["a"] == rows["b"] == rows["c"]
        assert story.part.stats()["network_namespaces"] == 1
        story.part.close()


def test_a_unit_in_the_hosts_network_has_none_of_its_own() -> None:
    """What others moved is not its."""
    story = Networks(a=[os.getpid()])
    assert story.tick()["a"] == ([None] * 8, Absence.HOST_NETWORK)
    assert story.part.reads == 0
    story.part.close()


def test_a_unit_without_a_process_is_looked_at_again_later() -> None:
    """Its processes are not listed at each tick."""
    story = Networks(a=[], b=[])
    assert story.tick()["a"] == ([None] * 8, Absence.NO_PROCESS)
    with place() as process:
        story.processes["a"] = [process.pid]
        del story.processes["b"]
        assert story.tick()["a"][1] is Absence.NO_PROCESS
        rows = story.tick(RETRY_NS)
        assert rows["a"][1] is Absence.FIRST_TICK
        assert rows["b"][1] is Absence.VANISHED
        story.part.close()


def test_another_process_takes_over_when_the_first_one_ends() -> None:
    """In the same network nothing is lost by that."""
    with place() as process:
        child = subprocess.Popen(["nsenter", f"--net=/proc/{process.pid}/ns/net", "/bin/sleep", "60"])
        wait_until(lambda: _namespace(child.pid) == _namespace(process.pid), "it is there")
        story = Networks(a=[child.pid, process.pid])
        story.tick()
        child.kill()
        child.wait()
        send(process.pid, 5)
        columns, reason = story.tick(RETRY_NS)["a"]
        assert reason is None
        assert columns[3] is not None
        assert columns[3] >= 5
        story.part.close()


def test_a_process_that_goes_to_another_network_begins_again() -> None:
    """Its counters there have nothing to do with those of before."""
    with place() as first, place() as second:
        story = Networks(a=[first.pid])
        story.tick()
        story.tick()
        held = story.part._followed["/a.service", None]
        assert held.process is not None
        # As if it had entered the other one.
        held.process.pid = second.pid
        assert story.tick()["a"][1] is Absence.FIRST_TICK
        assert story.tick()["a"][1] is None
        story.part.close()


def test_a_number_that_belongs_to_another_process_now_is_not_read() -> None:
    """The pidfd says that the process has ended, even if another one has its number."""
    with place() as first, place() as second:
        story = Networks(a=[first.pid])
        story.tick()
        held = story.part._followed["/a.service", None]
        assert held.process is not None
        first.send_signal(signal.SIGKILL)
        first.wait()
        held.process.pid = second.pid
        assert story.tick(RETRY_NS)["a"][1] is Absence.NO_PROCESS
        story.part.close()


def test_nothing_keeps_a_network_after_its_unit() -> None:
    """No descriptor of it is open, neither while it is read nor afterwards."""
    with place() as process:
        story = Networks(a=[process.pid])
        story.tick()
        story.tick()
        name = _namespace(process.pid)
        open_ = [
            os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{each}")
        ]
        assert name not in open_
        assert not any(path.startswith(f"/proc/{process.pid}") for path in open_)
        before = len(os.listdir("/proc/self/fd"))
        story.part.end(story.units["a"], story.at)
        assert len(os.listdir("/proc/self/fd")) == before - 1
        story.part.close()


def test_sockets_and_retransmits_are_read_some_seconds_apart() -> None:
    """They are known at those ticks, and null at the others."""
    with place() as process:
        story = Networks(a=[process.pid])
        assert story.tick()["a"][0][6:] == [None, 0]
        assert story.tick()["a"][0][6:] == [None, None]
        assert story.tick(SLOW_NS)["a"][0][6:] == [0, 0]
        story.part.close()


def test_the_processes_of_a_pod_are_those_of_its_containers(tmp_path: Path) -> None:
    """With cgroup version 2 its own cgroup has none."""
    pod = TrackedUnit("pod", UnitKind.POD, "/pod")
    pod.containers["c"] = TrackedUnit("pod", UnitKind.POD, "/pod/c", container="c", pod=pod)
    pod.containers["gone"] = TrackedUnit("pod", UnitKind.POD, "/pod/gone", container="gone", pod=pod)
    (tmp_path / "pod/c").mkdir(parents=True)
    (tmp_path / "pod/cgroup.procs").write_text("")
    (tmp_path / "pod/c/cgroup.procs").write_text("7\n8\n")
    tree = OpenKernelTree(str(tmp_path))
    assert processes_of(tree, pod) == b"7\n8\n"
    with pytest.raises(FileNotFoundError):
        processes_of(tree, pod.containers["gone"])


def test_a_service_that_divides_itself_is_read_through_a_process_below_it(tmp_path: Path) -> None:
    """As far down as need be, but through no thousands of cgroups; a slice's units are others."""
    service = TrackedUnit("/s.service", UnitKind.SERVICE, "/s.service")
    for path in ("s.service", "s.service/a", "s.service/b", "s.service/b/deep"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "cgroup.procs").write_text("9\n" if path.endswith("deep") else "")
    tree = OpenKernelTree(str(tmp_path))
    assert processes_of(tree, service) == b"9\n"
    assert processes_of(tree, TrackedUnit("/s.slice", UnitKind.SLICE, "/s.service")) == b""
    for number in range(2 * CGROUPS_SEARCHED_MAX):
        (tmp_path / f"s.service/b/{number}").mkdir()
        (tmp_path / f"s.service/b/{number}/cgroup.procs").write_text("")
    (tmp_path / "s.service/b/deep/cgroup.procs").write_text("")
    (tmp_path / "s.service/b/deep/deeper").mkdir()
    (tmp_path / "s.service/b/deep/deeper/cgroup.procs").write_text("9\n")
    assert processes_of(tree, service) == b""


def test_namespaces_are_told_apart_without_any_capability() -> None:
    """As the installed service does: of a process with more capabilities than its own it may not follow the link `ns/net`."""
    with place() as process:
        words = [sys.executable, "-c", WITHOUT_CAPABILITIES, str(process.pid)]
        ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert ended.stdout.split() == ["PermissionError", "int", "int", "True"]


def test_where_the_hosts_network_is_not_known_nothing_is_told() -> None:
    """Whether a network is a unit's own cannot be said then."""
    networks = ProcessNetworks(OpenKernelTree("/proc"), "/proc")
    part = UnitNetworks(networks, lambda _unit: f"{os.getpid()}\n".encode(), Absence.NO_PERMISSION)
    unit = TrackedUnit("/a.service", UnitKind.SERVICE, "/a.service")
    part.begin(unit, Instant(1, 1))
    part.read(unit, Instant(1, 1))
    assert unit.absences["network"] is Absence.NO_PERMISSION
    part.close()
