"""The session of NRI with the fake runtime on the other end of a real socket: every dialect, every cut, every odd manner."""

from pathlib import Path

import pytest
from fakes.nri_dialect import DIALECTS, Dialect, container_of, pod_of
from fakes.nri_plugin_peer import Manner
from fakes.nri_runtime import NriRuntime
from fakes.nri_session_driver import SessionDriver
from harness.waiting import wait_until

from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    Synchronized,
)
from workers.control_plane.nri.session import Configured, Registered, RegistrationRefused

KINDS = [PodStarted, ContainerStopped, ContainerRemoved, PodStopped, PodRemoved]


@pytest.mark.parametrize("read_bytes", [1 << 16, 1])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_life_of_a_pod(tmp_path: Path, dialect: Dialect, read_bytes: int) -> None:
    """In every version, read in one piece or byte by byte: the same events with the same fields, and never an error."""
    pod = pod_of(1)
    container = container_of(pod)
    with NriRuntime(tmp_path / "nri.sock", dialect) as runtime:
        runtime.start_pod(before := pod_of(9), container_of(before))
        with SessionDriver(runtime.path, read_bytes=read_bytes) as driver:
            runtime.wait_plugin()
            runtime.start_pod(pod, container)
            runtime.stop_container(container)
            runtime.remove_container(container)
            runtime.stop_pod(pod)
            runtime.remove_pod(pod)

            assert runtime.mask & ~dialect.mask == 0
            assert (runtime.failed_operations, runtime.dropped) == ([], [])
            kinds = [event for event in driver.events if isinstance(event, Registered | Configured)]
            assert [type(event) for event in kinds] == [Registered, Configured]
            synchronized = driver.reported[0]
            assert isinstance(synchronized, Synchronized)
            assert [each.uid for each in synchronized.pods] == [before.uid]
            assert [each.cgroups_path for each in synchronized.containers] == [container_of(before).cgroups_path]
            assert [type(event) for event in driver.reported[1:]] == KINDS
            start = driver.starts[0]
            assert (start.pod.uid, start.pod.name, start.pod.namespace, start.pod.labels, start.pod.cgroup_parent) == (
                pod.uid, pod.name, pod.namespace, pod.labels, pod.cgroup_parent,
            )  # fmt: skip
            assert (start.container.id, start.container.name, start.container.cgroups_path) == (
                container.id, container.name, container.cgroups_path,
            )  # fmt: skip


def test_parts_of_a_synchronisation_are_one_report(tmp_path: Path) -> None:
    """1,000 pods and 3,000 containers, above 4 MiB: one report, when the last part is there, and nothing missing."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        for number in range(1_000):
            pod = pod_of(number)
            runtime.start_pod(pod, *(container_of(pod, index, padding=1_200) for index in range(3)))
        with SessionDriver(runtime.path) as driver:
            runtime.wait_plugin()
            assert len(runtime.chunks) > 1
            (report,) = driver.reported
            assert isinstance(report, Synchronized)
            assert (len(report.pods), len(report.containers)) == (1_000, 3_000)
            assert {each.uid for each in report.pods} == {pod.uid for pod in runtime.pods.values()}
            assert {each.id for each in report.containers} == set(runtime.containers)


@pytest.mark.parametrize(
    "manner",
    [
        Manner(frame_bytes=1),
        Manner(frame_bytes=10),
        Manner(stray_frames=True),
        Manner(write_bytes=1),
        Manner(answers_late_seconds=0.05),
    ],
    ids=["one byte a frame", "ten bytes a frame", "unknown connections", "one byte a write", "late answer"],
)
def test_odd_manners(tmp_path: Path, manner: Manner) -> None:
    """All of them are understood."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.manner = manner
        runtime.run_pod(pod_of(1))
        with SessionDriver(runtime.path) as driver:
            runtime.wait_plugin()
            runtime.start_pod(pod_of(2), container_of(pod_of(2)))
            assert [type(event) for event in driver.reported] == [Synchronized, PodStarted]
            assert len(driver.starts) == 1
            assert (driver.problem, runtime.failed_operations, runtime.dropped) == (None, [], [])


def test_a_connection_cut_at_every_byte(tmp_path: Path) -> None:
    """Of registration, configuration, synchronisation and an event: no error of ours, and nothing reported that is half."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        pod = pod_of(1)
        runtime.start_pod(pod, container_of(pod))
        with SessionDriver(runtime.path):
            whole = runtime.wait_plugin()
            runtime.start_container(container_of(pod))
        for cut in range(1, whole.sent_bytes):
            runtime.manner = Manner(cut_after_bytes=cut)
            before = runtime.synchronisations
            with SessionDriver(runtime.path) as driver:
                wait_until(
                    lambda driver=driver, before=before: driver.is_over or runtime.synchronisations > before,  # type: ignore[misc]
                    f"cut after {cut} bytes, or through",
                    pause_seconds=0.0002,
                )
                if not driver.is_over:
                    runtime.start_container(container_of(pod))
                    wait_until(lambda driver=driver: driver.is_over, "the end", pause_seconds=0.0002)  # type: ignore[misc]
                assert driver.problem is None, cut
                assert [type(event) for event in driver.reported] in ([], [Synchronized])
                assert driver.starts == []
        assert runtime.failed_operations == []


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x01\xff\xff\xff\xff" + b"x" * 9_000,
        b"\x00\x00\x00\x01\x00\x00\x00\x0a\xff\xff\xff\xff\x00\x00\x00\x01\x01\x00",
    ],
)
def test_nonsense_is_a_protocol_error(tmp_path: Path, nonsense: bytes) -> None:
    """One error with a sentence that can be shown."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.manner = Manner(nonsense=nonsense)
        with SessionDriver(runtime.path) as driver:
            wait_until(lambda: driver.is_over, "it has ended")
            assert driver.problem is not None
            assert driver.problem.sentence.isprintable()


def test_a_refusal_and_a_shutdown(tmp_path: Path) -> None:
    """The refusal comes with code and text of the runtime; Shutdown is answered, and then the connection ends."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.manner = Manner(refusal=(3, "we want\n no plugins"))
        with SessionDriver(runtime.path) as driver:
            wait_until(lambda: driver.events, "it is refused")
            (refused,) = driver.events
            assert isinstance(refused, RegistrationRefused)
            assert refused.code == 3
            assert refused.message.isprintable()
        runtime.manner = Manner()
        with SessionDriver(runtime.path) as driver:
            runtime.wait_plugin()
            runtime.end(announced=True)
            assert driver.is_shut_down


def test_calls_of_later_versions(tmp_path: Path) -> None:
    """Unknown methods are unimplemented; known ones that were not asked for, and empty messages, are answered."""
    with NriRuntime(tmp_path / "nri.sock") as runtime, SessionDriver(runtime.path) as driver:
        runtime.wait_plugin()
        assert runtime.call("NoSuchMethod").code == 12
        assert runtime.call("").code == 12
        for method in ("CreateContainer", "UpdateContainer", "StopContainer", "UpdatePodSandbox", "StateChange", "RunPodSandbox"):
            assert runtime.call(method).code == 0, method
        assert runtime.call("StartContainer").code == 0
        assert driver.problem is None
