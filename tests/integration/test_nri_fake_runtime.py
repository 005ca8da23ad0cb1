"""The fake runtime itself: it judges plugins by the rules of the real one, so it is tried with a good plugin and with bad ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.nri_dialect import DIALECTS, Dialect, Event, FakeContainer, container_of, pod_of
from fakes.nri_node import Where, real_node
from fakes.nri_plugin import SUBSCRIPTION, Habits, SimplePlugin
from fakes.nri_plugin_peer import Manner
from fakes.nri_runtime import Delivered, NriRuntime
from fakes.nri_wire import fields
from harness.waiting import wait_until


@contextmanager
def _together(folder: Path, dialect: Dialect, habits: Habits | None = None) -> Iterator[tuple[NriRuntime, SimplePlugin]]:
    with NriRuntime(folder / "nri.sock", dialect) as runtime, SimplePlugin(runtime.path, habits) as plugin:
        yield runtime, plugin


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_life_of_a_pod_in_every_dialect(tmp_path: Path, dialect: Dialect) -> None:
    """A plugin hears of everything that it asked for, by the calls of the version, and of nothing else."""
    pod = pod_of(1)
    container = container_of(pod)
    with _together(tmp_path, dialect) as (runtime, plugin):
        runtime.wait_plugin()
        runtime.start_pod(pod, container)
        runtime.remove_pod(pod)

        assert plugin.calls[:2] == ["Configure", "Synchronize"]
        old = ["StateChange", "StateChange", "StopContainer", "StateChange", "StateChange"]
        new = ["RunPodSandbox", "StartContainer", "StopContainer", "RemoveContainer", "RemovePodSandbox"]
        assert plugin.calls[2:] == (new if dialect.dedicated else old)
        assert [each.event for each in runtime.delivered] == [
            Event.RUN_POD, Event.START, Event.STOP, Event.REMOVE, Event.REMOVE_POD,
        ]  # fmt: skip
        assert (runtime.failed_operations, runtime.dropped, runtime.mask) == ([], [], SUBSCRIPTION)


def test_a_plugin_without_the_new_calls_gets_the_old_one(tmp_path: Path) -> None:
    """The newest runtime calls StateChange after it was told that there is no such method."""
    with _together(tmp_path, DIALECTS["0.12.0"], Habits(has_dedicated=False)) as (runtime, plugin):
        runtime.wait_plugin()
        runtime.run_pod(pod_of(1))
        assert plugin.calls[2:] == ["RunPodSandbox", "StateChange"]
        assert runtime.delivered[0].fell_back
        assert runtime.failed_operations == []


def test_a_synchronisation_above_the_limit_is_split(tmp_path: Path) -> None:
    """1,000 pods with 3,000 containers of more than 4 MiB come in chunks, each below the limit, and none is missing."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        for number in range(1_000):
            pod = pod_of(number)
            runtime.start_pod(pod, *(container_of(pod, index, padding=1_200) for index in range(3)))
        with SimplePlugin(runtime.path) as plugin:
            runtime.wait_plugin()
            assert len(runtime.chunks) > 1
            assert tuple(map(sum, zip(*runtime.chunks, strict=True))) == (1_000, 3_000)
            parts = [fields(payload) for payload in plugin.payloads[1:]]
            assert sum(len(part.get(2, [])) for part in parts) == 3_000
            assert [part.get(3) for part in parts] == [[1]] * (len(parts) - 1) + [None]


@pytest.mark.parametrize(
    ("habits", "version", "reason"),
    [
        (Habits(mask=1 << 12), "0.6.1", "invalid plugin events: 0x1000"),
        (Habits(mask=1 << 15), "0.12.0", "invalid plugin events: 0x8000"),
        (Habits(name="a b"), "0.12.0", "the registration was refused"),
        (Habits(index="1"), "0.12.0", "the registration was refused"),
        (Habits(frame_bytes=5_000, name="n" * 6_000), "0.12.0", "does not fit the reader's buffer"),
        (Habits(silent_on=frozenset({"Synchronize"})), "0.12.0", "Synchronize was not answered within"),
        (Habits(fails_on=frozenset({"Configure"})), "0.12.0", "failed to configure plugin: 2"),
    ],
)
def test_a_plugin_that_breaks_a_rule_is_dropped(tmp_path: Path, habits: Habits, version: str, reason: str) -> None:
    """Each rule of the registration, with the reason in which it ends."""
    with (
        NriRuntime(tmp_path / "nri.sock", DIALECTS[version], request_seconds=1.0) as runtime,
        SimplePlugin(runtime.path, habits),
    ):
        dropped = wait_until(lambda: runtime.dropped, "the plugin is dropped")
        assert reason in dropped[0]
        assert runtime.plugin is None


def test_an_empty_mask_means_everything(tmp_path: Path) -> None:
    """Also calls that the plugin never meant."""
    with _together(tmp_path, DIALECTS["0.8.0"], Habits(mask=0)) as (runtime, plugin):
        runtime.wait_plugin()
        pod = pod_of(1)
        runtime.start_pod(pod, container_of(pod))
        assert "CreateContainer" in plugin.calls
        assert runtime.mask == 0b111_1111_1111


def test_an_error_counts_as_a_failed_pod_and_a_late_answer_as_a_lost_plugin(tmp_path: Path) -> None:
    """The pod goes on without a plugin that says nothing; it fails with one that returns an error."""
    with _together(tmp_path, DIALECTS["0.12.0"], Habits(fails_on=frozenset({"StartContainer"}))) as (runtime, _plugin):
        runtime.wait_plugin()
        pod = pod_of(1)
        runtime.start_pod(pod, container_of(pod))
        assert len(runtime.failed_operations) == 1
    silent = Habits(silent_on=frozenset({"StartContainer"}))
    with NriRuntime(tmp_path / "nri.sock", request_seconds=1.0) as runtime, SimplePlugin(runtime.path, silent):
        runtime.wait_plugin()
        runtime.start_pod(pod, container_of(pod))
        assert runtime.failed_operations == []
        assert "StartContainer was not answered" in runtime.dropped[0]
        assert runtime.plugin is None


@pytest.mark.parametrize(
    "manner",
    [Manner(frame_bytes=1), Manner(stray_frames=True), Manner(write_bytes=7), Manner(answers_late_seconds=0.05)],
    ids=["one byte a frame", "strange connections", "seven bytes a write", "late answer"],
)
def test_manners_that_a_good_plugin_bears(tmp_path: Path, manner: Manner) -> None:
    """They are unusual and allowed."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.manner = manner
        with SimplePlugin(runtime.path) as plugin:
            runtime.wait_plugin()
            pod = pod_of(1)
            runtime.start_pod(pod, container_of(pod))
            assert plugin.calls == ["Configure", "Synchronize", "RunPodSandbox", "StartContainer"]


def test_a_refused_registration_and_a_cut_connection(tmp_path: Path) -> None:
    """The plugin is told the code; a connection ends after the very byte that was asked for."""
    with NriRuntime(tmp_path / "nri.sock") as runtime:
        runtime.manner = Manner(refusal=(3, "no"))
        with SimplePlugin(runtime.path) as plugin:
            wait_until(lambda: plugin.refusal == 3, "the plugin knows")
        runtime.manner = Manner(cut_after_bytes=40)
        with SimplePlugin(runtime.path):
            wait_until(lambda: "cut after 40 bytes" in runtime.dropped, "it is cut")


class _Assigning(NriRuntime):
    """Does what the plugin is to do: the process is in `tasks` before its first instruction."""

    tasks: Path | None = None

    def start_container(self, container: FakeContainer) -> Delivered | None:
        if self.tasks is not None:
            self.tasks.write_text(f"1\n{container.pid}\n")
        return super().start_container(container)


def test_a_container_finds_itself_in_its_group_or_not(tmp_path: Path) -> None:
    """A plugin that moves the process before it answers has it inside from its first instruction; any other has it outside."""
    groups = tmp_path / "mon_groups"
    with _Assigning(tmp_path / "nri.sock") as runtime, real_node("finds", runtime, tmp_path) as node:
        pod = node.run_pod(1)
        assert node.start(pod, 0).where is Where.MISSING
        node.group_of(pod).mkdir(parents=True)
        (node.group_of(pod) / "tasks").touch()
        made = node.start(pod, 1, children=2)
        assert made.where is Where.OUTSIDE
        wait_until(lambda: len(made.threads()) == 3, "its children run")
        runtime.tasks = node.group_of(pod) / "tasks"
        assert node.start(pod, 2).where is Where.INSIDE
        node.remove_pod(pod)
        assert (runtime.pods, runtime.containers, sorted(os.listdir(groups))) == ({}, {}, [node.group_of(pod).name])
