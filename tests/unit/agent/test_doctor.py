"""From facts to findings, each with its remedy."""

from typing import Any

import msgspec
import pytest

from agent.doctor import Usability, lacks_essential
from agent.doctor.facts import CgroupFacts, ExitFacts, Facts, FolderFacts, ProcessFacts, ResctrlFacts, SocketFacts
from agent.doctor.finding import ESSENTIAL_TOPICS, Finding
from agent.doctor.judgement import judge

GIB = 1 << 30
ALL_CAPABILITIES = (1 << 41) - 1
PROCESSES = ProcessFacts(
    root="/proc",
    is_readable=True,
    hidepid=None,
    count=300,
    reads_stat_of_others=True,
    reads_io_of_others=True,
    reads_memory_of_others=True,
    has_schedstat=True,
    has_pressure=True,
)
RESCTRL = ResctrlFacts(("cqm", "cqm_llc"), True, "/sys/fs/resctrl", True, True)
GOOD = Facts(
    kernel="6.8.0-31-generic",
    is_root=False,
    processes=PROCESSES,
    exits=ExitFacts(),
    cgroup=CgroupFacts("/sys/fs/cgroup", "v2", ("cpu", "io", "memory")),
    resctrl=RESCTRL,
    runtimes=(SocketFacts("containerd", "/run/containerd/containerd.sock"),),
    nri=SocketFacts("NRI", "/var/run/nri/nri.sock"),
    nri_path="/var/run/nri/nri.sock",
    open_files_max=65_536,
    open_files_hard_max=65_536,
    capabilities=ALL_CAPABILITIES,
    state=FolderFacts("/var/lib/evergauge", True, 50 * GIB, 1_000_000),
    has_memfd=True,
    shared_memory_free_bytes=GIB,
    clock_source="tsc",
    clock_sources=("tsc", "hpet"),
    python=(3, 11, 7),
    packages={"pyzmq": "26.0", "duckdb": "1.2"},
)


def finding(topic: str, **changed: Any) -> Finding:
    found = {finding.topic: finding for finding in judge(msgspec.structs.replace(GOOD, **changed))}
    return found[topic]


def changed(facts: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(facts, **fields)


def test_no_word_of_a_capability_that_nothing_needs() -> None:
    """No limit of the system is raised; what exit records need is said where they are judged."""
    for capabilities in (0, ALL_CAPABILITIES):
        told = finding("capabilities", capabilities=capabilities, processes=changed(PROCESSES, hidepid="2"))
        assert "NET_ADMIN" not in told.detail + told.remedy
        assert "SYS_RESOURCE" not in told.detail + told.remedy


def test_a_good_host_is_usable_in_every_topic() -> None:
    """Nothing is to be done, and no topic is named twice."""
    findings = judge(GOOD)
    assert {finding.topic for finding in findings if finding.state is not Usability.USABLE} == set()
    assert [finding.remedy for finding in findings if finding.remedy] == []
    topics = [finding.topic for finding in findings]
    assert len(set(topics)) == len(topics)
    assert set(topics) >= ESSENTIAL_TOPICS


NOBODY = changed(PROCESSES, reads_io_of_others=None, reads_memory_of_others=None)
CASES: list[tuple[str, dict[str, Any], Usability, str]] = [
    ("kernel", {"kernel": "4.18.0-1"}, Usability.MISSING, "run Linux 5.3 or later"),
    ("processes", {"processes": changed(PROCESSES, is_readable=False)}, Usability.MISSING, "mount -t proc proc /proc"),
    (
        "processes",
        {"processes": changed(PROCESSES, reads_stat_of_others=False, hidepid="2")},
        Usability.LIMITED,
        "mount -o remount,hidepid=0 /proc",
    ),
    (
        "processes",
        {"processes": changed(PROCESSES, reads_io_of_others=False), "capabilities": 0},
        Usability.LIMITED,
        "CAP_SYS_PTRACE",
    ),
    ("processes", {"processes": changed(PROCESSES, reads_io_of_others=False)}, Usability.LIMITED, "a security module"),
    ("processes", {"processes": NOBODY}, Usability.USABLE, ""),
    ("processes", {"processes": changed(NOBODY, reads_stat_of_others=None), "capabilities": 0}, Usability.USABLE, ""),
    ("processes", {"processes": NOBODY, "capabilities": 0}, Usability.LIMITED, "AmbientCapabilities=CAP_SYS_PTRACE"),
    ("processes", {"processes": NOBODY, "capabilities": None}, Usability.LIMITED, "AmbientCapabilities=CAP_SYS_PTRACE"),
    (
        "processes",
        {"processes": changed(PROCESSES, reads_io_of_others=False), "capabilities": 0, "is_root": True},
        Usability.LIMITED,
        "docker run --cap-add SYS_PTRACE, in Kubernetes securityContext.capabilities.add: [SYS_PTRACE], in a systemd unit "
        "CapabilityBoundingSet=CAP_SYS_PTRACE",
    ),
    ("exit records", {}, Usability.USABLE, ""),
    ("exit records", {"exits": ExitFacts("not permitted", "", "give CAP_NET_ADMIN")}, Usability.LIMITED, "CAP_NET_ADMIN"),
    ("exit records", {"exits": ExitFacts("not permitted", "refused", "run it")}, Usability.LIMITED, "run it"),
    ("pressure", {"processes": changed(PROCESSES, has_pressure=False)}, Usability.LIMITED, "psi=1"),
    ("schedstat", {"processes": changed(PROCESSES, has_schedstat=False)}, Usability.LIMITED, "CONFIG_SCHEDSTATS"),
    ("cgroup", {"cgroup": CgroupFacts("/sys/fs/cgroup", "none", ())}, Usability.MISSING, "mount -t cgroup2"),
    ("cgroup", {"cgroup": CgroupFacts("/sys/fs/cgroup", "hybrid", ("memory",))}, Usability.LIMITED, "unified_cgroup_hierarchy=1"),
    ("cgroup", {"cgroup": CgroupFacts("/sys/fs/cgroup", "v2", ("cpu",))}, Usability.USABLE, ""),
    (
        "resctrl",
        {"resctrl": ResctrlFacts((), True, None, False, False)},
        Usability.MISSING,
        "mount -t resctrl resctrl /sys/fs/resctrl",
    ),
    ("resctrl", {"resctrl": ResctrlFacts(("cqm",), False, None, False, False)}, Usability.MISSING, "CONFIG_X86_CPU_RESCTRL"),
    ("resctrl", {"resctrl": ResctrlFacts((), False, None, False, False)}, Usability.MISSING, "needs Intel RDT"),
    ("resctrl", {"resctrl": changed(RESCTRL, is_readable=False)}, Usability.LIMITED, "as root"),
    ("resctrl", {"resctrl": changed(RESCTRL, is_dead=True)}, Usability.LIMITED, "start it again"),
    ("resctrl", {"resctrl": changed(RESCTRL, is_read_only=True)}, Usability.LIMITED, "remount,rw"),
    ("resctrl", {"resctrl": changed(RESCTRL, wanted_point="/mnt/r")}, Usability.LIMITED, "set resctrl.mount to /sys/fs/resctrl"),
    ("resctrl", {"resctrl": changed(RESCTRL, has_monitoring=False)}, Usability.LIMITED, "rdt=cmt"),
    ("open files", {"open_files_max": 512}, Usability.LIMITED, "ulimit -n 2048, or LimitNOFILE=2048"),
    ("capabilities", {"capabilities": 0}, Usability.USABLE, ""),
    ("capabilities", {"capabilities": 0, "processes": changed(PROCESSES, hidepid="0")}, Usability.USABLE, ""),
    ("capabilities", {"capabilities": 0, "processes": changed(PROCESSES, hidepid="2")}, Usability.LIMITED, "CAP_SYS_PTRACE"),
    ("capabilities", {"processes": changed(PROCESSES, hidepid="2")}, Usability.USABLE, ""),
    ("capabilities", {"capabilities": None}, Usability.LIMITED, "status readable"),
    ("state folder", {"state": FolderFacts("/s", False, GIB, 1)}, Usability.MISSING, "install -d"),
    ("state folder", {"state": FolderFacts("/s", True, 1 << 20, None)}, Usability.MISSING, "--state-dir"),
    ("state folder", {"state": FolderFacts("/s", True, 500 << 20, None)}, Usability.LIMITED, "--state-dir"),
    ("state folder", {"state": FolderFacts("/s", True, 5 * GIB, 10)}, Usability.LIMITED, "--state-dir"),
    (
        "state folder",
        {"state": FolderFacts("/s", True, 5 * GIB, 10)},
        Usability.LIMITED,
        "remove files on its file system (df -i /s)",
    ),
    (
        "state folder",
        {"state": FolderFacts("/s", True, 5 * GIB, 0)},
        Usability.MISSING,
        "remove files on its file system (df -i /s)",
    ),
    ("state folder", {"state": FolderFacts("/s", True, None, None)}, Usability.LIMITED, "--state-dir"),
    ("shared memory", {"has_memfd": False}, Usability.USABLE, ""),
    ("shared memory", {"has_memfd": False, "shared_memory_free_bytes": None}, Usability.MISSING, "mount -t tmpfs"),
    ("clock", {"clock_source": "hpet"}, Usability.LIMITED, "echo tsc > "),
    ("clock", {"clock_source": "hpet", "clock_sources": ("hpet",)}, Usability.LIMITED, "no faster one"),
    ("clock", {"clock_source": None}, Usability.LIMITED, "mount -t sysfs"),
    ("python", {"python": (3, 10, 1)}, Usability.MISSING, "Python 3.11"),
    ("packages", {"packages": {"pyzmq": None, "duckdb": "1"}}, Usability.MISSING, "pip install pyzmq"),
]


@pytest.mark.parametrize(("topic", "facts", "state", "remedy"), CASES)
def test_what_is_not_usable_has_its_remedy_in_one_line(topic: str, facts: dict[str, Any], state: Usability, remedy: str) -> None:
    """The state, and the exact thing to do."""
    found = finding(topic, **facts)
    assert (found.state, remedy in found.remedy) == (state, True)
    assert "\n" not in found.remedy + found.detail


def test_root_is_never_told_to_be_root() -> None:
    """Anyone who is root already is told what takes the right away, and how to give it back."""
    hidden = changed(PROCESSES, reads_stat_of_others=False)
    for processes in (hidden, changed(PROCESSES, reads_memory_of_others=False)):
        bare = changed(
            GOOD,
            is_root=True,
            capabilities=0,
            processes=processes,
            resctrl=changed(RESCTRL, is_readable=False),
        )
        remedies = {finding.topic: finding.remedy for finding in judge(bare)}
        assert [topic for topic, remedy in remedies.items() if "as root" in remedy] == []
        assert "CAP_SYS_PTRACE" in remedies["processes"]
        assert "remount,rw /sys/fs/resctrl" in remedies["resctrl"]


def test_only_essential_topics_keep_the_agent_from_running() -> None:
    """A host without cache monitoring and container runtime is no broken one; one without packages is."""
    poor = msgspec.structs.replace(GOOD, runtimes=(), nri=None, resctrl=ResctrlFacts((), False, None, False, False))
    assert not lacks_essential(judge(poor))
    assert lacks_essential(judge(msgspec.structs.replace(poor, packages={"pyzmq": None})))


def test_what_was_not_looked_up_is_no_finding() -> None:
    """The daemon leaves the costly look-ups out; its sampler reports itself what it cannot have."""
    topics = {finding.topic for finding in judge(msgspec.structs.replace(GOOD, packages=None, exits=None))}
    assert topics.isdisjoint({"packages", "exit records"})


def test_in_a_pod_resctrl_is_mounted_on_the_node() -> None:
    """A mount inside the pod would need a capability that it does not have, and the node's own mount may be there already."""
    found = finding("resctrl", resctrl=ResctrlFacts((), True, None, False, False), is_in_pod=True)
    assert (found.state, "none is mounted in this pod" in found.detail) == (Usability.MISSING, True)
    assert "on the node" in found.remedy
    assert "auto_mount" not in found.remedy


@pytest.mark.parametrize("how", [{"is_read_only": True}, {"is_readable": False}])
def test_a_service_that_may_not_write_to_resctrl_is_installed_again(how: dict[str, bool]) -> None:
    """Its unit makes /sys read-only, and a remount of the host's, which is not, changes nothing."""
    closed = changed(RESCTRL, **how)
    remount = "mount -o remount,rw /sys/fs/resctrl"
    assert finding("resctrl", resctrl=closed, is_root=True).remedy == remount
    remedy = finding("resctrl", resctrl=closed, is_root=True, is_in_service=True).remedy
    assert remedy.startswith("run scripts/install again")
    assert remedy.endswith(remount)


def test_an_emulated_resctrl_is_usable_and_named_as_what_it_is() -> None:
    """Nobody takes its numbers for those of the hardware."""
    found = finding("resctrl", resctrl=changed(RESCTRL, is_emulated=True))
    assert (found.state, "emulated" in found.detail) == (Usability.USABLE, True)
    # The banner puts it behind what the sampler of this name measures.
    assert (found.remark, finding("resctrl", resctrl=RESCTRL).remark) == ("on an emulated resctrl", "")
