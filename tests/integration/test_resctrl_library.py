"""The library as somebody else uses it: by its documentation, and against the kernel of this host."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from fakes.other_user import as_other_user, folder_for_all
from fakes.resctrl_world import EmulatedWorld, ProcessPod, refusal_of

from workers.resctrl.filesystem import FILESYSTEMS_PATH, MountedFilesystem
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.problem import ProblemKind, ResctrlError

PROJECT = Path(__file__).parents[2]
DOCUMENT = PROJECT / "docs" / "resctrl-library.md"


def _example() -> str:
    code: str
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return code


@contextmanager
def _pod(threads: int) -> Iterator[ProcessPod]:
    pod = ProcessPod(threads)
    try:
        yield pod
    finally:
        pod.end()


def test_the_example_of_the_documentation_does_what_it_says() -> None:
    """It measures all threads of a process, domain by domain, and leaves nothing behind; it is about twenty lines long."""
    code = _example()
    with EmulatedWorld("tiny") as world, _pod(5) as pod:
        run = subprocess.run(
            [sys.executable, "-c", code, world.filesystem.root, str(pod.process.pid)],
            cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

        assert run.stderr == ""
        first, *domains = run.stdout.splitlines()
        assert first == f"5 threads in {world.filesystem.root}/mon_groups/example_{pod.process.pid}, clean: True"
        assert [bool(re.fullmatch(rf"mon_L3_0{number} \d+ bytes", line)) for number, line in enumerate(domains)] == [True, True]
        assert world.groups.survey() == ()
    assert len(code.splitlines()) <= 25


def test_every_operation_and_every_kind_is_documented() -> None:
    """The tables of the documentation have all public operations and exactly the kinds of failures that there are."""
    text = DOCUMENT.read_text()
    operations = {name for name in dir(MonitoringGroups) if not name.startswith("_") and callable(getattr(MonitoringGroups, name))}
    inner = {"absolute", "create_named", "control_groups", "holders_of", "tolerating_gone"}

    assert {name for name in operations - inner if f"`{name}(" not in text} == set()
    kinds = re.findall(r"^\| `(\w+)` \|", text[text.index("| kind |") :], re.MULTILINE)
    assert set(kinds) == {kind.value for kind in ProblemKind}


def test_a_host_without_resctrl_says_that_it_has_none(tmp_path: Path) -> None:
    """The kernel of this host is asked, at a place that is there, at one that can be made, and where the kernel would make it."""
    if any(line.split()[-1:] == ["resctrl"] for line in Path(FILESYSTEMS_PATH).read_text().splitlines()) or os.geteuid() != 0:
        pytest.skip("needs root, and a kernel without resctrl: with it this would mount it")
    (tmp_path / "there").mkdir()
    for place in (tmp_path / "there", tmp_path / "made", Path("/sys/fs/resctrl")):
        problem = refusal_of(partial(MonitoringGroups(MountedFilesystem(str(place))).ensure_mounted, auto_mount=True))
        assert (problem.kind, problem.errno) == (ProblemKind.UNSUPPORTED, errno.ENODEV)
    assert (tmp_path / "made").is_dir()


def test_another_user_may_not_mount() -> None:
    """The refusal is one of permission, whatever the kernel has."""
    with folder_for_all() as folder:

        def work() -> str:
            with pytest.raises(ResctrlError) as caught:
                MonitoringGroups(MountedFilesystem(str(folder))).ensure_mounted(auto_mount=True)
            return caught.value.kind.value

        assert as_other_user(work) == "no_permission"


def test_another_user_looks_at_the_groups_and_changes_none() -> None:
    """What the modes of the files say holds: he lists groups and threads, and every change is refused with the remedy."""
    with EmulatedWorld("tiny", open_to_all=True) as world, _pod(2) as pod:
        path = world.groups.create_group("x")
        root = world.filesystem.root

        def work() -> list[str]:
            groups = MonitoringGroups(MountedFilesystem(root))
            said = [group.path for group in groups.list_groups()]
            for change in (
                lambda: groups.create_group("y"),
                lambda: groups.delete_group(path),
                lambda: groups.assign(path, pod.threads()),
                groups.check_writable,
            ):
                said.append(refusal_of(change).kind.value)
            return said

        assert as_other_user(work) == [path, *["no_permission"] * 4]
        assert [group.path for group in world.groups.list_groups()] == [path]


def test_threads_of_others_are_refused_by_the_kernel_with_its_reason() -> None:
    """A user who may write a group's list moves his own threads, and each of the others is refused with its number."""
    with EmulatedWorld("tiny", open_to_all=True) as world, _pod(2) as pod:
        path = world.groups.create_group("x")
        os.chmod(f"{world.filesystem.root}/{path}/tasks", 0o666)
        root, others = world.filesystem.root, pod.threads()

        def work() -> list[object]:
            own = os.getpid()
            assigned = MonitoringGroups(MountedFilesystem(root)).assign(path, others | {own})
            inside = MonitoringGroups(MountedFilesystem(root)).list_group_tasks(path)
            return [assigned.assigned, inside == {own}, sorted(refused.thread_id for refused in assigned.refused),
                    all("No permission to move task" in refused.reason for refused in assigned.refused)]  # fmt: skip

        assert as_other_user(work) == [1, True, sorted(others), True]
