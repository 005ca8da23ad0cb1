"""A whole agent beside a container runtime of every version of NRI: what it lists is what there is."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.nri_agent import is_true, listed, nri_flags, wait_true
from fakes.nri_dialect import DIALECTS, NEWEST, Dialect, Event, FakeContainer, FakePod, container_of, pod_of
from fakes.nri_plugin_peer import Manner
from fakes.nri_runtime import NriRuntime
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

STARTS = (Event.RUN_POD, Event.START)


@contextmanager
def _together(folder: Path, dialect: Dialect = NEWEST, *, pods: int = 0, **flags: str) -> Iterator[tuple[NriRuntime, AgentProcess]]:
    """A runtime with some pods, and an agent that is connected; in the end nothing may have failed or been dropped."""
    with NriRuntime(folder / "nri.sock", dialect) as runtime:
        for number in range(pods):
            pod = pod_of(number)
            runtime.start_pod(pod, container_of(pod))
        with AgentProcess(folder, flags=nri_flags(folder, runtime, **flags)) as agent:
            runtime.wait_plugin()
            yield runtime, agent
            assert (runtime.failed_operations, runtime.dropped) == ([], []), agent.output
            assert agent.workers()["control-plane"]["restarts"] == 0


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_pods_of_every_version(tmp_path: Path, dialect: Dialect) -> None:
    """Pods before the agent, pods that come, containers that restart, pods that go; no event that the version lacks."""
    with _together(tmp_path, dialect, pods=5) as (runtime, agent):
        wait_true(agent, runtime)
        assert runtime.mask & ~dialect.mask == 0
        assert all(runtime.mask & 1 << event - 1 for event in STARTS)
        late = pod_of(100)
        runtime.start_pod(late, container_of(late), container_of(late, 1))
        wait_true(agent, runtime)
        assert wait_until(lambda: listed(agent)[str(late.uid)]["containers"] == 2, "both containers are known")

        runtime.stop_container(container_of(late, 1))
        runtime.remove_container(container_of(late, 1))
        wait_until(lambda: listed(agent)[str(late.uid)]["containers"] == 1, "one container is left")
        runtime.remove_pod(late)
        runtime.remove_pod(pod_of(2))
        wait_true(agent, runtime)
        assert len(listed(agent)) == 4
        assert not any(each.fell_back for each in runtime.delivered), "a call of its own was refused"


def test_a_synchronisation_in_parts(tmp_path: Path) -> None:
    """1,000 pods with 3,000 containers in more than 4 MiB: all are there, with all their containers."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        for number in range(1_000):
            pod = pod_of(number)
            runtime.start_pod(pod, *(container_of(pod, index, padding=1_200) for index in range(3)))
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            runtime.wait_plugin()
            assert len(runtime.chunks) > 1
            wait_true(agent, runtime)
            assert {row["containers"] for row in listed(agent).values()} == {3}
            assert runtime.dropped == []
            # Again, after a lost connection: everything is still there.
            before = runtime.synchronisations
            runtime.drop()
            wait_until(lambda: runtime.synchronisations > before, "the agent is back")
            wait_true(agent, runtime)


@pytest.mark.runbook("NRI")
def test_six_hundred_events_in_a_burst(tmp_path: Path) -> None:
    """100 pods come with all their containers as fast as the agent answers; 50 of them go at once."""
    with _together(tmp_path) as (runtime, agent):
        for number in range(100):
            pod = pod_of(number)
            runtime.start_pod(pod, *(container_of(pod, index) for index in range(3)))
        for number in range(50):
            runtime.remove_pod(pod_of(number))
        assert len(runtime.delivered) >= 600
        assert len(listed(agent)) <= 100
        wait_true(agent, runtime)


@pytest.mark.runbook("NRI")
def test_a_runtime_that_ends_with_and_without_notice(tmp_path: Path) -> None:
    """Pods that went meanwhile go, those that came are there, and what stayed stays all along."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        for number in range(10):
            runtime.start_pod(pod_of(number), container_of(pod_of(number)))
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            wait_true(agent, runtime)
            for number, announced in enumerate((True, False)):
                runtime.end(announced=announced)
                wait_until(lambda: runtime.plugin is None, "the connection is gone")
                runtime.remove_pod(pod_of(number))
                runtime.start_pod(pod_of(20 + number), container_of(pod_of(20 + number)))
                before = listed(agent)
                assert len(before) == 10, "without a connection nothing is forgotten"
                runtime.start()
                runtime.wait_plugin()
                wait_true(agent, runtime)
                after = listed(agent)
                assert {before[uid]["valid_from"] for uid in before if uid in after} == {
                    after[uid]["valid_from"] for uid in before if uid in after
                }
            assert runtime.failed_operations == []


@pytest.mark.parametrize(
    "manner",
    [
        Manner(frame_bytes=1),
        Manner(stray_frames=True),
        Manner(write_bytes=1, pause_seconds=0.0005),
        Manner(answers_late_seconds=0.1),
    ],
    ids=["one byte a frame", "unknown connections", "one byte a write", "late answer to the registration"],
)
def test_unusual_manners(tmp_path: Path, manner: Manner) -> None:
    """However the bytes come, they are understood."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.manner = manner
        for number in range(2):
            runtime.start_pod(pod_of(number), container_of(pod_of(number)))
        with AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
            wait_true(agent, runtime, seconds=10.0)
            pod = pod_of(7)
            runtime.start_pod(pod, container_of(pod))
            wait_true(agent, runtime)
            assert (runtime.failed_operations, runtime.dropped) == ([], [])


def test_calls_that_nobody_has(tmp_path: Path) -> None:
    """A method of a later version is answered as unimplemented; calls that were not asked for are answered, too."""
    with _together(tmp_path, pods=1) as (runtime, agent):
        assert runtime.call("RunPodSandboxBetter").code == 12
        assert runtime.call("ValidateContainerAdjustment").code in (0, 12)
        pod = pod_of(3)
        for method in ("CreateContainer", "UpdateContainer", "UpdatePodSandbox"):
            assert runtime.call(method).code == 0, method
        assert runtime.call("RunPodSandbox").code == 0, "an empty message is a message"
        assert runtime.call("StateChange").code == 0
        assert runtime.call("StartContainer").code == 0
        runtime.run_pod(pod)
        wait_true(agent, runtime)


# ---- what others put into messages -----------------------------------------------------------------


def test_texts_and_identities_that_nobody_expects(tmp_path: Path) -> None:
    """Any Unicode, bytes that are none, no uid, cgroups of unknown form, unknown and repeated events: no error, no lost pod."""
    hostile = {
        "bidi": FakePod("bidi", "uid-bidi", "n\u202es", "\u2066name\u2069\x1b[31m"),
        "control": FakePod("control", "uid-control", "\x00\x07\n", "a\nb\r\tc"),
        "astral": FakePod("astral", "uid-astral", "𝔫𝔞𝔪𝔢", "🦊" * 40, {"k\u0301": "v\ud7ff", "": "empty key"}),
        "bytes": FakePod("bytes", "uid-bytes", b"\xff\xfe", b"\xc3\x28\xa0\xa1"),
        "no uid": FakePod("no-uid", "", "ns", "static"),
        "path": FakePod("path", "../../etc", "ns", "../../../name", cgroup_parent="/../../../../etc"),
        "long": FakePod("long" * 16, "uid-long", "n" * 5_000, "m" * 70_000, {"l" * 9_000: "v" * 90_000}),
        "nul": FakePod("nul", "uid-\x00nul", "ns", "nul"),
    }
    paths: list[str | bytes] = [
        "",
        "/",
        "//x//..//..",
        "relative",
        "a:b",
        "a:b:c:d",
        ":::",
        "x" * 5_000,
        b"\xff\xff",
        "unknown://form",
        "/proc/1/\n",
    ]
    with _together(tmp_path, pods=3) as (runtime, agent):
        wait_true(agent, runtime)
        for number, pod in enumerate(hostile.values()):
            runtime.run_pod(pod)
            for index, path in enumerate(paths):
                runtime.start_container(FakeContainer(f"c{number}-{index}", pod.id, "weird", cgroups_path=path, pid=-1))
        runtime.start_container(FakeContainer("", ""))
        runtime.start_container(FakeContainer("of-nobody", "no-such-pod"))
        runtime.stop_container(FakeContainer("never-seen", "no-such-pod"))
        runtime.remove_container(FakeContainer("never-seen", "no-such-pod"))
        runtime.stop_pod(FakePod("never-seen", "never-seen"))
        runtime.remove_pod(FakePod("never-seen", "never-seen"))
        for _again in range(3):
            runtime.run_pod(pod_of(0))
            runtime.start_container(container_of(pod_of(0)))

        good = {str(pod_of(number).uid) for number in range(3)}
        wait_until(lambda: len(listed(agent)) >= 3 + len(hostile) - 1, "the strange pods are listed, too")
        rows = listed(agent)
        assert good <= set(rows)
        texts = [str(value) for row in rows.values() for value in (row["uid"], row["namespace"], row["name"])]
        assert all(text.isprintable() for text in texts), texts
        assert any(row["name"] == "static" for row in rows.values()), "a pod without uid has its name"

        for pod in (*hostile.values(), FakePod("no-such-pod")):
            runtime.remove_pod(pod)
        wait_until(lambda: set(listed(agent)) == good, f"only the good pods are left: {sorted(listed(agent))}")


@pytest.mark.parametrize("seed", range(3))
def test_events_in_any_order(tmp_path: Path, seed: int) -> None:
    """Twice, late, for pods that are gone: after the next synchronisation at the latest the list is the truth."""
    rng = random.Random(seed)
    with NriRuntime(tmp_path / "nri.sock") as runtime, AgentProcess(tmp_path, flags=nri_flags(tmp_path, runtime)) as agent:
        runtime.wait_plugin()
        for _step in range(300):
            pod = pod_of(rng.randrange(20))
            container = container_of(pod, rng.randrange(3))
            rng.choice((
                lambda pod=pod: runtime.run_pod(pod),
                lambda pod=pod: runtime.stop_pod(pod),
                lambda pod=pod: runtime.remove_pod(pod),
                lambda container=container: runtime.start_container(container),
                lambda container=container: runtime.stop_container(container),
                lambda container=container: runtime.remove_container(container),
            ))()  # fmt: skip
        for container in [each for each in runtime.containers.values() if each.pod_id not in runtime.pods]:
            runtime.containers.pop(container.id)
        # A sandbox in which nothing runs may be one that has ended: the next report decides.
        for pod in list(runtime.pods.values()):
            runtime.start_container(container_of(pod))
        before = runtime.synchronisations
        runtime.drop()
        wait_until(lambda: runtime.synchronisations > before, "the agent is back")
        wait_true(agent, runtime)
        assert is_true(agent, runtime)
        assert runtime.failed_operations == []
