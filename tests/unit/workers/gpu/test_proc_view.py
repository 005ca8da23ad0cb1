"""Processes that a driver names, looked up in a /proc of plain files."""

from pathlib import Path

import pytest

from workers.gpu.proc_view import ProcView


def put(root: Path, pid: int, comm: str, start: int) -> None:
    """A process."""
    folder = root / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(f"{pid} (a ) b) S " + " ".join(["0"] * 18) + f" {start} 0\n")
    (folder / "comm").write_text(f"{comm}\n")
    (folder / "cgroup").write_text("0::/a.service\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With a first process, whose presence says that nobody is hidden."""
    put(tmp_path, 1, "init", 1)
    return tmp_path


def test_a_process_has_its_name_and_cgroup(root: Path) -> None:
    """Once per answer."""
    put(root, 7, "train", 5)
    view = ProcView(str(root), sees_host=True)
    view.look(7)
    view.look(7)
    assert view.told() == {"7": {"pid": 7, "comm": "train", "cgroup": "0::/a.service\n"}}
    assert view.told() == {}


def test_a_number_that_was_given_to_another_process_is_another_one(root: Path) -> None:
    """Known by its start."""
    put(root, 7, "train", 5)
    view = ProcView(str(root), sees_host=True)
    view.look(7)
    view.told()
    put(root, 7, "serve", 6)
    view.look(7)
    assert view.told()["7"]["comm"] == "serve"


def test_one_that_has_ended_keeps_what_the_last_look_knew(root: Path) -> None:
    """For the share that it still had."""
    put(root, 7, "train", 5)
    view = ProcView(str(root), sees_host=True)
    view.look(7)
    view.told()
    for name in ("stat", "comm", "cgroup"):
        (root / "7" / name).unlink()
    view.look(7)
    assert view.told()["7"] == {"pid": 7, "comm": "train", "absent": "vanished"}


def test_in_another_namespace_nothing_can_be_attributed(root: Path) -> None:
    """The driver's 7 is not this 7."""
    put(root, 7, "train", 5)
    view = ProcView(str(root), sees_host=False)
    view.look(7)
    assert view.told() == {"7": {"absent": "not_attributable"}}
    assert view.exists is None


def test_where_others_are_hidden_one_that_is_not_seen_may_exist(tmp_path: Path) -> None:
    """hidepid=2: the first process is not there either."""
    view = ProcView(str(tmp_path), sees_host=True)
    view.look(7)
    assert view.told() == {"7": {"absent": "no_permission"}}
    assert view.exists is None


def test_kernel_threads_show_that_a_proc_file_system_is_the_hosts(root: Path) -> None:
    """Mounted into a container."""
    assert not ProcView(str(root)).sees_host
    put(root, 2, "kthreadd", 1)
    assert ProcView(str(root)).sees_host
