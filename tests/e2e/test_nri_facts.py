"""What real runtimes report over NRI, and in which order: facts that the control plane relies on, stated for both versions."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.lab.cri import ContainerSpec
from harness.lab.listener import NriListener
from harness.lab.place import VERSIONS
from harness.lab.runtime import LabPod, LabRuntime
from harness.waiting import wait_until

from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStarting,
    ContainerState,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    RuntimeEvent,
    Synchronized,
)

# Fetching containerd comes first on a machine that has none yet.
pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="running containers needs root")]
END = ContainerSpec("init", ("/bin/load", "end"))
MAIN = ContainerSpec("main", ("/bin/load", "threads", "3"))


@pytest.fixture(scope="module", params=VERSIONS)
def runtime(request: pytest.FixtureRequest) -> Iterator[LabRuntime]:
    """A runtime with NRI, for all tests of this file."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder, LabRuntime(Path(folder), request.param) as made:
        yield made


@pytest.fixture
def clean(runtime: LabRuntime) -> Iterator[LabRuntime]:
    """The runtime without pods, before and after."""
    yield runtime
    runtime.remove_all()


def _wait_over(runtime: LabRuntime, pod: LabPod, name: str) -> None:
    wait_until(lambda: runtime.container(pod, name).is_over, f"{name} has ended")


def _wait_for(listener: NriListener, wanted: RuntimeEvent) -> None:
    wait_until(lambda: wanted in listener.events, f"{wanted} is reported")


def test_only_living_containers_are_in_a_synchronization(clean: LabRuntime) -> None:
    """A container that has ended is left out, while its pod and the others are in, with process number and cgroup."""
    pod = clean.run(clean.spec("early"), END, MAIN)
    _wait_over(clean, pod, "init")
    with NriListener(clean.place.nri) as listener:
        wait_until(lambda: listener.events, "it is synchronized")
        (first,) = listener.events
    assert isinstance(first, Synchronized)
    (container,) = first.containers
    (sandbox,) = first.pods
    assert (sandbox.uid, sandbox.namespace, sandbox.name) == (pod.uid, "lab", "early")
    assert sandbox.labels == {"app": "early"}
    assert (container.name, container.state) == ("main", ContainerState.RUNNING)
    assert container.pid in clean.threads(pod)
    assert container.cgroups_path == f"{pod.spec.cgroup_parent}/{container.id}"


def test_each_step_of_a_pod_is_reported_in_order(clean: LabRuntime) -> None:
    """Pod, start, stop without anybody's request, removals: a container's end by itself is reported as a stop, and the pod's
    stop comes before the removal of its containers, which comes before its own."""
    with NriListener(clean.place.nri) as listener:
        wait_until(lambda: listener.events, "it is synchronized")
        pod = clean.run(clean.spec("web"), END)
        _wait_for(listener, ContainerStopped(pod.containers["init"]))
        pod.add(clean.cri, MAIN)
        clean.cri.stop_container(pod.containers["main"])
        clean.remove(pod)
        _wait_for(listener, PodRemoved(pod.sandbox_id))
        events = listener.events[1:]
    init, main = (pod.containers[name] for name in ("init", "main"))
    seen = [event.container.id if isinstance(event, ContainerStarting) else event for event in events]
    assert isinstance(seen[0], PodStarted)
    assert seen[1:6] == [init, ContainerStopped(init), main, ContainerStopped(main), PodStopped(pod.sandbox_id)]
    assert set(seen[6:8]) == {ContainerRemoved(init), ContainerRemoved(main)}
    assert seen[8:] == [PodRemoved(pod.sandbox_id)]


def test_a_start_comes_with_the_number_of_the_process_that_becomes_the_container(clean: LabRuntime) -> None:
    """StartContainer carries state `created`, the cgroup as in the OCI spec, and the process that later is the program."""
    with NriListener(clean.place.nri) as listener:
        wait_until(lambda: listener.events, "it is synchronized")
        pod = clean.run(clean.spec("web"), MAIN)
        (start,) = wait_until(lambda: [e for e in listener.events if isinstance(e, ContainerStarting)], "the start is reported")
    assert start.container.state is ContainerState.CREATED
    assert start.container.cgroups_path == f"{pod.spec.cgroup_parent}/{start.container.id}"
    assert start.container.pid in clean.threads(pod)
    # The runtime answers before the process has become the program.
    wait_until(lambda: Path(f"/proc/{start.container.pid}/comm").read_text() == "load\n", "it is the program")


def test_limits_are_reported_by_the_newer_version_only(clean: LabRuntime) -> None:
    """containerd 2 names its limits for registration and for each call; 1.7 names none."""
    with NriListener(clean.place.nri) as listener:
        configured = wait_until(lambda: listener.configured, "it is configured")
    limits = {"1.7": (0, 0), "2": (5_000_000_000, 2_000_000_000)}[clean.version]
    assert (configured.registration_timeout_ns, configured.request_timeout_ns) == limits
    assert configured.runtime_name == "containerd"
    assert configured.runtime_version.startswith(f"{clean.version}.")


def test_a_runtime_that_ends_says_nothing_before(clean: LabRuntime) -> None:
    """Neither a stop by the service manager nor a crash is announced: the connection ends."""
    for end in (clean.stop, clean.kill):
        with NriListener(clean.place.nri) as listener:
            wait_until(lambda: listener.events, "it is synchronized")
            end()
            wait_until(lambda: listener.is_over, "the connection is over")
            assert len(listener.events) == 1
        clean.start()
