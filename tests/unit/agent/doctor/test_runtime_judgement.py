"""Which source gives names of pods, whether pods are known as they start, and what to do where they are not."""

from typing import Any

import pytest
from msgspec.structs import replace

from agent.doctor.facts import CgroupFacts, Facts, FolderFacts, ProcessFacts, ResctrlFacts, SocketFacts, WireFacts
from agent.doctor.finding import Finding, Usability
from agent.doctor.runtime_judgement import judge_runtime

CONTAINERD = SocketFacts("containerd", "/run/containerd/containerd.sock")
CRIO = SocketFacts("CRI-O", "/run/crio/crio.sock")
DOCKER = SocketFacts("docker", "/run/docker.sock")
NRI_SOCKET = SocketFacts("NRI", "/var/run/nri/nri.sock")
BARE = Facts(
    kernel="6.8.0",
    is_root=False,
    processes=ProcessFacts("/proc", True, None, 1, None, None, None, True, True),
    exits=None,
    cgroup=CgroupFacts("/sys/fs/cgroup", "v2", ()),
    resctrl=ResctrlFacts((), False, None, False, False),
    runtimes=(),
    nri=None,
    nri_path="/var/run/nri/nri.sock",
    open_files_max=1_024,
    open_files_hard_max=1_024,
    capabilities=0,
    state=FolderFacts("/s", True, None, None),
    has_memfd=True,
    shared_memory_free_bytes=None,
    clock_source=None,
    clock_sources=(),
    python=(3, 11, 7),
    packages=None,
)
UP = WireFacts(True, True, "containerd 1.7.24")
SILENT = WireFacts(False)
ABSENT = WireFacts(False, False, "", "there is no socket")


def of(**changed: Any) -> tuple[Finding, Finding]:
    names, nri = judge_runtime(replace(BARE, **changed))
    assert (names.topic, nri.topic) == ("container runtime", "NRI")
    return names, nri


def test_a_host_without_containers_lacks_nothing() -> None:
    """Nothing is to be done there, also where only Docker is, which speaks neither CRI nor NRI."""
    for runtimes, told in (((), "none found"), ((DOCKER,), "found docker on /run/docker.sock, which speaks no CRI")):
        names, nri = of(runtimes=runtimes)
        assert (names.state, nri.state, names.remedy, nri.remedy) == (Usability.UNUSED, Usability.UNUSED, "", "")
        assert told in names.detail


def test_an_nri_socket_is_the_best_source() -> None:
    """Names come over it, and pods are known as they start; the banner says from whom."""
    names, nri = of(runtimes=(CONTAINERD,), nri=NRI_SOCKET)
    assert (names.state, nri.state) == (Usability.USABLE, Usability.USABLE)
    assert "over NRI" in names.detail
    assert (names.remark, names.remedy, nri.remedy) == ("with names from containerd (NRI)", "", "")
    assert of(nri=NRI_SOCKET)[0].remark == "with names from the container runtime (NRI)"


@pytest.mark.parametrize(
    ("runtime", "remedy"),
    [
        (CONTAINERD, 'disable = false` under [plugins."io.containerd.nri.v1.nri"]'),
        (SocketFacts("containerd (k3s)", "/run/k3s/containerd/containerd.sock"), "containerd (k3s): set `disable = false`"),
        (CRIO, "enable_nri = true"),
        (SocketFacts("cri-dockerd", "/run/cri-dockerd.sock"), "Docker has no NRI"),
    ],
)
def test_without_nri_names_come_over_cri_and_the_remedy_is_the_runtimes(runtime: SocketFacts, remedy: str) -> None:
    """What is missing is the start of a pod; each runtime has its own switch."""
    names, nri = of(runtimes=(DOCKER, runtime))
    assert (names.state, nri.state) == (Usability.USABLE, Usability.MISSING)
    assert "over CRI" in names.detail
    assert remedy in nri.remedy


@pytest.mark.parametrize(("is_root", "remedy"), [(False, "run the agent as root"), (True, "a security module")])
def test_sockets_that_let_nobody_in_are_named(is_root: bool, remedy: str) -> None:
    """Root is not advised to be root."""
    barred = {"runtimes": (replace(CONTAINERD, is_usable=False),), "nri": replace(NRI_SOCKET, is_usable=False)}
    for found in of(**barred, is_root=is_root):
        assert found.state is Usability.LIMITED
        assert "this user may not use /" in found.detail
        assert remedy in found.remedy
        assert ("as root" in found.remedy) is not is_root


def test_what_is_switched_off_is_called_so() -> None:
    """With NRI off, names still come over CRI; with both off there are none."""
    names, nri = of(runtimes=(CONTAINERD,), nri=NRI_SOCKET, nri_enabled="false")
    assert (names.state, nri.state, nri.remedy) == (Usability.USABLE, Usability.UNUSED, "")
    assert "over CRI" in names.detail
    names, _ = of(runtimes=(CONTAINERD,), nri=NRI_SOCKET, nri_enabled="false", cri_enabled="false")
    assert (names.state, "cri.enabled is false" in names.detail) == (Usability.LIMITED, True)
    assert 'cri.enabled = "auto"' in names.remedy


def test_a_running_agent_knows_whether_it_is_connected() -> None:
    """A socket that is there says nothing of who listens; the agent's own words do."""
    found = {"runtimes": (CONTAINERD,), "nri": NRI_SOCKET}
    names, nri = of(**found, wires={"nri": UP})
    assert "containerd 1.7.24 reports names and labels of pods over NRI" in names.detail
    assert "connected to containerd 1.7.24" in nri.detail
    assert "the container runtime" in of(**found, wires={"nri": replace(UP, runtime="")})[1].detail

    problem = "/var/run/nri/nri.sock: the container runtime refuses this plugin: no (code 3); see its log"
    refused = WireFacts(False, True, "", problem)
    names, nri = of(**found, wires={"nri": refused, "cri": UP})
    assert (names.state, nri.state) == (Usability.USABLE, Usability.LIMITED)
    assert "over its CRI socket" in names.detail
    assert problem in nri.detail

    names, nri = of(**found, wires={"nri": refused, "cri": WireFacts(False, True, "", "cri.sock: no program listens there")})
    assert (names.state, "no program listens there" in names.detail) == (Usability.LIMITED, True)
    assert of(**found, wires={"nri": refused})[0].state is Usability.LIMITED


def test_an_agent_that_found_no_socket_leaves_the_word_to_the_host() -> None:
    """The sockets say which runtime there is, and what to switch on."""
    names, nri = of(runtimes=(CONTAINERD,), wires={"nri": ABSENT, "cri": ABSENT})
    assert (names.state, nri.state) == (Usability.USABLE, Usability.MISSING)


def test_texts_of_the_runtime_are_readable() -> None:
    """A version or an error message may hold anything."""
    hostile = WireFacts(True, True, "x\x1b[2J")
    for found in of(wires={"nri": hostile, "cri": hostile}):
        assert found.detail.isprintable()


def test_a_pod_without_its_nodes_sockets_is_not_taken_for_a_host_without_containers() -> None:
    """It is itself proof of a runtime; the remedy is on the node and in the pod, not in another user."""
    names, nri = of(is_in_pod=True)
    assert (names.state, nri.state) == (Usability.LIMITED, Usability.MISSING)
    for found in (names, nri):
        assert "switch NRI on in the node's runtime, and mount the folder of its socket here" in found.remedy
        assert "no container runtime" not in found.detail
    assert {found.state for found in of(is_in_pod=True, nri=NRI_SOCKET)} == {Usability.USABLE}


@pytest.mark.parametrize("wires", [{}, {"nri": SILENT}, {"nri": SILENT, "cri": SILENT}])
def test_a_socket_proves_nothing_while_the_agent_is_not_connected(wires: dict[str, WireFacts]) -> None:
    """A runtime that hangs has its socket too. Without an agent that could be asked, the socket is what there is."""
    found = {"runtimes": (CONTAINERD,), "nri": NRI_SOCKET}
    assert [finding.state for finding in of(**found)] == [Usability.USABLE] * 2
    names, nri = of(**found, wires=wires)
    assert (names.state, nri.state) == (Usability.LIMITED, Usability.LIMITED)
    assert "not connected" in names.detail
    assert "not connected yet" in nri.detail
    assert "agentctl status" in nri.remedy


def test_pods_keep_their_names_when_the_runtime_goes() -> None:
    """Only new ones are known by their uids until it is back."""
    gone = WireFacts(False, True, "containerd 1.7.24", "nri.sock: nobody listens at this socket")
    names, _nri = of(runtimes=(CONTAINERD,), nri=NRI_SOCKET, wires={"nri": gone})
    assert names.detail == "known pods keep their names, new ones have uids: nri.sock: nobody listens at this socket"
    again = replace(gone, problem="")
    assert of(runtimes=(CONTAINERD,), nri=NRI_SOCKET, wires={"nri": again})[0].detail.startswith("known pods keep their names")


def test_a_runtime_that_has_gone_with_its_socket_is_missed() -> None:
    """That there is no socket is no fault of a host without containers; here it is where a runtime was connected."""
    gone = WireFacts(False, False, "containerd 1.7.24", "nri.sock: containerd 1.7.24 has gone with its NRI socket; start it")
    names, nri = of(wires={"nri": gone})
    assert (names.state, nri.state) == (Usability.LIMITED, Usability.LIMITED)
    assert "has gone with its NRI socket" in nri.detail
    assert names.detail.startswith("known pods keep their names")
